// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"
)

const host = "api.example.com"

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// A resolver that knows every name but those of "missing.example.com".
func resolver() *net.Resolver {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(err)
	go func() {
		b := make([]byte, 512)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			c.WriteTo(reply(b[:n]), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", c.LocalAddr().String())
	}}
}

// NXDOMAIN for what is missing, 127.0.0.1 for A, nothing for AAAA.
func reply(q []byte) []byte {
	end := 12
	for end < len(q) && q[end] != 0 {
		end += int(q[end]) + 1
	}
	end += 5
	r := append([]byte(nil), q[:end]...)
	r[2], r[3] = 0x81, 0x80
	r[6], r[7], r[8], r[9], r[10], r[11] = 0, 0, 0, 0, 0, 0
	if strings.Contains(string(q[12:end]), "missing") {
		r[3] |= 3
	} else if q[end-3] == 1 {
		r[7] = 1
		r = append(r, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1)
	}
	return r
}

func transport() *http.Transport {
	d := &net.Dialer{Timeout: 30 * time.Second, Resolver: resolver()}
	return &http.Transport{DialContext: d.DialContext, MaxIdleConnsPerHost: callers}
}

func get(url string) func() (*http.Request, error) {
	return func() (*http.Request, error) { return http.NewRequest("GET", url, nil) }
}

// Not to be repeated: neither idempotent nor with a GetBody.
func post(url string) func() (*http.Request, error) {
	return func() (*http.Request, error) {
		return http.NewRequest("POST", url, io.MultiReader(strings.NewReader("order")))
	}
}

// A server that answers, and does with "/bad" what it is told.
func serve(bad http.HandlerFunc) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ok") })
	mux.HandleFunc("/bad", bad)
	go http.Serve(l, mux)
	return fmt.Sprintf("http://%s:%d/", host, l.Addr().(*net.TCPAddr).Port)
}

func hijack(w http.ResponseWriter) *net.TCPConn {
	c, _, err := w.(http.Hijacker).Hijack()
	must(err)
	return c.(*net.TCPConn)
}

func wait(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// The good calls and the bad ones of a server.
func both(bad http.HandlerFunc) *way {
	url := serve(bad)
	return &way{client: &http.Client{Transport: transport()}, good: get(url), bad: get(url + "bad")}
}

// A port on which nobody listens.
func free() int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func init() {
	ways["refused"] = func() *way {
		url := fmt.Sprintf("http://%s:%d/", host, free())
		return &way{client: &http.Client{Transport: transport()}, good: get(url), bad: get(url)}
	}
	ways["notfound"] = func() *way {
		w := both(wait)
		w.bad = get("http://missing.example.com/")
		return w
	}
	ways["reset"] = func() *way {
		return both(func(w http.ResponseWriter, r *http.Request) {
			c := hijack(w)
			c.SetLinger(0)
			c.Close()
		})
	}
	ways["eof"] = func() *way {
		w := both(func(w http.ResponseWriter, r *http.Request) { hijack(w).Close() })
		w.client.Transport.(*http.Transport).DisableKeepAlives = true
		return w
	}
	ways["timeout"] = func() *way {
		w := both(wait)
		w.hasty = &http.Client{Transport: w.client.Transport, Timeout: 100 * time.Millisecond}
		return w
	}
	ways["deadline"] = func() *way {
		w := both(wait)
		bad := w.bad
		w.bad = func() (*http.Request, error) {
			r, err := bad()
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			time.AfterFunc(time.Second, cancel)
			return r.WithContext(ctx), err
		}
		return w
	}
	// by the caller: no failure of the host
	ways["cancel"] = func() *way {
		w := both(wait)
		bad := w.bad
		w.bad = func() (*http.Request, error) {
			r, err := bad()
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(50*time.Millisecond, cancel)
			return r.WithContext(ctx), err
		}
		return w
	}
	ways["header"] = func() *way {
		w := both(wait)
		w.client.Transport.(*http.Transport).ResponseHeaderTimeout = 100 * time.Millisecond
		return w
	}
	// the server closes idle connections first, as the next request is on its way
	ways["reused"] = func() *way {
		w := both(func(w http.ResponseWriter, r *http.Request) { hijack(w).Close() })
		w.good, w.bad = post(w.mustURL(w.good)), post(w.mustURL(w.bad))
		return w
	}
	// a server that closes idle connections soon: net/http repeats what may be repeated
	ways["retried"] = func() *way {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(err)
		s := &http.Server{IdleTimeout: pause, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ok") })}
		go s.Serve(l)
		url := fmt.Sprintf("http://%s:%d/", host, l.Addr().(*net.TCPAddr).Port)
		return &way{client: &http.Client{Transport: transport()}, good: get(url), bad: get(url)}
	}
	ways["certificate"] = func() *way {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ok") }))
		s.StartTLS()
		url := fmt.Sprintf("https://%s:%d/", host, s.Listener.Addr().(*net.TCPAddr).Port)
		return &way{client: &http.Client{Transport: transport()}, good: get(url), bad: get(url)}
	}
	ways["nottls"] = func() *way {
		w := both(wait)
		w.bad = get(strings.Replace(w.mustURL(w.good), "http:", "https:", 1))
		return w
	}
	ways["h2cut"] = func() *way {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/bad" {
				panic(http.ErrAbortHandler)
			}
			fmt.Fprint(w, "ok")
		}))
		s.EnableHTTP2 = true
		s.StartTLS()
		tr := transport()
		tr.ForceAttemptHTTP2 = true
		tr.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
		url := fmt.Sprintf("https://%s:%d/", host, s.Listener.Addr().(*net.TCPAddr).Port)
		return &way{client: &http.Client{Transport: tr}, good: get(url), bad: get(url + "bad")}
	}
}

func (w *way) mustURL(make func() (*http.Request, error)) string {
	r, err := make()
	must(err)
	return r.URL.String()
}
