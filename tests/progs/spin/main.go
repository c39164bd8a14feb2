// Uses the CPU so that others wait, and so that they do not: one mode a run.
//
//	loop    a goroutine runs on and never waits; others want to run, on one P
//	pause   the same work, but it waits for a channel every few milliseconds
//	alone   it runs on, and nobody else wants to run
//	pool    goroutines of one go statement run on, more than there are Ps
//	locked  it runs on with a mutex, which others wait for
//	lockpause  the same, but it waits for a ticker
//	calls   as loop, by a function that calls others, in a loop of several lines
//	starve  many short pieces of work, on as many Ps as GOMAXPROCS says
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
)

var (
	sink uint64
	mu   sync.Mutex
)

//go:noinline
func piece(n int) (x uint64) {
	for i := 0; i < n; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	return x
}

//go:noinline
func spin() {
	for {
		sink = sink*6364136223846793005 + 1442695040888963407
	}
}

//go:noinline
func even(x uint64) uint64 { return x*31 + 7 }

//go:noinline
func odd(x uint64) uint64 { return even(x) ^ x>>3 }

//go:noinline
func callsOthers() {
	for {
		if sink&1 == 0 {
			sink = even(sink)
		} else {
			sink = odd(sink)
		}
	}
}

func pauses() {
	c, back := make(chan int), make(chan int)
	go func() {
		for v := range c {
			back <- v
		}
	}()
	for {
		sink += piece(2_000_000)
		c <- 1
		<-back
	}
}

//go:noinline
func search() {
	for sink != 1 { // which takes years
		sink = sink*6364136223846793005 + 1442695040888963407
	}
}

func holds() {
	mu.Lock()
	search()
	mu.Unlock()
}

// Holds it as long, but waits meanwhile.
func holdsAndWaits() {
	mu.Lock()
	for tick := time.NewTicker(5 * time.Millisecond); sink != 1; {
		sink = piece(1_000_000)
		<-tick.C
	}
	mu.Unlock()
}

// Ready nearly all of the time, and takes little of the CPU.
func others(n int) {
	for i := 0; i < n; i++ {
		go func() {
			for {
				piece(20_000)
				runtime.Gosched()
			}
		}()
	}
}

func main() {
	switch os.Args[1] {
	case "loop":
		runtime.GOMAXPROCS(1)
		others(4)
		go spin()
	case "calls":
		runtime.GOMAXPROCS(1)
		others(4)
		go callsOthers()
	case "pause":
		runtime.GOMAXPROCS(1)
		others(4)
		go pauses()
	case "alone":
		go spin()
	case "pool":
		runtime.GOMAXPROCS(1)
		for i := 0; i < 3; i++ {
			go spin()
		}
	case "locked", "lockpause":
		go map[string]func(){"locked": holds, "lockpause": holdsAndWaits}[os.Args[1]]()
		for mu.TryLock() {
			mu.Unlock()
			time.Sleep(time.Millisecond)
		}
		for i := 0; i < 5; i++ {
			go func() {
				mu.Lock()
				sink++
				mu.Unlock()
			}()
		}
	case "starve":
		for i := 0; i < 40; i++ {
			go func() {
				for {
					piece(200_000)
					time.Sleep(time.Microsecond)
				}
			}()
		}
	}
	fmt.Println("READY")
	for {
		time.Sleep(time.Hour)
	}
}
