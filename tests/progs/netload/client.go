// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// What must never be in anything that gospect writes.
const (
	secretPath   = "/topsecretpath"
	secretQuery  = "topsecretquery"
	secretHeader = "topsecretheader"
)

const patience = 60 * time.Second // of clients with a limit

// The calls, each a place of its own: by what limits them.
var calls = map[string]func(*http.Client, *http.Request) (*http.Response, error){
	"none": callWithout, "timeout": callWithTimeout, "deadline": callWithDeadline, "cancel": callWithCancel,
}

func callWithout(c *http.Client, r *http.Request) (*http.Response, error) {
	nextLineIs("none")
	return c.Do(r)
}

func callWithTimeout(c *http.Client, r *http.Request) (*http.Response, error) {
	nextLineIs("timeout")
	return c.Do(r)
}

func callWithDeadline(c *http.Client, r *http.Request) (*http.Response, error) {
	nextLineIs("deadline")
	return c.Do(r)
}

func callWithCancel(c *http.Client, r *http.Request) (*http.Response, error) {
	nextLineIs("cancel")
	return c.Do(r)
}

// load is requests of one kind.
type load struct {
	client  *http.Client
	url     *url.URL
	host    string // "name:port"
	limit   string
	post    int
	queued  bool // MaxConnsPerHost is set
	watched bool // by httptrace
	counted bool // in written
	fault   string
}

// target is the scheme and the address for a way of asking.
func target(o options) (scheme, addr string, err error) {
	via := o.text("via", "h1")
	scheme = "http"
	port := ""
	switch via {
	case "h1", "stall":
		port = portOf(addrs[via])
	case "proxy":
		port = portOf(addrs["h1"])
	case "tls", "h2", "bad":
		scheme, port = "https", portOf(addrs[via])
	case "connect":
		scheme, port = "https", portOf(addrs["tls"])
	case "tlsstall":
		scheme, port = "https", portOf(addrs["stall"])
	case "unix":
		port = "80"
	case "refused":
		port, err = refusedPort()
	case "hole":
		port, err = holes.port(net.IPv4(127, 0, 0, 1), 0)
	case "two":
		// the IPv6 address swallows, the IPv4 one answers
		if port = portOf(addrs["h1"]); o.number("dead", 1) != 0 {
			_, err = holes.port(net.IPv6loopback, atoi(port))
		}
	default:
		err = fmt.Errorf("no such way: %q", via)
	}
	name := "api.netload.test"
	if via == "two" {
		name = "two.netload.test"
	}
	return scheme, net.JoinHostPort(o.text("host", name), o.text("port", port)), err
}

func newLoad(o options) (*load, error) {
	scheme, addr, err := target(o)
	if err != nil {
		return nil, err
	}
	l := &load{host: strings.ToLower(addr), limit: o.text("limit", "timeout"), post: o.number("post", 0),
		queued: o.number("maxconns", 0) != 0, watched: true, fault: o.text("fault", "")}
	if calls[l.limit] == nil {
		return nil, fmt.Errorf("no such limit: %q", l.limit)
	}
	q := url.Values{"secret": {secretQuery}, "fault": {l.fault}}
	for _, k := range []string{"ttfb", "body", "bodyms", "readwait"} {
		q.Set(k, fmt.Sprint(o.number(k, 0)))
	}
	l.url = &url.URL{Scheme: scheme, Host: addr, Path: secretPath + "/page", RawQuery: q.Encode()}
	l.client = &http.Client{Transport: newTransport(o)}
	if l.limit == "timeout" {
		l.client.Timeout = patience
	}
	return l, nil
}

func newTransport(o options) *http.Transport {
	t := &http.Transport{DialContext: dialWatched, TLSClientConfig: &tls.Config{RootCAs: authority},
		DisableKeepAlives: o.number("new", 0) != 0, MaxConnsPerHost: o.number("maxconns", 0),
		MaxIdleConnsPerHost: o.number("idle", 1000), DisableCompression: true}
	switch o.text("via", "h1") {
	case "h2":
		t.ForceAttemptHTTP2 = true
	case "unix":
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer().DialContext(ctx, "unix", addrs["unix"])
		}
	case "proxy", "connect":
		t.Proxy = http.ProxyURL(&url.URL{Scheme: "http",
			Host: net.JoinHostPort("proxy.netload.test", portOf(addrs["proxy"]))})
	}
	return t
}

