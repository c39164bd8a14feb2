// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// stage is how requests come to hang in a phase, and how many of them do.
type stage struct {
	options options
	before  int // requests that only make the others hang
	count   func() int
}

func stages() map[string]stage {
	handlers := func() int { return int(atomic.LoadInt64(&entered)) }
	return map[string]stage{
		"dns":     {options{"via": "h1", "host": "silent.netload.test"}, 0, func() int { return goroutinesIn("main.dialMeasured(") }},
		"connect": {options{"via": "hole", "host": "hole.netload.test"}, 0, func() int { return goroutinesIn("net.(*netFD).connect(") }},
		"tls":     {options{"via": "tlsstall"}, 0, stalled.count},
		"request_write": {options{"via": "stall", "post": "64000000"}, 0,
			func() int { return goroutinesIn("net/http.(*transferWriter).writeBody(") }},
		"ttfb": {options{"fault": "hang"}, 0, handlers},
		"body": {options{"fault": "hangbody", "body": "10000"}, 0, func() int { return int(atomic.LoadInt64(&inBody)) }},
		"pool_wait": {options{"fault": "hang", "maxconns": "2"}, 2,
			func() int { return goroutinesIn("net/http.(*Transport).getConn(") }},
	}
}

var hanging struct {
	wg      sync.WaitGroup
	clients []*http.Client
}

func cmdHang(o options) (answer, error) {
	s, known := stages()[o["phase"]]
	if !known {
		return nil, fmt.Errorf("no such phase: %q", o["phase"])
	}
	for k, v := range o {
		if k != "phase" && k != "n" {
			s.options[k] = v
		}
	}
	remote := o.number("remote", 0) != 0
	if remote {
		s.count = func() int { return int(atomic.LoadInt64(&written)) }
	}
	l, err := newLoad(s.options)
	if err != nil {
		return nil, err
	}
	l.watched, l.counted = false, remote
	hanging.clients = append(hanging.clients, l.client)
	n := o.number("n", 1)
	if s.before > 0 {
		was := int(atomic.LoadInt64(&entered))
		hang(l, s.before, "ttfb")
		if err := waitFor("those before", func() bool { return int(atomic.LoadInt64(&entered)) >= was+s.before }); err != nil {
			return nil, err
		}
	}
	begin, want := unix(time.Now()), s.count()
	for left := n; left > 0 && err == nil; {
		some := left
		if some > 100 { // there are not file descriptors for everything at once
			some = 100
		}
		left, want = left-some, want+some
		hang(l, some, o["phase"])
		err = waitFor("requests to hang", func() bool { return s.count() >= want })
	}
	return answer{"host": l.host, "n": n, "before": s.before, "begin": begin, "end": unix(time.Now()),
		"place": placeOf(l.limit)}, err
}

func hang(l *load, n int, phase string) {
	for i := 0; i < n; i++ {
		hanging.wg.Add(1)
		go func() {
			defer hanging.wg.Done()
			// That it fails at the end is the fault's purpose.
			_ = l.one(phase)
		}()
	}
}

func cmdRelease(options) (answer, error) {
	stalled.release()
	dns.release()
	holes.release()
	// Some come to the gate only when others are through.  A refused connect
	// is noticed with the kernel's next try.
	if err := waitFor("requests to end", func() bool {
		gate.open()
		return flight.count() == 0
	}); err != nil {
		return nil, fmt.Errorf("%v: %d hang on", err, flight.count())
	}
	hanging.wg.Wait()
	for _, c := range hanging.clients {
		c.CloseIdleConnections()
	}
	hanging.clients = nil
	return nil, nil
}

// cmdCancel cancels requests in a phase.
func cmdCancel(o options) (answer, error) {
	s, known := stages()[o["phase"]]
	if !known {
		return nil, fmt.Errorf("no such phase: %q", o["phase"])
	}
	s.options["limit"] = "cancel"
	l, err := newLoad(s.options)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n := o.number("n", 1)
	want := s.count() + n
	var wg sync.WaitGroup
	for i := 0; i < n+s.before; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			cancelled(ctx, l)
		}()
	}
	if err := waitFor("requests to hang", func() bool { return s.count() >= want }); err != nil {
		return nil, err
	}
	cancel()
	wg.Wait()
	if o.number("keep", 0) != 0 {
		hanging.clients = append(hanging.clients, l.client)
		return answer{"host": l.host}, nil
	}
	l.client.CloseIdleConnections()
	stalled.release()
	dns.release()
	return answer{"host": l.host}, nil
}

func cancelled(ctx context.Context, l *load) {
	r, w, end, err := l.request(ctx)
	if err != nil {
		return
	}
	defer end()
	answer, err := callWithCancel(l.client, r)
	w.headed(false)
	if err != nil {
		return
	}
	atomic.AddInt64(&inBody, 1)
	defer atomic.AddInt64(&inBody, -1)
	begin := time.Now()
	_, err = io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
	addPhase(l.host, "body", time.Since(begin), err != nil)
}

// --- bodies --------------------------------------------------------------------

func cmdBodies(o options) (answer, error) {
	how := o.text("how", "drop")
	with := options{"body": "1000", "limit": "timeout"}
	if how == "stream" {
		with["fault"] = "drip"
	}
	if how == "sip" {
		with["body"] = "10000000"
	}
	for k, v := range o {
		if k != "how" && k != "n" {
			with[k] = v
		}
	}
	l, err := newLoad(with)
	if err != nil {
		return nil, err
	}
	l.client.Timeout = 0 // it would end the body as well
	got := make(chan error)
	n := o.number("n", 1)
	for i := 0; i < n; i++ {
		hanging.wg.Add(1)
		go func() {
			defer hanging.wg.Done()
			body(how, l, got)
		}()
	}
	for i := 0; i < n; i++ {
		if e := <-got; e != nil {
			err = e
		}
	}
	return answer{"host": l.host, "n": n, "place": placeOf(how)}, err
}

