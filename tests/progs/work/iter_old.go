// SPDX-License-Identifier: BSD-2-Clause

//go:build !go1.23

package main

import (
	"fmt"
	"runtime"
)

func cmdIter([]string) (answer, error) {
	return nil, fmt.Errorf("%s has no iter.Pull", runtime.Version())
}

func holdCoroutines(*site, int) error { return fmt.Errorf("%s has no iter.Pull", runtime.Version()) }

func dropCoroutines() {}
