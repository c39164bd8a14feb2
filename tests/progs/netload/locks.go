// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// convoy is goroutines that all want a lock which one of them holds for long.
var convoy struct {
	mutex sync.Mutex
	rw    sync.RWMutex
	ended int32 // atomic
	wg    sync.WaitGroup
	turns int64 // atomic
}

func cmdConvoy(o options) (answer, error) {
	kind, hold := o.text("kind", "mutex"), o.ms("hold")
	member := map[string]func(time.Duration){"mutex": convoyMutex, "rw": convoyRead}[kind]
	if member == nil {
		return nil, fmt.Errorf("no such lock: %q", kind)
	}
	n := o.number("n", 10)
	for i := 0; i < n; i++ {
		convoy.wg.Add(1)
		go func() {
			defer convoy.wg.Done()
			for atomic.LoadInt32(&convoy.ended) == 0 {
				member(hold)
				atomic.AddInt64(&convoy.turns, 1)
			}
		}()
	}
	if kind == "rw" {
		convoy.wg.Add(1)
		go func() {
			defer convoy.wg.Done()
			for atomic.LoadInt32(&convoy.ended) == 0 {
				convoyWrite(hold)
			}
		}()
	}
	return answer{"n": n}, nil
}

func convoyMutex(hold time.Duration) {
	nextLineIs("mutex")
	convoy.mutex.Lock()
	defer convoy.mutex.Unlock()
	time.Sleep(hold)
}

func convoyRead(time.Duration) {
	nextLineIs("rlock")
	convoy.rw.RLock()
	defer convoy.rw.RUnlock()
	time.Sleep(time.Millisecond)
}

func convoyWrite(hold time.Duration) {
	nextLineIs("wlock")
	convoy.rw.Lock()
	defer convoy.rw.Unlock()
	time.Sleep(hold)
}

func cmdStopConvoy(options) (answer, error) {
	atomic.StoreInt32(&convoy.ended, 1)
	convoy.wg.Wait()
	atomic.StoreInt32(&convoy.ended, 0)
	return answer{"turns": atomic.LoadInt64(&convoy.turns)}, nil
}
