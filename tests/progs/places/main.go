// SPDX-License-Identifier: BSD-2-Clause

// places has goroutines and memory whose places are not where the runtime says:
// inside the standard library, a generic function, or a function that starts
// what it is given; or a main that waits.  It prints READY, and ends with its
// standard input.
//
//	places spawn | heap | wait IDIOM [leak]
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"gospect.test/places/errgroup"
	_ "gospect.test/places/listener"
)

var (
	kept    [][]byte
	timers  []*time.Timer
	builder []*strings.Builder
	never   = make(chan int)
)

type server struct{ n int }

func (s *server) poll() error { <-never; return nil }

func drains(n int) func() error {
	return func() error { // given, and returned by another
		for range never {
			n++
		}
		return nil
	}
}

func grow[T any](s []T, n int) []T {
	t := make([]T, len(s)+n)
	copy(t, s)
	return t
}

//go:noinline
func generic() {
	for i := 0; i < 4; i++ {
		kept = append(kept, grow[byte](nil, 8<<20))
	}
}

//go:noinline
func buffers() {
	for i := 0; i < 4; i++ {
		var b bytes.Buffer
		b.Write(make([]byte, 1))
		b.Grow(8 << 20)
		kept = append(kept, b.Bytes())
	}
}

//go:noinline
func reads() {
	for i := 0; i < 4; i++ {
		b, _ := io.ReadAll(io.LimitReader(zero{}, 8<<20))
		kept = append(kept, b)
	}
}

type zero struct{}

func (zero) Read(p []byte) (int, error) { return len(p), nil }

func spawn() {
	var g errgroup.Group
	s := &server{}

	for i := 0; i < 3; i++ {
		g.Go(func() error {
			<-never
			return nil
		})
	}
	for i := 0; i < 5; i++ {
		g.Go(s.poll)
	}
	for i := 0; i < 7; i++ {
		g.Go(drains(i))
	}
	waitGroupGo()
	for i := 0; i < 11; i++ {
		timers = append(timers, time.AfterFunc(0, func() { <-never }))
	}
}

// end ends the program with its standard input.
func end() {
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

func main() {
	args := append(os.Args[1:], "", "")
	runtime.MemProfile(nil, true) // without it the linker leaves the heap profile out
	switch args[0] {
	case "wait": // main, by an idiom; and, with "leak", somebody forgotten
		if args[2] == "leak" {
			go forgotten()
		}
		go end()
		fmt.Println("READY")
		idioms[args[1]]()
	case "heap":
		generic()
		buffers()
		reads()
		runtime.GC() // the profile is of collections that have ended,
		runtime.GC() // and of which all is swept
	case "spawn":
		spawn()
	}
	fmt.Println("READY")
	end()
}
