// SPDX-License-Identifier: BSD-2-Clause

// bodies leaves response bodies unread, or only seems to.  Each mode has a
// server of its own, so that it is told from the others by its port:
//
//	leak       asked for the status, dropped the response
//	timeout    the same, by a client with a Timeout
//	gzip       the same, of a response that the transport unzips
//	list       kept in a global list, never read nor closed
//	part       read in part, then dropped
//	drop       the same as leak, after READY, of a server that takes its time
//	late       healthy: closed by a defer, the function goes on for long
//	slow       healthy: read a byte at a time with pauses
//	owner      healthy: in a struct of another goroutine, which pauses
//	wrapped    healthy: the same, a response that the transport unzips, by a client with a Timeout
//	json       healthy: behind a json.Decoder that pauses between two values
//	lines      healthy: behind a bufio.Scanner
//	unzip      healthy: unzipped by hand, with pauses
//	closure    healthy: held by a closure only
//	reading    healthy: waits in Read for a server that sends no more
//	idle       healthy: read to the end, the connection is kept
//	waiting    in flight: the server does not answer
//	unread     in flight: the server does not read the request
//	limit      in flight: as waiting, by a client with a Timeout
//	deadline   in flight: as waiting, with a deadline in the context
//	cancel     in flight: as waiting, with a context that can be cancelled
//	pool       in flight: of a pool of one; all but one wait for it
//	dns        in flight: the resolver does not answer
//	connect    in flight: the server's queue is full
//	shake      in flight: the server does not shake hands
//	proxy      in flight: through a ReverseProxy, which has no http.Client
//	request    hangs the server: a request that does not end
//
// Arguments: MODE=COUNT…, or MODE/h2=COUNT over TLS with HTTP/2.  Prints the
// mode and its HOST:PORT for each and then `READY`, when all of them are where
// they should be.  A line `gc` on its standard input: it collects garbage and
// uses the memory again.  It ends when standard input does.
package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	neturl "net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const pause = 3 * time.Hour

var (
	kept     []*http.Response
	keptLock sync.Mutex
	ready    sync.WaitGroup
	sunk     int
)

func serve(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/silent":
		<-r.Context().Done()
		return
	case "/short":
		io.WriteString(w, "{}")
		return
	case "/tardy":
		time.Sleep(700 * time.Millisecond)
		io.WriteString(w, "{}")
	case "/gzip":
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		io.WriteString(z, strings.Repeat("{}\n", 100))
		z.Flush()
	default:
		io.WriteString(w, strings.Repeat("{}\n", 100))
	}
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

func get(c *http.Client, url string) *http.Response {
	resp, err := c.Get(url)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bodies:", err)
		os.Exit(1)
	}
	return resp
}

//go:noinline
func statusOnly(c *http.Client, url string) {
	resp := get(c, url)
	sunk += resp.StatusCode
}

//go:noinline
func readPart(c *http.Client, url string) {
	resp := get(c, url)
	var b [3]byte
	io.ReadFull(resp.Body, b[:])
}

//go:noinline
func keep(c *http.Client, url string) {
	resp := get(c, url)
	keptLock.Lock()
	kept = append(kept, resp)
	keptLock.Unlock()
}

func drop(c *http.Client, url string) {
	ready.Done()
	time.Sleep(400 * time.Millisecond)
	statusOnly(c, url)
}

func readAll(c *http.Client, url string) {
	resp := get(c, url)
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}

func late(c *http.Client, url string) {
	resp := get(c, url)
	defer resp.Body.Close()
	ready.Done()
	time.Sleep(pause)
}

func slow(c *http.Client, url string) {
	resp := get(c, url)
	var b [1]byte
	io.ReadFull(resp.Body, b[:])
	ready.Done()
	for {
		time.Sleep(pause)
		if _, err := resp.Body.Read(b[:]); err != nil {
			return
		}
	}
}

type owner struct {
	name string
	body io.ReadCloser
	tick *time.Ticker
}

