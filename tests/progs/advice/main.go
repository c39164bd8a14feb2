// SPDX-License-Identifier: BSD-2-Clause

// Advice is an HTTP client whose requests are slow or hang for a reason that only an advice of its
// own helps with: advice KIND[,KIND] [twin].  The twin is the same without the fault.  It says READY
// once it is in that state, and calls until its standard input ends.  Where it calls are the lines
// "PLACE KIND" of this file, and each kind has a host of its own.
//
//	continue    the server ignores Expect: 100-continue
//	pipe        the Body is an io.Pipe that nobody writes to
//	producer    the Body's Read never comes back
//	unread      the server does not read what is sent
//	slots       requests are cancelled before their dial begins, MaxConnsPerHost 2 (go1.22.0)
//	transports  a Transport for each request
//	dead        the other end of an HTTP/2 connection is gone
//	limits      one place, two clients: one has a timeout
//	lookup      look-ups of the program's own, of a resolver that does not answer
//	upload      large Bodies that take half a minute and move all the time: no fault, twin or not
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const bodyBytes = 32 << 20 // more than sockets hold

var twin = len(os.Args) > 2 && os.Args[2] == "twin"

var kinds = map[string]func(){
	"continue": expect, "pipe": pipe, "producer": producer, "unread": unread, "slots": slots,
	"transports": transports, "limits": limits, "dead": dead, "lookup": lookup, "upload": upload,
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "advice KIND[,KIND] [twin]")
		os.Exit(2)
	}
	for _, k := range strings.Split(os.Args[1], ",") {
		kinds[k]()
	}
	fmt.Printf("READY pid=%d\n", os.Getpid())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func listen() net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	return l
}

// raw serves each connection by a function that speaks for itself.
func raw(serve func(c net.Conn)) string {
	l := listen()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return "http://" + l.Addr().String()
}

func good() string {
	l := listen()
	go func() {
		_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, "ok")
		}))
	}()
	return "http://" + l.Addr().String()
}

func done(resp *http.Response, err error) {
	if err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}

// forEver calls f on n goroutines again and again; it returns once f has begun on each.
func forEver(n int, f func()) {
	var begun int32
	for i := 0; i < n; i++ {
		go func() {
			atomic.AddInt32(&begun, 1)
			for {
				f()
				time.Sleep(20 * time.Millisecond)
			}
		}()
	}
	for atomic.LoadInt32(&begun) < int32(n) {
		time.Sleep(time.Millisecond)
	}
}

func post(url string, body io.Reader) *http.Request {
	req, err := http.NewRequest("POST", url, body)
	if err != nil {
		panic(err)
	}
	return req
}

// expect: the server answers well, but says no 100 Continue.
func expect() {
	url := raw(func(c net.Conn) {
		defer c.Close()
		r := bufio.NewReader(c)
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			if _, err = io.Copy(io.Discard, req.Body); err != nil {
				return
			}
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	if twin {
		url = good()
	}
	c := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Second, MaxIdleConnsPerHost: 4}}
	forEver(4, func() {
		req := post(url, strings.NewReader("body"))
		req.Header.Set("Expect", "100-continue")
		done(c.Do(req)) // PLACE continue
	})
}

func pipe() {
	c, url := &http.Client{}, good()
	forEver(3, func() {
		r, w := io.Pipe()
		if twin {
			go func() {
				_, _ = w.Write([]byte("body"))
				w.Close()
			}()
		}
		done(c.Do(post(url, r))) // PLACE pipe
	})
}

type slowBody struct{ given bool }

func (b *slowBody) Read(p []byte) (int, error) {
	if twin || !b.given {
		if b.given {
			return 0, io.EOF
		}
		b.given = true
		return copy(p, "body"), nil
	}
	select {} // PLACE read
}

func producer() {
	c, url := &http.Client{}, good()
	forEver(3, func() {
		done(c.Do(post(url, &slowBody{}))) // PLACE producer
	})
}

func unread() {
	url := raw(func(c net.Conn) { select {} })
	if twin {
		url = good()
	}
	c := &http.Client{}
	body := strings.Repeat("x", bodyBytes)
	if twin {
		body = "body" // as much takes long where much else is done
	}
	forEver(3, func() {
		done(c.Do(post(url, strings.NewReader(body)))) // PLACE unread
	})
}

