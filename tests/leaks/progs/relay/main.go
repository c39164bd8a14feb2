// SPDX-License-Identifier: BSD-2-Clause

// Tokens that are nowhere but on the stack of a goroutine that waits for its turn
// to hand it on, over a channel without a buffer, to one that has waited for long
// (a collection has met it).  Whoever waits for a token to be closed is not leaked,
// and looks it to all who take a stack as it was before the token came.
//
//	relay TOKENS
package main

import (
	"fmt"
	"math/rand"
	"os"
	"runtime"
	"strconv"
	"time"
)

type token struct{ done chan struct{} }

type runner struct {
	in   chan *token
	turn chan *runner // to whom it goes next
}

func (r *runner) run(got chan<- *runner) {
	for {
		t := <-r.in
		got <- r
		next := <-r.turn
		next.in <- t
	}
}

// The other way to receive.
func (r *runner) pick(got chan<- *runner, never chan *token) {
	for {
		var t *token
		select {
		case t = <-r.in:
		case t = <-never:
		}
		got <- r
		next := <-r.turn
		next.in <- t
	}
}

func newToken() *token {
	t := &token{make(chan struct{})}
	done := t.done
	go func() { <-done }()
	return t
}

func main() {
	n, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	got, never := make(chan *runner), make(chan *token)
	var idle, busy []*runner
	for i := 0; i < 3*n; i++ {
		r := &runner{make(chan *token), make(chan *runner)}
		if i%2 == 0 {
			go r.run(got)
		} else {
			go r.pick(got, never)
		}
		idle = append(idle, r)
	}
	for i := 0; i < n; i++ {
		idle[0].in <- newToken()
		busy = append(busy, <-got)
		idle = idle[1:]
	}
	go func() {
		for {
			runtime.GC()
			time.Sleep(5 * time.Millisecond)
		}
	}()
	fmt.Println("READY")
	for {
		i, k := rand.Intn(len(busy)), rand.Intn(len(idle))
		from, to := busy[i], idle[k]
		from.turn <- to
		busy[i] = <-got
		idle[k] = from
		if rand.Intn(20) == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}
