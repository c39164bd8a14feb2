// SPDX-License-Identifier: BSD-2-Clause

// profile keeps memory and goroutines whose profiles it can write itself: what
// gospect reads from outside is compared with them.
//
// It prints `READY pid=N`, then answers each line on its standard input with
// `ok` or `error: …`:
//
//	keep N SIZE       keep N more objects of SIZE bytes alive
//	drop              let go of all of them
//	churn N SIZE      make N objects of SIZE bytes, keep none
//	tree DEPTH        keep a tree of small nodes that point to each other
//	label N K=V,…     N goroutines with these labels wait on a channel
//	lock N            N goroutines locked to their threads wait on a channel
//	gc                two collections: the heap profile is as of the last one
//	heap FILE         its own heap profile, as runtime/pprof writes it
//	goroutine FILE    its own goroutine profile, with labels
//	text FILE         its own goroutine dump (debug=2)
//	rate N            set runtime.MemProfileRate
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync/atomic"
)

var (
	kept    [][]byte
	trees   []*node
	garbage []byte
	never   = make(chan struct{})
	begun   int64
)

type node struct {
	left, right *node
	value       [4]int
}

//go:noinline
func keep(n, size int) {
	for i := 0; i < n; i++ {
		kept = append(kept, make([]byte, size))
	}
}

//go:noinline
func churn(n, size int) {
	for i := 0; i < n; i++ {
		garbage = make([]byte, size)
	}
	garbage = nil
}

func grow(depth int) *node {
	if depth == 0 {
		return nil
	}
	return &node{left: grow(depth - 1), right: grow(depth - 1)}
}

func wait() {
	atomic.AddInt64(&begun, 1)
	<-never
}

func waitLocked() {
	runtime.LockOSThread()
	wait()
}

func waitLabelled(labels []string) {
	pprof.Do(context.Background(), pprof.Labels(labels...), func(context.Context) { wait() })
}

func started(n int64) {
	for atomic.LoadInt64(&begun) < n {
		runtime.Gosched()
	}
}

func label(n int, list string) {
	var labels []string
	for _, pair := range strings.Split(list, ",") {
		labels = append(labels, strings.SplitN(pair, "=", 2)...)
	}
	want := atomic.LoadInt64(&begun) + int64(n)
	for i := 0; i < n; i++ {
		go waitLabelled(labels)
	}
	started(want)
}

func lock(n int) {
	want := atomic.LoadInt64(&begun) + int64(n)
	for i := 0; i < n; i++ {
		go waitLocked()
	}
	started(want)
}

func write(name, file string, debug int) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return pprof.Lookup(name).WriteTo(f, debug)
}

func do(words []string) error {
	arg := func(i int) int {
		if i >= len(words) {
			return 0
		}
		n, _ := strconv.Atoi(words[i])
		return n
	}
	switch {
	case words[0] == "keep":
		keep(arg(1), arg(2))
	case words[0] == "drop":
		kept, trees = nil, nil
	case words[0] == "churn":
		churn(arg(1), arg(2))
	case words[0] == "tree":
		trees = append(trees, grow(arg(1)))
	case words[0] == "label" && len(words) == 3:
		label(arg(1), words[2])
	case words[0] == "lock":
		lock(arg(1))
	case words[0] == "gc":
		runtime.GC()
		runtime.GC()
	case words[0] == "heap" && len(words) == 2:
		return write("heap", words[1], 0)
	case words[0] == "goroutine" && len(words) == 2:
		return write("goroutine", words[1], 0)
	case words[0] == "text" && len(words) == 2:
		return write("goroutine", words[1], 2)
	case words[0] == "rate":
		runtime.MemProfileRate = arg(1)
	default:
		return fmt.Errorf("unknown command %q", words[0])
	}
	return nil
}

func main() {
	fmt.Printf("READY pid=%d\n", os.Getpid())
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		words := strings.Fields(in.Text())
		if len(words) == 0 {
			continue
		}
		if err := do(words); err != nil {
			fmt.Println("error:", err)
		} else {
			fmt.Println("ok")
		}
	}
}
