// Uses CPU in known functions: loops of known length, inlined and not, leaves without a frame, on
// goroutines of several go statements, with labels; garbage; system calls.  With -profile it writes
// its own profile (runtime/pprof) to that file, from one line on its standard input to the next.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"syscall"
)

var sink uint64

//go:noinline
func leaf(n int) (x uint64) { // no frame
	for i := 0; i < n; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	return x
}

//go:noinline
func small(x uint64) uint64 { return x*31 + 7 } // a leaf that is called all the time

//go:noinline
func caller(n int) (x uint64) { // has a frame: it calls
	for i := 0; i < n; i++ {
		x = small(x)
	}
	return x
}

func inlined(x uint64) uint64 { return x ^ x>>7 ^ x<<9 }

//go:noinline
func inlines(n int) (x uint64) {
	x = 88172645463325252
	for i := 0; i < n; i++ {
		x = inlined(x)
	}
	return x
}

//go:noinline
func burnLeaf() { atomic.AddUint64(&sink, leaf(3_000_000)) }

//go:noinline
func burnCaller() { atomic.AddUint64(&sink, caller(1_000_000)) }

//go:noinline
func burnInlines() { atomic.AddUint64(&sink, inlines(1_500_000)) }

var live [][]byte

//go:noinline
func garbage() {
	for i := 0; i < 2000; i++ {
		live = append(live, make([]byte, 512))
	}
	if len(live) > 200_000 {
		live = nil
	}
}

//go:noinline
func calls(fd int) {
	var b [1]byte
	for i := 0; i < 2000; i++ {
		syscall.Pread(fd, b[:], 0)
	}
}

func one() {
	for {
		burnLeaf()
		burnCaller()
	}
}

func two() {
	for {
		burnInlines()
	}
}

func main() {
	out := flag.String("profile", "", "where to write its own profile")
	gc := flag.Bool("garbage", false, "make garbage as well")
	sys := flag.Bool("syscalls", false, "call the kernel as well")
	c := flag.Bool("c", false, "run C as well")
	many := flag.Bool("labels", false, "a goroutine with many labels as well")
	flag.Parse()
	go pprof.Do(context.Background(), pprof.Labels("job", "one"), func(context.Context) { one() })
	go two()
	if *c {
		go pprof.Do(context.Background(), pprof.Labels("job", "three", "empty", ""), func(context.Context) { three() })
	}
	if *many {
		l := pprof.Labels("a", strings.Repeat("é", 40), "b", "2", "c", "3", "d", "4", "e", "5", "f", "6", "g", "7")
		go pprof.Do(context.Background(), l, func(context.Context) {
			for {
				burnInlines()
			}
		})
	}
	if *gc {
		go func() {
			for {
				garbage()
			}
		}()
	}
	if *sys {
		f, err := os.Open("/proc/self/exe")
		if err != nil {
			panic(err)
		}
		go func() {
			for {
				calls(int(f.Fd()))
			}
		}()
	}
	fmt.Println("READY")
	if *out != "" {
		f, err := os.Create(*out)
		if err != nil {
			panic(err)
		}
		in := bufio.NewScanner(os.Stdin)
		in.Scan()
		pprof.StartCPUProfile(f)
		fmt.Println("BEGUN")
		in.Scan()
		pprof.StopCPUProfile()
		f.Close()
		fmt.Println("DONE")
	}
	select {}
}
