// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"context"
	"time"
)

// partner is the shop next door that wants to know what is in the carts.
type partner struct {
	queue chan string
	sent  int
}

// partnerTakes is how long it takes to answer on a bad day.
const partnerTakes = 5 * time.Minute

func newPartner() *partner { return &partner{queue: make(chan string, 256)} }

// listen sends what is queued, a batch at a time.
func (p *partner) listen(ctx context.Context) {
	for {
		select {
		case <-p.queue:
			p.sent++
		case <-ctx.Done():
			return
		}
	}
}

// call waits for the partner's answer.
func (p *partner) call(user string) int {
	time.Sleep(partnerTakes)
	return len(user)
}

// recommend tells the partner about a cart: by the queue, which drops what
// does not fit.
func (s *Shop) recommend(user string) {
	if s.bugs["flood"] {
		nextLineIs("flood")
		go s.partner.call(user)
		return
	}
	select {
	case s.partner.queue <- user:
	default:
	}
}
