// SPDX-License-Identifier: BSD-2-Clause

//go:build cgo

package main

/*
static int three_times(int n) { return 3 * n; }
*/
import "C"

func init() {
	commands["cgo"] = cmdCgo
}

// cmdCgo calls C, N times.
func cmdCgo(args []string) (answer, error) {
	n, err := number(args, 0)
	if err != nil {
		return nil, err
	}
	sum, want := 0, 0
	for i := 0; i < n; i++ {
		sum += int(C.three_times(C.int(i)))
		want += 3 * i
	}
	if sum != want {
		return nil, wrongf("C came to %d instead of %d", sum, want)
	}
	return answer{"calls": n, "sum": sum}, nil
}