func body(how string, l *load, got chan<- error) {
	switch how {
	case "drop":
		got <- dropBody(l.client, l.url.String())
	case "late":
		closeLate(l.client, l.url.String(), got)
	case "stream":
		readStream(l.client, l.url.String(), got)
	case "sip":
		readSlowly(l.client, l.url.String(), got)
	default:
		got <- fmt.Errorf("no such way: %q", how)
	}
}

// dropBody looks at the status only.
func dropBody(c *http.Client, url string) error {
	nextLineIs("drop")
	r, err := c.Get(url)
	if err != nil {
		return err
	}
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", r.StatusCode)
	}
	return nil
}

// closeLate closes the body as everybody does, but has much to do before.
func closeLate(c *http.Client, url string, got chan<- error) {
	nextLineIs("late")
	r, err := c.Get(url)
	got <- err
	if err != nil {
		return
	}
	defer r.Body.Close()
	<-gate.wait()
}

func readStream(c *http.Client, url string, got chan<- error) {
	nextLineIs("stream")
	r, err := c.Get(url)
	got <- err
	if err != nil {
		return
	}
	defer r.Body.Close()
	_, _ = io.Copy(io.Discard, r.Body)
}

func readSlowly(c *http.Client, url string, got chan<- error) {
	nextLineIs("sip")
	r, err := c.Get(url)
	got <- err
	if err != nil {
		return
	}
	defer r.Body.Close()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	b := make([]byte, 1024)
	for ended := gate.wait(); ; {
		select {
		case <-tick.C:
			if _, err := r.Body.Read(b); err != nil {
				return
			}
		case <-ended:
			return
		}
	}
}

// --- connections that are not used again ---------------------------------------

func cmdChurn(o options) (answer, error) {
	n, begin := o.number("n", 100), time.Now()
	l, err := newLoad(options{})
	if err != nil {
		return nil, err
	}
	failed := 0
	switch o.text("how", "idle") {
	case "transport":
		failed = parallel(n, 1, o.number("rate", 0), func() error { return churnTransport(l.url.String()) })
	case "idle":
		// The transport keeps two; the others are closed and dialled again.
		c := &http.Client{Timeout: patience, Transport: newTransport(options{"idle": "0"})}
		failed = parallel(n, 20, o.number("rate", 0), func() error { return churnIdle(c, l.url.String()+"&ttfb=20") })
		c.CloseIdleConnections()
	default:
		return nil, fmt.Errorf("no such way: %q", o["how"])
	}
	return answer{"host": l.host, "failed": failed, "seconds": time.Since(begin).Seconds()}, nil
}

// churnTransport makes a transport for one request, and leaves its connection.
func churnTransport(url string) error {
	c := &http.Client{Timeout: patience, Transport: newTransport(options{})}
	nextLineIs("churn_transport")
	r, err := c.Get(url)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	_, err = io.Copy(io.Discard, r.Body)
	return err
}

func churnIdle(c *http.Client, url string) error {
	nextLineIs("churn_idle")
	r, err := c.Get(url)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	_, err = io.Copy(io.Discard, r.Body)
	return err
}

// --- names that mean harm --------------------------------------------------------

// hostile is the name of host number i: the first ones are what a terminal, a
// JSON parser or a table might choke on, the others are many.
func hostile(i int) string {
	switch i {
	case 0:
		return "evil\x1b\x07\rred.netload.test"
	case 1:
		return "quote\"back\\slash\n.netload.test"
	case 2: // 255 bytes
		return strings.Repeat(strings.Repeat("a", 63)+".", 3) + strings.Repeat("b", 63)
	case 3:
		return "\xff\xfe\x80.netload.test"
	case 4:
		return strings.Repeat("long", 300) + ".test"
	case 5:
		return "<script>alert(1)</script>.test"
	}
	return fmt.Sprintf("nx%05d.netload.test", i)
}

func cmdHosts(o options) (answer, error) {
	c := &http.Client{Timeout: patience, Transport: newTransport(options{})}
	var next int64
	var came int64
	n := o.number("n", 10)
	parallel(n, o.number("conc", 16), o.number("rate", 0), func() error {
		u := &url.URL{Scheme: "http", Host: net.JoinHostPort(hostile(int(atomic.AddInt64(&next, 1))-1), "80"), Path: secretPath}
		r := &http.Request{Method: http.MethodGet, URL: u, Host: "x", Header: http.Header{}}
		nextLineIs("hosts")
		a, err := c.Do(r)
		if err == nil {
			a.Body.Close()
			atomic.AddInt64(&came, 1)
		}
		return err
	})
	return answer{"answered": came}, nil
}

func cmdSlowloris(o options) (answer, error) {
	n := o.number("n", 1)
	for i := 0; i < n; i++ {
		c, err := net.Dial("tcp", addrs["h1"])
		if err != nil {
			return nil, err
		}
		if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\nX-Never-")); err != nil {
			return nil, err
		}
		hanging.wg.Add(1)
		go func() {
			defer hanging.wg.Done()
			<-gate.wait()
			c.Close()
		}()
	}
	return nil, waitFor("the server to read", func() bool { return goroutinesIn("net/http.(*conn).readRequest(") >= n })
}
