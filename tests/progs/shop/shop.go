// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"
	"time"
)

type product struct {
	ID    int
	Name  string
	Price int // cents
	Stock int
	Tags  [4]string
}

// Shop is everything behind the counter.
type Shop struct {
	bugs     bugSet
	products []product
	byTag    map[string][]int // indices into products
	orders   chan order
	sessions sessions
	partner  *partner

	supplier *supplier
	stock    stock
	trail    trail
	bank     *bank
	ledger   *ledger
	prices   prices

	mu      sync.Mutex
	carts   map[string][]int // user: product ids
	takings int              // cents today
	packed  int
}

const (
	packers     = 8
	catalogSize = 2000
)

func newShop(bugs bugSet) *Shop {
	s := &Shop{
		bugs:     bugs,
		byTag:    map[string][]int{},
		orders:   make(chan order, 64),
		partner:  newPartner(),
		supplier: newSupplier(),
		bank:     newBank(bugs),
		ledger:   newLedger(),
		carts:    map[string][]int{},
	}
	tags := []string{"new", "sale", "books", "garden", "kitchen", "toys", "outdoor"}
	for i := 0; i < catalogSize; i++ {
		p := product{ID: i, Name: fmt.Sprintf("product %d", i), Price: 100 + i*7%9000, Stock: 1 + i%50}
		for j := range p.Tags {
			p.Tags[j] = tags[(i+j*i/3)%len(tags)]
		}
		s.products = append(s.products, p)
		s.byTag[p.Tags[0]] = append(s.byTag[p.Tags[0]], i)
	}
	if bugs["gcpressure"] {
		// Somebody wanted to save memory: it makes the collector run four
		// times as often.
		debug.SetGCPercent(25)
	}
	s.sessions.byUser = map[string]*session{}
	s.trail.byNumber = map[int][]byte{}
	return s
}

// open starts what runs as long as the shop does.
func (s *Shop) open(ctx context.Context) {
	for i := 0; i < packers; i++ {
		go s.packer(ctx)
	}
	go s.sessions.janitor(ctx)
	go s.closeTheBooks(ctx)
	go s.partner.listen(ctx)
	go s.supplier.answer(ctx)
	go s.stockRounds(ctx, s.auditStock)
	go s.stockRounds(ctx, s.restock)
	s.openBank(ctx)
	s.openLedger(ctx)
	s.openPrices(ctx)
	s.openSettings(ctx)
	for _, name := range []string{"prices", "stock", "staff"} {
		go s.watch(ctx, name)
	}
}

func (s *Shop) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/cart", s.cart)
	mux.HandleFunc("/search", s.search)
	mux.HandleFunc("/order", s.placeOrder)
	mux.HandleFunc("/login", s.login)
	mux.HandleFunc("/report", s.report)
	return mux
}

// closeTheBooks adds up every few seconds.
func (s *Shop) closeTheBooks(ctx context.Context) {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.mu.Lock()
			if s.takings < 0 {
				s.takings = 0
			}
			s.mu.Unlock()
		case <-ctx.Done():
			return
		}
	}
}

// watch waits for changes of the configuration: there are none until the end.
func (s *Shop) watch(ctx context.Context, what string) {
	<-ctx.Done()
	_ = what
}

func (s *Shop) cart(w http.ResponseWriter, r *http.Request) {
	user := r.FormValue("user")
	s.mu.Lock()
	cart := s.carts[user]
	if len(cart) >= 20 {
		cart = cart[:0]
	}
	cart = append(cart, len(user)*31%catalogSize)
	s.carts[user] = cart
	items := len(cart)
	s.mu.Unlock()
	s.recommend(user)
	s.note(user)
	writeJSON(w, map[string]int{"items": items})
}

func writeJSON(w http.ResponseWriter, v interface{}) {
	w.Header().Set("Content-Type", "application/json")
	// An error here is a client that went away.
	_ = json.NewEncoder(w).Encode(v)
}
