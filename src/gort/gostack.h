/* SPDX-License-Identifier: BSD-2-Clause */
/* What the unwinders share, and unwinding for the verification: as goruntime_stack(), and whether the end was reached. */
#ifndef GOSPECT_GORT_GOSTACK_H
#define GOSPECT_GORT_GOSTACK_H

#include "gort/goruntime.h"

/* *whole: it ended at goexit or another top frame, within max. */
int gostack_unwind(struct goruntime *rt, const struct goroutine *g, uint64_t *pcs, int max,
		   bool *whole);

/* Where it stands: false when it runs, or its stack is being moved.  In a system
 * call sched is stale and syscallpc/sp are right. */
bool gostack_start(const struct goroutine *g, uint64_t *pc, uint64_t *sp);
bool gostack_is_goexit(const struct goruntime *rt, const struct gofunc *fn);
/* Whether nothing can be said of what is above this frame. */
bool gostack_is_end(const struct gofunc *fn, bool innermost);

#endif
