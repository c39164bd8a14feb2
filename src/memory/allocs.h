/* SPDX-License-Identifier: BSD-2-Clause */
/* Large allocations: cumulative counts by stack, turned into a window by place. */
#ifndef GOSPECT_MEMORY_ALLOCS_H
#define GOSPECT_MEMORY_ALLOCS_H

#include "base/map.h"
#include "memory/window.h"
#include "gort/goruntime.h"
#include "model/losses.h"

struct trace_reading;
struct alloc_base;

struct allocs {
	struct goruntime *rt;    /* borrowed */
	struct bytesmap index;   /* stack pcs -> base */
	struct alloc_base *base; /* owned: counts at the start of the window */
	size_t n, cap;
};

void allocs_init(struct allocs *a, struct goruntime *rt);
void allocs_deinit(struct allocs *a);
/*
 * Fills the window's table and sums from a reading (scaled by `scale`, 1 when
 * every event was seen) and makes it the start of the next window.
 * w may be NULL: only the latter.  A stack that finds no room is a loss.
 * 0; -ENOMEM: there is no table.
 */
int allocs_take(struct allocs *a, const struct trace_reading *r, double scale, struct window *w,
		struct losses *losses);

#endif
