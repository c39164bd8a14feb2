/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a blocked goroutine would do if its wait ended: which locks it would
 * give back, which channels it would send to, receive from or close, which
 * wait groups it would be done with.
 *
 * Its code is followed from where it stands, with the values that its frames
 * and the process's memory hold, back into its callers and into functions that
 * it calls.  Nothing is run.  Both ways are taken where a condition is not known
 * for certain.  What is found is what it may do; a lock that it gives back on
 * every path (panics aside), before it takes it on any, it holds: that is sure.
 */
#ifndef GOSPECT_GORT_GOAHEAD_H
#define GOSPECT_GORT_GOAHEAD_H

#include "gort/goruntime.h"

enum goact {
	GOACT_SEND,
	GOACT_RECEIVE,
	GOACT_CLOSE,  /* object: the channel */
	GOACT_UNLOCK, /* of a Mutex or RWMutex that it has not locked on this path */
	GOACT_DONE    /* with a WaitGroup, beyond what it has added on this path */
};

struct goahead_act {
	enum goact act;
	bool sure;       /* UNLOCK: it does so on every path, so it holds the lock */
	bool likely;     /* so, if no function that is not followed takes that lock and keeps it */
	uint64_t object; /* run-time address */
	uint64_t pc;     /* run-time address of the instruction that does it */
};

#define GOAHEAD_MAX_ACTS 64 /* of one goroutine; more are left out */

struct goahead;

/* NULL: no memory, or the code of this machine cannot be followed. */
struct goahead *goahead_new(struct goruntime *rt);
void goahead_free(struct goahead *a);
/* Forgets all but what the code of the process is: as a new one, with no locks and no limit. */
void goahead_restart(struct goahead *a);
/* Instructions of all looks together; without: four million, half a second. */
void goahead_limit(struct goahead *a, long instructions);
/*
 * A lock that somebody waits for, before the first look: others are of no
 * interest then.  rw: it is an RWMutex; std: the function that waits for it, of
 * the standard library's, whose package alone gives it back then; NULL: the
 * user's code does.  0, or -ENOMEM: then nothing may be concluded.
 */
int goahead_add_lock(struct goahead *a, uint64_t lock, bool rw, const char *std);
/*
 * Looks ahead of one goroutine.  lock: what it waits for, if that is a lock (it
 * would have it then), else 0.  One that runs is looked at as it stood when its CPU
 * was last taken away.  *acts is valid until the next call.  Returns
 * their number; -EAGAIN when nothing is known (it has moved); -ENOSPC: nor will be, all instructions are used up.
 */
int goahead_look(struct goahead *a, const struct goroutine *g, uint64_t lock,
		 const struct goahead_act **acts);
/* Whether those that stand where this one does may give back any lock at all. */
bool goahead_gives_back(struct goahead *a, const struct goroutine *g, uint64_t lock);
/* The place of an act, in the user's code where there is any. */
int goahead_place(struct goahead *a, uint64_t pc, struct goframe *out);
/* Goroutines that were not looked at because the budget was used up. */
uint64_t goahead_left_out(const struct goahead *a);

#endif
