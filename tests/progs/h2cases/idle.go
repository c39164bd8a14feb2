// SPDX-License-Identifier: BSD-2-Clause

//go:build go1.24

package main

import (
	"net/http"
	"time"
)

func setReadIdle(t *http.Transport, d time.Duration) {
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: d}
}
