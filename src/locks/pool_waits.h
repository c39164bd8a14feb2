/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goroutines that wait in what looks like a pool by its name: a method such as Acquire, Get or
 * Borrow of a pool or semaphore of any library, or of the program's own, that is parked on a
 * channel, a select or a condition.  What the pool has and who holds it is not known; whether
 * somebody comes through is.  Pools that gospect reads (database/sql, pgxpool, go-redis) are left
 * out: they have rows of their own.
 */
#ifndef GOSPECT_LOCKS_POOL_WAITS_H
#define GOSPECT_LOCKS_POOL_WAITS_H

#include "locks/window.h"
#include "model/look.h"

struct pool_waits;

int pool_waits_new(struct pool_waits **out, struct goruntime *rt); /* rt is borrowed; -ENOMEM */
void pool_waits_free(struct pool_waits *p);                        /* NULL is fine */
/* One look: 0 or -ENOMEM. */
int pool_waits_look(struct pool_waits *p, const struct look *l);
/* What the latest look saw: 0 or -ENOMEM. */
int pool_waits_fill(const struct pool_waits *p, struct locks_window *out);

#endif
