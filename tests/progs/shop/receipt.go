// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"strings"
	"sync"
)

const printers = 3

// printReceipts prints the receipts of the day, on all printers at once.
func (s *Shop) printReceipts(n int) {
	var printed sync.WaitGroup
	printed.Add(printers)
	for i := 0; i < printers; i++ {
		go s.print(i, n, &printed)
	}
	if s.bugs["waitgroup"] {
		nextLineIs("waitgroup")
		go fileAway(&printed)
		return
	}
	printed.Wait()
}

// print prints on one of the printers; the last has no paper.
func (s *Shop) print(printer, n int, printed *sync.WaitGroup) {
	if printer == printers-1 && s.bugs["waitgroup"] {
		return // and does not say that it is done
	}
	defer printed.Done()
	_ = strings.Repeat("-", n%40)
}

// fileAway waits until all is printed.
func fileAway(printed *sync.WaitGroup) {
	printed.Wait()
}
