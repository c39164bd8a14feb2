// SPDX-License-Identifier: BSD-2-Clause

// A heap that changes at full speed, with waiters that are all alive: the only
// reference to what each waits for moves from box to box all the time.
//
//	churn WAITERS MEGABYTES LEAKS
package main

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

type box struct {
	ch   chan int
	next *box
}

type tree struct {
	left, right *tree
	payload     [4]uint64
}

var (
	boxes []*box
	roots [64]*tree
	moves int64
)

func number(i, otherwise int) int {
	if i < len(os.Args) {
		if n, err := strconv.Atoi(os.Args[i]); err == nil {
			return n
		}
	}
	return otherwise
}

func grow(depth int) *tree {
	if depth == 0 {
		return &tree{}
	}
	return &tree{left: grow(depth - 1), right: grow(depth - 1)}
}

func waiter(ch chan int) {
	if <-ch == 0 {
		panic("nobody closes this one")
	}
}

func leak(ch chan int) { <-ch }

// shuffle moves channels between boxes old and new; each is in one box only.
func shuffle(from, to int) {
	random := uint64(from) + 88172645463325252
	for i := 0; ; i++ {
		random ^= random << 13
		random ^= random >> 7
		random ^= random << 17
		a := from + int(random>>32)%(to-from)
		b := from + int(random&0xffffffff)%(to-from)
		boxes[a].ch, boxes[b].ch = boxes[b].ch, boxes[a].ch
		if i%64 == 0 {
			boxes[a] = &box{ch: boxes[a].ch, next: &box{}}
		}
		atomic.AddInt64(&moves, 1)
	}
}

func main() {
	waiters, megabytes, leaks := number(1, 1000), number(2, 64), number(3, 100)
	for i := 0; i < waiters; i++ {
		b := &box{ch: make(chan int)}
		boxes = append(boxes, b)
		go waiter(b.ch)
	}
	for i := 0; i < leaks; i++ {
		go leak(make(chan int))
	}
	depth := 6
	for n := megabytes << 20 / 64 / len(roots); n > 64; n /= 2 {
		depth++
	}
	for i := range roots {
		roots[i] = grow(depth)
	}
	go shuffle(0, waiters/2)
	go shuffle(waiters/2, waiters)
	time.Sleep(200 * time.Millisecond)
	fmt.Printf("READY %d alive %d leaked\n", waiters, leaks)
	for i := 0; ; i++ {
		roots[i%len(roots)] = grow(depth)
	}
}
