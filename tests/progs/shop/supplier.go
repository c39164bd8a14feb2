// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"context"
	"time"
)

const (
	supplierTakes = 20 * time.Millisecond
	patience      = 5 * time.Millisecond
)

// supplier knows when things can be delivered.
type supplier struct{ asked chan question }

type question struct {
	id     int
	answer chan int
}

func newSupplier() *supplier { return &supplier{asked: make(chan question, 64)} }

// answer answers what is asked; whoever asks leaves room for the answer.
func (p *supplier) answer(ctx context.Context) {
	for {
		select {
		case q := <-p.asked:
			q.answer <- q.id * 7
		case <-ctx.Done():
			return
		}
	}
}

// fetch asks the slow way.
func (p *supplier) fetch(id int, answer chan<- int) {
	time.Sleep(supplierTakes)
	answer <- id * 7
}

// ask waits for the supplier's answer, but not for long.
func (s *Shop) ask(id int) int {
	answer := make(chan int, 1)
	if s.bugs["latereply"] {
		answer = make(chan int)
		nextLineIs("latereply")
		go s.supplier.fetch(id, answer)
	} else {
		select {
		case s.supplier.asked <- question{id, answer}:
		default:
			return -1
		}
	}
	select {
	case days := <-answer:
		return days
	case <-time.After(patience):
		return -1
	}
}
