// SPDX-License-Identifier: BSD-2-Clause

// proxies makes calls by RoundTrip itself: httputil.ReverseProxy alone and below a user's
// handler, and an http.Transport's.  It prints READY; a line on its standard input says what
// to do ("send N", "fail N", "hold"), the answer how many requests the backend has had by whom.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync"
	"time"
)

var (
	had     = map[string]int{}
	lock    sync.Mutex
	release = make(chan bool)
)

func serve(h http.Handler) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go http.Serve(l, h)
	return "http://" + l.Addr().String()
}

func backend(w http.ResponseWriter, r *http.Request) {
	lock.Lock()
	had[r.URL.Query().Get("by")]++
	lock.Unlock()
	switch r.URL.Path {
	case "/fail":
		c, _, _ := w.(http.Hijacker).Hijack()
		c.Close()
	case "/wait":
		time.Sleep(400 * time.Millisecond)
	case "/slow":
		time.Sleep(2 * time.Second)
	case "/hold":
		<-release
	}
}

//go:noinline
func around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		w.Header()
	})
}

//go:noinline
func direct(t *http.Transport, u string) error {
	r, _ := http.NewRequest("GET", u, nil)
	a, err := t.RoundTrip(r)
	if err == nil {
		io.Copy(io.Discard, a.Body)
		a.Body.Close()
	}
	return err
}

// A goroutine that has made a call by an http.Client makes one without, and is redirected.
func get(u string) {
	if a, err := http.Get(u); err == nil {
		io.Copy(io.Discard, a.Body)
		a.Body.Close()
	}
}

// slow takes 1.5 s to connect and 2 s to be answered.
//
//go:noinline
func slow(u string) {
	d := func(ctx context.Context, network, address string) (net.Conn, error) {
		time.Sleep(1500 * time.Millisecond)
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	c := http.Client{Transport: &http.Transport{DialContext: d}}
	if a, err := c.Get(u); err == nil {
		a.Body.Close()
	}
}

// ignores does not look at its context: it works on when its client has gone.
//
//go:noinline
func ignores(w http.ResponseWriter, r *http.Request) { <-release }

func heeds(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// checkout is for four fifths of its time in a call of its own.
type checkout string

func (c checkout) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	get(string(c) + "/wait?by=checkout")
	time.Sleep(100 * time.Millisecond)
}

func main() {
	to := serve(http.HandlerFunc(backend))
	u, _ := url.Parse(to)
	proxy := httputil.NewSingleHostReverseProxy(u)
	alone, below := serve(proxy), serve(around(proxy))
	redirects := serve(http.RedirectHandler(to+"/?by=redirect", 302))
	stubborn, polite := serve(http.HandlerFunc(ignores)), serve(http.HandlerFunc(heeds))
	shop := serve(checkout(to))
	t := &http.Transport{}
	fmt.Println("READY")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var n int
		switch {
		case in.Text() == "hold":
			for _, b := range []string{alone + "/hold?by=alone", below + "/hold?by=below"} {
				go get(b)
			}
		case in.Text() == "slow":
			slow(to + "/slow?by=slow")
		case in.Text() == "leave", in.Text() == "part":
			c := http.Client{Timeout: 200 * time.Millisecond}
			c.Get(map[string]string{"leave": stubborn, "part": polite}[in.Text()])
		case in.Text() == "shop":
			http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = 100
			for i := 0; i < 30; i++ {
				go func() {
					for { // looks come at regular times: these must not
						get(shop)
						time.Sleep(time.Duration(rand.Intn(300)) * time.Millisecond)
					}
				}()
			}
		case in.Text() == "release":
			close(release)
		default:
			if k, _ := fmt.Sscanf(in.Text(), "fail %d", &n); k == 1 {
				for i := 0; i < n; i++ {
					t.CloseIdleConnections() // on a connection that was used it would try again
					direct(t, to+"/fail?by=direct")
				}
				break
			}
			fmt.Sscanf(in.Text(), "send %d", &n)
			for i := 0; i < n; i++ {
				get(alone + "/?by=alone")
				get(below + "/?by=below")
				get(redirects)
				direct(t, to+"/?by=direct")
			}
		}
		lock.Lock()
		b, _ := json.Marshal(map[string]interface{}{"ok": true, "had": had})
		lock.Unlock()
		fmt.Println(string(b))
	}
}
