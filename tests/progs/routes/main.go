// SPDX-License-Identifier: BSD-2-Clause

// routes serves by gin, echo, chi and gorilla/mux, each a server of its own, and some
// more with something else around them.  It
// prints READY; a line on its standard input says what to do, and is answered with
// what each route has had, by what it has counted itself:
//
//	send N     N requests to each route, by many goroutines at once
//	hold       one request to each router's slow route, which waits for
//	release
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/gorilla/mux"
	"github.com/labstack/echo/v4"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
)

type route struct {
	Router, Pattern, Function string
	Requests                  int
	url, method               string
}

var (
	routes  []*route
	lock    sync.Mutex
	gate    = make(chan struct{})
	entered = make(chan struct{}, 16)
	client  = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
)

func serve(h http.Handler) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go http.Serve(l, h)
	return "http://" + l.Addr().String()
}

func wait() {
	entered <- struct{}{}
	<-gate
}

func add(router, pattern, function, method, url string) {
	routes = append(routes, &route{Router: router, Pattern: pattern, Function: function, url: url, method: method})
}

// --- gin

type api struct{}

func (api) item(c *gin.Context)  { c.String(200, c.Param("id")) }
func (api) put(c *gin.Context)   { c.Status(204) }
func ginFiles(c *gin.Context)    { c.String(200, "file") }
func ginSlow(c *gin.Context)     { wait() }
func ginNested(c *gin.Context)   { c.String(200, "nested") }
func withContext(c *gin.Context) { c.Request = c.Request.WithContext(c.Request.Context()); c.Next() }

//go:noinline
func ginWrap(f func()) gin.HandlerFunc { return func(c *gin.Context) { f() } }

// around a router, as what logs: the outermost handler
type aroundGin struct{ next http.Handler }
type aroundEcho struct{ next http.Handler }
type aroundH2c struct{ next http.Handler }

func (a aroundGin) ServeHTTP(w http.ResponseWriter, r *http.Request)  { a.next.ServeHTTP(w, r) }
func (a aroundH2c) ServeHTTP(w http.ResponseWriter, r *http.Request)  { a.next.ServeHTTP(w, r) }
func (a aroundEcho) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.next.ServeHTTP(w, r) }

//go:noinline
func aroundChi(next http.Handler) http.Handler { // each adds to the context
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(context.WithValue(r.Context(), "user", 1))
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), "trace", 2)))
	})
}

func startGin() {
	const engine = "github.com/gin-gonic/gin.(*Engine).ServeHTTP"
	gin.SetMode(gin.ReleaseMode)
	g := gin.New()
	g.GET("/item/:id", api{}.item)
	g.PUT("/item/:id", api{}.put)
	g.GET("/files/*path", ginFiles)
	g.GET("/slow", ginSlow)
	g.GET("/wrapped", ginWrap(func() {}))
	in := g.Group("/in", withContext) // as what traces does
	in.GET("/:a/x/:b", ginNested)
	u := serve(g)
	add("gin", "/item/:id", "main.api.item", "GET", u+"/item/7")
	add("gin", "/item/:id", "main.api.put", "PUT", u+"/item/7")
	add("gin", "/files/*path", "main.ginFiles", "GET", u+"/files/a/b")
	add("gin", "/wrapped", "main.ginWrap.func1", "GET", u+"/wrapped")
	add("gin", "/in/:a/x/:b", "main.ginNested", "GET", u+"/in/1/x/2")
	add("gin", "/slow", "main.ginSlow", "", u+"/slow")
	add("gin", "", engine, "GET", u+"/no/such")
	u = serve(aroundGin{g})
	add("around gin", "/item/:id", "main.aroundGin.ServeHTTP", "GET", u+"/item/7")
	add("around gin", "/in/:a/x/:b", "main.aroundGin.ServeHTTP", "GET", u+"/in/1/x/2")
	add("around gin", "", "main.aroundGin.ServeHTTP", "GET", u+"/no/such")
	m := http.NewServeMux() // which has other routes, too
	m.HandleFunc("/plain", plain)
	m.Handle("/", g)
	u = serve(m)
	add("mux", "/plain", "main.plain", "GET", u+"/plain")
	add("gin", "/item/:id", "main.api.item", "GET", u+"/item/7")
	add("gin", "/", engine, "GET", u+"/no/such")
}

// --- echo

func echoItem(c echo.Context) error  { return c.String(200, c.Param("id")) }
func echoSlow(c echo.Context) error  { wait(); return nil }
func echoFails(c echo.Context) error { return echo.NewHTTPError(500, "no") }

