// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"context"
	"sync"
	"time"
)

const (
	owners        = 4
	settingsEvery = 20 * time.Millisecond
)

// settings is what the owners change while the shop is open.
type settings struct {
	mu   sync.Mutex
	sale bool
}

var config = &settings{}

func (s *Shop) openSettings(ctx context.Context) {
	for i := 0; i < owners; i++ {
		go s.every(ctx, settingsEvery, s.changeSettings)
	}
}

// changeSettings begins the sale, or ends it.
func (s *Shop) changeSettings() {
	if !s.bugs["config"] {
		config.mu.Lock()
		defer config.mu.Unlock()
	}
	nextLineIs("config")
	config.sale = !config.sale
}

// isSale is asked for each price that is shown.
func (s *Shop) isSale() bool {
	if !s.bugs["config"] {
		config.mu.Lock()
		defer config.mu.Unlock()
	}
	return config.sale
}

// reduced counts those that are cheaper now.
func (s *Shop) reduced(products []int) int {
	n := 0
	for range products {
		if s.isSale() {
			n++
		}
	}
	return n
}
