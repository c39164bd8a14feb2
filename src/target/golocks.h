/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which locks goroutines wait for, and which they seem to hold.
 *
 * What a goroutine waits for is known: the sudog that its parked stack points
 * to names the lock's semaphore.  Who holds a sync.Mutex is written nowhere.
 * It is inferred from stacks: a function on the stack that stands behind a
 * call of Lock and before the Unlock (deferred, or further down), and whose
 * frame or code names the lock.
 */
#ifndef GOSPECT_TARGET_GOLOCKS_H
#define GOSPECT_TARGET_GOLOCKS_H

#include "target/goruntime.h"

#define GOLOCKS_MAX_WAITERS 4096	/* looked at; beyond: counted as left out */
#define GOLOCKS_MAX_HELD 8

struct golock_held {
	uint64_t lock;
	struct goframe at;	/* the call of Lock: function, file; line of the call */
};

struct golock_waiter {
	size_t g;		/* index in the walk */
	uint64_t lock;		/* run-time address of the sync.Mutex or sync.RWMutex */
	bool rw;		/* it is an RWMutex, or the Mutex in one */
	struct goframe at;	/* where it waits, in the caller of Lock */
	struct golock_held held[GOLOCKS_MAX_HELD];
	int nheld;
};

struct golocks {
	struct golock_waiter *waiter;	/* owned */
	size_t n;
	uint64_t left_out;
};

/* 0; -EOPNOTSUPP when the layout is not known or stacks cannot be read; -ENOMEM, -ESRCH. */
int golocks_read(struct golocks *l, struct goruntime *rt, const struct gowalk *w);
void golocks_deinit(struct golocks *l);
/* Whether the goroutine has not run since it was read. */
bool golocks_stands_still(struct goruntime *rt, const struct goroutine *g);

#endif
