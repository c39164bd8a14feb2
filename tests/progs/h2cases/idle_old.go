// SPDX-License-Identifier: BSD-2-Clause

//go:build !go1.24

package main

import (
	"net/http"
	"time"
)

// Before 1.24 net/http has no such setting.
func setReadIdle(*http.Transport, time.Duration) {
	panic("use x")
}
