// SPDX-License-Identifier: BSD-2-Clause

// grow uses more and more memory, of one kind; or has more places than gospect has room for.
//
//	grow KIND
//
// It prints `READY pid=N`, then answers each line on its standard input with a
// number:
//
//	bytes       that it has taken so far (it takes some 10 MiB a second by itself)
//	births N    starts N goroutines, each by another pair of go statement and
//	            function, and waits for their ends: how many it has started
//	stacks N    N large objects, each at another stack: how many bytes in all
//
// Kinds: none; malloc and mmap keep what they take; free gives it back; touch,
// ballast, file and shared touch for the first time what is there already: C's,
// Go's, a file's and shared memory; heap keeps it in the Go heap; garbage does not;
// stacks is goroutines with large stacks; rare keeps it in the Go heap, a tenth as
// much, behind a cache that is filled at the start, and collects every 6 s only.
package main

/*
#include <stdlib.h>
#include <string.h>
static void *take(size_t n) { void *p = malloc(n); memset(p, 1, n); return p; }
static char *reserve(size_t n) { return malloc(n); }
static void touch(char *p, size_t n) { memset(p, 1, n); }
*/
import "C"

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	step = 1 << 20
	pool = 512 << 20
)

var (
	taken   int64
	kept    [][]byte
	garbage []byte
	begun   int64
	never   = make(chan struct{})
)

func anonymous(fd int, n int, flags int) []byte {
	b, err := syscall.Mmap(fd, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, flags)
	if err != nil {
		panic(err)
	}
	return b
}

func touch(b []byte) byte {
	var sum byte
	for i := 0; i < len(b); i += 4096 {
		sum += b[i]
		b[i] = 1
	}
	return sum
}

func read(b []byte) (sum byte) {
	for i := 0; i < len(b); i += 4096 {
		sum += b[i]
	}
	return sum
}

// A file of that size, without a name and without a block on the disk.
func file(n int64) int {
	f, err := os.CreateTemp("", "grow")
	if err != nil {
		panic(err)
	}
	os.Remove(f.Name())
	if err := f.Truncate(n); err != nil {
		panic(err)
	}
	return int(f.Fd())
}

//go:noinline
func keep() {
	kept = append(kept, make([]byte, step))
}

// Some collections at once, and none by itself from then on.
//
//go:noinline
func fill() {
	for i := 0; i < 80; i++ {
		kept = append(kept, make([]byte, step))
	}
	debug.SetGCPercent(-1)
}

func collectRarely() {
	for range time.Tick(6 * time.Second) {
		runtime.GC()
	}
}

//go:noinline
func deep(n int) {
	var frame [1 << 10]byte
	if n > 0 {
		deep(n - 1)
	} else {
		<-never
	}
	runtime.KeepAlive(&frame)
}

// What takes the next megabyte.
func taker(kind string) func(i int) {
	switch kind {
	case "malloc":
		return func(int) { C.take(step) }
	case "mmap":
		return func(int) {
			touch(anonymous(-1, step, syscall.MAP_ANON|syscall.MAP_PRIVATE))
		}
	case "free":
		return func(int) { C.free(C.take(step)) }
	case "touch":
		p := C.reserve(pool)
		return func(i int) { C.touch((*C.char)(unsafe.Add(unsafe.Pointer(p), i*step)), step) }
	case "ballast":
		b := make([]byte, pool)
		return func(i int) { touch(b[i*step:][:step]) }
	case "file":
		b := anonymous(file(pool), pool, syscall.MAP_PRIVATE)
		return func(i int) { read(b[i*step:][:step]) }
	case "shared":
		b := anonymous(-1, pool, syscall.MAP_ANON|syscall.MAP_SHARED)
		return func(i int) { touch(b[i*step:][:step]) }
	case "heap":
		return func(int) { keep() }
	case "rare":
		fill()
		go collectRarely()
		return func(i int) {
			if i%10 == 0 {
				keep()
			} else {
				atomic.AddInt64(&taken, -step)
			}
		}
	case "garbage":
		return func(int) { garbage = make([]byte, 4*step) }
	case "stacks":
		return func(int) {
			for k := 0; k < 8; k++ {
				go deep(100)
			}
		}
	}
	return nil
}

func grow(kind string) {
	take := taker(kind)
	for i := 0; take != nil && i < pool/step; i++ {
		take(i)
		atomic.AddInt64(&taken, step)
		time.Sleep(90 * time.Millisecond)
	}
}

// ---- places ----

var running sync.WaitGroup

// Every type has code of its own: another go statement, and another function.
//
//go:noinline
func start[T any](f func()) {
	var t T
	go f()
	runtime.KeepAlive(&t)
}

//go:noinline
func work[T any]() {
	var t T
	begun++
	runtime.KeepAlive(&t)
	running.Done()
}

func births(n int) int64 {
	for i := 0; i < n; i++ {
		running.Add(1)
		starts[i/len(works)%len(starts)](works[i%len(works)])
		running.Wait()
	}
	return begun
}

//go:noinline
func zero(bits, n int) {
	switch {
	case n == 0:
		garbage = make([]byte, 40000)
	case bits&1 == 1:
		one(bits>>1, n-1)
	default:
		zero(bits>>1, n-1)
	}
}

//go:noinline
func one(bits, n int) {
	switch {
	case n == 0:
		garbage = make([]byte, 40000)
	case bits&1 == 1:
		one(bits>>1, n-1)
	default:
		zero(bits>>1, n-1)
	}
}

// A frame a bit: 24 are kept of a stack, those of the allocator included.
func stacks(n int) int64 {
	for i := 0; i < n; i++ {
		zero(i, 13)
	}
	return int64(n) * 40000
}

func main() {
	kind := os.Args[1]
	if kind == "rare" {
		runtime.MemProfileRate = 64 << 10 // all of its objects
	}
	if len(os.Args) > 2 {
		pprof.Lookup("heap").WriteTo(os.Stderr, 0) // links the heap profile
	}
	go grow(kind)
	fmt.Printf("READY pid=%d\n", os.Getpid())
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var n int
		var answer int64
		words := strings.Fields(in.Text())
		if len(words) > 1 {
			fmt.Sscan(words[1], &n)
		}
		switch words[0] {
		case "bytes":
			answer = atomic.LoadInt64(&taken)
		case "births":
			answer = births(n)
		case "stacks":
			answer = stacks(n)
		}
		fmt.Println(answer)
	}
}
