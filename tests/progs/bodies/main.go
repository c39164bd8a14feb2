// SPDX-License-Identifier: BSD-2-Clause

// bodies leaves response bodies unread, or only seems to.  Each mode has a
// server of its own, so that it is told from the others by its port:
//
//	leak       asked for the status, dropped the response
//	timeout    the same, by a client with a Timeout
//	gzip       the same, of a response that the transport unzips
//	list       kept in a global list, never read nor closed
//	part       read in part, then dropped
//	late       healthy: closed by a defer, the function goes on for long
//	slow       healthy: read a byte at a time with pauses
//	owner      healthy: in a struct of another goroutine, which pauses
//	json       healthy: behind a json.Decoder that pauses between two values
//	lines      healthy: behind a bufio.Scanner
//	unzip      healthy: unzipped by hand, with pauses
//	closure    healthy: held by a closure only
//	reading    healthy: waits in Read for a server that sends no more
//	waiting    in flight: the server does not answer
//	unread     in flight: the server does not read the request
//
// Arguments: MODE=COUNT…, or MODE=COUNT/h2 over TLS with HTTP/2.  Prints
// `MODE HOST:PORT` for each and then `READY pid=N`, when all of them are where
// they should be.  A line on standard input (`gc`: collects garbage) is
// answered with DONE; it ends when standard input does.
package main

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
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

func start(mode string, n int, h2 bool) {
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
	if mode == "unread" {
		url = deaf()
	}
	fmt.Println(mode, url[strings.Index(url, "//")+2:])
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
	case "late":
		inBackground(n, late, c, url)
	case "slow":
		inBackground(n, slow, c, url)
	case "owner":
		ready.Add(n)
		atOnce(n, owned, c, url)
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
	default:
		fmt.Fprintln(os.Stderr, "bodies: what is", mode)
		os.Exit(2)
	}
}

func main() {
	for _, arg := range os.Args[1:] {
		mode, count, _ := strings.Cut(arg, "=")
		count, proto, _ := strings.Cut(count, "/")
		n, err := strconv.Atoi(count)
		if err != nil {
			fmt.Fprintln(os.Stderr, "bodies:", err)
			os.Exit(2)
		}
		start(mode, n, proto == "h2")
	}
	ready.Wait()
	fmt.Printf("READY pid=%d\n", os.Getpid())
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		if in.Text() == "gc" {
			runtime.GC()
			runtime.GC()
		}
		fmt.Println("DONE")
	}
}