func (o *owner) run() {
	ready.Done()
	for range o.tick.C {
		var b [1]byte
		o.body.Read(b[:])
	}
}

func owned(c *http.Client, url string) {
	o := &owner{"owner", get(c, url).Body, time.NewTicker(pause)}
	go o.run()
}

// The response is as far from the stack as it may be: its body is behind two readers more.
type download struct {
	resp *http.Response
	left int
}

type downloader struct {
	now  *download
	tick *time.Ticker
}

func (d *downloader) run() {
	ready.Done()
	for range d.tick.C {
		var b [1]byte
		d.now.resp.Body.Read(b[:])
		d.now.left--
	}
}

func wrapped(c *http.Client, url string) {
	d := &downloader{&download{get(c, url), 100}, time.NewTicker(pause)}
	go d.run()
}

func decode(c *http.Client, url string) {
	d := json.NewDecoder(get(c, url).Body)
	var v struct{}
	d.Decode(&v)
	ready.Done()
	for {
		time.Sleep(pause)
		d.Decode(&v)
	}
}

func lines(c *http.Client, url string) {
	s := bufio.NewScanner(get(c, url).Body)
	s.Scan()
	ready.Done()
	for s.Scan() {
		time.Sleep(pause)
	}
}

func unzip(c *http.Client, url string) {
	req, _ := http.NewRequest("GET", url, nil)
	req.Header.Set("Accept-Encoding", "gzip")
	resp, err := c.Do(req)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bodies:", err)
		os.Exit(1)
	}
	z, err := gzip.NewReader(resp.Body)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bodies:", err)
		os.Exit(1)
	}
	ready.Done()
	for {
		time.Sleep(pause)
		var b [1]byte
		z.Read(b[:])
	}
}

func closure(c *http.Client, url string) {
	resp := get(c, url)
	stop := make(chan bool)
	finish := func() { <-stop; resp.Body.Close() }
	ready.Done()
	finish()
}

func reading(c *http.Client, url string) {
	resp := get(c, url)
	ready.Done()
	io.Copy(io.Discard, resp.Body)
}

func waiting(c *http.Client, url string) {
	ready.Done()
	get(c, url)
}

// deaf accepts connections and reads nothing.
func deaf() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, "bodies:", err)
		os.Exit(1)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			keptLock.Lock()
			held = append(held, c)
			keptLock.Unlock()
		}
	}()
	return "http://" + l.Addr().String()
}

var held []net.Conn

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

func unread(c *http.Client, url string) {
	ready.Done()
	c.Post(url, "text/plain", endless{})
}

func withContext(make func() context.Context) func(*http.Client, string) {
	return func(c *http.Client, url string) {
		req, _ := http.NewRequestWithContext(make(), "GET", url, nil)
		ready.Done()
		c.Do(req)
	}
}

func soon() context.Context {
	ctx, _ := context.WithTimeout(context.WithValue(context.Background(), "key", 1), pause) //nolint
	return ctx
}

func cancellable() context.Context {
	ctx, _ := context.WithCancel(context.Background()) //nolint
	return ctx
}

// mute is a resolver whose servers do not answer.
func mute() *net.Dialer {
	return &net.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		select {}
	}}}
}

