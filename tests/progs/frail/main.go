// SPDX-License-Identifier: BSD-2-Clause

// frail has 2,000 leaked goroutines (with an argument: none), prints READY, and
// does what a process may do while somebody freezes it.  It answers each line on
// its standard input with one line of JSON:
//
//	fork    from now on starts children, and threads that end, as fast as it can
//	count   how many of both there were, and what went wrong with them
//	hold    from now on keeps 256 MiB of memory with pointers in it
//	watch   from now on sees for how long it stands still
//	gap     the longest time, in us, that it did since it was last asked
//	exec    becomes /bin/sleep (no answer)
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	children, threads, wrong int64
	gap                      int64
	held                     [][]*int64
)

func forget() { <-make(chan int) }

func startChildren() {
	for {
		if exec.Command("/bin/true").Run() != nil {
			atomic.AddInt64(&wrong, 1)
		}
		atomic.AddInt64(&children, 1)
	}
}

// A thread ends with a goroutine that is locked to it.
func startThreads() {
	for {
		done := make(chan bool)
		go func() {
			runtime.LockOSThread()
			done <- true
		}()
		if !<-done {
			atomic.AddInt64(&wrong, 1)
		}
		atomic.AddInt64(&threads, 1)
	}
}

// Every page is there, so that it takes time to copy.
func hold() {
	for len(held) < 256 {
		m := make([]*int64, 1<<17)
		for i := 0; i < len(m); i += 512 {
			m[i] = &wrong
		}
		held = append(held, m)
	}
}

// In a process of SCHED_FIFO nobody keeps it off the CPU but who stops it.
func watch() {
	runtime.LockOSThread()
	nap := syscall.Timespec{Nsec: 200000}
	for last := time.Now(); ; {
		_ = syscall.Nanosleep(&nap, nil)
		now := time.Now()
		us := now.Sub(last).Microseconds()
		for old := atomic.LoadInt64(&gap); us > old && !atomic.CompareAndSwapInt64(&gap, old, us); {
			old = atomic.LoadInt64(&gap)
		}
		last = now
	}
}

func main() {
	for i := 0; i < 2000 && len(os.Args) == 1; i++ {
		go forget()
	}
	time.Sleep(50 * time.Millisecond)
	runtime.GC()
	fmt.Printf("READY pid=%d\n", os.Getpid())
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		longest := int64(0)
		switch in.Text() {
		case "fork":
			for i := 0; i < 2; i++ {
				go startChildren()
				go startThreads()
			}
		case "hold":
			hold()
		case "watch":
			go watch()
		case "gap":
			longest = atomic.SwapInt64(&gap, 0)
		case "exec":
			syscall.Exec("/bin/sleep", []string{"sleep", "1000"}, nil)
			atomic.AddInt64(&wrong, 1)
		}
		json.NewEncoder(os.Stdout).Encode(map[string]int64{
			"children": atomic.LoadInt64(&children), "threads": atomic.LoadInt64(&threads),
			"wrong": atomic.LoadInt64(&wrong), "gap": longest})
	}
}
