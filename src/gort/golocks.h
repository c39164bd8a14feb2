/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which locks, wait groups and channels goroutines wait for, and which locks
 * they seem to hold.
 *
 * What a goroutine waits for is known: the sudog that its parked stack points
 * to names the semaphore of the lock or wait group, those of g.waiting the
 * channels.  Who holds a sync.Mutex is written nowhere.
 * It is inferred from stacks: a function on the stack that stands behind a
 * call of Lock and before the Unlock (deferred, or further down), and whose
 * frame or code names the lock.
 */
#ifndef GOSPECT_GORT_GOLOCKS_H
#define GOSPECT_GORT_GOLOCKS_H

#include "gort/goruntime.h"

#define GOLOCKS_MAX_WAITERS         4096 /* looked at; beyond: counted as left out */
#define GOLOCKS_MAX_CHANNEL_WAITERS 1024
#define GOLOCKS_MAX_HELD            8
#define GOLOCKS_MAX_CHANNELS        8 /* of a select; more: left out */

struct golock_held {
	uint64_t lock;
	struct goframe at; /* the call of Lock: function, file; line of the call */
};

enum golock_wait { GOWAIT_LOCK, GOWAIT_GROUP, GOWAIT_CHANNELS };

struct golock_channel {
	uint64_t channel; /* run-time address of the hchan */
	bool send;        /* it waits to send; else to receive */
};

struct golock_waiter {
	size_t g; /* index in the walk */
	enum golock_wait wait;
	uint64_t lock;  /* LOCK: run-time address of the sync.Mutex or sync.RWMutex; else 0 */
	uint64_t group; /* GROUP: of the sync.WaitGroup; else 0 */
	struct golock_channel channel[GOLOCKS_MAX_CHANNELS]; /* CHANNELS */
	int nchannel;
	bool rw;           /* it is an RWMutex, or the Mutex in one */
	bool reads;        /* it waits in RLock */
	bool pending;      /* it waits in RWMutex.Lock for readers: no new one gets in */
	struct goframe at; /* where it waits, in the caller of Lock, Wait or in the user's code */
	struct golock_held held[GOLOCKS_MAX_HELD];
	int nheld;
};

struct golocks {
	struct golock_waiter *waiter; /* owned */
	size_t n;
	uint64_t left_out;
};

/* What a goroutine with each wait reason waits for, as far as it is of interest here. */
enum golock_reason { GOREASON_OTHER, GOREASON_LOCK, GOREASON_CHANNEL };
void golocks_reasons(const struct goruntime *rt, uint8_t kind[256]);
/* Of which of these kinds the goroutine is: OTHER when it does not wait, or is the runtime's. */
static inline enum golock_reason golocks_reason_of(const uint8_t kind[256],
						   const struct goroutine *g)
{
	bool waits = !g->system && (g->status == GO_WAITING || g->status == GO_LEAKED);

	return waits ? (enum golock_reason)kind[g->wait_reason] : GOREASON_OTHER;
}

/*
 * Those who wait for a lock or wait group; and, where somebody waits for a lock,
 * those that seem to hold one of these while they wait for a channel (of the first
 * GOLOCKS_MAX_CHANNEL_WAITERS of those).
 * 0; -EOPNOTSUPP when the layout is not known or stacks cannot be read; -ENOMEM, -ESRCH:
 * then there is nothing to free.
 */
int golocks_read(struct golocks *l, struct goruntime *rt, const struct gowalk *w);
/* And of the first `channels` goroutines of the walk all that wait for channels. */
int golocks_read_channels(struct golocks *l, struct goruntime *rt, const struct gowalk *w,
			  size_t channels);
void golocks_deinit(struct golocks *l);
/* Whether the goroutine has not run since it was read. */
bool golocks_stands_still(struct goruntime *rt, const struct goroutine *g);

#endif
