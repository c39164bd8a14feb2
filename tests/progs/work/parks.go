// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// parking is one way to block: start makes goroutines block, free lets all of
// them go.
type parking struct {
	start  func(s *site, n int)
	free   func(n int) // n: how many there are
	reason string      // in the goroutine dump of the newest release
}

var parkings = map[string]*parking{
	"chanreceive": {parkReceive, freeReceive, "chan receive"},
	"chansend":    {parkSend, freeSend, "chan send"},
	"select":      {parkSelect, freeSelect, "select"},
	"mutex":       {parkMutex, freeMutex, "sync.Mutex.Lock"},
	"rwmutex":     {parkRWMutex, freeRWMutex, "sync.RWMutex.RLock"},
	"waitgroup":   {parkWaitGroup, freeWaitGroup, "sync.WaitGroup.Wait"},
	"cond":        {parkCond, freeCond, "sync.Cond.Wait"},
	"sleep":       {parkSleep, freeSleep, "sleep"},
	"io":          {parkIO, freeIO, "IO wait"},
}

// parked counts the goroutines that block by site; only main writes.
var parked = map[string]int{}

// entered counts goroutines that are about to block.
var entered int64

// parkSitesExtra are those that not every release has.
var parkSitesExtra []string

func makeParkSites() {
	for name := range parkings {
		addSite("parks", name)
	}
	for _, name := range parkSitesExtra {
		addSite("parks", name)
	}
}

func parkedNow() int {
	n := 0
	for _, k := range parked {
		n += k
	}
	return n
}

func cmdPark(args []string) (answer, error) {
	n, err := number(args, 0)
	if err != nil {
		return nil, err
	}
	which, err := names("parks", args[1:], nil)
	if err != nil {
		return nil, err
	}
	if len(which) == 0 {
		return nil, fmt.Errorf("which site?")
	}
	for _, name := range which {
		if err := park(name, n); err != nil {
			return nil, err
		}
	}
	return answer{"parked": parked, "sites": sites["parks"], "num_goroutine": runtime.NumGoroutine()}, nil
}

func park(name string, n int) error {
	p, s := parkings[name], sites["parks"][name]
	if p == nil { // coroutines, where the release has them
		return holdCoroutines(s, n)
	}
	s.Reason = p.reason
	before := atomic.LoadInt64(&entered)
	p.start(s, n)
	for atomic.LoadInt64(&entered) != before+int64(n) {
		time.Sleep(100 * time.Microsecond)
	}
	parked[name] += n
	s.Births += int64(n)
	return waitBlocked()
}

