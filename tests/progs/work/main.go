// SPDX-License-Identifier: BSD-2-Clause

// work does what it is told, and tells what it did: the truth that the tests
// compare gospect with.
//
// It prints `READY pid=N` and then answers every line on its standard input
// with one line of JSON, once what the line asks for is done:
//
//	births N [SITE…]      start N goroutines at each site (default: all); all have ended
//	park N SITE           start N goroutines that stay blocked there (`parks` in `where`)
//	release               let all parked goroutines go; all have ended
//	large N SIZE [SITE…]  N allocations of SIZE bytes at each site (default: bytes pointers)
//	gc N                  N collections, one after the other
//	cgo N                 N calls of C (only when built with cgo)
//	iter N                N coroutines (iter.Pull), half of them stopped early; all have ended
//	spin MS               burn CPU for MS milliseconds of wall time
//	deep N                a recursion N calls deep: the stack grows and is copied
//	loop RATE             from now on RATE rounds per second, each a birth, a death, one
//	                      large allocation every 100 rounds, and a check of what came out
//	stoploop              end that; how many rounds there were, and how many were wrong
//	stat                  what the runtime says of itself (stops the world for a moment)
//	dump                  its own goroutine dump, counted by state and by site (stops it too)
//	where                 every site: function, file, line, and the function started there
//	check                 whether every answer so far was right
//	exec PATH ARG…        become another program
//	quit                  end
//
// `ok` is false, and `error` says why, when something could not be done or
// came out wrong.  It compiles with Go 1.18 and newer.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type answer map[string]interface{}

type command func(args []string) (answer, error)

var commands map[string]command

func init() {
	commands = map[string]command{
		"births":   cmdBirths,
		"park":     cmdPark,
		"release":  cmdRelease,
		"large":    cmdLarge,
		"gc":       cmdGC,
		"iter":     cmdIter,
		"spin":     cmdSpin,
		"deep":     cmdDeep,
		"loop":     cmdLoop,
		"stoploop": cmdStopLoop,
		"stat":     cmdStat,
		"dump":     cmdDump,
		"where":    cmdWhere,
		"check":    cmdCheck,
		"exec":     cmdExec,
	}
}

func main() {
	learnSites()
	fmt.Printf("READY pid=%d\n", os.Getpid())
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		words := strings.Fields(in.Text())
		if len(words) == 0 {
			continue
		}
		if words[0] == "quit" {
			return
		}
		reply(words)
	}
}

func reply(words []string) {
	do, known := commands[words[0]]
	a, err := answer{}, error(nil)
	if !known {
		err = fmt.Errorf("unknown command")
	} else if a, err = do(words[1:]); a == nil {
		a = answer{}
	}
	a["cmd"] = words[0]
	a["ok"] = err == nil
	if err != nil {
		a["error"] = err.Error()
	}
	line, err := json.Marshal(a)
	if err != nil {
		fmt.Fprintln(os.Stderr, "work:", err)
		os.Exit(1)
	}
	fmt.Printf("%s\n", line)
}

// number takes the argument at i, a whole number that is not negative.
func number(args []string, i int) (int, error) {
	if i >= len(args) {
		return 0, fmt.Errorf("argument %d is missing", i+1)
	}
	n, err := strconv.Atoi(args[i])
	if err != nil || n < 0 {
		return 0, fmt.Errorf("not a number: %q", args[i])
	}
	return n, nil
}

// wrong counts what came out other than it must.
var wrong int

func wrongf(format string, args ...interface{}) error {
	wrong++
	return fmt.Errorf(format, args...)
}

func cmdCheck([]string) (answer, error) {
	a := answer{"wrong": wrong, "sum": sumIs(), "sum_expected": sumExpected}
	if wrong != 0 || sumIs() != sumExpected {
		return a, fmt.Errorf("not every answer was right")
	}
	return a, nil
}

func cmdGC(args []string) (answer, error) {
	n, err := number(args, 0)
	if err != nil {
		return nil, err
	}
	before := gcCycles()
	for i := 0; i < n; i++ {
		runtime.GC()
	}
	return answer{"forced": n, "cycles": gcCycles() - before, "cycles_total": gcCycles(),
		"pause_total_ns": pauseTotal()}, nil
}

func cmdSpin(args []string) (answer, error) {
	ms, err := number(args, 0)
	if err != nil {
		return nil, err
	}
	x := uint64(1)
	begin := time.Now()
	for time.Since(begin) < time.Duration(ms)*time.Millisecond {
		for i := 0; i < 10000; i++ {
			x = x*6364136223846793005 + 1442695040888963407
		}
	}
	return answer{"ms": ms, "value": x % 1000}, nil
}

func cmdDeep(args []string) (answer, error) {
	n, err := number(args, 0)
	if err != nil {
		return nil, err
	}
	done := make(chan int)
	s := sites["other"]["deep"]
	s.starts(deepGoroutine)
	s.next()
	go deepGoroutine(n, done) // a goroutine of its own begins with a small stack
	got := <-done
	s.Births++
	s.Deaths++
	a := answer{"depth": n, "sum": got, "sum_expected": n * (n + 1) / 2}
	if got != n*(n+1)/2 {
		return a, wrongf("the recursion came to a wrong sum")
	}
	return a, settle()
}

func deepGoroutine(n int, done chan<- int) { done <- deep(n) }

//go:noinline
func deep(n int) int {
	var pad [16]int // makes the frame big enough to outgrow the stack soon
	pad[n%16] = n
	if n == 0 {
		return 0
	}
	return deep(n-1) + pad[n%16]
}

func cmdExec(args []string) (answer, error) {
	if len(args) == 0 {
		return nil, fmt.Errorf("argument 1 is missing")
	}
	return nil, syscall.Exec(args[0], args, os.Environ())
}