// full listens, and has as many connections waiting as it may.
func full() string {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	if err == nil {
		err = syscall.Listen(fd, 0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bodies:", err)
		os.Exit(1)
	}
	sa, _ := syscall.Getsockname(fd)
	addr := fmt.Sprintf("127.0.0.1:%d", sa.(*syscall.SockaddrInet4).Port)
	for {
		c, err := net.DialTimeout("tcp", addr, 300*time.Millisecond)
		if err != nil {
			return addr
		}
		held = append(held, c)
	}
}

// halfRequest sends a part of a request's header.
func halfRequest(_ *http.Client, url string) {
	c, err := net.Dial("tcp", url[strings.Index(url, "//")+2:])
	if err == nil {
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: ")
	}
	ready.Done()
	time.Sleep(pause)
	runtime.KeepAlive(c)
}

// reuse fills what was collected with something else.
func reuse() {
	for i := 0; i < 20000; i++ {
		used = append(used, new([8]uintptr), new([16]uintptr), new([18]*int))
	}
}

var used []interface{}

func inBackground(n int, f func(*http.Client, string), c *http.Client, url string) {
	ready.Add(n)
	for i := 0; i < n; i++ {
		go f(c, url)
	}
}

func atOnce(n int, f func(*http.Client, string), c *http.Client, url string) {
	done := make(chan bool)
	go func() {
		for i := 0; i < n; i++ {
			f(c, url)
		}
		close(done)
	}()
	<-done
}

func start(name, mode string, n int, h2 bool) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(serve))
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 7}}
	if h2 {
		s.EnableHTTP2 = true
		s.StartTLS()
		c = s.Client()
	} else {
		s.Start()
	}
	url := s.URL
	switch mode {
	case "unread":
		url = deaf()
	case "shake":
		url = "https" + strings.TrimPrefix(deaf(), "http")
	case "connect":
		url = "http://" + full()
	case "dns":
		url = "http://Name.example.test"
		c.Transport.(*http.Transport).DialContext = mute().DialContext
	case "pool":
		c.Transport.(*http.Transport).MaxConnsPerHost = 1
	case "proxy":
		back, _ := neturl.Parse(url)
		front := httptest.NewServer(httputil.NewSingleHostReverseProxy(back))
		defer func() { inBackground(n, waiting, c, front.URL+"/silent") }()
	}
	fmt.Println(name, url[strings.Index(url, "//")+2:])
	switch mode {
	case "leak":
		atOnce(n, statusOnly, c, url)
	case "timeout":
		c.Timeout = time.Hour
		atOnce(n, statusOnly, c, url)
	case "gzip":
		atOnce(n, statusOnly, c, url+"/gzip")
	case "part":
		atOnce(n, readPart, c, url)
	case "list":
		atOnce(n, keep, c, url)
	case "drop":
		inBackground(n, drop, c, url+"/tardy")
	case "idle":
		atOnce(n, readAll, c, url+"/short")
	case "late":
		inBackground(n, late, c, url)
	case "slow":
		inBackground(n, slow, c, url)
	case "owner":
		ready.Add(n)
		atOnce(n, owned, c, url)
	case "wrapped":
		c.Timeout = time.Hour
		ready.Add(n)
		atOnce(n, wrapped, c, url+"/gzip")
	case "json":
		inBackground(n, decode, c, url)
	case "lines":
		inBackground(n, lines, c, url)
	case "unzip":
		inBackground(n, unzip, c, url+"/gzip")
	case "closure":
		inBackground(n, closure, c, url)
	case "reading":
		inBackground(n, reading, c, url)
	case "waiting":
		inBackground(n, waiting, c, url+"/silent")
	case "unread":
		inBackground(n, unread, c, url)
	case "limit":
		c.Timeout = time.Hour
		inBackground(n, waiting, c, url+"/silent")
	case "deadline":
		inBackground(n, withContext(soon), c, url+"/silent")
	case "cancel":
		inBackground(n, withContext(cancellable), c, url+"/silent")
	case "pool", "dns", "connect", "shake":
		inBackground(n, waiting, c, url+"/silent")
	case "request":
		inBackground(n, halfRequest, c, url)
	case "proxy":
	default:
		fmt.Fprintln(os.Stderr, "bodies: what is", mode)
		os.Exit(2)
	}
}

func main() {
	for _, arg := range os.Args[1:] {
		name, count, _ := strings.Cut(arg, "=")
		mode, proto, _ := strings.Cut(name, "/")
		n, err := strconv.Atoi(count)
		if err != nil {
			fmt.Fprintln(os.Stderr, "bodies:", err)
			os.Exit(2)
		}
		start(name, mode, n, proto == "h2")
	}
	ready.Wait()
	fmt.Println("READY")
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		if in.Text() == "gc" {
			runtime.GC()
			reuse()
			runtime.GC()
		}
	}
}
