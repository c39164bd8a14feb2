// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// What the goroutines add up, and what it should come to.
var (
	sum         int64
	sumExpected int64
	birthsDone  sync.WaitGroup
)

func sumIs() int64 { return atomic.LoadInt64(&sum) }

// add is the last thing a goroutine does but for ending.
func add(v int64) {
	atomic.AddInt64(&sum, v)
	birthsDone.Done()
}

var birthFunctions = map[string]func(s *site, n int){
	"named":   bornNamed,
	"closure": bornClosure,
	"method":  bornMethod,
	"iface":   bornInterface,
	"args":    bornArgs,
	"inlined": bornInlined,
	"value":   bornValue,
	"nested":  bornNested,
	"goexit":  bornGoexit,
	"panic":   bornPanic,
}

var birthNames []string

// innerSite is started by the goroutines of "nested", one each.
var innerSite *site

func makeBirthSites() {
	for name := range birthFunctions {
		addSite("births", name)
		birthNames = append(birthNames, name)
	}
	innerSite = addSite("inner", "nested")
}

func cmdBirths(args []string) (answer, error) {
	n, err := number(args, 0)
	if err != nil {
		return nil, err
	}
	which, err := names("births", args[1:], birthNames)
	if err != nil {
		return nil, err
	}
	for _, name := range which {
		if err := bear(name, n); err != nil {
			return nil, err
		}
	}
	return answer{"each": n, "sites": sites["births"], "inner": sites["inner"],
		"num_goroutine": runtime.NumGoroutine()}, nil
}

// bear starts n goroutines at a site and waits until they are gone.
func bear(name string, n int) error {
	s := sites["births"][name]
	const atOnce = 1000 // -race allows 8,128 goroutines alive
	for n > 0 {
		k := n
		if k > atOnce {
			k = atOnce
		}
		birthsDone.Add(k)
		birthFunctions[name](s, k)
		birthsDone.Wait()
		if err := settle(); err != nil {
			return err
		}
		s.Births += int64(k)
		s.Deaths += int64(k)
		n -= k
	}
	return nil
}

func bodyNamed() { add(1) }

func bornNamed(s *site, n int) {
	s.starts(bodyNamed)
	for i := 0; i < n; i++ {
		sumExpected++
		s.next()
		go bodyNamed()
	}
}

func bornClosure(s *site, n int) {
	for i := 0; i < n; i++ {
		v := int64(i)
		sumExpected += v
		s.next()
		go func() {
			s.self()
			add(v)
		}()
	}
}

type worker struct{ weight int64 }

func (w *worker) run(v int64) { add(v * w.weight) }

func (w *worker) work() { add(w.weight) }

func bornMethod(s *site, n int) {
	w := &worker{3}
	s.starts((*worker).run)
	for i := 0; i < n; i++ {
		sumExpected += int64(i) * 3
		s.next()
		go w.run(int64(i))
	}
}

type job interface{ work() }

func bornInterface(s *site, n int) {
	var j job = &worker{5}
	if n == 0 { // the compiler cannot know what j is
		j = nil
	}
	s.starts((*worker).work)
	for i := 0; i < n; i++ {
		sumExpected += 5
		s.next()
		go j.work()
	}
}

//go:noinline
func bodyArgs(a int64, text string, more []int64) {
	add(a + int64(len(text)) + more[0])
}

func bornArgs(s *site, n int) {
	s.starts(bodyArgs)
	for i := 0; i < n; i++ {
		sumExpected += int64(i) + 4 + 7
		s.next()
		go bodyArgs(int64(i), "text", []int64{7})
	}
}

// bodySmall is small enough to be inlined into the wrapper that the compiler
// makes for a go statement with arguments.
func bodySmall(v int64) { add(v) }

func bornInlined(s *site, n int) {
	s.starts(bodySmall)
	for i := 0; i < n; i++ {
		sumExpected += int64(i)
		s.next()
		go bodySmall(int64(i))
	}
}

var valueFunctions = []func(){bodyNamed, bodyValue}

func bodyValue() { add(1) }

func bornValue(s *site, n int) {
	fn := valueFunctions[1]
	s.starts(fn)
	for i := 0; i < n; i++ {
		sumExpected++
		s.next()
		go fn()
	}
}

func bornNested(s *site, n int) {
	birthsDone.Add(n)
	sumExpected += 3 * int64(n)
	for i := 0; i < n; i++ {
		s.next()
		go func() {
			s.self()
			innerSite.next()
			go func() {
				innerSite.self()
				atomic.AddInt64(&innerSite.Births, 1)
				atomic.AddInt64(&innerSite.Deaths, 1)
				add(1)
			}()
			add(2)
		}()
	}
}

func bodyGoexit() {
	add(1)
	runtime.Goexit()
}

func bornGoexit(s *site, n int) {
	s.starts(bodyGoexit)
	for i := 0; i < n; i++ {
		sumExpected++
		s.next()
		go bodyGoexit()
	}
}

func bodyPanic() {
	defer func() {
		recover()
		add(1)
	}()
	panic("recovered")
}

func bornPanic(s *site, n int) {
	s.starts(bodyPanic)
	for i := 0; i < n; i++ {
		sumExpected++
		s.next()
		go bodyPanic()
	}
}
