// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"fmt"
	"hash/fnv"
	"sync"
	"sync/atomic"
	"time"
)

// Locks as programs of every day have them: each healthy one contends for ever,
// and has a twin of the same name in `everydaySick` that ends in a circle.

// workers is an errgroup.
type workers struct {
	wg   sync.WaitGroup
	once sync.Once
	err  error
}

func (w *workers) run(f func() error) {
	w.wg.Add(1)
	go func() {
		defer w.wg.Done()
		if err := f(); err != nil {
			w.once.Do(func() { w.err = err })
		}
	}()
}

func (w *workers) wait() error {
	w.wg.Wait()
	return w.err
}

type stripes [4]sync.Mutex

func (s *stripes) of(key string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	return int(h.Sum32() % uint32(len(s)))
}

//go:noinline
func (s *stripes) move(from, to int, f func()) {
	s[from].Lock()
	defer s[from].Unlock()
	if from != to {
		s[to].Lock()
		defer s[to].Unlock()
	}
	f()
}

type entry struct {
	mu sync.Mutex
	n  int
}

type entries struct {
	mu sync.Mutex
	m  map[string]*entry
}

func (e *entries) get(key string) *entry {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.m[key] == nil {
		e.m[key] = &entry{}
	}
	return e.m[key]
}

// flights is a singleflight.Group.
type flight struct {
	wg  sync.WaitGroup
	val int
}

type flights struct {
	mu sync.Mutex
	m  map[string]*flight
}

func (f *flights) do(key string, fn func() int) int {
	f.mu.Lock()
	if c := f.m[key]; c != nil {
		f.mu.Unlock()
		c.wg.Wait()
		return c.val
	}
	c := &flight{}
	c.wg.Add(1)
	f.m[key] = c
	f.mu.Unlock()
	c.val = fn()
	f.mu.Lock()
	delete(f.m, key)
	f.mu.Unlock()
	c.wg.Done()
	return c.val
}

type onces struct{ first, second sync.Once }

// guarded is a value with its lock.
type guarded[T any] struct {
	mu sync.Mutex
	v  T
}

//go:noinline
func (g *guarded[T]) with(f func(*T)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f(&g.v)
}

// rescued has its lock while a panic goes by.
//
//go:noinline
func (x *box) rescued(f, last func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	defer func() {
		if recover() != nil {
			last()
		}
	}()
	f()
	panic("as planned")
}

type chanLock chan struct{}

func (c chanLock) lockWithin(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case c <- struct{}{}:
		return true
	case <-t.C:
		return false
	}
}

//go:noinline
func (c chanLock) lock()   { c <- struct{}{} }
func (c chanLock) unlock() { <-c }

var everyday = map[string]func(){
	"errgroup": func() {
		var mu sync.Mutex
		all(func(i int) {
			var w workers
			for j := 0; j < 3; j++ {
				w.run(func() error {
					mu.Lock()
					defer mu.Unlock()
					work(i)
					return nil
				})
			}
			_ = w.wait()
		})
	},
	"broadcast": func() {
		var mu sync.Mutex
		c, round := sync.NewCond(&mu), 0
		b := boxes()
		all(func(i int) {
			mu.Lock()
			defer mu.Unlock()
			if i == 0 {
				round++
				c.Broadcast()
			} else {
				for seen := round; seen == round; {
					c.Wait()
				}
			}
			b[i%2].mu.Lock()
			defer b[i%2].mu.Unlock()
			work(i)
		})
	},
	"tryrlock": func() {
		var table sync.RWMutex
		b := boxes()
		all(func(i int) {
			if i%4 == 0 {
				table.Lock()
				defer table.Unlock()
				work(i)
				return
			}
			b[0].mu.Lock()
			defer b[0].mu.Unlock()
			if table.TryRLock() {
				defer table.RUnlock()
				work(i)
			}
		})
	},
	"striped": func() {
		s := new(stripes)
		all(func(i int) {
			x, y := s.of(fmt.Sprint("a", i)), s.of(fmt.Sprint("b", i))
			if x > y {
				x, y = y, x
			}
			s.move(x, y, func() { work(i) })
		})
	},
	"rescue": func() {
		b := boxes()
		all(func(i int) { b[i%2].rescued(func() { work(i) }, func() { b[2].mu.Lock(); b[2].mu.Unlock() }) })
	},
	"mapped": func() {
		e := &entries{m: map[string]*entry{}}
		all(func(i int) {
			x := e.get(fmt.Sprint(i % 3))
			x.mu.Lock()
			defer x.mu.Unlock()
			e.get(fmt.Sprint(i % 5))
			work(i)
		})
	},
	"flight": func() {
		f := &flights{m: map[string]*flight{}}
		all(func(i int) {
			f.do(fmt.Sprint(i%2), func() int { return f.do("inner", func() int { work(i); return i }) })
		})
	},
	"onces": func() {
		var mu sync.Mutex
		o := &onces{}
		all(func(i int) {
			mu.Lock()
			now := o
			if i == 0 {
				o = &onces{}
			}
			mu.Unlock()
			now.first.Do(func() { now.second.Do(func() { work(i) }) })
			now.second.Do(func() { work(i) })
		})
	},
	"releaser": func() { // who unlocks has been given the lock
		b := boxes()
		all(func(i int) {
			b[0].mu.Lock()
			over := make(chan bool)
			go func() {
				b[1].mu.Lock()
				work(i)
				b[1].mu.Unlock()
				b[0].mu.Unlock()
				close(over)
			}()
			<-over
			b[1].mu.Lock()
			b[1].mu.Unlock()
		})
	},
	"chanlock": func() {
		x, y := make(chanLock, 1), make(chanLock, 1)
		all(func(i int) {
			x, y := x, y
			if i%2 == 0 {
				x, y = y, x
			}
			if x.lockWithin(time.Second) {
				if y.lockWithin(5 * time.Millisecond) {
					work(i)
					y.unlock()
				}
				x.unlock()
			}
		})
	},
	"generic": func() {
		x, y := &guarded[int]{}, &guarded[[]string]{}
		all(func(i int) {
			x.with(func(n *int) { *n++; y.with(func(s *[]string) { work(i) }) })
			y.with(func(s *[]string) { *s = nil })
		})
	},
}

