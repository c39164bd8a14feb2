// SPDX-License-Identifier: BSD-2-Clause

// cpuhttp is an HTTP server on the loopback interface and its own clients at full speed, on -procs
// Ps, that can profile itself: "profile FILE" on its standard input begins, "end" ends.  It prints
// READY, then a line of JSON per second, as httpload does (with -quiet at each "now" only), and BEGUN
// and DONE for the profile.  With -loop it serves nothing: its requests are rounds of a loop.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

var answered int64
var sink uint64

func handle(w http.ResponseWriter, _ *http.Request) {
	var b strings.Builder
	for i := 0; i < 40; i++ {
		fmt.Fprintf(&b, "%d: hello world\n", i)
	}
	io.WriteString(w, b.String())
}

func ask(url string) {
	client := &http.Client{Transport: &http.Transport{}}
	for {
		r, err := client.Get(url)
		if err != nil {
			panic(err)
		}
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
		atomic.AddInt64(&answered, 1)
	}
}

func loop() {
	for x := uint64(1); ; {
		for i := 0; i < 1000; i++ {
			x = x*6364136223846793005 + 1442695040888963407
		}
		sink = x
		atomic.AddInt64(&answered, 1)
	}
}

var begin = time.Now()

func report() {
	var u syscall.Rusage
	n := atomic.LoadInt64(&answered)
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	json.NewEncoder(os.Stdout).Encode(map[string]interface{}{
		"seconds":     time.Since(begin).Seconds(),
		"requests":    n,
		"cpu_seconds": float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9,
	})
}

func serve(conns int) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go (&http.Server{Handler: http.HandlerFunc(handle)}).Serve(listener)
	for i := 0; i < conns; i++ {
		go ask("http://" + listener.Addr().String() + "/")
	}
}

func main() {
	procs := flag.Int("procs", 0, "GOMAXPROCS; 0: as it is")
	conns := flag.Int("conns", 8, "client connections")
	loops := flag.Bool("loop", false, "a loop instead")
	quiet := flag.Bool("quiet", false, "no line per second")
	flag.Parse()
	if *procs > 0 {
		runtime.GOMAXPROCS(*procs)
	}
	if *loops {
		go loop()
	} else {
		serve(*conns)
	}
	fmt.Println("READY")
	if !*quiet {
		go func() {
			for range time.Tick(time.Second) {
				report()
			}
		}()
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if path := strings.TrimPrefix(in.Text(), "profile "); path != in.Text() {
			f, err := os.Create(path)
			if err != nil {
				panic(err)
			}
			pprof.StartCPUProfile(f)
			fmt.Println("BEGUN")
		} else if in.Text() == "now" {
			report()
		} else {
			pprof.StopCPUProfile()
			fmt.Println("DONE")
		}
	}
}
