// Dies in the way that its argument names, once a line comes on standard input; says READY before.
// The Go runtime says of what, on standard error: that is the truth the tests compare with.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"log"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

type code int
type name string
type pair struct{ A, B int }
type failure struct{ where string }

func (f *failure) Error() string { return "failed at " + f.where }

// Never nil, though its pointer may be.
//
//go:noinline
func find(n int) error {
	var f *failure
	if n > 0 {
		f = &failure{"found"}
	}
	return f
}

type shape interface{ area() int }

var (
	sink    int
	zero    int
	nobody  *pair
	numbers             = []int{1, 2, 3}
	anybody interface{} = "text"
	table   map[string]int
	shared  = map[int]int{}
	gate    sync.Mutex
	bad     []*byte
	never   = make(chan int)
)

//go:noinline
func leaf(p *pair) int { return p.B } // no frame: what frame pointers lose

func inlined(n int) int {
	if n > 0 {
		panic(fmt.Sprintf("inlined %d", n))
	}
	return n
}

//go:noinline
func deep(n int, f func()) {
	if n == 0 {
		f()
		return
	}
	deep(n-1, f)
	sink++
}

//go:noinline
func forever(n int) int { return forever(n+1) + 1 }

func twice() {
	defer func() {
		r := recover()
		panic(fmt.Sprintf("again: %v", r))
	}()
	panic("first")
}

func nested() {
	defer func() { panic("second") }()
	panic("first")
}

func writeMaps() {
	for i := 0; i < 8; i++ {
		go func() {
			for k := 0; ; k++ {
				shared[k&1023] = k
			}
		}()
	}
	time.Sleep(time.Minute)
}

func eatMemory() {
	syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: 1 << 30, Max: 1 << 30})
	var kept [][]byte
	for {
		b := make([]byte, 32<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		kept = append(kept, b)
		sink = len(kept)
	}
}

// Others that wait in several ways when it dies; as many again have ended.
func others(times int) {
	var held sync.Mutex
	var all, ended sync.WaitGroup
	held.Lock()
	begin := func(f func()) {
		all.Add(1)
		go func() {
			all.Done()
			f()
		}()
	}
	for i := 0; i < 3*times; i++ {
		begin(func() { <-never })
		begin(func() { held.Lock() })
	}
	begin(func() { time.Sleep(time.Hour) })
	begin(func() { select {} })
	for i := 0; i < 50; i++ {
		ended.Add(1)
		go ended.Done()
	}
	all.Wait()
	ended.Wait()
	for text := make([]byte, 1<<21); ; { // until all of them wait
		now := string(text[:runtime.Stack(text, true)])
		if strings.Count(now, "[running]")+strings.Count(now, "[runnable]") == 1 {
			break
		}
	}
	panic("with others")
}

// Pointers to memory that is free, which the collector finds.
func badPointer() {
	hidden := make([]uintptr, 100)
	for i := range hidden {
		hidden[i] = uintptr(unsafe.Pointer(&make([]byte, 256<<10)[0])) // large: on the heap
	}
	runtime.GC()
	kept := make([]*byte, len(hidden))
	for i, p := range hidden {
		*(*uintptr)(unsafe.Pointer(&kept[i])) = p
	}
	bad = kept
	runtime.GC()
}

// What fills a cgroup, slowly.
func fill() {
	var kept [][]byte
	for {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		kept = append(kept, b)
		sink = len(kept)
	}
}

var kinds = map[string]func(){
	"string":    func() { panic("plain words") },
	"error":     func() { panic(fmt.Errorf("start: %w", errors.New("dial 10.0.0.1: refused"))) },
	"custom":    func() { panic(&failure{"the gate"}) },
	"int":       func() { panic(42) },
	"float":     func() { panic(1.5) },
	"bool":      func() { panic(true) },
	"named":     func() { panic(code(-7)) },
	"namedtext": func() { panic(name("bob")) },
	"struct":    func() { panic(pair{1, 2}) },
	"nil":       func() { panic(nil) },
	"lines":     func() { panic("one\ntwo\x1b[31mred") },
	"markup":    func() { panic("<script>alert(1)</script> & \"quoted\"") },
	"long":      func() { panic(fmt.Sprintf("%05000d", 7)) },
	"deref":     func() { sink = leaf(nobody) },
	"typednil":  func() { fmt.Fprintln(os.Stdout, find(0).Error()) },
	"index":     func() { sink = numbers[len(numbers)+6+zero] },
	"nilmap":    func() { table["x"] = 1 },
	"closed":    func() { c := make(chan int); close(c); close(c) },
	"assertion": func() { sink = anybody.(shape).area() },
	"divide":    func() { sink = 7 / zero },
	"again":     twice,
	"nested":    nested,
	"inlined":   func() { sink = inlined(len(numbers)) },
	"deep":      func() { deep(60, func() { panic("down here") }) },
	"overflow":  func() { sink = forever(0) },
	"unlock":    func() { gate.Unlock() },
	"maps":      writeMaps,
	"deadlock":  func() { <-never },
	"goexit":    func() { runtime.Goexit() },
	"exit":      func() { deep(3, func() { os.Exit(3) }) },
	"exit0":     func() { os.Exit(0) },
	"fatal":     func() { log.Fatal("no use") },
	"memory":    eatMemory,
	"pointer":   badPointer,
	"fill":      fill,
	"return":    func() {},
	"others":    func() { others(1) },
	"thousand":  func() { others(200) },
	"wait":      func() { time.Sleep(time.Hour) },
}

//go:noinline
func worker(f func(), done chan bool) {
	f()
	done <- true
}

func main() {
	how, where := os.Args[1], ""
	if len(os.Args) > 2 {
		where = os.Args[2]
	}
	f := kinds[how]
	if f == nil {
		for k := range kinds {
			fmt.Println(k)
		}
		return
	}
	fmt.Println("READY")
	bufio.NewReader(os.Stdin).ReadString('\n')
	if where != "worker" {
		f()
		return
	}
	done := make(chan bool)
	go worker(f, done)
	<-done
}
