// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"sync"
	"time"
)

// Circles with more in them than two locks, or of one goroutine alone; `main`
// tells the modes.  What follows a sick one is its healthy twin, or one that
// leaks without a circle.

type store struct {
	mu    sync.Mutex
	items map[string]int
}

//go:noinline
func (s *store) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.items)
}

//go:noinline
func (s *store) add(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.items[name]++
	return s.size()
}

// again: a method that locks calls another one that locks.
func again() {
	s := &store{items: map[string]int{}}
	go func() { done <- s.add("x") > 0 }()
}

var globalStore = store{items: map[string]int{}}

func againGlobal() {
	go func() {
		globalStore.mu.Lock()
		globalStore.items["x"] = globalStore.size()
		globalStore.mu.Unlock()
	}()
}

//go:noinline
func sizes(all []*store) int {
	n := 0
	for _, s := range all {
		s.mu.Lock()
		defer s.mu.Unlock()
	}
	for _, s := range all {
		n += s.size()
	}
	return n
}

// againloop: several locks, given back by as many deferred calls.
func againLoop() {
	go func() { done <- sizes([]*store{{}, {}, {}}) > 0 }()
}

// relock: it has had the lock before and waits for somebody slow now.
func relock() {
	mu := new(sync.Mutex)
	go func() {
		mu.Lock()
		mu.Unlock()
		go hold(mu)
		meet(2)
		mu.Lock()
		mu.Unlock()
	}()
	meet(2)
}

// upgrade: a reader that wants to write.
func upgrade() {
	go func() {
		table.RLock()
		defer table.RUnlock()
		if len(globalStore.items) == 0 {
			table.Lock()
			globalStore.items["x"] = 1
			table.Unlock()
		}
	}()
}

// downgrade: a writer that reads.
func downgrade() {
	go func() {
		table.Lock()
		defer table.Unlock()
		table.RLock()
		defer table.RUnlock()
	}()
}

// rewrite: a reader that has stopped reading waits for a slow one.
func rewrite() {
	go func() {
		table.RLock()
		meet(2)
		time.Sleep(time.Hour)
		table.RUnlock()
	}()
	meet(2)
	go func() {
		table.RLock()
		table.RUnlock()
		table.Lock()
		table.Unlock()
	}()
}

//go:noinline
func readInner() int {
	table.RLock()
	defer table.RUnlock()
	return len(globalStore.items)
}

// reread: a reader that reads again, a writer came in between.
func reread() {
	go func() {
		table.RLock()
		defer table.RUnlock()
		meet(2)
		time.Sleep(100 * time.Millisecond)
		readInner()
	}()
	go func() {
		meet(2)
		table.Lock()
		defer table.Unlock()
	}()
}

type events struct {
	mu   sync.Mutex
	sent int
	out  chan int
}

//go:noinline
func (e *events) emit(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sent++
	e.out <- n
}

//go:noinline
func (e *events) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sent
}

// sendlocked: sends with the lock held that the receiver takes first.
func sendLocked() {
	e := &events{out: make(chan int)}
	go e.emit(1)
	time.Sleep(100 * time.Millisecond)
	go func() {
		for e.count() < 2 {
			<-e.out
		}
	}()
}

var globalEvents = &events{out: make(chan int)}

// sendslow: the receiver is at something else, and will come.
func sendSlow() {
	e := globalEvents
	go e.emit(1)
	go e.emit(2)
	go func() {
		time.Sleep(time.Hour)
		<-e.out
		<-e.out
	}()
}

// lockchan: the lock is a variable, the channel nobody else has.
func lockChan() {
	ch := make(chan int)
	go func() {
		globalA.Lock()
		ch <- 1
		globalA.Unlock()
	}()
	time.Sleep(100 * time.Millisecond)
	go func() {
		globalA.Lock()
		defer globalA.Unlock()
		<-ch
	}()
}

// lockchanslow: the same, and a slow one who has the channel too.
func lockChanSlow() {
	ch := make(chan int)
	go func() {
		globalA.Lock()
		ch <- 1
		globalA.Unlock()
	}()
	time.Sleep(100 * time.Millisecond)
	go func() {
		globalA.Lock()
		defer globalA.Unlock()
		<-ch
	}()
	go func() {
		time.Sleep(time.Hour)
		<-ch
	}()
}

