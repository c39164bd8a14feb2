// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"context"
	"sync"
	"time"
)

const (
	pricers    = 8
	priceEvery = 20 * time.Millisecond
	printTakes = 100 * time.Millisecond
)

// prices is the price list.
type prices struct {
	mu      sync.Mutex
	changed int
}

func (s *Shop) openPrices(ctx context.Context) {
	for i := 0; i < pricers; i++ {
		go s.every(ctx, priceEvery, s.changePrice)
	}
}

// changePrice changes one, and prints the new label.
func (s *Shop) changePrice() {
	nextLineIs("convoy")
	s.prices.mu.Lock()
	defer s.prices.mu.Unlock()
	s.prices.changed++
	if s.bugs["convoy"] {
		time.Sleep(printTakes) // the printer is slow, and the list is locked
	}
}
