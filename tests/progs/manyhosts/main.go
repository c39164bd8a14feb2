// SPDX-License-Identifier: BSD-2-Clause

// manyhosts calls as many hosts as it is told, and serves as many routes: more than any
// table has rows for.  It prints READY and its port; each line on its standard input is
// done, and then DONE is printed:
//
//	hosts FROM N TIMES   calls each of N hosts TIMES times, each time by a new connection
//	keep HOST            calls a host by a connection that is kept
//	hold HOST            begins a call that is not answered
//	release              until now
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
)

const routes = 3000

var (
	port    string
	held    = make(chan struct{})
	release = make(chan struct{})
	kept    = &http.Client{}
	fresh   = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	calls   sync.WaitGroup
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "manyhosts:", err)
		os.Exit(1)
	}
}

func hold(w http.ResponseWriter, r *http.Request) {
	held <- struct{}{}
	<-release
}

func listen() {
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	check(err)
	_, port, _ = net.SplitHostPort(l.Addr().String())
	mux := http.NewServeMux()
	for i := 0; i < routes; i++ {
		mux.HandleFunc(fmt.Sprint("/r/", i), func(w http.ResponseWriter, r *http.Request) {})
	}
	mux.HandleFunc("/hold", hold)
	go http.Serve(l, mux)
}

func url(host int) string {
	return fmt.Sprintf("http://127.1.%d.%d:%s", host/200, host%200+1, port)
}

func get(c *http.Client, url string) {
	resp, err := c.Get(url)
	check(err)
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}

func hosts(from, n, times int) {
	const workers = 4
	var all sync.WaitGroup
	for w := 0; w < workers; w++ {
		all.Add(1)
		go func(w int) {
			defer all.Done()
			for i := from + w; i < from+n; i += workers {
				for k := 0; k < times; k++ {
					get(fresh, fmt.Sprint(url(i), "/r/", i%routes))
				}
			}
		}(w)
	}
	all.Wait()
}

func begin(host int) {
	calls.Add(1)
	go func() {
		defer calls.Done()
		get(fresh, url(host)+"/hold")
	}()
	<-held
}

func main() {
	listen()
	fmt.Println("READY", port)
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var what string
		var a, b, c int
		fmt.Sscan(in.Text(), &what, &a, &b, &c)
		switch what {
		case "hosts":
			hosts(a, b, c)
		case "keep":
			get(kept, url(a))
		case "hold":
			begin(a)
		case "release":
			close(release)
			calls.Wait()
		}
		fmt.Println("DONE")
	}
}
