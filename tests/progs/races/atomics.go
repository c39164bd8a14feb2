// SPDX-License-Identifier: BSD-2-Clause

//go:build go1.19

package main

import (
	"sync/atomic"
	"unsafe"
)

var on atomic.Bool

func init() {
	kinds["atomic-bool"] = kind{func(n int64) { on.Store(n%2 == 0) }, func() bool { return on.Load() },
		func() unsafe.Pointer { return unsafe.Pointer(&on) }, 4}
}
