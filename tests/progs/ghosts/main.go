// SPDX-License-Identifier: BSD-2-Clause

// ghosts has many goroutines (-n) that all wait on a channel, made at a few
// places: for walks of 10,000 and 100,000.  It prints `READY pid=N` when all
// of them wait, then what each place made as one line of JSON, and ends when
// its standard input does.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"
)

var (
	never = make(chan struct{})
	begun int64
)

func wait() {
	atomic.AddInt64(&begun, 1)
	<-never
}

func waitDeeper(depth int) {
	if depth == 0 {
		wait()
		return
	}
	waitDeeper(depth - 1)
}

// The places, each with its share.
var haunts = []struct {
	name string
	make func(int)
}{
	{"main.attic", attic},
	{"main.cellar", cellar},
	{"main.garden", garden},
	{"main.stairs", stairs},
	{"main.tower", tower},
}

func attic(n int) {
	for i := 0; i < n; i++ {
		go wait()
	}
}

func cellar(n int) {
	for i := 0; i < n; i++ {
		go waitDeeper(3)
	}
}

func garden(n int) {
	for i := 0; i < n; i++ {
		go func() {
			wait()
		}()
	}
}

func stairs(n int) {
	for i := 0; i < n; i++ {
		go waitDeeper(i % 10)
	}
}

func tower(n int) {
	for i := 0; i < n; i++ {
		go wait()
	}
}

func main() {
	n := flag.Int("n", 10000, "goroutines")
	flag.Parse()
	made := map[string]int{}
	left := *n
	for i, h := range haunts {
		k := left / (len(haunts) - i)
		h.make(k)
		made[h.name] = k
		left -= k
	}
	for atomic.LoadInt64(&begun) != int64(*n) {
		time.Sleep(time.Millisecond)
	}
	// A collection settles them: all have come to their channel by then, and
	// the heap has its final shape.
	runtime.GC()
	fmt.Printf("READY pid=%s\n", strconv.Itoa(os.Getpid()))
	json.NewEncoder(os.Stdout).Encode(map[string]interface{}{
		"num_goroutine": runtime.NumGoroutine(), "made": made})
	bufio.NewReader(os.Stdin).WriteTo(io.Discard)
}
