// SPDX-License-Identifier: BSD-2-Clause

// netload makes network and database traffic as it is told, with delays and
// faults in each phase, and tells what it measured itself: the truth that the
// tests compare gospect with.  Servers, resolver and database are inside; all
// of it is on the loopback interface.
//
// It prints `READY pid=N` and then answers every line on its standard input
// with one line of JSON, once what the line asks for is done.  Arguments are
// KEY=VALUE; durations are milliseconds:
//
//	set dns= connect= tls=     delay of every look-up, dial and handshake from now on
//	req n= conc= rate= via= host= new= ttfb= body= bodyms= post= readwait= limit= fault=
//	                           n requests; all have ended
//	traffic …                  the same without end (bursts=1: conc at once, and when all have
//	                           ended again), until
//	repeat n= ttfb=            n goroutines, each with one *Request that it sends again and again
//	stop                       which waits for what is under way; how long the longest of those took
//	hang n= phase= limit=      n requests that stay in that phase; with remote=1 and port= in
//	                           the handler of another netload
//	bodies n= how= via=        responses whose body is not closed (drop), closed late (late),
//	                           that come slowly (stream), or are read slowly (sip)
//	release                    ends all that hangs or is held
//	cancel n= phase= keep=     n requests, cancelled when they are in that phase; all have ended;
//	                           with keep=1 what they dialled goes on (Go 1.23) until the release
//	dial n= rate= conc= host= tls= resolver=   dials outside net/http; all are closed
//	churn n= how=              a transport per request, or more parallel requests than idle
//	                           connections are kept for
//	hosts n=                   requests to n hosts with hostile names
//	slowloris n=               n connections that never send their whole request
//	sql …                      see sql.go
//	convoy n= hold= kind=      n goroutines that want one lock, until
//	stopconvoy
//	gc                         a collection
//	truth                      phases by host since the start or `reset`, requests in flight
//	reset
//	where                      places of calls, addresses of the servers
//	quit
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
	"time"
)

type answer map[string]interface{}

type options map[string]string

func (o options) number(key string, otherwise int) int {
	if s, there := o[key]; there {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			panic(fmt.Errorf("not a number: %s=%q", key, s))
		}
		return n
	}
	return otherwise
}

func (o options) text(key, otherwise string) string {
	if s, there := o[key]; there {
		return s
	}
	return otherwise
}

func (o options) ms(key string) time.Duration {
	return time.Duration(o.number(key, 0)) * time.Millisecond
}

func parseOptions(words []string) (options, error) {
	o := options{}
	for _, w := range words {
		i := strings.IndexByte(w, '=')
		if i < 1 {
			return nil, fmt.Errorf("not KEY=VALUE: %q", w)
		}
		o[w[:i]] = w[i+1:]
	}
	return o, nil
}

var commands map[string]func(options) (answer, error)

func init() {
	commands = map[string]func(options) (answer, error){
		"set": cmdSet, "req": cmdReq, "traffic": cmdTraffic, "repeat": cmdRepeat, "stop": cmdStop,
		"hang": cmdHang, "bodies": cmdBodies, "release": cmdRelease, "cancel": cmdCancel,
		"dial": cmdDial, "churn": cmdChurn, "hosts": cmdHosts, "slowloris": cmdSlowloris,
		"sql": cmdSQL, "convoy": cmdConvoy, "stopconvoy": cmdStopConvoy,
		"truth": cmdTruth, "reset": cmdReset, "where": cmdWhere,
		"gc": func(options) (answer, error) { runtime.GC(); return nil, nil },
	}
}

func main() {
	if err := startServers(); err != nil {
		fmt.Fprintln(os.Stderr, "netload:", err)
		os.Exit(1)
	}
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
		reply(words[0], words[1:])
	}
}

// run is the command, with what it panics about bad arguments as an error.
func run(name string, args []string) (a answer, err error) {
	do, known := commands[name]
	if !known {
		return nil, fmt.Errorf("unknown command")
	}
	o, err := parseOptions(args)
	if err != nil {
		return nil, err
	}
	defer func() {
		if r := recover(); r != nil {
			if e, is := r.(runtime.Error); is {
				panic(e)
			}
			err = fmt.Errorf("%v", r)
		}
	}()
	return do(o)
}

func reply(name string, args []string) {
	a, err := run(name, args)
	if a == nil {
		a = answer{}
	}
	a["cmd"] = name
	a["ok"] = err == nil
	if err != nil {
		a["error"] = err.Error()
	}
	line, err := json.Marshal(a)
	if err != nil {
		fmt.Fprintln(os.Stderr, "netload:", err)
		os.Exit(1)
	}
	fmt.Printf("%s\n", line)
}

// waitFor waits until the condition holds.
func waitFor(what string, holds func() bool) error {
	for end := time.Now().Add(30 * time.Second); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("waited 30 s for %s", what)
		}
	}
	return nil
}

// goroutinesIn is how many goroutines have that text in their stack.
func goroutinesIn(text string) int {
	b := make([]byte, 1<<20)
	for {
		n := runtime.Stack(b, true)
		if n < len(b) {
			b = b[:n]
			break
		}
		b = make([]byte, 2*len(b))
	}
	count := 0
	for _, g := range strings.Split(string(b), "\n\n") {
		if strings.Contains(g, text) {
			count++
		}
	}
	return count
}
