// SPDX-License-Identifier: BSD-2-Clause

// parked has prime numbers of goroutines, another one for each way to wait that
// a goroutine can be made to wait in.  It prints READY when all of them do, and
// then does what it is told on its standard input, one line of answer each:
//
//	ways       JSON: the function that each way's goroutines begin with, and how
//	           many there are
//	text FILE  its own goroutine?debug=2
//	pool N     N more: workers that wait for jobs
//	work N     gives the workers N jobs and waits for them
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

var (
	never        = make(chan int)
	another      = make(chan int)
	mutex        sync.Mutex
	readers      sync.RWMutex // a reader has it: writers wait
	writers      sync.RWMutex // a writer has it: readers wait
	group        sync.WaitGroup
	cond         = sync.NewCond(&sync.Mutex{})
	pipes        []*os.File
	begun, ended context.Context
)

// A way to wait, and how many do.
var ways = []struct {
	n    int
	wait func()
}{
	{2, inSystemCall}, {3, lockedToThread}, {5, nilReceive}, {7, nilSend}, {11, noCases}, {13, receive},
	{17, send}, {19, selects}, {23, locks}, {29, readLocks}, {31, writeLocks}, {37, waitsForGroup},
	{41, waitsForCond}, {43, sleeps}, {47, reads}, {53, waitsForTimer}, {59, waitsForContext},
	{61, inlined}, {67, recurses}, {71, labelled}, {73, ranges}, {79, deferred},
}

func inSystemCall() {
	var fd [2]int
	if syscall.Pipe(fd[:]) == nil {
		syscall.Read(fd[0], make([]byte, 1))
	}
}

func lockedToThread() {
	runtime.LockOSThread()
	<-never
}

func nilReceive() { <-(chan int)(nil) }
func nilSend()    { (chan int)(nil) <- 1 }
func noCases()    { select {} }
func receive()    { <-never }
func send()       { never2() <- 1 }

// Nobody receives from it either; not `never`, whose receivers would take it.
var sendTo = make(chan int)

func never2() chan int { return sendTo }

func selects() {
	select {
	case <-never:
	case v := <-another:
		another <- v
	}
}

func locks()         { mutex.Lock() }
func readLocks()     { writers.RLock() }
func writeLocks()    { readers.Lock() }
func waitsForGroup() { group.Wait() }

func waitsForCond() {
	cond.L.Lock()
	defer cond.L.Unlock()
	cond.Wait()
}

func sleeps() { time.Sleep(1000 * time.Hour) }

func reads() {
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	cond.L.Lock()
	pipes = append(pipes, w)
	cond.L.Unlock()
	r.Read(make([]byte, 1))
}

func waitsForTimer()   { <-time.After(1000 * time.Hour) }
func waitsForContext() { <-ended.Done() }

func inlined()      { inlinedOnce() }
func inlinedOnce()  { inlinedTwice() }
func inlinedTwice() { <-never }

func recurses() { recurse(20) }

func recurse(n int) int {
	if n == 0 {
		return <-never
	}
	return recurse(n-1) + 1
}

func labelled() {
	pprof.Do(begun, pprof.Labels("way", "labelled"), func(context.Context) { <-never })
}

func ranges() {
	for v := range never {
		another <- v
	}
}

func deferred() {
	defer func() {
		<-never
	}()
}

type pool struct {
	jobs chan int
	done sync.WaitGroup
	sum  int64
	mu   sync.Mutex
}

func (p *pool) worker() {
	for n := range p.jobs {
		p.mu.Lock()
		p.sum += int64(n)
		p.mu.Unlock()
		p.done.Done()
	}
}

func (p *pool) start(n int) {
	for i := 0; i < n; i++ {
		go p.worker()
	}
}

func (p *pool) work(n int) int64 {
	p.done.Add(n)
	for i := 0; i < n; i++ {
		p.jobs <- i
	}
	p.done.Wait()
	return p.sum
}

func park() {
	mutex.Lock()
	readers.RLock()
	writers.Lock()
	group.Add(1)
	begun = context.Background()
	ended, _ = context.WithCancel(begun)
	for _, w := range ways {
		for i := 0; i < w.n; i++ {
			go w.wait()
		}
	}
}

// settle waits until no goroutine but this one runs or could.
func settle() {
	buf := make([]byte, 4<<20)
	for {
		text := string(buf[:runtime.Stack(buf, true)])
		if strings.Count(text, " [running") == 1 && !strings.Contains(text, " [runnable") {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func tell() {
	out := map[string]int{}
	for _, w := range ways {
		out[runtime.FuncForPC(reflect.ValueOf(w.wait).Pointer()).Name()] = w.n
	}
	json.NewEncoder(os.Stdout).Encode(out)
}

func text(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return pprof.Lookup("goroutine").WriteTo(f, 2)
}

func main() {
	park()
	settle()
	fmt.Printf("READY pid=%d\n", os.Getpid())
	p := &pool{jobs: make(chan int)} // in this frame only
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		words := append(strings.Fields(in.Text()), "", "")
		n, _ := strconv.Atoi(words[1])
		switch words[0] {
		case "ways":
			tell()
		case "text":
			fmt.Println("text:", text(words[1]))
		case "pool":
			p.start(n)
			settle()
			fmt.Println("pool:", n)
		case "work":
			fmt.Println("work:", p.work(n))
		default:
			fmt.Println("unknown")
		}
	}
}
