// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Locks in all the ways that people take them.  The healthy ones contend for
// ever, with whoever has the lock asleep, running, in a pipe or on the network;
// the sick ones end in a circle; of those that hold one is at something slow.

type box struct {
	mu  sync.Mutex
	id  int
	n   int
	set bool
}

func boxes() []*box { return []*box{{id: 1}, {id: 2}, {id: 3}} }

var (
	pipeR, pipeW *os.File
	conn         net.Conn
	peer         net.Conn // its other end, which is closed when it is collected
	spun         int64
)

func open() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() { peer, _ = l.Accept() }()
	if conn, err = net.Dial("tcp", l.Addr().String()); err != nil {
		panic(err)
	}
	if pipeR, pipeW, err = os.Pipe(); err != nil {
		panic(err)
	}
}

// work is what is done with a lock held.
func work(i int) {
	var b [1]byte
	switch i % 4 {
	case 0:
		time.Sleep(2 * time.Millisecond)
	case 1:
		for t := time.Now(); time.Since(t) < time.Millisecond; {
			atomic.AddInt64(&spun, 1)
		}
	case 2:
		_, _ = pipeW.Write(b[:])
		_, _ = pipeR.Read(b[:])
	case 3:
		_ = conn.SetReadDeadline(time.Now().Add(2 * time.Millisecond))
		_, _ = conn.Read(b[:])
	}
}

// all does f for ever, in sixteen goroutines.
func all(f func(i int)) {
	open()
	for i := 0; i < 16; i++ {
		go func(i int) {
			for {
				f(i)
			}
		}(i)
	}
}

// pair is two different boxes.
func pair(b []*box, i int) (*box, *box) { return b[i%3], b[(i+1+i/3%2)%3] }

//go:noinline
func inOrder(x, y *box, i int) {
	if x.id < y.id {
		x.mu.Lock()
		y.mu.Lock()
	} else {
		y.mu.Lock()
		x.mu.Lock()
	}
	work(i)
	x.mu.Unlock()
	y.mu.Unlock()
}

