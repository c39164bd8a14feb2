/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pprof labels of goroutines (runtime/pprof.Do, SetGoroutineLabels).
 *
 * g.labels points to a runtime/pprof.labelMap: a Go map[string]string up to
 * 1.23, since 1.24 a slice of {key, value} sorted by key.  Both are never
 * changed once they are set.  Each set is verified (count, order, sizes), and
 * its goroutine is read again behind it: what does not fit is unknown, never
 * guessed.
 */
#ifndef GOSPECT_GORT_GOLABELS_H
#define GOSPECT_GORT_GOLABELS_H

#include "base/map.h"
#include "gort/goruntime.h"

struct golabel {
	const char *key,
		*value; /* owned by the golabels; raw bytes of the target, NUL-terminated */
};

#define GOLABELS_NONE     0
#define GOLABELS_UNKNOWN  UINT32_MAX /* there are some, and they could not be read */
#define GOLABELS_MAX_SETS 65536      /* distinct pointers that are read; beyond: unknown */
#define GOLABELS_MAX      64         /* labels of one goroutine; more: unknown */

struct golabel_set {
	uint32_t first, n; /* in label[] */
};

struct golabels {
	struct golabel *label; /* owned */
	size_t nlabel, label_cap;
	struct golabel_set *set; /* owned; set[0] is empty: GOLABELS_NONE */
	size_t nset, set_cap;
	uint64_t unknown; /* goroutines whose labels could not be read */
	/* its own */
	struct u64map by_pointer;
	struct bytesmap by_text; /* strings, and sets */
	struct golabels_text *text;
	size_t text_bytes;
};

int golabels_init(struct golabels *l);
void golabels_deinit(struct golabels *l);
/* The set of each goroutine of a walk into set[w->n].  0, -ESRCH, -EPERM, -ENOMEM. */
int golabels_read(struct golabels *l, struct goruntime *rt, const struct gowalk *w, uint32_t *set);

#endif
