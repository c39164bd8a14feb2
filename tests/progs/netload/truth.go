// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"context"
	"crypto/tls"
	"net/http/httptrace"
	"path/filepath"
	"reflect"
	"runtime"
	"sort"
	"sync"
	"time"
)

// place is where a call, a `Begin`, a lock or a handler is.
type place struct {
	Function string `json:"function"`
	File     string `json:"file"`
	Line     int    `json:"line"`
}

var (
	placesMu sync.Mutex
	places   = map[string]place{}
)

// nextLineIs notes that what is called so is on the caller's next line.
func nextLineIs(name string) {
	placesMu.Lock()
	defer placesMu.Unlock()
	if _, known := places[name]; known {
		return
	}
	pc, file, line, _ := runtime.Caller(1)
	f, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	places[name] = place{f.Function, filepath.Base(file), line + 1}
}

// declared notes where a function is declared.
func declared(name string, fn interface{}) {
	f := runtime.FuncForPC(reflect.ValueOf(fn).Pointer())
	file, line := f.FileLine(f.Entry())
	placesMu.Lock()
	defer placesMu.Unlock()
	places[name] = place{f.Name(), filepath.Base(file), line}
}

func placeOf(name string) place {
	placesMu.Lock()
	defer placesMu.Unlock()
	return places[name]
}

type key struct{ host, phase string }

type series struct {
	errors int
	ns     []int64
}

var (
	phasesMu sync.Mutex
	phases   = map[key]*series{}
)

func addPhase(host, phase string, d time.Duration, failed bool) {
	phasesMu.Lock()
	defer phasesMu.Unlock()
	s := phases[key{host, phase}]
	if s == nil {
		s = &series{}
		phases[key{host, phase}] = s
	}
	s.ns = append(s.ns, int64(d))
	if failed {
		s.errors++
	}
}

func cmdReset(options) (answer, error) {
	phasesMu.Lock()
	defer phasesMu.Unlock()
	phases = map[key]*series{}
	return nil, nil
}

func cmdTruth(options) (answer, error) {
	phasesMu.Lock()
	defer phasesMu.Unlock()
	rows := []answer{}
	for k, s := range phases {
		sort.Slice(s.ns, func(i, j int) bool { return s.ns[i] < s.ns[j] })
		n, total := len(s.ns), int64(0)
		for _, v := range s.ns {
			total += v
		}
		rows = append(rows, answer{"host": k.host, "phase": k.phase, "count": n, "errors": s.errors,
			"p50_ns": s.ns[n/2], "p99_ns": s.ns[n*99/100], "max_ns": s.ns[n-1], "total_ns": total})
	}
	return answer{"phases": rows, "in_flight": flight.rows(), "time": unix(time.Now())}, nil
}

func unix(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }

// flightList is the requests under way.
type flightList struct {
	mu   sync.Mutex
	next int
	of   map[int]answer
}

var flight = flightList{of: map[int]answer{}}

func (l *flightList) begin(host, phase, where string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	l.of[l.next] = answer{"host": host, "phase": phase, "where": where, "begun": unix(time.Now())}
	return l.next
}

func (l *flightList) end(id int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.of, id)
}

func (l *flightList) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.of)
}

func (l *flightList) rows() []answer {
	l.mu.Lock()
	defer l.mu.Unlock()
	rows := []answer{}
	for _, a := range l.of {
		rows = append(rows, a)
	}
	return rows
}

// watch takes the times of one request by httptrace.  Look-ups and connects
// are measured where they are dialled (dial.go).
type watch struct {
	host string // "name:port"

	mu                      sync.Mutex
	want, got, wrote, first time.Time
	shook                   time.Time
	reused, firstSeen       bool
}

func (w *watch) context(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { w.note(&w.want) },
		GotConn: func(i httptrace.GotConnInfo) {
			w.note(&w.got)
			w.reused = i.Reused
		},
		TLSHandshakeStart: func() { w.note(&w.shook) },
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) {
			w.mu.Lock()
			d := time.Since(w.shook)
			w.mu.Unlock()
			addPhase(w.host, "tls", d, err != nil)
		},
		WroteRequest: func(i httptrace.WroteRequestInfo) {
			w.note(&w.wrote)
			w.mu.Lock()
			d := w.wrote.Sub(w.got)
			w.mu.Unlock()
			addPhase(w.host, "request_write", d, i.Err != nil)
		},
		GotFirstResponseByte: func() { w.note(&w.first) },
	})
}

func (w *watch) note(t *time.Time) {
	now := time.Now()
	w.mu.Lock()
	*t = now
	w.mu.Unlock()
}

// headed is called when the response or an error is there.
func (w *watch) headed(queued bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if queued && w.reused {
		addPhase(w.host, "pool_wait", w.got.Sub(w.want), false)
	}
	if !w.first.IsZero() {
		from := w.wrote
		if from.IsZero() || from.After(w.first) {
			from = w.first // an answer before the request was written
		}
		addPhase(w.host, "ttfb", w.first.Sub(from), false)
	}
}
