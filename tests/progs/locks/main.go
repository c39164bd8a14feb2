// SPDX-License-Identifier: BSD-2-Clause

// locks makes goroutines wait for each other's locks, or look as if they did:
//
//	locals     two goroutines, two mutexes of their own
//	fields     two accounts, from one to the other and back; Unlock deferred
//	globals    two mutexes that are global variables
//	readers    a global RWMutex and a mutex, the Unlock deferred
//	three      three goroutines in a circle
//	slow       healthy: two goroutines wait for locks that slow ones hold
//	handover   healthy: locks given back before the next one is taken
//	convoy     healthy: many wait for one lock that somebody keeps for long
//
// and those of circles.go:
//
//	again, againloop, againglobal, upgrade, downgrade   one goroutine and one lock
//	reread                                   a reader and a writer, over one lock
//	sendlocked, lockchan                     a lock and a channel
//	twochans, closers                        channels
//	group                                    a lock and a wait group
//	mixed                                    a lock, a wait group and a channel
//	relock, rewrite, sendslow, lockchanslow, groupslow, quiesce   healthy
//	groupglobal                              sick, but it cannot be told
//	pool, semaphore, groupleak               leaks, but no circle
//	spin                                     a leak, and a goroutine that runs all the time
//
// and those of kinds.go: `healthy`, `sick` and `holders` there.
// And those of everyday.go: `everyday` and `everydaySick`.
//
// It prints `READY pid=N` when all of them wait, and ends when its standard
// input does.
package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

var (
	globalA, globalB sync.Mutex
	table            sync.RWMutex
	journal          sync.Mutex
	met              int64
	done             = make(chan bool)
)

// meet returns when n goroutines have come.
func meet(n int64) {
	atomic.AddInt64(&met, 1)
	for atomic.LoadInt64(&met) < n {
		time.Sleep(time.Millisecond)
	}
}

func locals() {
	a, b := new(sync.Mutex), new(sync.Mutex)
	go func() {
		a.Lock()
		meet(2)
		b.Lock()
		b.Unlock()
		a.Unlock()
		done <- true
	}()
	go func() {
		b.Lock()
		meet(2)
		a.Lock()
		a.Unlock()
		b.Unlock()
		done <- true
	}()
}

type account struct {
	name    string
	mu      sync.Mutex
	balance int
}

func transfer(from, to *account, amount int) {
	from.mu.Lock()
	defer from.mu.Unlock()
	meet(2)
	to.mu.Lock()
	defer to.mu.Unlock()
	from.balance -= amount
	to.balance += amount
}

func fields() {
	x, y := &account{name: "x"}, &account{name: "y"}
	go transfer(x, y, 1)
	go transfer(y, x, 2)
}

func first() {
	globalA.Lock()
	meet(2)
	second()
	globalA.Unlock()
}

//go:noinline
func second() {
	globalB.Lock()
	defer globalB.Unlock()
	fmt.Fprint(io.Discard, "second")
}

func other() {
	globalB.Lock()
	meet(2)
	globalA.Lock()
	globalA.Unlock()
	globalB.Unlock()
}

func globals() {
	go first()
	go other()
}

func look() {
	table.RLock()
	defer table.RUnlock()
	meet(2)
	journal.Lock()
	defer journal.Unlock()
}

func change() {
	journal.Lock()
	defer journal.Unlock()
	meet(2)
	table.Lock()
	defer table.Unlock()
}

func readers() {
	go look()
	go change()
}

func pick(left, right *sync.Mutex, n int64) {
	left.Lock()
	meet(n)
	right.Lock()
	right.Unlock()
	left.Unlock()
}

func three() {
	forks := make([]sync.Mutex, 3)
	for i := range forks {
		go pick(&forks[i], &forks[(i+1)%3], 3)
	}
}

// hold keeps a lock as slow work does.
func hold(mu *sync.Mutex) {
	mu.Lock()
	meet(2)
	time.Sleep(time.Hour)
	mu.Unlock()
}

// both wants the two locks, one after the other.
func both(a, b *sync.Mutex) {
	a.Lock()
	a.Unlock()
	b.Lock()
	b.Unlock()
}

// slow: each of the two waits for its first lock and mentions the other.
func slow() {
	a, b := new(sync.Mutex), new(sync.Mutex)
	go hold(a)
	go hold(b)
	meet(3)
	go both(a, b)
	go both(b, a)
}

func giveBack(a, b *sync.Mutex) {
	a.Lock()
	a.Unlock()
	atomic.AddInt64(&met, 1)
	b.Lock()
	b.Unlock()
}

// handover: each has had the lock that the other waits for, and gave it back.
func handover() {
	a, b := new(sync.Mutex), new(sync.Mutex)
	go giveBack(a, b)
	for atomic.LoadInt64(&met) < 1 {
		time.Sleep(time.Millisecond)
	}
	go hold(a)
	go hold(b)
	meet(3)
	go giveBack(a, b)
	go giveBack(b, a)
}

func convoy() {
	mu := new(sync.Mutex)
	go hold(mu)
	meet(2)
	for i := 0; i < 500; i++ {
		go both(mu, new(sync.Mutex))
	}
}

// settled waits until nobody but this goroutine runs or could: on a busy machine some of
// them take a while to come to where they wait.  Two seconds at most: in some modes there
// is contention for ever.
func settled() {
	b := make([]byte, 4<<20)
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		text := string(b[:runtime.Stack(b, true)])
		if strings.Count(text, " [running") == 1 && !strings.Contains(text, " [runnable") {
			return
		}
	}
}

func main() {
	modes := map[string]func(){"locals": locals, "fields": fields, "globals": globals, "readers": readers,
		"three": three, "slow": slow, "handover": handover, "convoy": convoy,
		"again": again, "againloop": againLoop, "againglobal": againGlobal, "upgrade": upgrade, "downgrade": downgrade, "reread": reread,
		"sendlocked": sendLocked, "lockchan": lockChan, "twochans": twoChans, "closers": closers,
		"group": group, "groupglobal": groupGlobal, "mixed": mixed,
		"relock": relock, "rewrite": rewrite, "sendslow": sendSlow, "lockchanslow": lockChanSlow,
		"groupslow": groupSlow, "quiesce": quiesce, "spin": spin, "pool": pool, "semaphore": semaphore, "groupleak": groupLeak}
	for _, more := range []map[string]func(){healthy, sick, holders, everyday, everydaySick} {
		for name, f := range more {
			modes[name] = f
		}
	}
	if len(os.Args) != 2 || modes[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: locks MODE")
		os.Exit(2)
	}
	modes[os.Args[1]]()
	time.Sleep(300 * time.Millisecond)
	if healthy[os.Args[1]] == nil && everyday[os.Args[1]] == nil && os.Args[1] != "spin" {
		settled()
	}
	fmt.Printf("READY pid=%d\n", os.Getpid())
	_, _ = io.Copy(io.Discard, os.Stdin)
}
