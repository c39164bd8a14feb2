// SPDX-License-Identifier: BSD-2-Clause

// loads asks its own HTTP server at a rate, in waves or as fast as it can, and
// knows how many requests had begun at each instant: a line of "since" on
// standard input is answered with the samples of its counters, [unix ms, begun,
// served, failed] each.
//
//	loads -rate 500                   steady, at random times
//	loads -rate 4000 -period 300ms    as many in a third of each period, none in the rest
//	loads -workers 8                  each asks again at once
//	loads -rate 500 -fails 10         of a hundred answers so many are cut off
//	loads -hang                       one request without an answer, and without a timeout
//	loads -idle 4s                    a request of 1.5 s now and then, on one connection
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

var (
	rate    = flag.Float64("rate", 0, "requests a second, on average")
	period  = flag.Duration("period", 0, "of the waves; 0: steady")
	workers = flag.Int("workers", 0, "ask without a pause")
	takes   = flag.Duration("takes", 0, "the handler's time, at most")
	hang    = flag.Bool("hang", false, "a request that hangs")
	idle    = flag.Duration("idle", 0, "between two requests of 1.5 s")
	fails   = flag.Int("fails", 0, "in a hundred answers are cut off")
	noise   = flag.Int("noise", 0, "lines a second to /dev/null, in bursts")
)

var begun, served, failed int64

func handle(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/hang" {
		<-r.Context().Done()
		return
	}
	if r.URL.Path == "/long" {
		time.Sleep(1500 * time.Millisecond)
	}
	atomic.AddInt64(&served, 1)
	if *takes > 0 {
		time.Sleep(time.Duration(rand.Int63n(int64(*takes))))
	}
	if *fails > 0 && rand.Intn(100) < *fails {
		w.Header().Set("Content-Length", "3")
	}
	io.WriteString(w, "ok")
}

func get(c *http.Client, url string) {
	atomic.AddInt64(&begun, 1)
	r, err := c.Get(url)
	if err != nil {
		return
	}
	if _, err = io.Copy(io.Discard, r.Body); err != nil {
		atomic.AddInt64(&failed, 1)
	}
	r.Body.Close()
}

// isHigh says whether a wave is at its height; its phase drifts.
func isHigh(since time.Duration) bool {
	return *period == 0 || since%*period < *period/3
}

func pace(c *http.Client, url string) {
	ask := make(chan struct{}, 100000)
	for i := 0; i < 64; i++ {
		go func() {
			for range ask {
				get(c, url)
			}
		}()
	}
	high := *rate
	if *period > 0 {
		high *= 3
	}
	begin, last, due := time.Now(), time.Now(), 0.0
	for {
		time.Sleep(time.Duration(rand.Intn(2000)) * time.Microsecond)
		now := time.Now()
		if isHigh(now.Sub(begin)) {
			due += high * now.Sub(last).Seconds()
		}
		last = now
		for ; due >= 1; due-- {
			ask <- struct{}{}
		}
	}
}

func makeNoise() {
	f, err := os.OpenFile("/dev/null", os.O_WRONLY, 0)
	for err == nil {
		time.Sleep(time.Duration(rand.Intn(200)) * time.Millisecond)
		for i := rand.Intn(*noise / 5); i > 0; i-- {
			fmt.Fprintln(f, "a line")
		}
	}
}

// Without a timeout.  The connection has carried a request before.
func askHanging(url string) {
	c := &http.Client{Transport: &http.Transport{}}
	get(c, url)
	get(c, url+"hang")
}

func askRarely(url string) {
	c := &http.Client{Transport: &http.Transport{}}
	for {
		get(c, url+"long")
		time.Sleep(*idle)
	}
}

type sample [4]float64

func watch() func() []sample {
	var mu sync.Mutex
	var seen []sample
	go func() {
		for {
			s := sample{float64(time.Now().UnixNano()) / 1e6, float64(atomic.LoadInt64(&begun)),
				float64(atomic.LoadInt64(&served)), float64(atomic.LoadInt64(&failed))}
			mu.Lock()
			seen = append(seen, s)
			mu.Unlock()
			time.Sleep(2 * time.Millisecond)
		}
	}()
	return func() []sample {
		mu.Lock()
		defer mu.Unlock()
		old := seen
		seen = nil
		return old
	}
}

func main() {
	flag.Parse()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go http.Serve(l, http.HandlerFunc(handle))
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 5 * time.Second}
	url := "http://" + l.Addr().String() + "/"
	for i := 0; i < *workers; i++ {
		go func() {
			for {
				get(c, url)
			}
		}()
	}
	if *rate > 0 {
		go pace(c, url)
	}
	if *hang {
		go askHanging(url)
	}
	if *idle > 0 {
		go askRarely(url)
	}
	if *noise > 0 {
		go makeNoise()
	}
	since := watch()
	for *rate+float64(*workers) > 0 && atomic.LoadInt64(&served) < 10 {
		time.Sleep(time.Millisecond)
	}
	if *hang {
		for atomic.LoadInt64(&begun) < 2 {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(100 * time.Millisecond)
	}
	fmt.Printf("READY pid=%d addr=%s\n", os.Getpid(), l.Addr())
	in := bufio.NewScanner(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		out.Encode(since())
	}
}
