// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"syscall"
)

func gcCycles() int64 {
	var s debug.GCStats // does not stop the world
	debug.ReadGCStats(&s)
	return s.NumGC
}

func pauseTotal() int64 {
	var s debug.GCStats
	debug.ReadGCStats(&s)
	return int64(s.PauseTotal)
}

// metric reads one counter; absent in releases that do not have it.
func metric(name string) (uint64, bool) {
	s := []metrics.Sample{{Name: name}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindUint64 {
		return 0, false
	}
	return s[0].Value.Uint64(), true
}

func cmdStat([]string) (answer, error) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	small := uint64(0)
	for _, c := range m.BySize {
		small += c.Mallocs
	}
	tiny, _ := metric("/gc/heap/tiny/allocs:objects")
	a := answer{
		"go": runtime.Version(), "gomaxprocs": runtime.GOMAXPROCS(0),
		"num_goroutine": runtime.NumGoroutine(), "parked": parkedNow(), "looping": looping(),
		"num_gc": m.NumGC, "num_forced_gc": m.NumForcedGC, "pause_total_ns": m.PauseTotalNs,
		"mallocs": m.Mallocs, "large_mallocs": m.Mallocs - small - tiny,
		"total_alloc_bytes": m.TotalAlloc, "heap_alloc_bytes": m.HeapAlloc, "next_gc_bytes": m.NextGC,
	}
	// Of the runtime's own created counter, since Go 1.26.
	if n, ok := metric("/sched/goroutines-created:goroutines"); ok {
		a["goroutines_created"] = n
	}
	return a, nil
}

// dump is the text of all goroutines, counted.
type dump struct {
	states    map[string]int // by the words in brackets
	createdBy map[string]int // by "function file:line"
	bytes     int
}

// dumpMax is outside of Go's heap: a buffer of this size would be a large
// allocation that nobody asked for.
const dumpMax = 128 << 20

var dumpBuffer []byte

func readDump() (*dump, error) {
	if dumpBuffer == nil {
		var err error
		dumpBuffer, err = syscall.Mmap(-1, 0, dumpMax, syscall.PROT_READ|syscall.PROT_WRITE,
			syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_NORESERVE)
		if err != nil {
			return nil, err
		}
	}
	n := runtime.Stack(dumpBuffer, true)
	if n == len(dumpBuffer) {
		return nil, fmt.Errorf("the goroutine dump is longer than %d bytes", n)
	}
	return countDump(dumpBuffer[:n]), nil
}

func countDump(text []byte) *dump {
	d := &dump{map[string]int{}, map[string]int{}, len(text)}
	created := ""
	for len(text) > 0 {
		line := text
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			line, text = text[:i], text[i+1:]
		} else {
			text = nil
		}
		switch {
		case bytes.HasPrefix(line, []byte("goroutine ")):
			d.states[dumpState(string(line))]++
		case bytes.HasPrefix(line, []byte("created by ")):
			created = dumpFunction(string(line))
		case created != "":
			d.createdBy[created+" "+dumpPlace(string(line))]++
			created = ""
		}
	}
	return d
}

// dumpState takes "chan receive" out of
// "goroutine 7 gp=0xc000 m=nil mp=0x0 [chan receive, 2 minutes, locked to thread]:".
func dumpState(line string) string {
	i, j := strings.IndexByte(line, '['), strings.LastIndexByte(line, ']')
	if i < 0 || j < i {
		return "?"
	}
	state := line[i+1 : j]
	if i := strings.IndexByte(state, ','); i >= 0 {
		state = state[:i]
	}
	return strings.TrimSuffix(state, " (scan)")
}

// dumpFunction takes "main.f" out of "created by main.f in goroutine 1".
func dumpFunction(line string) string {
	name := strings.TrimPrefix(line, "created by ")
	if i := strings.Index(name, " in goroutine "); i >= 0 {
		name = name[:i]
	}
	return name
}

// dumpPlace takes "births.go:31" out of "\t/src/births.go:31 +0x1d".
func dumpPlace(line string) string {
	line = strings.TrimSpace(line)
	if i := strings.IndexByte(line, ' '); i >= 0 {
		line = line[:i]
	}
	return filepath.Base(line)
}

func cmdDump([]string) (answer, error) {
	d, err := readDump()
	if err != nil {
		return nil, err
	}
	total := 0
	for _, n := range d.states {
		total += n
	}
	return answer{"goroutines": total, "states": d.states, "created_by": d.createdBy, "bytes": d.bytes}, nil
}
