/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which locks, wait groups and channels goroutines wait for.
 *
 * The sudog that its parked stack points to names the semaphore of the lock or
 * wait group, those of g.waiting the channels.  Who holds a lock is written
 * nowhere: gort/goholders.h.
 */
#ifndef GOSPECT_GORT_GOLOCKS_H
#define GOSPECT_GORT_GOLOCKS_H

#include "gort/goruntime.h"

#define GOLOCKS_MAX_WAITERS  4096 /* looked at; beyond: counted as left out */
#define GOLOCKS_MAX_CHANNELS 8    /* of a select; more: left out */

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
	bool rw;      /* it is an RWMutex, or the Mutex in one */
	bool reads;   /* it waits in RLock */
	bool pending; /* it waits in RWMutex.Lock for readers: no new one gets in */
	const char
		*std; /* the function that locks it, when it is the standard library's; else NULL */
	struct goframe at; /* where it waits, in the caller of Lock, Wait or in the user's code */
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
 * Those who wait for a lock or wait group; and of the first `channels`
 * goroutines of the walk those who wait for channels.
 * 0; -EOPNOTSUPP when the layout is not known or stacks cannot be read; -ENOMEM, -ESRCH:
 * then there is nothing to free.
 */
int golocks_read(struct golocks *l, struct goruntime *rt, const struct gowalk *w, size_t channels);
/* And one goroutine more, when it waits for channels, a lock or a group; false: it does not, or no room. */
bool golocks_add(struct golocks *l, struct goruntime *rt, const struct gowalk *w, size_t g);
void golocks_deinit(struct golocks *l);
/* Whether somebody has the lock now; false also where it cannot be read. */
bool golocks_is_taken(struct goruntime *rt, uint64_t lock, bool rw);
/* What one that waits for a lock or wait group waits for: *lock, 0 for a group.  False: not known. */
bool golocks_waits_for(struct goruntime *rt, const struct goroutine *g, uint64_t *lock);
/* Whether the goroutine has not run since it was read. */
bool golocks_stands_still(struct goruntime *rt, const struct goroutine *g);

#endif