// twochans: each waits for the other's word.
func twoChans() {
	a, b := make(chan int), make(chan int)
	go func() {
		x := <-a
		b <- x + 1
	}()
	go func() {
		x := <-b
		a <- x + 1
	}()
}

// closers: each closes a channel when the other's is closed; one of them selects.
func closers() {
	a, b, quit := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(a)
		<-b
	}()
	go func() {
		defer close(b)
		for i := 0; i < 3; i++ {
			select {
			case <-a:
			case <-quit:
				return
			}
		}
	}()
}

// pool: workers that nobody feeds, and some that nobody listens to any more.
func pool() {
	jobs, results := make(chan int), make(chan int)
	for i := 0; i < 20; i++ {
		go func() {
			for j := range jobs {
				results <- j * j
			}
		}()
	}
	for i := 0; i < 8; i++ {
		jobs <- i
	}
}

// semaphore: those inside wait for a forgotten channel, the others for them.
func semaphore() {
	sem, forgotten := make(chan bool, 2), make(chan int)
	for i := 0; i < 9; i++ {
		go func() {
			sem <- true
			forgotten <- 1
			<-sem
		}()
	}
}

// group: waits for workers with the lock held that they need.
func group() {
	mu, wg := new(sync.Mutex), new(sync.WaitGroup)
	sum := 0
	mu.Lock()
	for i := 0; i < 3; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			mu.Lock()
			sum++
			mu.Unlock()
		}()
	}
	go func() {
		wg.Wait()
		mu.Unlock()
	}()
}

var globalGroup sync.WaitGroup

// groupglobal: the same, but whoever has the variable may be done with it.
func groupGlobal() {
	go func() {
		globalB.Lock()
		defer globalB.Unlock()
		globalGroup.Add(1)
		go func() {
			globalB.Lock()
			defer globalB.Unlock()
			globalGroup.Done()
		}()
		globalGroup.Wait()
	}()
}

// groupslow: the lock is held by somebody slow.
func groupSlow() {
	wg := &globalGroup
	go hold(&globalB)
	meet(2)
	wg.Add(1)
	go func() {
		defer wg.Done()
		globalB.Lock()
		globalB.Unlock()
	}()
	go wg.Wait()
}

// quiesce: with the lock that all take before they begin held, it waits for what
// has begun.  The worker that wants the lock would be done with the group, too.
func quiesce() {
	mu, wg := new(sync.Mutex), new(sync.WaitGroup)
	wg.Add(1)
	go func() {
		time.Sleep(time.Hour)
		wg.Done()
	}()
	go func() {
		mu.Lock()
		meet(2)
		wg.Wait()
		mu.Unlock()
	}()
	meet(2)
	go func() {
		for i := 0; i < 3; i++ {
			mu.Lock()
			mu.Unlock()
			wg.Done()
		}
	}()
}

// groupleak: the workers wait for a forgotten channel.
func groupLeak() {
	wg, forgotten := new(sync.WaitGroup), make(chan int)
	for i := 0; i < 3; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			<-forgotten
		}()
	}
	go wg.Wait()
}

//go:noinline
func burn(x uint64) uint64 {
	for x != 42 {
		x = x*6364136223846793005 + 1442695040888963407
	}
	return x
}

//go:noinline
func burner(x uint64) uint64 {
	return burn(x) + 1
}

// spin: one is on a CPU all the time, beside one that is leaked.
func spin() {
	go burner(7)
	ch := make(chan int)
	go func() { <-ch }()
}

// mixed: one waits for a channel with the lock held, the next for the lock, the
// third for the second; it would have sent.
func mixed() {
	mu, wg, ch := new(sync.Mutex), new(sync.WaitGroup), make(chan int)
	wg.Add(1)
	go func() {
		mu.Lock()
		defer mu.Unlock()
		meet(2)
		<-ch
	}()
	go func() {
		meet(2)
		defer wg.Done()
		mu.Lock()
		mu.Unlock()
	}()
	go func() {
		wg.Wait()
		ch <- 1
	}()
}