func startEcho() {
	const engine = "github.com/labstack/echo/v4.(*Echo).ServeHTTP"
	e := echo.New()
	e.GET("/item/:id", echoItem)
	e.GET("/slow", echoSlow)
	g := e.Group("/group", func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			c.SetRequest(c.Request().WithContext(c.Request().Context()))
			return next(c)
		}
	})
	g.GET("/fails/*", echoFails)
	u := serve(e)
	add("echo", "/item/:id", engine, "GET", u+"/item/7")
	add("echo", "/group/fails/*", engine, "GET", u+"/group/fails/x")
	add("echo", "/slow", engine, "", u+"/slow")
	add("echo", "", engine, "GET", u+"/no/such")
	u = serve(aroundEcho{e})
	add("around echo", "/item/:id", "main.aroundEcho.ServeHTTP", "GET", u+"/item/7")
	add("around echo", "/group/fails/*", "main.aroundEcho.ServeHTTP", "GET", u+"/group/fails/x")
	add("around echo", "", "main.aroundEcho.ServeHTTP", "GET", u+"/no/such")
}

// --- chi

func plain(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "plain") }
func slow(w http.ResponseWriter, r *http.Request)  { wait() }

func sub() http.Handler {
	r := chi.NewRouter()
	r.Get("/{y}", plain)
	return r
}

func startChi() {
	const engine = "github.com/go-chi/chi/v5.(*Mux).ServeHTTP"
	c := chi.NewRouter()
	c.Use(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(w, r) })
	})
	c.Get("/item/{id}", plain)
	c.Get("/slow", slow)
	c.Route("/a", func(r chi.Router) {
		r.Get("/{x}/", plain)
		r.Mount("/sub", sub())
	})
	u := serve(c)
	add("chi", "/item/{id}", engine, "GET", u+"/item/7")
	add("chi", "/a/{x}", engine, "GET", u+"/a/1/")
	add("chi", "/a/sub/{y}", engine, "GET", u+"/a/sub/2")
	add("chi", "/slow", engine, "", u+"/slow")
	add("chi", "", engine, "GET", u+"/no/such")
	u = serve(aroundChi(c))
	add("around chi", "/item/{id}", "main.aroundChi.func1", "GET", u+"/item/7")
	add("around chi", "/a/sub/{y}", "main.aroundChi.func1", "GET", u+"/a/sub/2")
	add("around chi", "", "main.aroundChi.func1", "GET", u+"/no/such")
	u = serve(h2c.NewHandler(aroundH2c{c}, &http2.Server{}))
	add("around h2c", "/item/{id}", "main.aroundH2c.ServeHTTP", "GET", u+"/item/7")
	add("around h2c", "/slow", "main.aroundH2c.ServeHTTP", "", u+"/slow")
}

// --- gorilla

func startGorilla() {
	const engine = "github.com/gorilla/mux.(*Router).ServeHTTP"
	m := mux.NewRouter()
	m.HandleFunc("/item/{id}", plain)
	m.HandleFunc("/slow", slow)
	u := serve(m)
	add("gorilla", "", engine, "GET", u+"/item/7")
	add("gorilla", "", engine, "GET", u+"/no/such")
	add("gorilla", "", engine, "", u+"/slow")
}

func request(r *route, method string) {
	q, err := http.NewRequest(method, r.url, nil)
	if err != nil {
		panic(err)
	}
	a, err := client.Do(q)
	if err != nil {
		panic(err)
	}
	io.Copy(io.Discard, a.Body)
	a.Body.Close()
	lock.Lock()
	r.Requests++
	lock.Unlock()
}

func send(n int) {
	var wg sync.WaitGroup
	for _, r := range routes {
		if r.method == "" {
			continue
		}
		wg.Add(1)
		go func(r *route) {
			defer wg.Done()
			for i := 0; i < n; i++ {
				request(r, r.method)
			}
		}(r)
	}
	wg.Wait()
}

func main() {
	var held sync.WaitGroup
	startGin()
	startEcho()
	startChi()
	startGorilla()
	fmt.Println("READY")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var n int
		fmt.Sscanf(in.Text(), "send %d", &n)
		send(n)
		switch in.Text() {
		case "hold":
			for _, r := range routes {
				if r.method == "" {
					held.Add(1)
					go func(r *route) { defer held.Done(); request(r, "GET") }(r)
					<-entered
				}
			}
		case "release":
			close(gate)
			held.Wait()
			gate = make(chan struct{})
		}
		lock.Lock()
		b, _ := json.Marshal(map[string]interface{}{"ok": true, "routes": routes})
		lock.Unlock()
		fmt.Println(string(b))
	}
}
