// SPDX-License-Identifier: BSD-2-Clause

//go:build go1.23

package main

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
)

// Coroutines are goroutines that iter.Pull makes: their creation is in
// iter.Pull, their start in the runtime.

type held struct {
	next func() (int, bool)
	stop func()
}

var heldCoroutines []held

func init() {
	parkSitesExtra = append(parkSitesExtra, "coroutine")
}

func count(to int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := 1; i <= to; i++ {
			if !yield(i) {
				return
			}
		}
	}
}

func cmdIter(args []string) (answer, error) {
	n, err := number(args, 0)
	if err != nil {
		return nil, err
	}
	got, want := 0, 0
	for i := 0; i < n; i++ {
		next, stop := iter.Pull(count(3))
		for v, more := next(); more; v, more = next() {
			got += v
			if i%2 == 1 && v == 2 {
				break
			}
		}
		stop()
		want += 3 + 3*((i+1)%2)
	}
	if got != want {
		return nil, wrongf("the coroutines came to %d instead of %d", got, want)
	}
	s := sites["parks"]["coroutine"]
	s.Births += int64(n)
	s.Deaths += int64(n)
	return answer{"coroutines": n}, settle()
}

func holdCoroutines(s *site, n int) error {
	for i := 0; i < n; i++ {
		next, stop := iter.Pull(count(3))
		if v, ok := next(); !ok || v != 1 {
			return fmt.Errorf("a coroutine did not begin")
		}
		heldCoroutines = append(heldCoroutines, held{next, stop})
	}
	parked["coroutine"] += n
	s.Births += int64(n)
	return learnCoroutine(s)
}

// learnCoroutine takes the place from the goroutine dump: it is in the
// standard library.
func learnCoroutine(s *site) error {
	if s.Line != 0 {
		return nil
	}
	d, err := readDump()
	if err != nil {
		return err
	}
	for by := range d.createdBy {
		i := strings.LastIndexByte(by, ' ')
		j := strings.LastIndexByte(by, ':')
		if strings.HasPrefix(by, "iter.Pull") && i < j {
			s.Function, s.File = by[:i], by[i+1:j]
			s.Line, err = strconv.Atoi(by[j+1:])
			s.Start, s.Reason = "runtime.corostart", "coroutine"
			return err
		}
	}
	return wrongf("no goroutine was created by iter.Pull")
}

func dropCoroutines() {
	for _, h := range heldCoroutines {
		h.stop()
	}
	heldCoroutines = nil
}
