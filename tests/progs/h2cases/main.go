// SPDX-License-Identifier: BSD-2-Clause

// H2cases is an HTTP/2 client, and the server or the way to it that makes it wait:
//
//	h2cases CASE [x] [idle=MS] [timeout=MS]
//
// By net/http, or with "x" by golang.org/x/net/http2.  Prints READY and what is true as
// JSON when the case's state is there, and keeps it until standard input ends.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

// One call of a client, by a place of its own.
type place struct {
	Function string `json:"function"`
	Line     int    `json:"line"`
}

var (
	byX     bool
	idle    time.Duration // ReadIdleTimeout
	timeout time.Duration // of the http.Client
	truth   = map[string]interface{}{}
	places  sync.Map
	arrived = make(chan string, 100) // paths that handlers have got
	release = make(chan struct{})    // never
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// here remembers the line after the caller's as where it calls.
func here(name string) {
	pc, _, line, _ := runtime.Caller(1)
	places.Store(name, place{runtime.FuncForPC(pc).Name(), line + 1})
}

// handle answers at once, or as the path says: /hold never, /slow after two seconds.
func handle(w http.ResponseWriter, r *http.Request) {
	select {
	case arrived <- r.URL.Path:
	default:
	}
	switch r.URL.Path {
	case "/hold":
		<-release
	case "/slow":
		time.Sleep(2 * time.Second)
	case "/read":
		_, _ = io.Copy(io.Discard, r.Body)
	case "/body":
		_, _ = w.Write(make([]byte, 1000))
		w.(http.Flusher).Flush()
		<-release
	}
	_, _ = io.WriteString(w, "ok")
}

// serve starts a server that allows that many streams at once.
func serve(streams uint32) string {
	s := httptest.NewUnstartedServer(http.HandlerFunc(handle))
	must(http2.ConfigureServer(s.Config, &http2.Server{MaxConcurrentStreams: streams}))
	s.TLS = s.Config.TLSConfig
	s.StartTLS()
	return s.Listener.Addr().String()
}

func insecure() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// client has one connection at most, as far as that can be said.
func client(maxConns int) *http.Client {
	if byX {
		return &http.Client{Timeout: timeout, Transport: &http2.Transport{
			TLSClientConfig: insecure(), ReadIdleTimeout: idle, StrictMaxConcurrentStreams: true}}
	}
	t := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: insecure(), MaxConnsPerHost: maxConns}
	if idle > 0 {
		setReadIdle(t, idle)
	}
	return &http.Client{Timeout: timeout, Transport: t}
}

func request(method, url string, body io.Reader) *http.Request {
	r, err := http.NewRequest(method, url, body)
	must(err)
	return r
}

// sent makes c be told when the request's header is written.
func sent(r *http.Request, c chan<- bool) *http.Request {
	return r.WithContext(httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		WroteHeaders: func() { c <- true }}))
}

// asked makes c be told when the request asks for a connection.
func asked(r *http.Request, c chan<- bool) *http.Request {
	return r.WithContext(httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		GetConn: func(string) { c <- true }}))
}

func get(c *http.Client, url string) {
	resp, err := c.Get(url)
	must(err)
	_, err = io.Copy(io.Discard, resp.Body)
	must(err)
	resp.Body.Close()
}

// ---- a way to the server that dies ----

// A relay passes bytes on until it is told to stop; the connections stay open.
type relay struct {
	l     net.Listener
	to    string
	mute  int32
	conns []*net.TCPConn // with the client; complete once it has answered
}

func newRelay(to string) *relay {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	r := &relay{l: l, to: to}
	go func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", to)
			must(err)
			r.conns = append(r.conns, a.(*net.TCPConn))
			go r.pass(a, b)
			go r.pass(b, a)
		}
	}()
	return r
}

