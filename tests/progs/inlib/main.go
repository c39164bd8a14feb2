// SPDX-License-Identifier: BSD-2-Clause

// inlib is a shared library: Go inside of another program.
package main

import "C"

import "time"

//export Start
func Start() {
	go func() {
		for range time.Tick(time.Second) {
		}
	}()
}

func main() {}
