// SPDX-License-Identifier: BSD-2-Clause

// handlers serves requests by every kind of http.Handler that there is, at the
// top of a server and below a mux.  It prints READY; a line on its standard
// input says how many requests are sent to each, the answer how many each has
// had, by the outermost handler that is not a mux.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"time"
)

type app struct{ name string }

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) { io.WriteString(w, a.name) }

type value struct{ a, b string }

func (v value) ServeHTTP(w http.ResponseWriter, r *http.Request) { io.WriteString(w, v.a+v.b) }

type embeds struct { // ServeHTTP is app's, by a function that the compiler makes
	n int
	app
}

type generic[T any] struct{ v T }

func (g *generic[T]) ServeHTTP(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, g.v) }

type function func(w http.ResponseWriter, r *http.Request)

func (f function) ServeHTTP(w http.ResponseWriter, r *http.Request) { f(w, r) }

func plain(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "plain") }

func (a *app) method(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "method") }

type middleware struct{ next http.Handler }

func (m middleware) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.next.ServeHTTP(w, r) }

type copies struct{ next http.Handler } // the request, as whatever adds to its context does

func (c copies) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), "key", 1)))
}

func hold(w http.ResponseWriter, r *http.Request) {
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

//go:noinline
func wrap(f http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { f(w, r) }
}

type target struct {
	client       *http.Client
	url          string
	Handler      string
	Pattern      string // of the mux that has called it
	UnderMux     bool
	IsHandleFunc bool
	Requests     int
}

var targets []*target

func serve(h http.Handler) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go http.Serve(l, h)
	return "http://" + l.Addr().String()
}

func top(h http.Handler, name string) {
	targets = append(targets, &target{client: http.DefaultClient, url: serve(h) + "/", Handler: name})
}

func send(t *target, n int) {
	for i := 0; i < n; i++ {
		r, err := t.client.Get(t.url)
		if err != nil {
			panic(err)
		}
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
		t.Requests++
	}
}

func main() {
	mux, inner, secure := http.NewServeMux(), http.NewServeMux(), httptest.NewUnstartedServer(nil)
	base := serve(mux)
	to, _ := url.Parse(base + "/app")
	below := func(path string, h http.Handler, name, pattern string) {
		_, f := h.(http.HandlerFunc)
		targets = append(targets, &target{http.DefaultClient, base + path, name, pattern, true, f, 0})
	}
	route := func(path string, h http.Handler, name string) {
		mux.Handle(path, h)
		below(path, h, name, path)
	}
	h := http.HandlerFunc(plain)
	for i, add := range []func(http.Handler, string){top, func(h http.Handler, name string) {
		route(fmt.Sprintf("/%d", len(targets)), h, name)
	}} {
		add(&app{}, "main.(*app).ServeHTTP")
		add(value{}, "main.value.ServeHTTP")
		add(&embeds{}, "main.(*app).ServeHTTP")
		if i == 0 {
			add(&generic[string]{}, "main.(*generic[…]).ServeHTTP")
		} else {
			add(&generic[int]{}, "main.(*generic[…]).ServeHTTP")
		}
		add(function(plain), "main.function.ServeHTTP")
		add(h, "main.plain")
		add(http.HandlerFunc((&app{}).method), "main.(*app).method")
		add(wrap(plain), "main.wrap.func1")
		add(middleware{[]http.Handler{mux, h}[i]}, "main.middleware.ServeHTTP")
		add(http.TimeoutHandler(h, time.Minute, ""), "net/http.(*timeoutHandler).ServeHTTP")
		add(httputil.NewSingleHostReverseProxy(to), "net/http/httputil.(*ReverseProxy).ServeHTTP")
	}
	top(copies{mux}, "main.copies.ServeHTTP")
	for _, t := range targets { // what is around a mux has its routes
		if !t.UnderMux && (t.Handler == "main.middleware.ServeHTTP" || t.Handler == "main.copies.ServeHTTP") {
			t.Pattern = "/"
		}
	}
	mux.Handle("/", h) // what they come to
	mux.Handle("/inner/", inner)
	inner.Handle("/inner/plain", h)
	below("/inner/plain", h, "main.plain", "/inner/plain")
	route("/wrapped", wrap(plain), "main.wrap.func1") // two routes of one function
	mux.Handle("/hold", wrap(hold))
	aside := serve(copies{mux})
	secure.EnableHTTP2 = true
	secure.Config.Handler = &app{}
	secure.StartTLS()
	targets = append(targets, &target{client: secure.Client(), url: secure.URL, Handler: "main.(*app).ServeHTTP"})
	proxied := 0
	fmt.Println("READY")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var n int
		if in.Text() == "hold" {
			for _, u := range []string{base, aside} {
				if _, err := http.Get(u + "/hold"); err != nil {
					panic(err)
				}
			}
		}
		fmt.Sscanf(in.Text(), "send %d", &n)
		for _, t := range targets {
			send(t, n)
			if t.Handler == "net/http/httputil.(*ReverseProxy).ServeHTTP" {
				proxied += n
			}
		}
		b, _ := json.Marshal(map[string]interface{}{"ok": true, "targets": targets, "proxied": proxied})
		fmt.Println(string(b))
	}
}
