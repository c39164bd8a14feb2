// SPDX-License-Identifier: BSD-2-Clause

// ghosts has many goroutines (-n) that all wait on a channel, made at a few
// places: for walks of 10,000 and 100,000.  It prints `READY pid=N` when all
// of them wait, then what each place made as one line of JSON, and ends when
// its standard input does.  Meanwhile it answers with one line of JSON each:
//
//	gaps    the longest time that a goroutine which wakes up every 200 us had
//	        to wait beyond that, since it was asked last
//	dump    its own goroutine dump, as goroutine?debug=2 makes it: how long it
//	        took, how many bytes, and the longest gap meanwhile
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
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

// shelf is 64 bytes of pointers.
type shelf struct{ next [8]*shelf }

var shelves *shelf

// furnish fills the heap with a graph in which everything hangs together.
func furnish(mib int) {
	var last *shelf
	for i := 0; i < mib<<20/64; i++ {
		s := &shelf{}
		s.next[0], s.next[7] = last, shelves
		if i%1000 == 0 {
			shelves = s
		}
		last = s
	}
	if last != nil {
		last.next[1] = shelves
		shelves = last
	}
}

func main() {
	n := flag.Int("n", 10000, "goroutines")
	leak := flag.Bool("leak", false, "forget the channel: they can never run again")
	heap := flag.Int("heap", 0, "MiB of heap, nothing but pointers to one another")
	flag.Parse()
	furnish(*heap)
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
	if *leak {
		never = nil
	}
	fmt.Printf("READY pid=%s\n", strconv.Itoa(os.Getpid()))
	json.NewEncoder(os.Stdout).Encode(map[string]interface{}{
		"num_goroutine": runtime.NumGoroutine(), "made": made})
	serve()
}

const tick = 200 * time.Microsecond

var longest int64 // ns, atomic

// ticker notices when the program stands still.
func ticker() {
	for last := time.Now(); ; {
		time.Sleep(tick)
		now := time.Now()
		if gap := int64(now.Sub(last) - tick); gap > atomic.LoadInt64(&longest) {
			atomic.StoreInt64(&longest, gap)
		}
		last = now
	}
}

func gap() float64 { return float64(atomic.SwapInt64(&longest, 0)) / 1e6 }

// dump is what net/http/pprof's goroutine?debug=2 does: runtime.Stack with a
// buffer that doubles up to 64 MiB.
func dump() map[string]interface{} {
	gap()
	begin := time.Now()
	buf := make([]byte, 1<<20)
	n := 0
	for {
		n = runtime.Stack(buf, true)
		if n < len(buf) || len(buf) >= 64<<20 {
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	took := time.Since(begin)
	time.Sleep(50 * tick) // the ticker notices
	return map[string]interface{}{"seconds": took.Seconds(), "bytes": n, "gap_ms": gap()}
}

func serve() {
	in := bufio.NewScanner(os.Stdin)
	ticking := false
	for in.Scan() {
		if !ticking {
			go ticker()
			ticking = true
			time.Sleep(10 * tick)
		}
		switch in.Text() {
		case "gaps":
			json.NewEncoder(os.Stdout).Encode(map[string]interface{}{"gap_ms": gap()})
		case "dump":
			json.NewEncoder(os.Stdout).Encode(dump())
		}
	}
}
