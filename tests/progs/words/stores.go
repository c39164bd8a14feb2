// SPDX-License-Identifier: BSD-2-Clause

package main

// Stores at lines that tests name.

//go:noinline
//line stores.go:100
func reload(on bool) { cfg.Enabled = on }

//go:noinline
//line stores.go:200
func spread(n int) { wide = [6]int{n, n, n, n, n, n} }

//line stores.go:300
func bump() { inlined++ }

//go:noinline
//line stores.go:400
func behind(c *config, n int) { c.Limit = n }
