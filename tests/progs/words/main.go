// SPDX-License-Identifier: BSD-2-Clause

// Variables that goroutines share, rightly and wrongly, with their addresses: "name 0xADDR", or,
// of a field behind a pointer, "name 0xVARIABLE 0xFIELD".  It ends with its standard input.
package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

type config struct {
	Name    string
	Limit   int
	Enabled bool
	Strict  bool
}

type stats struct {
	lock sync.Mutex
	seen int64
	last string
}

type server struct {
	lock sync.Mutex
	hits int64
}

var (
	srv       = &server{} // its fields are touched by methods alone
	door      server
	cfg       = &config{Name: "first"} // a field behind it is stored plainly
	current   = &config{Name: "first"} // the pointer is replaced
	counter   int64                    // counter++ in one function
	recent    []int                    // grown by one function
	names     = map[string]int{}       // the variable is replaced
	all       stats                    // a struct, its fields under its lock
	title     = "none"
	ratio     float32
	flag      uint32 // by sync/atomic alone
	safe      atomic.Value
	inlined   int
	wide      [6]int
	once      sync.Once
	made      *config // by once
	setAtInit int
	private   int     // only one function stores there, and none reads it
	kept      *config // the same: only the collector is told of its old value
	queue     = make(chan int, 4)
)

func init() {
	setAtInit = len(os.Args)
	made = nil
}

//go:noinline
func (s *server) hit(n int64) {
	s.lock.Lock()
	s.hits = n
	s.lock.Unlock()
}

//go:noinline
func (s *server) seen() int64 {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.hits
}

//go:noinline
func replace(n int) {
	current = &config{Limit: n}
}

//go:noinline
func count() {
	counter++
}

//go:noinline
func remember(n int) {
	recent = append(recent[:len(recent)%8], n)
}

//go:noinline
func rename(n int) {
	m := map[string]int{"n": n}
	m["more"] = n
	names = m
}

// Nobody writes a map that others have: the program would not live long.
//
//go:noinline
func length() int { return len(names) + names["more"] }

//go:noinline
func record(n int64, what string) {
	all.lock.Lock()
	all.seen = n
	all.last = what
	all.lock.Unlock()
	title = what
	ratio = float32(n) / 2
}

//go:noinline
func atomics(n uint32) {
	atomic.StoreUint32(&flag, n)
	safe.Store(int64(n))
	once.Do(func() { made = &config{} })
}

//go:noinline
func hide(n int) {
	private = n
	kept = &config{Limit: n}
}

//go:noinline
func send(n int) {
	select {
	case queue <- n:
	default:
		<-queue
	}
}

//go:noinline
func read() int {
	n := current.Limit + int(counter) + len(names) + names["n"] + setAtInit + len(title) + int(ratio) + len(queue)
	if cfg.Enabled && atomic.LoadUint32(&flag) > 1 && safe.Load() != nil {
		n++
	}
	all.lock.Lock()
	defer all.lock.Unlock()
	if made != nil {
		n++
	}
	return n + int(srv.seen()+door.seen()+all.seen) + len(all.last) + len(recent)
}

func say(name string, p ...unsafe.Pointer) {
	fmt.Print(name)
	for _, at := range p {
		fmt.Printf(" %#x", uintptr(at))
	}
	fmt.Println()
}

func work() {
	for n := 0; ; n++ {
		reload(n%2 == 0)
		replace(n)
		count()
		remember(n)
		rename(n)
		length()
		record(int64(n), "some")
		atomics(uint32(n))
		hide(n)
		send(n)
		srv.hit(int64(n))
		door.hit(int64(n))
		bump()
		behind(&config{}, n)
		spread(n)
		time.Sleep(time.Millisecond)
	}
}

func main() {
	say("field", unsafe.Pointer(&cfg), unsafe.Pointer(&cfg.Enabled))
	say("strict", unsafe.Pointer(&cfg), unsafe.Pointer(&cfg.Strict))
	say("hits", unsafe.Pointer(&srv), unsafe.Pointer(&srv.hits))
	say("door", unsafe.Pointer(&door.hits))
	say("pointer", unsafe.Pointer(&current))
	say("counter", unsafe.Pointer(&counter))
	say("recent", unsafe.Pointer(&recent))
	say("names", unsafe.Pointer(&names))
	say("seen", unsafe.Pointer(&all.seen))
	say("lock", unsafe.Pointer(&all.lock))
	say("inlined", unsafe.Pointer(&inlined))
	say("title", unsafe.Pointer(&title))
	say("ratio", unsafe.Pointer(&ratio))
	say("flag", unsafe.Pointer(&flag))
	say("safe", unsafe.Pointer(&safe))
	say("once", unsafe.Pointer(&once))
	say("set-at-init", unsafe.Pointer(&setAtInit))
	say("private", unsafe.Pointer(&private))
	say("kept", unsafe.Pointer(&kept))
	say("queue", unsafe.Pointer(&queue))
	go work()
	go func() {
		for sum := 0; ; sum += read() {
			time.Sleep(time.Millisecond)
			if sum < 0 {
				fmt.Println(sum)
			}
		}
	}()
	fmt.Println("READY")
	io.Copy(io.Discard, os.Stdin)
}
