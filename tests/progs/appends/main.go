// SPDX-License-Identifier: BSD-2-Clause

// appends lets slices grow, one function each, and counts by itself how often and how many bytes
// are copied: whenever the capacity has changed.  `first` is a growth from no array at all,
// which since Go 1.25 need not come by the runtime.
//
// It prints `READY pid=N` and answers every line on its standard input with one line of JSON,
// the counts since the start: "run N" runs each function N times, on four goroutines; "loop
// NAME N" runs one of them N times per millisecond, or as often as it can, "stop" ends that; "counts" does nothing else.
package main

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

type row struct {
	id   int
	name string
}

type count struct {
	First, Later, Bytes int64
}

func (c *count) add(before, after, length int, size uintptr) {
	switch {
	case before == after:
		return
	case before == 0:
		atomic.AddInt64(&c.First, 1)
	default:
		atomic.AddInt64(&c.Later, 1)
	}
	atomic.AddInt64(&c.Bytes, int64(length)*int64(size))
}

var counts = map[string]*count{}
var sink atomic.Value

// So that it is not on the stack.
type held struct{ v interface{} }

func keep(v interface{}) { sink.Store(held{v}) }

func counter(name string) *count {
	c := &count{}
	counts["main."+name] = c
	return c
}

var ofNohint, ofHinted, ofChunks, ofOnward, ofDeep = counter("nohint"), counter("hinted"), counter("chunks"), counter("onward"), counter("deep")

func nohint() {
	var rows []row
	for i := 0; i < 1000; i++ {
		before, length := cap(rows), len(rows)
		rows = append(rows, row{id: i})
		ofNohint.add(before, cap(rows), length, unsafe.Sizeof(row{}))
	}
	keep(rows)
}

// Its twin.
func hinted() {
	rows := make([]row, 0, 1000)
	for i := 0; i < 1000; i++ {
		before, length := cap(rows), len(rows)
		rows = append(rows, row{id: i})
		ofHinted.add(before, cap(rows), length, unsafe.Sizeof(row{}))
	}
	keep(rows)
}

func chunks() {
	var text []byte
	for i := 0; i < 20; i++ {
		before, length := cap(text), len(text)
		text = append(text, "one line of some text, and its end\n"...)
		ofChunks.add(before, cap(text), length, 1)
	}
	keep(text)
}

func push(s []*row, r *row) []*row { return append(s, r) }

// The append is another function's, inlined here: the place is in that.
func onward() {
	var list []*row
	r := &row{}
	for i := 0; i < 50; i++ {
		before, length := cap(list), len(list)
		list = push(list, r)
		ofOnward.add(before, cap(list), length, unsafe.Sizeof(r))
	}
	keep(list)
}

// What does not leave the function may begin in a buffer on the stack, since Go 1.25.
func deep() {
	var at []int
	for i := 0; i < 300; i++ {
		before, length := cap(at), len(at)
		at = append(at, i)
		ofDeep.add(before, cap(at), length, unsafe.Sizeof(i))
	}
	if at[299] != 299 {
		panic("not what was appended")
	}
}

// The standard library's own appends.
func buffer() {
	var b bytes.Buffer
	for i := 0; i < 200; i++ {
		b.WriteString("one line of some text, and its end\n")
	}
	strings.Split(b.String(), "\n")
}

type node struct {
	words    []string
	children map[string]*node
	text     string
}

// A parser as there are many: tokens and a tree, of lines whose length nobody knows before.
func parse() {
	root := &node{children: map[string]*node{}}
	for line := 0; line < 40; line++ {
		at := root
		text := fmt.Sprintf("key%d.part%d.value = some text of line %d that is long", line%7, line%5, line)
		fields := strings.Fields(text)
		for _, part := range strings.Split(fields[0], ".") {
			next := at.children[part]
			if next == nil {
				next = &node{children: map[string]*node{}}
				at.children[part] = next
			}
			at = next
		}
		for _, f := range fields[2:] {
			at.words = append(at.words, strings.ToUpper(f))
		}
		at.text = strings.Join(at.words, " ")
	}
	keep(root)
}

var functions = map[string]func(){"nohint": nohint, "hinted": hinted, "chunks": chunks, "onward": onward,
	"deep": deep, "buffer": buffer, "parse": parse}

func runAll(n int) {
	var w sync.WaitGroup
	for i := 0; i < 4; i++ {
		w.Add(1)
		go func() {
			defer w.Done()
			for k := 0; k < n/4; k++ {
				for _, f := range functions {
					f()
				}
			}
		}()
	}
	w.Wait()
}

var stop chan struct{}

func loop(f func(), often int) {
	stop = make(chan struct{})
	go func(end chan struct{}) {
		t := time.NewTicker(time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-end:
				return
			case <-t.C:
			}
			for begin, i := time.Now(), 0; i < often && time.Since(begin) < 700*time.Microsecond; i++ {
				f()
			}
		}
	}(stop)
}

func answer(words []string) error {
	switch words[0] {
	case "run":
		runAll(number(words, 1))
	case "loop":
		f := functions[words[1]]
		if f == nil {
			return fmt.Errorf("no function %s", words[1])
		}
		loop(f, number(words, 2))
	case "stop":
		close(stop)
	case "counts":
	default:
		return fmt.Errorf("unknown command %s", words[0])
	}
	return nil
}

func main() {
	serve(answer, func() interface{} {
		now := map[string]count{}
		for name, c := range counts {
			now[name] = count{First: atomic.LoadInt64(&c.First), Later: atomic.LoadInt64(&c.Later),
				Bytes: atomic.LoadInt64(&c.Bytes)}
		}
		return now
	})
}
