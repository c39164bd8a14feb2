// SPDX-License-Identifier: BSD-2-Clause

// poolwaits has three pools of two: a channel, a list with a condition, and
// golang.org/x/sync/semaphore.
//
//	poolwaits sick    two of each are never given back, three wait for one
//	poolwaits busy    twenty work for 300 ms each, so that each waits for 3 s
//	poolwaits idle    three workers wait for a job
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

type conn struct{ n int }

type connPool struct{ free chan *conn }

func (p *connPool) get() *conn  { return <-p.free }
func (p *connPool) put(c *conn) { p.free <- c }

type listPool struct {
	mu   sync.Mutex
	cond *sync.Cond
	free []*conn
}

func (p *listPool) Borrow() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.free) == 0 {
		p.cond.Wait()
	}
	c := p.free[0]
	p.free = p.free[1:]
	return c
}

func (p *listPool) Return(c *conn) {
	p.mu.Lock()
	p.free = append(p.free, c)
	p.mu.Unlock()
	p.cond.Signal()
}

type workerPool struct{ jobs chan func() }

func (p *workerPool) getJob() func() { return <-p.jobs }

var (
	chans  = &connPool{make(chan *conn, 2)}
	lists  = &listPool{}
	sems   = semaphore.NewWeighted(2)
	jobs   = &workerPool{make(chan func())}
	forget bool // to give it back
)

func work() {
	if forget {
		time.Sleep(time.Hour)
	}
	time.Sleep(300 * time.Millisecond)
}

func useChan() {
	c := chans.get()
	work()
	chans.put(c)
}

func useList() {
	c := lists.Borrow()
	work()
	lists.Return(c)
}

func useSemaphore() {
	if sems.Acquire(context.Background(), 1) == nil {
		work()
		sems.Release(1)
	}
}

func useJob() { jobs.getJob()() }

func main() {
	lists.cond = sync.NewCond(&lists.mu)
	for i := 0; i < 2; i++ {
		chans.put(&conn{i})
		lists.Return(&conn{i})
	}
	n, uses := 5, []func(){useChan, useList, useSemaphore}
	switch os.Args[1] {
	case "sick":
		forget = true
	case "busy":
		n = 20
	case "idle":
		n, uses = 3, []func(){useJob}
	}
	for _, use := range uses {
		for i := 0; i < n; i++ {
			use := use
			go func() {
				for {
					use()
				}
			}()
		}
	}
	time.Sleep(200 * time.Millisecond)
	fmt.Printf("READY pid=%d\n", os.Getpid())
	_, _ = io.Copy(io.Discard, os.Stdin) // until who started it is gone
}
