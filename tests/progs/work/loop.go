// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	largeEvery = 100      // rounds
	loopLarge  = 64 << 10 // bytes
)

// load is a loop under way.
type load struct {
	rounds  int64 // atomic
	wrong   int64 // atomic
	stop    int32 // atomic
	larges  int64
	slipped int64 // rounds behind the schedule when it ended
	ended   chan struct{}
}

var running *load

func looping() bool { return running != nil }

func makeLoopSites() {
	addSite("loop", "driver")
	addSite("loop", "round")
	addSite("loop", "large")
}

func learnLoop() error {
	if _, err := cmdLoop([]string{"1000"}); err != nil {
		return err
	}
	for atomic.LoadInt64(&running.rounds) <= largeEvery {
		time.Sleep(time.Millisecond)
	}
	_, err := cmdStopLoop(nil)
	return err
}

func cmdLoop(args []string) (answer, error) {
	rate, err := number(args, 0)
	if err != nil {
		return nil, err
	}
	if rate == 0 {
		return nil, fmt.Errorf("not a rate: 0")
	}
	if looping() {
		return nil, fmt.Errorf("the loop runs already")
	}
	running = &load{ended: make(chan struct{})}
	s := sites["loop"]["driver"]
	s.starts((*load).drive)
	sites["loop"]["round"].starts((*load).round)
	s.next()
	go running.drive(rate)
	s.Births++
	return answer{"rate": rate}, nil
}

func cmdStopLoop([]string) (answer, error) {
	if !looping() {
		return nil, fmt.Errorf("no loop runs")
	}
	l := running
	atomic.StoreInt32(&l.stop, 1)
	<-l.ended
	running = nil
	for _, name := range []string{"driver", "round"} {
		sites["loop"][name].Deaths = sites["loop"][name].Births
	}
	a := answer{"rounds": l.rounds, "wrong": l.wrong, "large": l.larges, "behind": l.slipped,
		"sites": sites["loop"]}
	if l.wrong != 0 {
		return a, wrongf("%d rounds came to a wrong result", l.wrong)
	}
	return a, settle()
}

// drive starts rounds by the clock, those of a millisecond at once.
func (l *load) drive(rate int) {
	defer close(l.ended)
	var wait sync.WaitGroup
	begin := time.Now()
	started := 0
	for atomic.LoadInt32(&l.stop) == 0 {
		due := int(time.Since(begin).Seconds() * float64(rate))
		l.slipped = int64(due - started)
		for k := 0; started < due && k < 1000; k++ {
			l.start(started, &wait)
			started++
		}
		wait.Wait()
		time.Sleep(time.Millisecond)
	}
}

func (l *load) start(i int, wait *sync.WaitGroup) {
	s := sites["loop"]["round"]
	wait.Add(1)
	s.next()
	go l.round(i, wait)
	s.Births++
	if i%largeEvery != 0 {
		return
	}
	s = sites["loop"]["large"]
	s.next()
	b := make([]byte, loopLarge+i%7)
	s.Count++
	s.Bytes += int64(len(b))
	l.larges++
	for j := range b {
		b[j] = byte(i + j)
	}
	keepBytes = b
}

// round computes something twice, on a stack that grows and with garbage that
// points to itself, and compares.
func (l *load) round(i int, wait *sync.WaitGroup) {
	defer wait.Done()
	if chain(i%50) != i%50*(i%50+1)/2 || deep(i%200) != i%200*(i%200+1)/2 {
		atomic.AddInt64(&l.wrong, 1)
	}
	atomic.AddInt64(&l.rounds, 1)
}

type link struct {
	next  *link
	value int
}

// chain builds a list of 1..n and adds it up.
//
//go:noinline
func chain(n int) int {
	var head *link
	for i := 1; i <= n; i++ {
		head = &link{head, i}
	}
	total := 0
	for ; head != nil; head = head.next {
		total += head.value
	}
	return total
}