// request is the next one; end is to be called when it is over.
func (l *load) request(ctx context.Context) (r *http.Request, w *watch, end func(), err error) {
	end = func() {}
	switch l.limit {
	case "deadline":
		ctx, end = context.WithTimeout(ctx, patience)
	case "cancel":
		ctx, end = context.WithCancel(ctx)
	}
	if l.watched {
		w = &watch{host: l.host}
		ctx = w.context(ctx)
	}
	if l.counted {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
			WroteRequest: func(httptrace.WroteRequestInfo) { atomic.AddInt64(&written, 1) }})
	}
	r = (&http.Request{Method: http.MethodGet, URL: l.url, Host: l.url.Host,
		Header: http.Header{"X-Secret": {secretHeader}}}).WithContext(ctx)
	if l.post > 0 {
		r.Method = http.MethodPost
		r.ContentLength = int64(l.post)
		r.Body = io.NopCloser(io.LimitReader(zeros{}, r.ContentLength))
	}
	return r, w, end, nil
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// one is a request to its end.
func (l *load) one(phase string) error {
	r, w, end, err := l.request(context.Background())
	if err != nil {
		return err
	}
	defer end()
	defer flight.end(flight.begin(l.host, phase, l.limit))
	answer, err := calls[l.limit](l.client, r)
	if w != nil {
		w.headed(l.queued)
	}
	if err != nil {
		return err
	}
	begin := time.Now()
	atomic.AddInt64(&inBody, 1)
	defer atomic.AddInt64(&inBody, -1)
	_, err = io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
	if l.watched {
		addPhase(l.host, "body", time.Since(begin), err != nil)
	}
	return err
}

var written int64 // atomic: requests that were written and are to hang

var inBody int64 // atomic: requests whose body is being read

func cmdReq(o options) (answer, error) {
	l, err := newLoad(o)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	failed := parallel(o.number("n", 1), o.number("conc", 1), o.number("rate", 0), func() error { return l.one("") })
	l.client.CloseIdleConnections()
	return answer{"failed": failed, "host": l.host, "seconds": time.Since(begin).Seconds()}, nil
}

// What goes on without end.
var traffic struct {
	ended   int32 // atomic
	wg      sync.WaitGroup
	loads   []*load
	longest int64 // atomic: ns, of those that repeat
}

func cmdTraffic(o options) (answer, error) {
	l, err := newLoad(o)
	if err != nil {
		return nil, err
	}
	traffic.loads = append(traffic.loads, l)
	conc := o.number("conc", 1)
	if o.number("bursts", 0) != 0 {
		traffic.wg.Add(1)
		go func() {
			defer traffic.wg.Done()
			for atomic.LoadInt32(&traffic.ended) == 0 {
				parallel(conc, conc, 0, func() error { return l.one("") })
			}
		}()
		return answer{"host": l.host}, nil
	}
	for i := 0; i < conc; i++ {
		traffic.wg.Add(1)
		go func() {
			defer traffic.wg.Done()
			for atomic.LoadInt32(&traffic.ended) == 0 {
				if l.one("") != nil {
					time.Sleep(20 * time.Millisecond)
				}
			}
		}()
	}
	return answer{"host": l.host}, nil
}

func cmdRepeat(o options) (answer, error) {
	o["limit"] = "none"
	l, err := newLoad(o)
	if err != nil {
		return nil, err
	}
	l.watched = false
	traffic.loads = append(traffic.loads, l)
	atomic.StoreInt64(&traffic.longest, 0)
	for i := o.number("n", 1); i > 0; i-- {
		r, _, _, err := l.request(context.Background())
		if err != nil {
			return nil, err
		}
		traffic.wg.Add(1)
		go func() {
			defer traffic.wg.Done()
			for atomic.LoadInt32(&traffic.ended) == 0 {
				begin := time.Now()
				answer, err := callWithout(l.client, r)
				if err == nil {
					_, _ = io.Copy(io.Discard, answer.Body)
					answer.Body.Close()
				}
				took := int64(time.Since(begin))
				for was := atomic.LoadInt64(&traffic.longest); took > was &&
					!atomic.CompareAndSwapInt64(&traffic.longest, was, took); {
					was = atomic.LoadInt64(&traffic.longest)
				}
			}
		}()
	}
	return answer{"host": l.host}, nil
}

func cmdStop(options) (answer, error) {
	atomic.StoreInt32(&traffic.ended, 1)
	traffic.wg.Wait()
	atomic.StoreInt32(&traffic.ended, 0)
	for _, l := range traffic.loads {
		l.client.CloseIdleConnections()
	}
	traffic.loads = nil
	return answer{"longest_s": time.Duration(atomic.LoadInt64(&traffic.longest)).Seconds()}, nil
}

// refusedPort is a port that nobody listens at.
func refusedPort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return portOf(l.Addr().String()), nil
}

func atoi(s string) int {
	n := 0
	if _, err := fmt.Sscan(s, &n); err != nil {
		panic(err)
	}
	return n
}

// holeList is the black holes, by address.
type holeList struct{ of map[string]*blackHole }

var holes = holeList{map[string]*blackHole{}}

func (l *holeList) port(ip net.IP, port int) (string, error) {
	k := fmt.Sprint(ip, port)
	if l.of[k] == nil {
		h, err := newBlackHole(ip, port)
		if err != nil {
			return "", err
		}
		l.of[k] = h
	}
	return portOf(l.of[k].addr), nil
}

func (l *holeList) release() {
	for k, h := range l.of {
		h.close()
		delete(l.of, k)
	}
}
