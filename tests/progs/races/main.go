// SPDX-License-Identifier: BSD-2-Clause

// A word that goroutines share: with a race (seed, pointer, counter, forgot, map), or without
// one (the others).  races CASE READS WRITES: so many of each a second; it says the word's
// address, "READY", and at its end how many there were.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

type config struct {
	mu      sync.Mutex
	rw      sync.RWMutex
	Limit   int64
	Enabled bool
}

var (
	cfg      = &config{}
	gmu      sync.Mutex
	counter  int64
	table    = map[int]int{1: 1}
	anything atomic.Value
	pointer  unsafe.Pointer
	limit    int64
	once     sync.Once
	made     *config
	given    = make(chan *config, 1)
	mine     *config
	reads    int64
	writes   int64
)

//go:noinline
func setSeed(n int64) { cfg.Enabled = n%2 == 0 }

//go:noinline
func getSeed() bool { return cfg.Enabled }

//go:noinline
func setPointer(n int64) { made = &config{Limit: n} }

//go:noinline
func getPointer() bool { return made != nil && made.Limit > 0 }

//go:noinline
func count(n int64) { counter++ }

//go:noinline
func getCount() bool { return counter > 0 }

//go:noinline
func setLocked(n int64) {
	cfg.mu.Lock()
	cfg.Enabled = n%2 == 0
	cfg.mu.Unlock()
}

//go:noinline
func getLocked() bool {
	cfg.mu.Lock()
	defer cfg.mu.Unlock()
	return cfg.Enabled
}

//go:noinline
func setGlobal(n int64) {
	gmu.Lock()
	cfg.Enabled = n%2 == 0
	gmu.Unlock()
}

//go:noinline
func getGlobal() bool {
	gmu.Lock()
	defer gmu.Unlock()
	return cfg.Enabled
}

//go:noinline
func setRW(n int64) {
	cfg.rw.Lock()
	cfg.Enabled = n%2 == 0
	cfg.rw.Unlock()
}

//go:noinline
func getRW() bool {
	cfg.rw.RLock()
	defer cfg.rw.RUnlock()
	return cfg.Enabled
}

//go:noinline
func countLocked(n int64) {
	gmu.Lock()
	counter++
	gmu.Unlock()
}

//go:noinline
func getCountLocked() bool {
	gmu.Lock()
	defer gmu.Unlock()
	return counter > 0
}

//go:noinline
func setMap(n int64) { table[int(n%100)] = 1 }

//go:noinline
func getMap() bool { return table[2] > 0 }

//go:noinline
func hasMap() bool { return table != nil }

//go:noinline
func setMapLocked(n int64) {
	gmu.Lock()
	table[int(n%100)] = 1
	gmu.Unlock()
}

//go:noinline
func getMapLocked() bool {
	gmu.Lock()
	defer gmu.Unlock()
	return table[2] > 0
}

//go:noinline
func setValue(n int64) { anything.Store(&config{Limit: n}) }

//go:noinline
func getValue() bool {
	c, _ := anything.Load().(*config)
	return c != nil && c.Limit > 0
}

//go:noinline
func setAtomicPointer(n int64) { atomic.StorePointer(&pointer, unsafe.Pointer(&config{Limit: n})) }

//go:noinline
func getAtomicPointer() bool {
	c := (*config)(atomic.LoadPointer(&pointer))
	return c != nil && c.Limit > 0
}

//go:noinline
func setAtomic(n int64) { atomic.StoreInt64(&limit, n) }

//go:noinline
func getAtomic() bool { return atomic.LoadInt64(&limit) > 0 }

//go:noinline
func addAtomic(n int64) { atomic.AddInt64(&limit, 1) }

//go:noinline
func setOnce(n int64) { once.Do(func() { made = &config{Limit: n} }) }

//go:noinline
func getOnce() bool {
	once.Do(func() { made = &config{Limit: 1} })
	return made.Limit > 0
}

// The word belongs to who has the token.
//
//go:noinline
func setGiven(n int64) {
	c := <-given
	c.Limit = n
	given <- c
}

//go:noinline
func getGiven() bool {
	c := <-given
	ok := c.Limit > 0
	given <- c
	return ok
}

// Only its address is asked for: the compiler reads a byte of it to see that it is not nil.
type counted struct {
	n    int64
	rest [8]uint64
}

var counts = &counted{}

//go:noinline
func setChecked(n int64) {
	gmu.Lock()
	counts.n = n
	gmu.Unlock()
}

//go:noinline
func getChecked() bool { return add(&counts.rest[reads&7]) }

//go:noinline
func add(n *uint64) bool { return atomic.AddUint64(n, 1) > 0 }

