//go:build cgo

package main

/*
#include <unistd.h>

__attribute__((noinline)) static unsigned long c_loop(unsigned long n)
{
	unsigned long x = 1;

	for (unsigned long i = 0; i < n; i++)
		__asm__ volatile("imulq $31, %0, %0\n\taddq $7, %0" : "+r"(x));
	return x;
}

static void c_calls(int fd, int n)
{
	char c;

	for (int i = 0; i < n; i++)
		if (pread(fd, &c, 1, 0) < 0)
			return;
}
*/
import "C"

import (
	"os"
	"sync/atomic"
)

//go:noinline
func burnC() { atomic.AddUint64(&sink, uint64(C.c_loop(40_000_000))) }

//go:noinline
func callsInC(fd int) { C.c_calls(C.int(fd), 5000) }

func three() {
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		panic(err)
	}
	for {
		burnC()
		callsInC(int(f.Fd()))
	}
}
