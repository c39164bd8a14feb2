// SPDX-License-Identifier: BSD-2-Clause

// httpload is what `make bench` traces: an HTTP server on the loopback
// interface, and its own clients at full speed.  net/http's server starts one
// goroutine per request (it watches the connection while the handler runs);
// with -extra N the handler starts N more.
//
// It prints `READY pid=N addr=HOST:PORT`, then a line of JSON per second:
// requests answered so far, and the CPU time used so far.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

var answered, failed int64

var extra = flag.Int("extra", 0, "goroutines that the handler starts per request")

func main() {
	procs := flag.Int("procs", 0, "GOMAXPROCS; 0: as it is")
	conns := flag.Int("conns", 16, "client connections, each always with one request under way")
	lasts := flag.Duration("for", 0, "end after this time; 0: at SIGINT or SIGTERM")
	flag.Parse()
	if *procs > 0 {
		runtime.GOMAXPROCS(*procs)
	}
	if err := run(*conns, *lasts); err != nil {
		fmt.Fprintln(os.Stderr, "httpload:", err)
		os.Exit(1)
	}
}

func run(conns int, lasts time.Duration) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if lasts > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, lasts)
		defer cancel()
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(handle)}
	go server.Serve(listener)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: conns}}
	for i := 0; i < conns; i++ {
		go ask(ctx, client, "http://"+listener.Addr().String()+"/")
	}
	for atomic.LoadInt64(&answered) < int64(conns) {
		time.Sleep(time.Millisecond)
	}
	fmt.Printf("READY pid=%d addr=%s\n", os.Getpid(), listener.Addr())
	report(ctx)
	if n := atomic.LoadInt64(&failed); n != 0 {
		return fmt.Errorf("%d requests failed", n)
	}
	return nil
}

func handle(w http.ResponseWriter, _ *http.Request) {
	answer := make(chan []byte, *extra)
	for i := 0; i < *extra; i++ {
		go work(answer)
	}
	for i := 0; i < *extra; i++ {
		<-answer
	}
	w.Write(page())
}

func work(answer chan<- []byte) { answer <- page() }

func page() []byte {
	b := make([]byte, 0, 512)
	for i := 0; i < 40; i++ {
		b = append(b, "hello world\n"...)
	}
	return b
}

func ask(ctx context.Context, client *http.Client, url string) {
	for ctx.Err() == nil {
		if err := get(client, url); err != nil {
			atomic.AddInt64(&failed, 1)
			continue
		}
		atomic.AddInt64(&answered, 1)
	}
}

func get(client *http.Client, url string) error {
	r, err := client.Get(url)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	_, err = io.Copy(io.Discard, r.Body)
	return err
}

func report(ctx context.Context) {
	out := json.NewEncoder(os.Stdout)
	begin := time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for more := true; more; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			more = false
		}
		out.Encode(map[string]interface{}{
			"seconds":     time.Since(begin).Seconds(),
			"requests":    atomic.LoadInt64(&answered),
			"cpu_seconds": cpuSeconds(),
		})
	}
}

func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