// upload: the server reads 256 KiB twenty times a second.
func upload() {
	l := listen()
	go func() {
		_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			piece := make([]byte, 256<<10)
			for {
				if _, err := io.ReadFull(r.Body, piece); err != nil {
					return
				}
				time.Sleep(50 * time.Millisecond)
			}
		}))
	}()
	c := &http.Client{}
	forEver(3, func() {
		done(c.Do(post("http://"+l.Addr().String(), io.LimitReader(zeros{}, 150<<20)))) // PLACE upload
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// slots: go1.22.0 loses those whose request has gone when their dial comes to its turn.
func slots() {
	url := good()
	tr := &http.Transport{MaxConnsPerHost: 2}
	c := &http.Client{Transport: tr, Timeout: 2 * time.Second}
	if !twin {
		tr.DisableKeepAlives = true
		for i := 0; i < 2000 && !lost(c, url); i++ {
			hasten(c, url)
		}
	}
	forEver(4, func() {
		req, _ := http.NewRequest("GET", url, nil)
		done(c.Do(req)) // PLACE slots
	})
}

// hasten makes requests that are given up at once: some between their turn and their dial.
func hasten(c *http.Client, url string) {
	var wg sync.WaitGroup
	for i := 0; i < 64; i++ {
		wg.Add(1)
		go func(after time.Duration) {
			defer wg.Done()
			ctx, cancel := context.WithTimeout(context.Background(), after)
			defer cancel()
			req, _ := http.NewRequestWithContext(ctx, "GET", url, nil)
			done(c.Do(req))
		}(time.Duration(i*20) * time.Microsecond)
	}
	wg.Wait()
}

// lost: whether all slots are gone.
func lost(c *http.Client, url string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", url, nil)
	resp, err := c.Do(req)
	done(resp, err)
	return err != nil
}

func transports() {
	url := good()
	shared := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}}
	forEver(2, func() {
		c := shared
		if !twin {
			c = &http.Client{Transport: &http.Transport{}}
		}
		req, _ := http.NewRequest("GET", url, nil)
		done(c.Do(req)) // PLACE transports
	})
}

// limits: five requests that hang, and as many by a client that ends them, of one place.
func limits() {
	url := raw(func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	bounded, free := &http.Client{Timeout: 10 * time.Minute}, &http.Client{}
	if twin {
		free = bounded
	}
	forEver(5, func() { get(free, url) })
	forEver(5, func() { get(bounded, url) })
}

func get(c *http.Client, url string) {
	req, _ := http.NewRequest("GET", url, nil)
	done(c.Do(req)) // PLACE limits
}

// lookup: names that nobody answers for; the twin asks for what is in /etc/hosts.
func lookup() {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return net.Dial("udp", pc.LocalAddr().String())
	}}
	name := "nobody.answers.test."
	if twin {
		name = "localhost"
	}
	forEver(4, func() {
		_, _ = r.LookupHost(context.Background(), name) // PLACE lookup
	})
}

// deaf is a listener whose connections can be made to hear nothing any more.
type deaf struct {
	net.Listener
	conns []net.Conn
	sync.Mutex
}

func (d *deaf) Accept() (net.Conn, error) {
	c, err := d.Listener.Accept()
	if err == nil {
		d.Lock()
		d.conns = append(d.conns, c)
		d.Unlock()
	}
	return c, err
}

// deafen lets the kernel drop what comes in before TCP sees it: as if the host was gone.
func (d *deaf) deafen() {
	d.Lock()
	defer d.Unlock()
	for _, c := range d.conns {
		raw, err := c.(*net.TCPConn).SyscallConn()
		if err != nil {
			panic(err)
		}
		drop := []syscall.SockFilter{{Code: syscall.BPF_RET | syscall.BPF_K}}
		_ = raw.Control(func(fd uintptr) { err = syscall.AttachLsf(int(fd), drop) })
		if err != nil {
			panic(err)
		}
	}
}

func dead() {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ok") }))
	l := &deaf{Listener: s.Listener}
	s.Listener = l
	s.EnableHTTP2 = true
	s.StartTLS()
	c := s.Client()
	resp, err := c.Get(s.URL)
	if err != nil || resp.ProtoMajor != 2 {
		panic(err)
	}
	done(resp, err)
	if !twin {
		l.deafen()
	}
	forEver(3, func() {
		req, _ := http.NewRequest("GET", s.URL, nil)
		done(c.Do(req)) // PLACE dead
	})
}
