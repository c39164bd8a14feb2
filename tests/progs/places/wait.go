// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
)

// How main waits for ever: on purpose, but for the last two.
var idioms = map[string]func(){
	"chan":   func() { <-make(chan bool) },
	"select": func() { select {} },
	"cases": func() {
		select {
		case <-make(chan int):
		case <-make(chan bool):
		}
	},
	"group": func() {
		var wg sync.WaitGroup
		wg.Add(1)
		wg.Wait()
	},
	"background": func() { <-context.Background().Done() },
	"signal": func() {
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGUSR1)
		<-c
	},
	"goexit": runtime.Goexit,
	"send":   func() { make(chan bool) <- true },
	"cycle":  cycle,
}

// The function that would call Done waits for the lock that main holds.
func cycle() {
	var (
		mu sync.Mutex
		wg sync.WaitGroup
	)

	mu.Lock()
	wg.Add(1)
	go func() {
		mu.Lock()
		wg.Done()
		mu.Unlock()
	}()
	wg.Wait()
	mu.Unlock()
}

func forgotten() { <-make(chan int) }