// waitBlocked waits until no goroutine but this one runs or could: having
// come to the line before the blocking call is not yet to block.  The loop's
// goroutines are never still; then a moment must do.
func waitBlocked() error {
	if looping() || parkedNow() > 20000 {
		time.Sleep(50 * time.Millisecond)
		return nil
	}
	for i := 0; i < 1000; i++ {
		d, err := readDump()
		if err != nil {
			return err
		}
		if d.states["running"] == 1 && d.states["runnable"] == 0 {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return wrongf("the goroutines did not block")
}

func cmdRelease([]string) (answer, error) {
	released := map[string]int{}
	for name, n := range parked {
		if n == 0 {
			continue
		}
		if p := parkings[name]; p != nil {
			p.free(n)
		} else {
			dropCoroutines()
		}
		sites["parks"][name].Deaths += int64(n)
		released[name] = n
		parked[name] = 0
	}
	a := answer{"released": released}
	err := settle()
	a["num_goroutine"] = runtime.NumGoroutine()
	return a, err
}

func enter() { atomic.AddInt64(&entered, 1) }

var receiveFrom = make(chan int)

func waitReceive() {
	enter()
	<-receiveFrom
}

func parkReceive(s *site, n int) {
	s.starts(waitReceive)
	for i := 0; i < n; i++ {
		s.next()
		go waitReceive()
	}
}

func freeReceive(n int) {
	for i := 0; i < n; i++ {
		receiveFrom <- i
	}
}

var sendTo = make(chan int)

func waitSend() {
	enter()
	sendTo <- 1
}

func parkSend(s *site, n int) {
	s.starts(waitSend)
	for i := 0; i < n; i++ {
		s.next()
		go waitSend()
	}
}

func freeSend(n int) {
	for i := 0; i < n; i++ {
		<-sendTo
	}
}

var selectA, selectB = make(chan int), make(chan int)

func waitSelect() {
	enter()
	select {
	case <-selectA:
	case selectB <- 1:
	}
}

func parkSelect(s *site, n int) {
	s.starts(waitSelect)
	for i := 0; i < n; i++ {
		s.next()
		go waitSelect()
	}
}

func freeSelect(n int) {
	for i := 0; i < n; i++ {
		if i%2 == 0 {
			selectA <- i
		} else {
			<-selectB
		}
	}
}

// gate is a lock that main takes before others want it.
type gate struct {
	sync.Mutex
	closed bool
}

func (g *gate) shut() {
	if !g.closed {
		g.Lock()
		g.closed = true
	}
}

var mutexGate gate

func waitMutex() {
	enter()
	mutexGate.Lock()
	//lint:ignore SA2001 having had the lock is all that is wanted
	mutexGate.Unlock()
}

func parkMutex(s *site, n int) {
	mutexGate.shut()
	s.starts(waitMutex)
	for i := 0; i < n; i++ {
		s.next()
		go waitMutex()
	}
}

func freeMutex(int) {
	mutexGate.closed = false
	mutexGate.Unlock()
}

var (
	rwGate       sync.RWMutex
	rwGateClosed bool
)

func waitRWMutex() {
	enter()
	rwGate.RLock()
	//lint:ignore SA2001 having had the lock is all that is wanted
	rwGate.RUnlock()
}

func parkRWMutex(s *site, n int) {
	if !rwGateClosed {
		rwGate.Lock()
		rwGateClosed = true
	}
	s.starts(waitRWMutex)
	for i := 0; i < n; i++ {
		s.next()
		go waitRWMutex()
	}
}

func freeRWMutex(int) {
	rwGateClosed = false
	rwGate.Unlock()
}

var group *sync.WaitGroup

func waitGroup(g *sync.WaitGroup) {
	enter()
	g.Wait()
}

func parkWaitGroup(s *site, n int) {
	if group == nil {
		group = &sync.WaitGroup{}
		group.Add(1)
	}
	s.starts(waitGroup)
	for i := 0; i < n; i++ {
		s.next()
		go waitGroup(group)
	}
}

func freeWaitGroup(int) {
	group.Done()
	group = nil
}

var (
	condLock sync.Mutex
	cond     = sync.NewCond(&condLock)
	condOpen int // how many may go
)

func waitCond() {
	condLock.Lock()
	enter()
	for condOpen == 0 {
		cond.Wait()
	}
	condOpen--
	condLock.Unlock()
}

func parkCond(s *site, n int) {
	s.starts(waitCond)
	for i := 0; i < n; i++ {
		s.next()
		go waitCond()
	}
}

func freeCond(n int) {
	condLock.Lock()
	condOpen = n
	condLock.Unlock()
	cond.Broadcast()
}

// Sleepers sleep in naps, so that release need not wait for hours; between
// two naps they run for a moment.
const nap = 500 * time.Millisecond

var awake int64

func waitSleep(round int64) {
	enter()
	for atomic.LoadInt64(&awake) == round {
		time.Sleep(nap)
	}
}

func parkSleep(s *site, n int) {
	s.starts(waitSleep)
	for i := 0; i < n; i++ {
		s.next()
		go waitSleep(awake)
	}
}

func freeSleep(int) { atomic.AddInt64(&awake, 1) }

// One pipe a goroutine, at most a few hundred: file descriptors.
var pipeEnds []*os.File

func waitIO(r *os.File) {
	defer r.Close()
	enter()
	r.Read(make([]byte, 1))
}

func parkIO(s *site, n int) {
	s.starts(waitIO)
	for i := 0; i < n; i++ {
		r, w, err := os.Pipe()
		if err != nil {
			panic(err)
		}
		pipeEnds = append(pipeEnds, w)
		s.next()
		go waitIO(r)
	}
}

func freeIO(int) {
	for _, w := range pipeEnds {
		w.Close()
	}
	pipeEnds = nil
}