// Neighbours in a word: what compares three bytes loads eight.
var near struct {
	_    [0]int64
	name [3]byte
	next byte
}

//go:noinline
func setNext(n int64) { near.next = byte(n) }

//go:noinline
func getName() bool { return isNamed([]byte{0, 0, byte(reads)}) }

//go:noinline
func isNamed(name []byte) bool { return bytes.Equal(near.name[:len(name)], name) }

type kind struct {
	set  func(n int64)
	get  func() bool
	word func() unsafe.Pointer
	size int
}

func enabled() unsafe.Pointer { return unsafe.Pointer(&cfg.Enabled) }

var kinds = map[string]kind{
	"seed":    {setSeed, getSeed, enabled, 1},
	"pointer": {setPointer, getPointer, func() unsafe.Pointer { return unsafe.Pointer(&made) }, 8},
	"counter": {count, getCount, func() unsafe.Pointer { return unsafe.Pointer(&counter) }, 8},
	"forgot":  {setLocked, getSeed, enabled, 1},
	"map":     {setMap, getMap, func() unsafe.Pointer { return unsafe.Pointer(&table) }, 8},

	"mutex":        {setLocked, getLocked, enabled, 1},
	"global-mutex": {setGlobal, getGlobal, enabled, 1},
	"rwmutex":      {setRW, getRW, enabled, 1},
	"locked":       {countLocked, getCountLocked, func() unsafe.Pointer { return unsafe.Pointer(&counter) }, 8},
	"map-mutex":    {setMapLocked, getMapLocked, func() unsafe.Pointer { return unsafe.Pointer(&table) }, 8},
	"map-inside":   {setMapLocked, getMapLocked, func() unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&table)) }, 8},
	"atomic-value": {setValue, getValue, func() unsafe.Pointer { return unsafe.Pointer(uintptr(unsafe.Pointer(&anything)) + 8) }, 8},
	"atomic-ptr":   {setAtomicPointer, getAtomicPointer, func() unsafe.Pointer { return unsafe.Pointer(&pointer) }, 8},
	"atomic":       {setAtomic, getAtomic, func() unsafe.Pointer { return unsafe.Pointer(&limit) }, 8},
	"atomic-add":   {addAtomic, getAtomic, func() unsafe.Pointer { return unsafe.Pointer(&limit) }, 8},
	"once":         {setOnce, getOnce, func() unsafe.Pointer { return unsafe.Pointer(&made) }, 8},
	"nil-check":    {setChecked, getChecked, func() unsafe.Pointer { return unsafe.Pointer(counts) }, 8},
	"neighbour":    {setNext, getName, func() unsafe.Pointer { return unsafe.Pointer(&near.next) }, 1},
	"channel":      {setGiven, getGiven, func() unsafe.Pointer { return unsafe.Pointer(&mine.Limit) }, 8},
}

// Calls fn so many times a second; 0: as often as it can.
func pace(perSecond int, n *int64, fn func(n int64)) {
	runtime.LockOSThread() // else the timers of one thread would run them, one after the other
	start := time.Now()
	for i := int64(0); ; i++ {
		fn(i)
		if i%64 == 0 || perSecond > 0 {
			atomic.StoreInt64(n, i)
		}
		if perSecond <= 0 {
			continue
		}
		if ahead := time.Duration(i)*time.Second/time.Duration(perSecond) - time.Since(start); ahead > 0 {
			time.Sleep(ahead)
		}
	}
}

func reader(k kind, perSecond int) {
	pace(perSecond, &reads, func(n int64) { k.get() })
}

func writer(k kind, perSecond int) {
	pace(perSecond, &writes, k.set)
}

func main() {
	k, ok := kinds[os.Args[1]]
	perSecond := make([]int, 2)
	for i := range perSecond {
		perSecond[i], _ = strconv.Atoi(os.Args[2+i])
	}
	if !ok {
		os.Exit(2)
	}
	mine = &config{}
	given <- mine
	setOnce(1)
	fmt.Printf("word %#x:%d\n", uintptr(k.word()), k.size)
	fmt.Printf("table %#x\nlimit %#x\n", uintptr(unsafe.Pointer(&table)), uintptr(unsafe.Pointer(&limit)))
	fmt.Println("map", hasMap())
	go reader(k, perSecond[0])
	go writer(k, perSecond[1])
	if os.Args[1] == "counter" || os.Args[1] == "locked" || os.Args[1] == "atomic-add" {
		go writer(k, perSecond[1])
	}
	fmt.Println("READY")
	io.Copy(io.Discard, os.Stdin)
	fmt.Println("did", atomic.LoadInt64(&reads), atomic.LoadInt64(&writes))
}
