// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const sessionLasts = 30 * time.Second

type session struct {
	user  string
	seen  time.Time
	beats int64
}

type sessions struct {
	mu     sync.Mutex
	byUser map[string]*session
}

func (s *Shop) login(w http.ResponseWriter, r *http.Request) {
	one := &session{user: r.FormValue("user"), seen: time.Now()}
	s.sessions.mu.Lock()
	s.sessions.byUser[one.user] = one
	n := len(s.sessions.byUser)
	s.sessions.mu.Unlock()
	if s.bugs["ticker"] {
		nextLineIs("ticker")
		go one.keepAlive()
	}
	s.ask(len(one.user))
	writeJSON(w, map[string]int{"sessions": n})
}

// keepAlive ticks for a session, and goes on when there is none any more.
func (one *session) keepAlive() {
	tick := time.NewTicker(250 * time.Millisecond)
	for range tick.C {
		atomic.AddInt64(&one.beats, 1)
	}
}

// janitor throws old sessions out.
func (ss *sessions) janitor(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			ss.sweep(now)
		case <-ctx.Done():
			return
		}
	}
}

func (ss *sessions) sweep(now time.Time) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for user, one := range ss.byUser {
		if now.Sub(one.seen) > sessionLasts {
			delete(ss.byUser, user)
		}
	}
}
