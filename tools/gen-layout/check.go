// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"errors"
	"fmt"
)

// check compares every row with its neighbours.  A wrong name in
// layout_fields.def, or a field that was renamed, shows as one that goes away
// or changes its width: that is for a person to look at, not for the table.
func check(fields []field, rows []*row) error {
	var errs []error
	say := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for i, fd := range fields {
		checkField(fd, i, rows, say)
	}
	for i, r := range rows {
		if len(r.waitReasons) < 20 || r.waitReasons[0] != "" {
			say("go%s %s: wait reasons look wrong: %q", r.rel.name, r.arch, r.waitReasons)
		}
		if i > 0 && rows[i-1].arch == r.arch {
			checkGrowth(rows[i-1], r, say)
		}
		checkTwin(r, rows, say)
	}
	return errors.Join(errs...)
}

func checkField(fd field, i int, rows []*row, say func(string, ...any)) {
	var last *row
	seen := false
	for _, r := range rows {
		here := r.off[i] != absent
		if here && r.off[i]+r.size[i] > r.typeSize[i] {
			say("go%s %s: %s ends behind its type", r.rel.name, r.arch, fd.id)
		}
		if here && last != nil && last.off[i] != absent && last.size[i] != r.size[i] && !mayResize[fd.id] {
			say("%s is %d bytes in go%s and %d in go%s", fd.id,
				last.size[i], last.rel.name, r.size[i], r.rel.name)
		}
		if !here && last != nil && last.arch == r.arch && last.off[i] != absent && !mayEnd[fd.id] {
			say("%s of go%s is gone in go%s: renamed?", fd.id, last.rel.name, r.rel.name)
		}
		seen = seen || here
		last = r
	}
	if !seen {
		say("%s: no release has '%s' %q", fd.id, fd.typ, fd.paths)
	}
}

// mayEnd are the fields known to have gone: in 1.25 each of the two lists of
// free goroutines got its own count, in 1.27 the heap profile counts objects
// only; in 1.23 a wantConn got a channel for its result.
var mayEnd = map[string]bool{
	"SCHED_GFREE_N":              true,
	"MEMRECORDCYCLE_ALLOC_BYTES": true,
	"MEMRECORDCYCLE_FREE_BYTES":  true,
	"HTTP_WANTCONN_READY":        true,
	"HTTP_WANTCONN_PC":           true,
}

// mayResize are the fields known to have changed their width: counts of a span
// became 16 bits in 1.22.
var mayResize = map[string]bool{
	"MSPAN_FREEINDEX": true,
	"MSPAN_NELEMS":    true,
	"P_WBBUF":         true, // arrays that grew
	"P_GCW":           true,
	"SCHED_TIMETORUN": true, // fewer buckets since 1.20
	"SPECIAL_OFFSET":  true, // 64 bits since 1.24

	"H2_CLIENTCONN_IDLETIMER": true, // an interface in 1.23 to 1.25
	"H2_SERVERCONN_HS":        true, // an interface since 1.27
	"SQL_DB_CONNREQUESTS":     true, // a map before, then a struct
	"CTX_TIMER_CANCELCTX":     true, // a struct that grew
}

// checkGrowth: within a minor release wait reasons are only appended.
func checkGrowth(prev, r *row, say func(string, ...any)) {
	if prev.rel.minor != r.rel.minor {
		return
	}
	for i, s := range prev.waitReasons {
		if i >= len(r.waitReasons) || r.waitReasons[i] != s {
			say("wait reason %d differs between go%s and go%s", i, prev.rel.name, r.rel.name)
			return
		}
	}
}

// checkTwin: words and ids come from code that all architectures share.
func checkTwin(r *row, rows []*row, say func(string, ...any)) {
	for _, o := range rows {
		if o.rel == r.rel && (!equal(o.waitReasons, r.waitReasons) || !equal(o.funcID, r.funcID)) {
			say("go%s: wait reasons or function ids of %s and %s differ", r.rel.name, r.arch, o.arch)
		}
	}
}

func equal[T comparable](a, b []T) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
