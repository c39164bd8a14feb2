// SPDX-License-Identifier: BSD-2-Clause
//go:build go1.25

package main

import "sync"

func waitGroupGo() {
	var wg sync.WaitGroup

	for i := 0; i < 13; i++ {
		wg.Go(func() { <-never })
	}
	for i := 0; i < 17; i++ {
		wg.Go(func() {
			select {
			case <-never:
			case v := <-another:
				another <- v
			}
		})
	}
}

var another = make(chan int)
