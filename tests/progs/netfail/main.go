// SPDX-License-Identifier: BSD-2-Clause

// Netfail is a program whose HTTP calls fail, in one way: netfail KIND [PERCENT [PAUSE]].
// It calls until it is told to stop, and says what it has seen itself: "truth" on
// standard input is answered by a line of JSON.  "halt" is answered once no call is
// under way any more, and none begins until "go".  Without a KIND, with "list", it
// names the kinds.  With a PAUSE (1s) it calls once, and waits so long.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// How often, how fast, and how many at a time: small enough that each call is seen.
var (
	callers = 4
	pause   = 20 * time.Millisecond
)

var calls, failed int64

// Held by each call, and by "halt".
var gate sync.RWMutex

var errorsSeen = struct {
	sync.Mutex
	text map[string]int
}{text: map[string]int{}}

// A way to fail: good calls and bad ones to one host.
type way struct {
	client *http.Client
	good   func() (*http.Request, error)
	bad    func() (*http.Request, error)
	hasty  *http.Client // for the bad ones, where a busy machine may hold up the good ones, too
}

var ways = map[string]func() *way{}

func call(w *way, bad bool) {
	make, client := w.good, w.client
	if bad {
		make = w.bad
		if w.hasty != nil {
			client = w.hasty
		}
	}
	req, err := make()
	if err != nil {
		panic(err)
	}
	atomic.AddInt64(&calls, 1)
	resp, err := client.Do(req) // PLACE the call
	if err != nil {
		atomic.AddInt64(&failed, 1)
		errorsSeen.Lock()
		errorsSeen.text[err.Error()]++
		errorsSeen.Unlock()
		return
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}

func caller(w *way, percent, first int) {
	for i := first; ; i++ {
		// evenly: of each hundred so many
		gate.RLock()
		call(w, (i*percent)%100 < percent)
		gate.RUnlock()
		time.Sleep(pause)
	}
}

func answer(ok bool, more map[string]interface{}) {
	if more == nil {
		more = map[string]interface{}{}
	}
	more["ok"] = ok
	b, _ := json.Marshal(more)
	fmt.Println(string(b))
}

func truth() {
	errorsSeen.Lock()
	seen := map[string]int{}
	for k, v := range errorsSeen.text {
		seen[k] = v
	}
	errorsSeen.Unlock()
	answer(true, map[string]interface{}{"calls": atomic.LoadInt64(&calls), "failed": atomic.LoadInt64(&failed), "errors": seen})
}

func main() {
	percent := 100
	if len(os.Args) < 2 || ways[os.Args[1]] == nil {
		var names []string
		for k := range ways {
			names = append(names, k)
		}
		sort.Strings(names)
		fmt.Fprintln(os.Stderr, "usage: netfail KIND [PERCENT [PAUSE]]; kinds:", names)
		os.Exit(2)
	}
	if len(os.Args) > 2 {
		percent, _ = strconv.Atoi(os.Args[2])
	}
	if len(os.Args) > 3 {
		callers = 1
		pause, _ = time.ParseDuration(os.Args[3])
	}
	w := ways[os.Args[1]]()
	for i := 0; i < callers; i++ {
		go caller(w, percent, i*100/callers)
	}
	fmt.Println("READY", os.Getpid())
	in := bufio.NewScanner(os.Stdin)
	halted := false
	for in.Scan() {
		switch in.Text() {
		case "halt":
			if !halted {
				gate.Lock()
			}
			halted = true
			answer(true, nil)
		case "go":
			if halted {
				gate.Unlock()
			}
			halted = false
			answer(true, nil)
		case "truth":
			truth()
		case "quit":
			return
		default:
			answer(false, map[string]interface{}{"error": "unknown command"})
		}
	}
}
