// SPDX-License-Identifier: BSD-2-Clause

// recorded stands still in known ways, so that its memory can be recorded for
// the unit tests (tools/fixtures).  What starts in a function whose name
// begins with `leak` can never run again; what starts in another can, or is not
// known to be unable to.  It is small: no fmt, no os.
//
// It prints, when nothing moves any more, what the tests compare with: its
// totals, labels and heap profile as `KEY VALUE…` lines, then an empty line and
// its own goroutine dump, then READY; and waits for its standard input to end.
package main

import (
	"context"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const blockBytes = 1024 // a size class of its own, so nothing is rounded up

var (
	held     sync.Mutex
	open     sync.WaitGroup
	known    = make(chan int)
	another  = make(chan int)
	registry []*entry
	blocks   [][]byte
	sink     []byte
)

type entry struct {
	name string
	done chan int
}

// ---- can never run again ----

func leakReceive(c chan int) { <-c }
func leakSend(c chan int)    { c <- 1 }

func leakSelect(a, b chan int) {
	select {
	case <-a:
	case b <- 1:
	}
}

func leakWaitGroup(g *sync.WaitGroup) { g.Wait() }

func leakCond(c *sync.Cond) {
	c.L.Lock()
	c.Wait()
}

func leakNilChannel() { <-(chan int)(nil) }
func leakNoCases()    { select {} }

// Two that wait for each other.
type account struct {
	mu      sync.Mutex
	balance int
}

func transfer(from, to *account, ready *sync.WaitGroup) {
	from.mu.Lock()
	defer from.mu.Unlock()
	ready.Done()
	ready.Wait()
	to.mu.Lock()
	defer to.mu.Unlock()
	to.balance++
}

func leakTransfer(from, to *account, ready *sync.WaitGroup) { transfer(from, to, ready) }

// Only one that is leaked itself keeps the channel of the other.
func leakInner(c chan int) { <-c }

func leakOuter(mine, other chan int) {
	<-mine
	other <- 1
}

// ---- can run again ----

func waitKnown() { <-known }

func waitSelect() {
	select {
	case <-known:
	case <-another:
	}
}

func waitHeld() {
	held.Lock()
	//lint:ignore SA2001 having had the lock is all that is wanted
	held.Unlock()
}

func waitOpen()            { open.Wait() }
func waitEntry(e *entry)   { <-e.done }
func waitOwner(c chan int) { <-c }
func waitLabelled()        { <-known }
func waitLocked()          { runtime.LockOSThread(); <-known }
func waitSleeping()        { time.Sleep(1000 * time.Hour) }
func labelled() {
	pprof.Do(context.Background(), pprof.Labels("user", "alice", "job", "j-7"), labelledBody)
}
func labelledBody(_ context.Context) { waitLabelled() }

// Its stack is all that keeps the channel of the one it started.
func sleepAndKeep() {
	c := make(chan int)
	go waitOwner(c)
	waitSleeping()
	c <- 1
}

// The channel was in this frame, and is not any more: only its stack map says so.
//
//go:noinline
func sleepAndForget() {
	c := make(chan int, 1)
	go leakReceive(c)
	touch(c)
	waitSleeping()
}

//go:noinline
func touch(c chan int) { runtime.Gosched(); sink = append(sink[:0], byte(cap(c))) }

func deeper(n int) int {
	if n == 0 {
		waitKnown()
		return 0
	}
	return deeper(n-1) + 1
}

func waitDeep() { deeper(100) }

// ---- memory ----

//go:noinline
func makeBlock() []byte { return make([]byte, blockBytes) }

func makeBlocks() {
	for i := 0; i < 40; i++ {
		blocks = append(blocks, makeBlock())
	}
	for i := 0; i < 25; i++ {
		sink = makeBlock()
	}
	sink = nil
}

// ---- ----

func start() {
	go leakNilChannel()
	go leakNoCases()
	for i := 0; i < 3; i++ {
		go leakReceive(make(chan int))
		go leakSend(make(chan int))
	}
	go leakSelect(make(chan int), make(chan int))
	g := &sync.WaitGroup{}
	g.Add(1)
	go leakWaitGroup(g)
	go leakCond(sync.NewCond(&sync.Mutex{}))
	a, b, ready := &account{}, &account{}, &sync.WaitGroup{}
	ready.Add(2)
	go leakTransfer(a, b, ready)
	go leakTransfer(b, a, ready)
	c := make(chan int)
	go leakInner(c)
	go leakOuter(make(chan int), c)

	held.Lock()
	open.Add(1)
	for i := 0; i < 5; i++ {
		go waitKnown()
		go waitSelect()
	}
	for i := 0; i < 2; i++ {
		go waitHeld()
		go waitOpen()
		go labelled()
		e := &entry{strconv.Itoa(i), make(chan int)}
		registry = append(registry, e)
		go waitEntry(e)
	}
	go waitLocked()
	go waitSleeping()
	go sleepAndKeep()
	go sleepAndForget()
	go waitDeep()
}

// settle waits until nothing but this goroutine runs or could.
func settle(buf []byte) string {
	for {
		text := string(buf[:runtime.Stack(buf, true)])
		if strings.Count(text, " [running]:") == 1 && !strings.Contains(text, " [runnable") {
			return text
		}
		time.Sleep(time.Millisecond)
	}
}

func heapLine() string {
	rec := make([]runtime.MemProfileRecord, 10000)
	n, ok := runtime.MemProfile(rec, true)
	if !ok {
		return "heap overflow\n"
	}
	var allocs, allocBytes, frees, freeBytes int64
	for _, r := range rec[:n] {
		f := runtime.CallersFrames(r.Stack())
		for more := true; more; {
			var frame runtime.Frame
			if frame, more = f.Next(); frame.Function == "main.makeBlock" {
				allocs, allocBytes = allocs+r.AllocObjects, allocBytes+r.AllocBytes
				frees, freeBytes = frees+r.FreeObjects, freeBytes+r.FreeBytes
			}
		}
	}
	s := "heap main.makeBlock"
	for _, v := range []int64{allocs, allocBytes, allocs - frees, allocBytes - freeBytes} {
		s += " " + strconv.FormatInt(v, 10)
	}
	return s + "\n"
}

func write(s string) {
	for s != "" {
		n, err := syscall.Write(1, []byte(s))
		if err != nil {
			return
		}
		s = s[n:]
	}
}

func main() {
	runtime.MemProfileRate = 1 // nothing is estimated
	makeBlocks()
	start()
	buf := make([]byte, 1<<18)
	settle(buf)
	runtime.GC()
	runtime.GC()
	heap := heapLine()
	dump := settle(buf)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	write("release " + runtime.Version() + "\n" +
		"goroutines " + strconv.Itoa(runtime.NumGoroutine()) + "\n" +
		"cycles " + strconv.Itoa(int(m.NumGC)) + " forced " + strconv.Itoa(int(m.NumForcedGC)) + "\n" +
		"labels main.waitLabelled job=j-7 user=alice\n" +
		heap + "\n" + dump + "\nREADY\n")
	syscall.Read(0, buf[:1])
	runtime.KeepAlive(registry)
}