var everydaySick = map[string]func(){
	"errgroup-sick": func() { // waits with the lock that the workers want
		mu, w := new(sync.Mutex), new(workers)
		go func() {
			mu.Lock()
			defer mu.Unlock()
			w.run(func() error {
				mu.Lock()
				defer mu.Unlock()
				return nil
			})
			_ = w.wait()
		}()
	},
	"broadcast-sick": func() { // woken with its lock, it wants the other one
		x, y := new(sync.Mutex), new(sync.Mutex)
		c, woken := sync.NewCond(x), int64(0)
		go func() {
			x.Lock()
			defer x.Unlock()
			for atomic.LoadInt64(&woken) == 0 {
				c.Wait()
			}
			meet(2)
			y.Lock()
			defer y.Unlock()
		}()
		go func() {
			y.Lock()
			defer y.Unlock()
			atomic.StoreInt64(&woken, 1)
			for atomic.LoadInt64(&met) == 0 {
				c.Broadcast()
				time.Sleep(time.Millisecond)
			}
			meet(2)
			x.Lock()
			defer x.Unlock()
		}()
	},
	"tryrlock-sick": func() {
		table, mu := new(sync.RWMutex), new(sync.Mutex)
		go func() {
			if table.TryRLock() {
				defer table.RUnlock()
				meet(2)
				mu.Lock()
				mu.Unlock()
			}
		}()
		go func() {
			mu.Lock()
			defer mu.Unlock()
			meet(2)
			table.Lock()
			table.Unlock()
		}()
	},
	"striped-sick": func() {
		s := new(stripes)
		move := func(from, to int) {
			s[from].Lock()
			defer s[from].Unlock()
			meet(2)
			s[to].Lock()
			defer s[to].Unlock()
		}
		go move(0, 1)
		go move(1, 0)
	},
	"rescue-sick": circle(func(x, y *box) {
		x.rescued(func() { meet(2) }, func() {
			y.mu.Lock()
			y.mu.Unlock()
		})
	}),
	"mapped-sick": func() {
		e := &entries{m: map[string]*entry{}}
		move := func(from, to string) {
			x := e.get(from)
			x.mu.Lock()
			defer x.mu.Unlock()
			meet(2)
			y := e.get(to)
			y.mu.Lock()
			defer y.mu.Unlock()
			x.n, y.n = x.n-1, y.n+1
		}
		go move("a", "b")
		go move("b", "a")
	},
	"flight-sick": func() { // each is in the other's flight
		f := &flights{m: map[string]*flight{}}
		cross := func(mine, other string) {
			f.do(mine, func() int {
				meet(2)
				return f.do(other, func() int { return 1 })
			})
		}
		go cross("a", "b")
		go cross("b", "a")
	},
	"onces-sick": func() {
		o := &onces{}
		go o.first.Do(func() { meet(2); o.second.Do(func() {}) })
		go o.second.Do(func() { meet(2); o.first.Do(func() {}) })
	},
	"releaser-sick": func() { // who is to unlock wants what the next one has
		b := boxes()
		b[0].mu.Lock()
		go func() {
			meet(2)
			b[1].mu.Lock()
			b[1].mu.Unlock()
			b[0].mu.Unlock()
		}()
		go func() {
			b[1].mu.Lock()
			defer b[1].mu.Unlock()
			meet(2)
			b[0].mu.Lock()
			defer b[0].mu.Unlock()
		}()
	},
	"chanlock-sick": func() {
		cross := func(x, y chanLock) {
			x.lock()
			defer x.unlock()
			meet(2)
			y.lock()
			y.unlock()
		}
		x, y := make(chanLock, 1), make(chanLock, 1)
		go cross(x, y)
		go cross(y, x)
	},
	"generic-sick": func() {
		x, y := &guarded[int]{}, &guarded[[]string]{}
		go x.with(func(*int) { meet(2); y.with(func(*[]string) {}) })
		go y.with(func(*[]string) { meet(2); x.with(func(*int) {}) })
	},
}
