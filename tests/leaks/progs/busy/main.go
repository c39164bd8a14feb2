// SPDX-License-Identifier: BSD-2-Clause

// A busy HTTP server with its own clients, and the usual company: a pool of
// workers behind a condition, contexts with timeouts, tickers, readers and
// writers of one lock, a pipeline, subscribers.  Nothing in it leaks, but for the number of
// goroutines that is asked for.
//
//	busy LEAKS
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"weak"
)

type queue struct {
	mu    sync.Mutex
	ready *sync.Cond
	jobs  []chan int
}

func newQueue() *queue {
	q := &queue{}
	q.ready = sync.NewCond(&q.mu)
	return q
}

func (q *queue) work() {
	for {
		q.mu.Lock()
		for len(q.jobs) == 0 {
			q.ready.Wait()
		}
		job := q.jobs[0]
		q.jobs = q.jobs[1:]
		q.mu.Unlock()
		job <- 1
	}
}

func (q *queue) do() {
	job := make(chan int)
	q.mu.Lock()
	q.jobs = append(q.jobs, job)
	q.mu.Unlock()
	q.ready.Signal()
	<-job
}

var (
	served int64
	table  = map[int]int{}
	lock   sync.RWMutex
)

func handler(q *queue) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		parts := make(chan int)
		for i := 0; i < 3; i++ {
			wg.Add(1)
			go func() {
				defer wg.Done()
				q.do()
				select {
				case parts <- 1:
				case <-ctx.Done():
				}
			}()
		}
		go func() {
			wg.Wait()
			close(parts)
		}()
		n := 0
		for p := range parts {
			n += p
		}
		lock.Lock()
		table[int(atomic.AddInt64(&served, 1))%1000] = n
		lock.Unlock()
		fmt.Fprintln(w, n)
	}
}

func client(url string) {
	for {
		resp, err := http.Get(url)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}

func reader() {
	for range time.Tick(time.Millisecond) {
		lock.RLock()
		_ = table[1]
		lock.RUnlock()
	}
}

func pipeline() {
	for {
		in, out := make(chan int), make(chan int)
		go func() {
			for v := range in {
				out <- v + 1
			}
			close(out)
		}()
		for i := 0; i < 10; i++ {
			in <- i
			<-out
		}
		close(in)
		<-out
	}
}

// A subscriber that is known only by a weak pointer: who has that can wake it.
type subscriber struct {
	wake chan int
	n    int
}

var subscribers []weak.Pointer[subscriber]

func subscribe() {
	s := &subscriber{wake: make(chan int)}
	subscribers = append(subscribers, weak.Make(s))
	go s.listen()
}

func (s *subscriber) listen() {
	for range s.wake {
		s.n++ // so the goroutine keeps s
	}
}

func main() {
	leaks := 0
	if len(os.Args) > 1 {
		leaks, _ = strconv.Atoi(os.Args[1])
	}
	for i := 0; i < leaks; i++ {
		go func() { <-make(chan int) }()
	}
	q := newQueue()
	for i := 0; i < 40; i++ {
		go q.work()
	}
	// parked for long, and alive: their channel is kept by a variable of main
	quit := make(chan struct{})
	for i := 0; i < 500; i++ {
		go func() { <-quit }()
	}
	for i := 0; i < 20; i++ {
		subscribe()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go http.Serve(l, handler(q))
	for i := 0; i < 24; i++ {
		go client("http://" + l.Addr().String() + "/")
	}
	for i := 0; i < 8; i++ {
		go reader()
		go pipeline()
	}
	time.Sleep(300 * time.Millisecond)
	fmt.Println("READY", leaks, "leaked")
	<-time.After(time.Hour)
	close(quit)
	for _, s := range subscribers {
		if s := s.Value(); s != nil {
			s.wake <- 1
		}
	}
}
