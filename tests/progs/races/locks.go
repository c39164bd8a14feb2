// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"sync"
	"time"
	"unsafe"
)

// Locks of every kind: in the object, embedded, behind a pointer, handed to who takes it, and
// order without any: what is written before a go statement.

type account struct {
	sync.Mutex // embedded
	sum        int64
	rw         sync.RWMutex
	rate       int64
	shared     *sync.Mutex
	owed       int64
	given      int64
}

var (
	acct   = &account{shared: new(sync.Mutex)}
	tokens sync.Mutex
	slots  [4]struct{ hits, misses int64 }
)

//go:noinline
func (a *account) add(n int64) {
	a.Lock()
	a.sum += n
	a.Unlock()
}

//go:noinline
func (a *account) total() bool {
	a.Lock()
	defer a.Unlock()
	return a.sum > 0
}

// Forgets the lock.
//
//go:noinline
func (a *account) peek() bool { return a.sum > 0 }

//go:noinline
func (a *account) setRate(n int64) {
	a.rw.Lock()
	a.rate = n
	a.rw.Unlock()
}

//go:noinline
func (a *account) getRate() bool {
	a.rw.RLock()
	defer a.rw.RUnlock()
	return a.rate > 0
}

//go:noinline
func (a *account) peekRate() bool { return a.rate > 0 }

//go:noinline
func (a *account) owe(n int64) {
	a.shared.Lock()
	a.owed = n
	a.shared.Unlock()
}

//go:noinline
func (a *account) owes() bool {
	a.shared.Lock()
	defer a.shared.Unlock()
	return a.owed > 0
}

//go:noinline
func (a *account) peekOwed() bool { return a.owed > 0 }

//go:noinline
func give(a *account, lock *sync.Mutex, n int64) {
	lock.Lock()
	a.given = n
	lock.Unlock()
}

//go:noinline
func gave(a *account, lock *sync.Mutex) bool {
	lock.Lock()
	defer lock.Unlock()
	return a.given > 0
}

// Takes the lock with a bit more around it: whoever calls peek now has the account's too.
//
//go:noinline
func (a *account) peekTwice() bool {
	a.Lock()
	defer a.Unlock()
	return a.peek()
}

// One half of each 20 ms is the writer's, the other one the reader's: by nothing but the clock.
func apart(half int64, do func()) {
	for time.Now().UnixNano()/1e6%20/8 != half {
		time.Sleep(time.Millisecond)
	}
	do()
}

//go:noinline
func setBefore(n int64) {
	done := make(chan bool)
	mine.Limit = n
	go func() { done <- getBefore() }()
	<-done
}

//go:noinline
func getBefore() bool { return mine.Limit > 0 }

//go:noinline
func hitSlot(n int64) { slots[n&1].hits++ }

//go:noinline
func getSlot() bool { return slots[reads&1].hits > 0 }

// Two lines append to a slice that has room, and each believes the place to be its own.
var base = make([]int64, 2, 8)

var left, right []int64

//go:noinline
//line appends.go:100
func appendLeft(n int64) { left = append(base, n) }

//go:noinline
//line appends.go:200
func appendRight() bool { right = append(base, reads); return len(right) > 0 }

// Nothing is behind the length of what is handed out: each has its own array.
//
//go:noinline
//line appends.go:300
func appendClipped(n int64) { left = append(base[:2:2], n) }

//go:noinline
//line appends.go:400
func appendClippedToo() bool { right = append(base[:2:2], reads); return len(right) > 0 }

//line locks.go:150
func init() {
	word := func(p *int64) func() unsafe.Pointer { return func() unsafe.Pointer { return unsafe.Pointer(p) } }
	never := func() bool { return false }
	kinds["embedded"] = kind{func(n int64) { acct.add(n) }, func() bool { return acct.total() }, word(&acct.sum), 8}
	kinds["forgot-embedded"] = kind{func(n int64) { acct.add(n) }, func() bool { return acct.peek() }, word(&acct.sum), 8}
	kinds["by-caller"] = kind{func(n int64) { acct.add(n) }, func() bool { return acct.peekTwice() }, word(&acct.sum), 8}
	kinds["rwmutex-embedded"] = kind{func(n int64) { acct.setRate(n) }, func() bool { return acct.getRate() }, word(&acct.rate), 8}
	kinds["forgot-rwmutex"] = kind{func(n int64) { acct.setRate(n) }, func() bool { return acct.peekRate() }, word(&acct.rate), 8}
	kinds["pointer-lock"] = kind{func(n int64) { acct.owe(n) }, func() bool { return acct.owes() }, word(&acct.owed), 8}
	kinds["forgot-pointer-lock"] = kind{func(n int64) { acct.owe(n) }, func() bool { return acct.peekOwed() }, word(&acct.owed), 8}
	kinds["passed-lock"] = kind{func(n int64) { give(acct, &tokens, n) }, func() bool { return gave(acct, &tokens) }, word(&acct.given), 8}
	kinds["before-go"] = kind{setBefore, never, func() unsafe.Pointer { return unsafe.Pointer(&mine.Limit) }, 8}
	for _, forgot := range []string{"forgot", "forgot-embedded", "forgot-rwmutex", "forgot-pointer-lock"} {
		k := kinds[forgot]
		kinds["apart-"+forgot] = kind{
			func(n int64) { apart(0, func() { k.set(n) }) },
			func() (yes bool) { apart(1, func() { yes = k.get() }); return },
			k.word, k.size}
	}
	behind := func() unsafe.Pointer { return unsafe.Pointer(&base[:3][2]) }
	kinds["apart-appends"] = kind{
		func(n int64) { apart(0, func() { appendLeft(n) }) },
		func() (yes bool) { apart(1, func() { yes = appendRight() }); return },
		behind, 8}
	kinds["appends-clipped"] = kind{appendClipped, appendClippedToo, behind, 8}
	kinds["slots"] = kind{hitSlot, getSlot, word(&slots[0].hits), 8}
}
