// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"context"
	"sync"
	"time"
)

// stock is what is on the shelves, and what the books say of it.
type stock struct {
	shelf   sync.Mutex
	ledger  sync.Mutex
	items   int
	written int
}

const stockEvery = 50 * time.Millisecond

// stockRounds does something with the stock again and again.
func (s *Shop) stockRounds(ctx context.Context, round func()) {
	tick := time.NewTicker(stockEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			round()
		case <-ctx.Done():
			return
		}
	}
}

// auditStock compares the books with the shelves.
func (s *Shop) auditStock() {
	if !s.bugs["deadlock"] {
		s.stock.shelf.Lock()
		defer s.stock.shelf.Unlock()
		s.stock.ledger.Lock()
		defer s.stock.ledger.Unlock()
		s.stock.written = s.stock.items
		return
	}
	s.stock.ledger.Lock()
	defer s.stock.ledger.Unlock()
	time.Sleep(stockEvery / 2)
	nextLineIs("deadlock")
	s.stock.shelf.Lock()
	defer s.stock.shelf.Unlock()
	s.stock.written = s.stock.items
}

// restock fills the shelves, and writes it down.
func (s *Shop) restock() {
	s.stock.shelf.Lock()
	defer s.stock.shelf.Unlock()
	s.stock.items++
	if s.bugs["deadlock"] {
		time.Sleep(stockEvery / 2)
	}
	s.stock.ledger.Lock()
	defer s.stock.ledger.Unlock()
	s.stock.written++
}
