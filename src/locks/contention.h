/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goroutines that wait for a sync.Mutex or sync.RWMutex now, by lock and by
 * the user's place.  The lock is the argument of the runtime's semaphore call
 * that each of them is in.
 */
#ifndef GOSPECT_LOCKS_CONTENTION_H
#define GOSPECT_LOCKS_CONTENTION_H

#include "locks/window.h"
#include "gort/gostacks.h"
#include "model/look.h"

struct contention;
struct trace_reading;

#define CONTENTION_MAX_ROWS 1000
#define CONTENTION_SAMPLE \
	1024 /* waiters with one stack of which all are looked at; of more, every n-th */
#define CONTENTION_UNKNOWN 1 /* the lock of one that was not looked at, or has moved */

/* rt is borrowed.  -EOPNOTSUPP: stacks cannot be read; -ENOMEM. */
int contention_new(struct contention **out, struct goruntime *rt);
void contention_free(struct contention *c); /* NULL is fine */

/* One look.  0, -ENOMEM. */
int contention_look(struct contention *c, const struct look *l);
/* Of the latest look: the lock that each goroutine of its walk waits for, 0 none,
 * or CONTENTION_UNKNOWN. */
const uint64_t *contention_locks(const struct contention *c);
/* What the latest look saw: 0 or -ENOMEM. */
int contention_fill(const struct contention *c, struct locks_window *out);
/*
 * The waits that the slow path's probe counted between two readings (base may be
 * NULL: since the probes were armed); the maximum is that of the reading `now`.
 * rate: the share of the window it was armed, 0..1.
 */
void contention_fill_waits(const struct trace_reading *base, const struct trace_reading *now,
			   double rate, struct locks_window *out);

#endif
