// SPDX-License-Identifier: BSD-2-Clause

// Package errgroup starts goroutines as golang.org/x/sync/errgroup does.
package errgroup

import "sync"

// A Group waits for the functions that it was given.
type Group struct {
	wg  sync.WaitGroup
	mu  sync.Mutex
	err error
}

func (g *Group) done() { g.wg.Done() }

// Go runs f in a goroutine of its own.
//
//go:noinline
func (g *Group) Go(f func() error) {
	g.wg.Add(1)
	go func() {
		defer g.done()
		if err := f(); err != nil {
			g.mu.Lock()
			g.err = err
			g.mu.Unlock()
		}
	}()
}
