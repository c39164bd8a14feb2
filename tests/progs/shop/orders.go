// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"context"
	"net/http"
)

type order struct {
	user  string
	items []int
	news  chan string // of what becomes of it
}

func (s *Shop) placeOrder(w http.ResponseWriter, r *http.Request) {
	user := r.FormValue("user")
	s.mu.Lock()
	o := order{user: user, items: s.carts[user], news: make(chan string, 4)}
	delete(s.carts, user)
	s.mu.Unlock()
	if s.bugs["leak"] {
		nextLineIs("leak")
		go s.tellCustomer(o)
	}
	select {
	case s.orders <- o:
		writeJSON(w, map[string]int{"ordered": len(o.items)})
	case <-r.Context().Done():
		http.Error(w, "too late", http.StatusServiceUnavailable)
	}
}

// tellCustomer passes the news on until there are no more.  Nobody closes the
// channel: it waits for ever.
func (s *Shop) tellCustomer(o order) {
	letters := 0
	for text := range o.news {
		letters += len(text)
	}
	s.mu.Lock()
	s.takings -= letters
	s.mu.Unlock()
}

// packer is one of the pool that works off the orders.
func (s *Shop) packer(ctx context.Context) {
	for {
		select {
		case o := <-s.orders:
			s.pack(o)
		case <-ctx.Done():
			return
		}
	}
}

func (s *Shop) pack(o order) {
	total := 0
	for _, id := range o.items {
		total += s.products[id].Price
	}
	s.reduced(o.items)
	o.news <- "packed"
	o.news <- "sent"
	s.mu.Lock()
	s.takings += total
	s.packed++
	s.mu.Unlock()
}
