// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	clients = 8
	users   = 200
)

// load is the customers: a few clients that work off requests which come by
// the clock.
type load struct {
	base string
	rate int
	todo chan int
	http http.Client
	wg   sync.WaitGroup
	good int64 // atomic
	bad  int64 // atomic
}

func newLoad(base string, rate int) *load {
	return &load{
		base: base,
		rate: rate,
		todo: make(chan int, 64),
		http: http.Client{
			Timeout:   10 * time.Second,
			Transport: &http.Transport{MaxIdleConnsPerHost: clients},
		},
	}
}

func (l *load) answered() int64 { return atomic.LoadInt64(&l.good) }
func (l *load) failed() int64   { return atomic.LoadInt64(&l.bad) }

func (l *load) start(ctx context.Context) {
	if l.rate <= 0 {
		return
	}
	l.wg.Add(clients)
	for i := 0; i < clients; i++ {
		go l.client()
	}
	go l.clock(ctx)
}

// warm waits until every client has its connection and the first requests are
// through: the start-up is over.
func (l *load) warm(ctx context.Context) error {
	for l.rate > 0 && l.answered() < 4*clients {
		if l.failed() > 0 {
			return fmt.Errorf("the load generator's requests fail")
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

func (l *load) wait() {
	l.wg.Wait()
	l.http.CloseIdleConnections()
}

// clock hands out requests at the rate; what the clients cannot take is left
// out.
func (l *load) clock(ctx context.Context) {
	defer close(l.todo)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	begin, n := time.Now(), 0
	for {
		select {
		case <-tick.C:
			for due := int(time.Since(begin).Seconds() * float64(l.rate)); n < due; n++ {
				select {
				case l.todo <- n:
				default:
				}
			}
		case <-ctx.Done():
			return
		}
	}
}

func (l *load) client() {
	defer l.wg.Done()
	for n := range l.todo {
		if l.request(l.path(n)) {
			atomic.AddInt64(&l.good, 1)
		} else {
			atomic.AddInt64(&l.bad, 1)
		}
	}
}

// path mixes the requests: of 40, 16 carts, 10 searches, 8 orders, 4 logins
// and 2 reports.
func (l *load) path(n int) string {
	user := fmt.Sprintf("?user=u%d", n/40*7%users)
	switch k := n * 17 % 40; {
	case k < 16:
		return "/cart" + user
	case k < 26:
		return "/search?tag=" + []string{"new", "sale", "books"}[n%3]
	case k < 34:
		return "/order" + user
	case k < 38:
		return "/login" + user
	default:
		return "/report"
	}
}

func (l *load) request(path string) bool {
	answer, err := l.http.Get(l.base + path)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err == nil && answer.StatusCode == http.StatusOK
}
