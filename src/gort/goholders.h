/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who holds a lock: of all goroutines, wherever they stand, those that would give
 * it back if they went on (gort/goahead.h).  Those that run are looked at as they
 * stood when the scheduler last took them off their CPU: a little later, if there is
 * time for that.
 */
#ifndef GOSPECT_GORT_GOHOLDERS_H
#define GOSPECT_GORT_GOHOLDERS_H

#include "gort/goahead.h"
#include "gort/gostacks.h"

#define GOHOLDERS_SKIP 1 /* in lock_of[]: not to be looked at */
/* How long those that run are waited for: until sysmon takes a CPU away, and, by who has time,
 * on a machine that is so busy that sysmon comes late itself. */
#define GOHOLDERS_WAIT_NS 75000000
#define GOHOLDERS_LONG_NS 1000000000

/* What goroutine g, number i of the walk, would do; n < 0: that is not known. */
typedef int (*goholders_fn)(void *arg, size_t i, const struct goroutine *g,
			    const struct goahead_act *act, int n);

/*
 * Looks ahead of all of a walk but the runtime's own.  lock_of[w->n]: the lock
 * that each waits for, 0: none, or
 * to be found out.  gs, stack_of: as gostacks_read() said of the walk.  wait_ns: those
 * that run are waited for, as long as there are some; 0: each is looked at once.
 * 0, -ENOMEM, or what fn returned.
 */
int goholders_each(struct goahead *a, struct goruntime *rt, const struct gowalk *w,
		   const struct gostacks *gs, const uint32_t *stack_of, const uint64_t *lock_of,
		   uint64_t wait_ns, goholders_fn fn, void *arg);

#endif
