// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"fmt"
	"path/filepath"
	"reflect"
	"runtime"
	"sync/atomic"
	"time"
)

// site is one place of interest.  Function, File and Line are those of the
// `go` statement or the allocation, learnt from runtime.Caller on the line
// before it, so that nobody has to write line numbers down.
//
// The 64-bit words come first: some are used atomically, on 32-bit machines
// too.
type site struct {
	Births   int64  `json:"births"`
	Deaths   int64  `json:"deaths"`
	Count    int64  `json:"count"` // allocations
	Bytes    int64  `json:"bytes"` // asked for
	Function string `json:"function"`
	File     string `json:"file"`
	Line     int    `json:"line"`
	Start    string `json:"start,omitempty"` // the function that the goroutine runs
	Reason   string `json:"reason,omitempty"`
}

// sites by kind and name: "births", "inner", "parks", "large",
// "loop", "other".
var sites = map[string]map[string]*site{}

func addSite(kind, name string) *site {
	if sites[kind] == nil {
		sites[kind] = map[string]*site{}
	}
	s := &site{}
	sites[kind][name] = s
	return s
}

// next notes that the statement of s is on the caller's next line.
func (s *site) next() {
	if s.Line != 0 {
		return
	}
	pc, file, line, ok := runtime.Caller(1)
	if !ok {
		panic("runtime.Caller")
	}
	frames := runtime.CallersFrames([]uintptr{pc})
	f, _ := frames.Next()
	s.Function, s.File, s.Line = f.Function, filepath.Base(file), line+1
}

// starts notes the function that the goroutines of s run.
func (s *site) starts(fn interface{}) {
	if s.Start == "" {
		s.Start = runtime.FuncForPC(reflect.ValueOf(fn).Pointer()).Name()
	}
}

// self, called by a goroutine's closure, notes that closure as what s starts.
func (s *site) self() {
	if atomic.LoadInt32(&selfLearnt) != 0 {
		return
	}
	pc, _, _, _ := runtime.Caller(1)
	f, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	s.Start = f.Function
}

// selfLearnt is set once every site was passed: from then on goroutines do
// not write to sites.
var selfLearnt int32

// learnSites passes each site once, so that `where` knows all of them, and
// forgets the counts.
func learnSites() {
	makeSites()
	for name := range sites["births"] {
		if err := bear(name, 1); err != nil {
			panic(err)
		}
	}
	for name := range sites["parks"] {
		if err := park(name, 1); err != nil {
			panic(err)
		}
	}
	if _, err := cmdRelease(nil); err != nil {
		panic(err)
	}
	if _, err := cmdDeep([]string{"1"}); err != nil {
		panic(err)
	}
	for name := range sites["large"] {
		allocate(name, 1, 64<<10)
	}
	atomic.StoreInt32(&selfLearnt, 1)
	if err := learnLoop(); err != nil {
		panic(err)
	}
	for _, kind := range sites {
		for _, s := range kind {
			s.Births, s.Deaths, s.Count, s.Bytes = 0, 0, 0, 0
		}
	}
}

func makeSites() {
	makeBirthSites()
	makeParkSites()
	makeLargeSites()
	makeLoopSites()
	addSite("other", "deep")
}

func cmdWhere([]string) (answer, error) {
	a := answer{}
	for kind, byName := range sites {
		a[kind] = byName
	}
	return a, nil
}

// names gives the sites asked for, or the default.
func names(kind string, asked, byDefault []string) ([]string, error) {
	if len(asked) == 0 {
		return byDefault, nil
	}
	for _, n := range asked {
		if sites[kind][n] == nil {
			return nil, fmt.Errorf("no site %q", n)
		}
	}
	return asked, nil
}

// settle waits until every goroutine that should have ended is gone from the
// runtime's own count.  While the loop runs there is no fixed count.
func settle() error {
	if looping() {
		return nil
	}
	want := 1 + parkedNow()
	for i := 0; ; i++ {
		n := runtime.NumGoroutine()
		if n == want {
			return nil
		}
		if i == 100000 {
			return wrongf("%d goroutines, %d expected", n, want)
		}
		time.Sleep(100 * time.Microsecond)
	}
}