//go:noinline
func (x *box) under(locked bool, y *box, i int) {
	if !locked {
		x.mu.Lock()
		defer x.mu.Unlock()
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	work(i)
}

//go:noinline
func (x *box) lock() func() {
	x.mu.Lock()
	return func() { x.mu.Unlock() }
}

type embedded struct{ sync.Mutex }
type pointer struct{ *sync.Mutex }

//go:noinline
func with(l sync.Locker, f func()) {
	l.Lock()
	defer l.Unlock()
	f()
}

type link struct {
	mu   sync.Mutex
	next *link
}

func walk(l *link, i int) {
	l.mu.Lock()
	for l.next != nil {
		l.next.mu.Lock()
		n := l.next
		l.mu.Unlock()
		l = n
	}
	work(i)
	l.mu.Unlock()
}

var healthy = map[string]func(){
	"idorder": func() { b := boxes(); all(func(i int) { x, y := pair(b, i); inOrder(x, y, i) }) },
	"trylock": func() {
		b := boxes()
		all(func(i int) {
			x, y := pair(b, i)
			x.mu.Lock()
			got := y.mu.TryLock()
			work(i)
			x.mu.Unlock()
			if got {
				y.mu.Unlock()
			}
		})
	},
	"underflag": func() { // one way round with the first lock, the other way without
		b := boxes()
		all(func(i int) {
			if i%2 == 0 {
				b[0].under(false, b[1], i)
			} else {
				b[1].under(true, b[0], i)
			}
		})
	},
	"memoryflag": func() { // what the flag in memory says now, it need not say then
		b := boxes()
		all(func(i int) {
			x, y := pair(b, i)
			y.mu.Lock()
			work(i)
			y.mu.Unlock()
			if x.set {
				x.mu.Unlock()
			}
		})
	},
	"handoverhand": func() {
		l := &link{next: &link{next: &link{}}}
		all(func(i int) { walk(l, i) })
	},
	"unlockfunc": func() {
		b := boxes()
		all(func(i int) {
			first := b[i%2].lock()
			second := b[2].lock()
			work(i)
			second()
			first()
		})
	},
	"slots": func() {
		slots, b := make(chan bool, 2), boxes()
		all(func(i int) {
			slots <- true
			b[i%2].mu.Lock()
			work(i)
			b[i%2].mu.Unlock()
			<-slots
		})
	},
	"condition": func() {
		var mu, other sync.Mutex
		c, n := sync.NewCond(&mu), 0
		all(func(i int) {
			mu.Lock()
			defer mu.Unlock()
			if i%2 == 0 {
				for n == 0 {
					c.Wait()
				}
				n--
			} else {
				n++
				c.Signal()
			}
			other.Lock()
			work(i)
			other.Unlock()
		})
	},
	"readwrite": func() {
		var first, second sync.RWMutex
		all(func(i int) {
			if i%3 == 0 {
				first.Lock()
				second.RLock()
				work(i)
				second.RUnlock()
				first.Unlock()
				return
			}
			first.RLock()
			if i%5 == 0 {
				second.Lock()
				work(i)
				second.Unlock()
			}
			first.RUnlock()
		})
	},
	"lockers": func() {
		x, y, z := &embedded{}, pointer{new(sync.Mutex)}, new(sync.RWMutex)
		all(func(i int) {
			with(x, func() { with(y, func() { with(z.RLocker(), func() { work(i) }) }) })
			with(z, func() { work(i) })
		})
	},
	"gate": func() { // no order, but one lock before all others
		var gate sync.Mutex
		b := boxes()
		all(func(i int) {
			gate.Lock()
			x, y := pair(b, i)
			x.mu.Lock()
			y.mu.Lock()
			work(i)
			y.mu.Unlock()
			x.mu.Unlock()
			gate.Unlock()
		})
	},
	"handoff": func() { // one locks, another one unlocks
		var mu, other sync.Mutex
		ch := make(chan int)
		all(func(i int) {
			if i%2 == 0 {
				mu.Lock()
				other.Lock()
				other.Unlock()
				ch <- i
				return
			}
			n := <-ch
			other.Lock()
			work(n)
			other.Unlock()
			mu.Unlock()
		})
	},
	"elsewhere": func() { // whoever gives it back is on no stack
		b := boxes()
		b[0].mu.Lock()
		time.AfterFunc(time.Hour, b[0].mu.Unlock)
		all(func(i int) { x, y := pair(b, i); inOrder(x, y, 0) })
	},
}

// circle makes two goroutines meet with one lock each, in f, and then want the other's.
func circle(f func(x, y *box)) func() {
	return func() {
		b := boxes()
		go f(b[0], b[1])
		go f(b[1], b[0])
	}
}

var sick = map[string]func(){
	"triedlock": circle(func(x, y *box) {
		if x.mu.TryLock() {
			defer x.mu.Unlock()
			meet(2)
			y.mu.Lock()
			y.mu.Unlock()
		}
	}),
	"flagged": func() {
		f := func(x, y *box, locked bool) {
			if !locked {
				x.mu.Lock()
				defer x.mu.Unlock()
			}
			meet(2)
			y.mu.Lock()
			defer y.mu.Unlock()
		}
		b := boxes()
		go f(b[0], b[1], len(os.Args) > 5)
		go f(b[1], b[0], len(os.Args) > 5)
	},
	"underlock": circle(func(x, y *box) {
		unlock := x.lock()
		defer unlock()
		meet(2)
		defer y.lock()()
	}),
	"deferred": circle(func(x, y *box) {
		x.mu.Lock()
		defer func() {
			y.mu.Lock()
			y.mu.Unlock()
			x.mu.Unlock()
		}()
		meet(2)
	}),
	"twolockers": func() {
		x, y := sync.Locker(&embedded{}), sync.Locker(pointer{new(sync.Mutex)})
		f := func(x, y sync.Locker) { with(x, func() { meet(2); with(y, func() {}) }) }
		go f(x, y)
		go f(y, x)
	},
	"onceinonce": func() {
		var once sync.Once
		go once.Do(func() { once.Do(func() {}) })
	},
	"busycircle": func() { // amid healthy contention
		healthy["idorder"]()
		circle(func(x, y *box) {
			x.mu.Lock()
			defer x.mu.Unlock()
			meet(2)
			y.mu.Lock()
			defer y.mu.Unlock()
		})()
	},
}

// holding keeps a lock at something slow, and many wait for it.
func holding(f func()) func() {
	return func() {
		open()
		mu := new(sync.Mutex)
		go func() {
			mu.Lock()
			meet(2)
			f()
			mu.Unlock()
		}()
		meet(2)
		for i := 0; i < 20; i++ {
			go func() {
				mu.Lock()
				defer mu.Unlock()
			}()
		}
	}
}

var holders = map[string]func(){
	"holdsleep": holding(func() { time.Sleep(time.Hour) }),
	"holdnet":   holding(func() { fmt.Fscanln(conn) }),
	"holdpipe": holding(func() {
		pipeW.Fd() // blocking, as standard output is
		for {
			if _, err := pipeW.Write(make([]byte, 4096)); err != nil {
				return
			}
		}
	}),
	"holdchan": holding(func() { <-done }),
	"holdelse": func() {
		mu, held := new(sync.Mutex), make(chan func(), 1)
		mu.Lock()
		held <- mu.Unlock
		for i := 0; i < 20; i++ {
			go func() {
				mu.Lock()
				defer mu.Unlock()
			}()
		}
	},
}