func (r *relay) pass(from, to net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if atomic.LoadInt32(&r.mute) != 0 {
			continue
		}
		if _, err = to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// dead sends three requests, some time apart, on a connection whose peer has gone:
// silently, so that nothing is acknowledged ("gone"), or it takes everything and says
// nothing ("silent"); again and again, where the client has a timeout.
func dead(how string) {
	r := newRelay(serve(0))
	c := client(1)
	url := "https://" + r.l.Addr().String()
	get(c, url+"/")
	atomic.StoreInt32(&r.mute, 1)
	near := r.conns[0]
	if how == "gone" {
		// What it has sent is acknowledged: it would send it again.
		for queued(near) > 0 {
			time.Sleep(10 * time.Millisecond)
		}
		ignore(near)
	}
	wrote := make(chan bool, 3)
	for i := 0; i < 3; i++ {
		first := sent(request("GET", url+"/hold", nil), wrote)
		go func() {
			hang(c, first)
			for {
				hang(c, request("GET", url+"/hold", nil))
			}
		}()
		<-wrote
		time.Sleep(50 * time.Millisecond)
	}
	for how == "gone" && resent(near) < 3 {
		time.Sleep(100 * time.Millisecond)
	}
	truth["host"] = r.l.Addr().String()
	truth["requests"] = 3
}

func hang(c *http.Client, r *http.Request) {
	here("hang")
	resp, err := c.Do(r)
	if err == nil {
		resp.Body.Close()
	}
}

// slow is asked again and again by three, and answers each time after two seconds.
func slow() {
	addr := serve(0)
	c := client(1)
	get(c, "https://"+addr+"/")
	for i := 0; i < 3; i++ {
		go func() {
			for {
				hang(c, request("GET", "https://"+addr+"/slow", nil))
			}
		}()
	}
	for <-arrived != "/slow" {
	}
	truth["host"] = addr
}

// ---- streams ----

func hold(c *http.Client, r *http.Request) {
	here("hold")
	resp, err := c.Do(r)
	if err == nil {
		resp.Body.Close()
	}
}

func wait(c *http.Client, r *http.Request) {
	here("wait")
	resp, err := c.Do(r)
	if err == nil {
		resp.Body.Close()
	}
}

// streams: the server allows two, which are held, and four wait.
func streams() {
	addr := serve(2)
	c := client(1)
	url := "https://" + addr
	get(c, url+"/")
	<-arrived
	for i := 0; i < 2; i++ {
		go hold(c, request("GET", url+"/hold", nil))
		<-arrived
	}
	a := make(chan bool, 4)
	for i := 0; i < 4; i++ {
		go wait(c, asked(request("GET", url+"/hold", nil), a))
		<-a
	}
	truth["host"], truth["max_streams"], truth["streams"], truth["waiting"] = addr, 2, 2, 4
}

// used: ten are allowed, three are in use.
func used() {
	addr := serve(10)
	c := client(1)
	get(c, "https://"+addr+"/")
	<-arrived
	for i := 0; i < 3; i++ {
		go hold(c, request("GET", "https://"+addr+"/hold", nil))
		<-arrived
	}
	truth["host"], truth["max_streams"], truth["streams"], truth["waiting"] = addr, 10, 3, 0
}

// ---- bodies that are sent ----

// A counted body says how much of it was taken.
type counted struct {
	left, took int64
}

func (b *counted) Read(p []byte) (int, error) {
	n := int64(len(p))
	if left := atomic.LoadInt64(&b.left); n > left {
		n = left
	}
	if n == 0 {
		return 0, io.EOF
	}
	atomic.AddInt64(&b.left, -n)
	atomic.AddInt64(&b.took, n)
	return int(n), nil
}

// stalls waits until no more of it is taken.
func (b *counted) stalls() {
	for was := int64(-1); ; time.Sleep(500 * time.Millisecond) {
		now := atomic.LoadInt64(&b.took)
		if now > 0 && now == was {
			return
		}
		was = now
	}
}

func send(c *http.Client, r *http.Request) {
	here("send")
	resp, err := c.Do(r)
	if err == nil {
		resp.Body.Close()
	}
}

// flow: the server's handler does not read what it is sent.
func flow() {
	addr := serve(0)
	c := client(1)
	get(c, "https://"+addr+"/")
	b := &counted{left: 16 << 20}
	go send(c, request("POST", "https://"+addr+"/hold", b))
	b.stalls()
	truth["host"] = addr
}

// write: the server does not read its connection.
func write() {
	addr := serveDeaf()
	c := client(1)
	b := &counted{left: 1 << 30}
	go send(c, request("POST", "https://"+addr+"/", b))
	b.stalls()
	truth["host"] = addr
}

// writes: bodies that the caller makes slowly, each until the client's timeout is up.
func writes() {
	addr := serve(0)
	c := client(1)
	get(c, "https://"+addr+"/")
	for i := 0; i < 3; i++ {
		go func() {
			for {
				in, out := io.Pipe()
				go func() { _, _ = out.Write(make([]byte, 1000)) }()
				send(c, request("POST", "https://"+addr+"/read", in))
				in.Close()
			}
		}()
	}
	for <-arrived != "/read" {
	}
	truth["host"] = addr
}

// read: bodies that are read by the server, each at once.
func read() {
	addr := serve(0)
	c := client(1)
	go func() {
		for {
			resp, err := c.Post("https://"+addr+"/read", "", strings.NewReader(strings.Repeat("x", 100000)))
			must(err)
			resp.Body.Close()
			time.Sleep(10 * time.Millisecond)
		}
	}()
	for <-arrived != "/read" {
	}
	truth["host"] = addr
}

// ---- bodies that are got ----

func leak(c *http.Client, url string) {
	here("leak")
	_, err := c.Get(url)
	must(err)
}

// unclosed: five responses whose bodies nobody closes.
func unclosed() {
	addr := serve(0)
	c := client(1)
	for i := 0; i < 5; i++ {
		leak(c, "https://"+addr+"/body")
	}
	truth["host"], truth["count"] = addr, 5
}

// reading: five that are being read.
func reading() {
	addr := serve(0)
	c := client(1)
	for i := 0; i < 5; i++ {
		resp, err := c.Get("https://" + addr + "/body")
		must(err)
		go func() { _, _ = io.Copy(io.Discard, resp.Body) }()
	}
	truth["host"] = addr
}

func main() {
	for _, a := range os.Args[2:] {
		name, value := a, ""
		if i := strings.IndexByte(a, '='); i >= 0 {
			name, value = a[:i], a[i+1:]
		}
		ms, _ := strconv.Atoi(value)
		switch name {
		case "x":
			byX = true
		case "idle":
			idle = time.Duration(ms) * time.Millisecond
		case "timeout":
			timeout = time.Duration(ms) * time.Millisecond
		}
	}
	cases := map[string]func(){"gone": func() { dead("gone") }, "silent": func() { dead("silent") }, "slow": slow,
		"streams": streams, "used": used, "flow": flow, "write": write, "writes": writes, "read": read,
		"unclosed": unclosed, "reading": reading}
	cases[os.Args[1]]()
	places.Range(func(name, at interface{}) bool {
		truth[name.(string)] = at
		return true
	})
	said, err := json.Marshal(truth)
	must(err)
	fmt.Printf("READY %s\n", said)
	_, _ = io.Copy(io.Discard, os.Stdin)
}
