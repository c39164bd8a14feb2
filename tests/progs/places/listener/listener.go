// SPDX-License-Identifier: BSD-2-Clause

// Package listener listens for ever for what nobody sends, from the start.
package listener

func init() {
	go listen(make(chan int))
}

func listen(c chan int) {
	for range c {
	}
}
