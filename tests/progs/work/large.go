// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"fmt"
	"unsafe"
)

// What was allocated last stays alive, the rest is garbage.
var (
	keepBytes    []byte
	keepPointers []*site
	keepString   string
)

// Each makes one allocation of size bytes on the line after s.next().
var largeFunctions = map[string]func(s *site, size int){
	"bytes":    largeBytes,
	"pointers": largePointers,
	"grow":     largeGrow,
	"string":   largeString,
	"inlined":  largeInlined,
}

func makeLargeSites() {
	for name := range largeFunctions {
		addSite("large", name)
	}
}

func cmdLarge(args []string) (answer, error) {
	n, err := number(args, 0)
	if err != nil {
		return nil, err
	}
	size, err := number(args, 1)
	if err != nil {
		return nil, err
	}
	which, err := names("large", args[2:], []string{"bytes", "pointers"})
	if err != nil {
		return nil, err
	}
	if size > largeMax {
		return nil, fmt.Errorf("at most %d bytes", largeMax)
	}
	for _, name := range which {
		allocate(name, n, size)
	}
	return answer{"size": size, "sites": sites["large"]}, nil
}

func allocate(name string, n, size int) {
	s := sites["large"][name]
	size = size / 16 * 16 // whole pointers, and half of it too
	for i := 0; i < n; i++ {
		largeFunctions[name](s, size)
	}
	s.Count += int64(n)
	s.Bytes += int64(n) * int64(size)
}

//go:noinline
func largeBytes(s *site, size int) {
	s.next()
	keepBytes = make([]byte, size)
}

//go:noinline
func largePointers(s *site, size int) {
	s.next()
	keepPointers = make([]*site, size/int(unsafe.Sizeof(s)))
}

// largeMax is how much `grow` and `string` can copy.
const largeMax = 64 << 20

// staticBytes are not of the heap.
var staticBytes [largeMax]byte

//go:noinline
func largeGrow(s *site, size int) {
	more := staticBytes[0:0:0]
	s.next()
	keepBytes = append(more, staticBytes[:size]...)
}

//go:noinline
func largeString(s *site, size int) {
	s.next()
	keepString = string(staticBytes[:size])
}

// makeBytes is inlined into largeInlined, and is the place all the same.
func makeBytes(s *site, size int) []byte {
	s.next()
	return make([]byte, size)
}

//go:noinline
func largeInlined(s *site, size int) {
	keepBytes = makeBytes(s, size)
}
