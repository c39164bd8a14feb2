// SPDX-License-Identifier: BSD-2-Clause

// recovers panics in many ways and recovers from all of them, one function each, and counts
// by itself how often: in the deferred function that recovers.
//
// It prints `READY pid=N` and answers every line on its standard input with one line of JSON,
// the counts since the start: "run N" runs each of them N times, on four goroutines; "calm N"
// calls functions as often that defer a recover() and do not panic; "burst N" panics N times as
// fast as it can, on one goroutine; "storm RATE N" N times, so many a second; "http N" asks a server of its own so often for a page whose
// handler panics; "counts" does nothing else.
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type custom struct {
	code int
	text string
}

func (c *custom) Error() string { return fmt.Sprintf("%s (%d)", c.text, c.code) }

type state int

var (
	errPlain = errors.New("bad line")
	nobody   *custom
	table    map[string]int
	list                 = []int{1, 2, 3}
	nine                 = 9
	minus                = -1
	closed               = make(chan int)
	any_     interface{} = 3
	out      int
)

func panicString()  { panic("a string\x1b[31m of the program's") }
func panicError()   { panic(errPlain) }
func panicWrapped() { panic(fmt.Errorf("line %d: %w", 7, errPlain)) }
func panicCustom()  { panic(&custom{5, "secret"}) }
func panicNumber()  { panic(state(12)) }
func panicDeref()   { out = nobody.code }
func panicIndex()   { out = list[nine] }
func panicBelow()   { out = list[minus] }
func panicSlice()   { out = len(list[nine:]) }
func panicMap()     { table["x"] = 1 }
func panicClosed()  { close(closed) }
func panicAssert()  { out = len(any_.(string)) }
func panicStd()     { out = len(strings.Repeat("x", minus)) }

// What panics in a deferred function while another panic is under way: of the two only that one
// is recovered.
func panicAgain() {
	defer func() { panic("the second") }()
	panic("the first, which the second takes the place of")
}

// Both are.
func panicInner() { panic("inner") }
func panicOuter() {
	defer try("main.panicInner", panicInner)
	panic("outer")
}

var kinds = map[string]func(){
	"main.panicString": panicString, "main.panicError": panicError, "main.panicWrapped": panicWrapped,
	"main.panicCustom": panicCustom, "main.panicNumber": panicNumber, "main.panicDeref": panicDeref,
	"main.panicIndex": panicIndex, "main.panicBelow": panicBelow, "main.panicSlice": panicSlice, "main.panicMap": panicMap,
	"main.panicClosed": panicClosed, "main.panicAssert": panicAssert, "main.panicStd": panicStd,
	"main.panicAgain.func1": panicAgain, "main.panicOuter": panicOuter,
}

var counts = map[string]*int64{"main.handler": new(int64), "main.panicInner": new(int64)}

func count(name string) { atomic.AddInt64(counts[name], 1) }

func try(name string, f func()) {
	defer func() {
		if recover() != nil {
			count(name)
		}
	}()
	f()
}

func four(n int, f func()) {
	var w sync.WaitGroup
	for i := 0; i < 4; i++ {
		w.Add(1)
		go func() {
			defer w.Done()
			for k := 0; k < n/4; k++ {
				f()
			}
		}()
	}
	w.Wait()
}

func runAll() {
	for name, f := range kinds {
		try(name, f)
	}
}

func calm() {
	for range kinds {
		try("main.handler", func() { out = len(list) })
	}
}

func handler(w http.ResponseWriter, r *http.Request) {
	count("main.handler")
	panic("of a handler")
}

func ask(n int) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(handler))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	defer s.Close()
	for i := 0; i < n; i++ {
		// POST: a GET would be tried again
		if r, err := http.Post(s.URL, "text/plain", nil); err == nil {
			r.Body.Close()
		}
	}
}

func storm(perSecond, n int) {
	begin := time.Now()
	for i := 0; i < n; i++ {
		if due := begin.Add(time.Duration(i) * time.Second / time.Duration(perSecond)); i%20 == 0 {
			time.Sleep(time.Until(due))
		}
		try("main.panicError", panicError)
	}
}

func answer(words []string) error {
	switch words[0] {
	case "run":
		four(number(words, 1), runAll)
	case "calm":
		four(number(words, 1), calm)
	case "burst":
		for i := 0; i < number(words, 1); i++ {
			try("main.panicError", panicError)
		}
	case "storm":
		storm(number(words, 1), number(words, 2))
	case "http":
		ask(number(words, 1))
	case "counts":
	default:
		return fmt.Errorf("unknown command %s", words[0])
	}
	return nil
}

func main() {
	for name := range kinds {
		counts[name] = new(int64)
	}
	close(closed)
	serve(answer, func() interface{} {
		now := map[string]int64{}
		for name, n := range counts {
			now[name] = atomic.LoadInt64(n)
		}
		return now
	})
}
