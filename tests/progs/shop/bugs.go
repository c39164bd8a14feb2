// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"sync"
)

// bugKinds names every bug, and the kind of finding that it should lead to.
var bugKinds = map[string]string{
	"leak":       "goroutine-leak",
	"flood":      "goroutine-flood",
	"ticker":     "goroutine-flood",
	"bigbuf":     "large-allocation",
	"gcpressure": "gc-pressure",
	"latereply":  "goroutine-leak",
	"waitgroup":  "goroutine-leak",
	"deadlock":   "deadlock",
	"trail":      "memory-growth",
	"slowbank":   "slow-phase",
	"patient":    "no-timeout",
	"openbody":   "connection-leak",
	"opentx":     "transaction-open",
	"convoy":     "lock-contention",
	"config":     "shared-memory",
}

type bugSet map[string]bool

func parseBugs(list string) (bugSet, error) {
	set := bugSet{}
	for _, name := range strings.Split(list, ",") {
		switch {
		case name == "none" || name == "":
		case name == "all":
			for b := range bugKinds {
				set[b] = true
			}
		case bugKinds[name] != "":
			set[name] = true
		default:
			var all []string
			for b := range bugKinds {
				all = append(all, b)
			}
			sort.Strings(all)
			return nil, fmt.Errorf("no bug '%s'; there are %s", name, strings.Join(all, ", "))
		}
	}
	return set, nil
}

// place is where a bug is, and how often it struck.
type place struct {
	Kind     string `json:"kind"`
	Function string `json:"function"`
	File     string `json:"file"`
	Line     int    `json:"line"`
	Count    int    `json:"count"`
}

var (
	placesMu sync.Mutex
	placeOf  = map[string]*place{}
)

// nextLineIs notes that the bug is on the caller's next line.
func nextLineIs(bug string) {
	placesMu.Lock()
	defer placesMu.Unlock()
	p := placeOf[bug]
	if p == nil {
		pc, file, line, _ := runtime.Caller(1)
		f, _ := runtime.CallersFrames([]uintptr{pc}).Next()
		p = &place{Kind: bugKinds[bug], Function: f.Function, File: filepath.Base(file), Line: line + 1}
		placeOf[bug] = p
	}
	p.Count++
}

func places() map[string]place {
	placesMu.Lock()
	defer placesMu.Unlock()
	out := map[string]place{}
	for bug, p := range placeOf {
		out[bug] = *p
	}
	return out
}

// nobody is a client that looks at nothing.
type nobody struct{ header http.Header }

func (n nobody) Header() http.Header         { return n.header }
func (n nobody) Write(b []byte) (int, error) { return len(b), nil }
func (n nobody) WriteHeader(int)             {}

// learnPlaces lets every bug strike once.
func learnPlaces() {
	all, err := parseBugs("all")
	if err != nil {
		panic(err)
	}
	shop := newShop(all)
	routes := shop.routes()
	for _, path := range []string{"/login?user=a", "/cart?user=a", "/search?tag=new", "/order?user=a", "/report"} {
		r, err := http.NewRequest(http.MethodGet, path, nil)
		if err != nil {
			panic(err)
		}
		routes.ServeHTTP(nobody{http.Header{}}, r)
	}
	shop.auditStock()
	// There is no bank yet: each call fails at once.
	shop.charge("")
	shop.track("")
	shop.isBankUp("")
	shop.book(context.Background(), 0)
	shop.changePrice()
	shop.changeSettings()
}

func printPlaces(lines bool) {
	if lines {
		var names []string
		for bug := range placeOf {
			names = append(names, bug)
		}
		sort.Strings(names)
		for _, bug := range names {
			p := placeOf[bug]
			fmt.Printf("%-11s %-17s %s:%d\n", bug, p.Kind, p.File, p.Line)
		}
		return
	}
	if err := json.NewEncoder(os.Stdout).Encode(places()); err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}
