// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// never is a channel on which nothing comes.
var never = make(chan int)

var done int64

// atEnd keeps what nobody calls.
var atEnd func()

func worker() {
	atomic.AddInt64(&done, int64(<-never))
}

func leak() {
	paced(50, func(int) {
		nextLineIs("goroutine-leak")
		go worker()
	})
}

var kept sync.Mutex

func locker() {
	kept.Lock()
	atomic.AddInt64(&done, 1)
	kept.Unlock()
}

func leakMutex() {
	kept.Lock()
	paced(20, func(int) {
		nextLineIs("goroutine-leak")
		go locker()
	})
}

// short is what a healthy goroutine does.
func short(n int) {
	answer := make(chan int, 1)
	answer <- n
	atomic.AddInt64(&done, int64(<-answer))
}

func leakSlow() {
	paced(5000, func(i int) { go short(i) })
	paced(2, func(int) {
		nextLineIs("goroutine-leak")
		go worker()
	})
}

// sometimes gets no answer, once in a hundred times.
func sometimes(i int) {
	answer := make(chan int, 1)
	if i%100 != 0 {
		answer <- i
	}
	atomic.AddInt64(&done, int64(<-answer))
}

func leakSame() {
	paced(200, func(i int) {
		nextLineIs("goroutine-leak")
		go sometimes(i)
	})
}

func beat() {
	for range time.NewTicker(300 * time.Millisecond).C {
		atomic.AddInt64(&done, 1)
	}
}

func ticker() {
	paced(20, func(int) {
		nextLineIs("goroutine-flood")
		go beat()
	})
}

func slowSleep() {
	time.Sleep(time.Hour)
}

func slowRead() {
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	r.Read(make([]byte, 1))
	w.Close() // not before: a collected file is a closed one
}

func slowCalls() {
	paced(30, func(i int) {
		if i%5 == 0 {
			nextLineIs("goroutine-flood")
			go slowRead()
			return
		}
		nextLineIs("goroutine-flood")
		go slowSleep()
	})
}

func pooled(jobs <-chan int) {
	for n := range jobs {
		short(n)
	}
}

func pool() {
	jobs := make(chan int)
	for i := 0; i < 100; i++ {
		go pooled(jobs)
	}
	paced(1000, func(i int) { jobs <- i })
}

func untilDone(ctx context.Context) {
	<-ctx.Done()
	atomic.AddInt64(&done, 1)
}

func forTwoSeconds() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	untilDone(ctx)
}

// ctxWaiters has 300 waiters for good, and 50 a second that stay for two
// seconds; it is steady after those.
func ctxWaiters() {
	ctx, cancel := context.WithCancel(context.Background())
	atEnd = cancel
	for i := 0; i < 300; i++ {
		go untilDone(ctx)
	}
	paced(50, func(int) { go forTwoSeconds() })
	time.Sleep(2500 * time.Millisecond)
}

func burst() {
	time.Sleep(time.Second)
	gate := make(chan int)
	var all sync.WaitGroup
	all.Add(2000)
	for i := 0; i < 2000; i++ {
		go func() {
			<-gate
			all.Done()
		}()
	}
	for i := 0; i < 2000; i++ {
		gate <- i
		time.Sleep(500 * time.Microsecond)
	}
	all.Wait()
}

func churn() {
	paced(10000, func(i int) { go short(i) })
	time.Sleep(100 * time.Millisecond)
}

func grown() {
	for i := 0; i < 500; i++ {
		go worker()
		time.Sleep(time.Second / 500)
	}
}
