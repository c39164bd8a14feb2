// SPDX-License-Identifier: BSD-2-Clause

// classify does one thing (-mode) that a detector must put into the right
// class: a leak, a flood, or neither.
//
//	leak        50 goroutines a second pile up on a channel
//	leak-mutex  20 a second pile up on a lock that is never given back
//	leak-slow   2 a second pile up, under 5,000 healthy ones a second
//	leak-same   2 of 200 a second of one and the same go statement stay
//	ticker      20 a second stay, and wake every 300 ms: a flood
//	slowcalls   30 a second pile up in sleep and in I/O: a flood
//	pool        a pool of workers with work
//	ctxwaiters  waiters on ctx.Done(): some for good, some that come and go
//	burst       2,000 goroutines a second after READY, all gone two seconds later
//	churn       10,000 short-lived goroutines a second
//	grown       500 idle workers started within a second before READY
//
// It prints `READY pid=N`, then what is to be found as one line of JSON, and
// ends when its standard input does.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"sync"
	"time"
)

// finding is what a detector should come to.
type finding struct {
	Kind     string `json:"kind"`
	Function string `json:"function"`
	File     string `json:"file"`
	Line     int    `json:"line"`
}

// mode: prepare runs before READY and returns when all is steady; it makes
// the kinds of finding listed, in the order of their markers.
type mode struct {
	prepare func()
	after   func() // READY has been printed; may be nil
	finds   int    // markers that will be passed
}

var modes = map[string]mode{
	"leak":       {prepare: leak, finds: 1},
	"leak-mutex": {prepare: leakMutex, finds: 1},
	"leak-slow":  {prepare: leakSlow, finds: 1},
	"leak-same":  {prepare: leakSame, finds: 1},
	"ticker":     {prepare: ticker, finds: 1},
	"slowcalls":  {prepare: slowCalls, finds: 2},
	"pool":       {prepare: pool},
	"ctxwaiters": {prepare: ctxWaiters},
	"burst":      {prepare: func() {}, after: burst},
	"churn":      {prepare: churn},
	"grown":      {prepare: grown},
}

var (
	foundMu sync.Mutex
	found   = map[string]finding{} // by kind and line
)

// nextLineIs notes that a go statement on the caller's next line is to be
// found, as a kind.
func nextLineIs(kind string) {
	pc, file, line, _ := runtime.Caller(1)
	key := fmt.Sprint(kind, line)
	foundMu.Lock()
	defer foundMu.Unlock()
	if _, known := found[key]; known {
		return
	}
	f, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	found[key] = finding{kind, f.Function, filepath.Base(file), line + 1}
}

// findings waits until n markers were passed.
func findings(n int) []finding {
	for {
		foundMu.Lock()
		list := make([]finding, 0, n)
		for _, f := range found {
			list = append(list, f)
		}
		foundMu.Unlock()
		if len(list) == n {
			sort.Slice(list, func(i, j int) bool { return list[i].Line < list[j].Line })
			return list
		}
		time.Sleep(time.Millisecond)
	}
}

func main() {
	name := flag.String("mode", "", "what to do")
	flag.Parse()
	m, ok := modes[*name]
	if !ok {
		var names []string
		for n := range modes {
			names = append(names, n)
		}
		sort.Strings(names)
		fmt.Fprintln(os.Stderr, "classify: -mode is one of", strings.Join(names, ", "))
		os.Exit(2)
	}
	m.prepare()
	expect := findings(m.finds)
	fmt.Printf("READY pid=%d\n", os.Getpid())
	json.NewEncoder(os.Stdout).Encode(map[string]interface{}{"mode": *name, "expect": expect})
	if m.after != nil {
		m.after()
	}
	bufio.NewReader(os.Stdin).WriteTo(io.Discard)
}

// paced calls do n times a second by the clock, for ever, from a goroutine
// of its own.
func paced(n int, do func(i int)) {
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		begin := time.Now()
		for i := 0; ; {
			<-tick.C
			for due := int(time.Since(begin).Seconds() * float64(n)); i < due; i++ {
				do(i)
			}
		}
	}()
}
