/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a blocked goroutine would do if its wait ended: which locks it would
 * give back, which channels it would send to, receive from or close, which
 * wait groups it would be done with.
 *
 * Its code is followed from where it stands, with the values that its frames
 * and the process's memory hold, into both branches where a condition is not
 * known, back into its callers and into functions that it calls.  Nothing is
 * run.  What is found is what it may do, not what it must.
 */
#ifndef GOSPECT_GORT_GOAHEAD_H
#define GOSPECT_GORT_GOAHEAD_H

#include "gort/goruntime.h"

enum goact {
	GOACT_SEND,
	GOACT_RECEIVE,
	GOACT_CLOSE,  /* object: the channel */
	GOACT_UNLOCK, /* of a Mutex or RWMutex that it has not locked on this path: it holds it */
	GOACT_DONE    /* with a WaitGroup, beyond what it has added on this path */
};

struct goahead_act {
	enum goact act;
	uint64_t object; /* run-time address */
	uint64_t pc;     /* run-time address of the instruction that does it */
};

#define GOAHEAD_MAX_ACTS 64 /* of one goroutine; more are left out */

struct goahead;

/* NULL: no memory, or the code of this machine cannot be followed. */
struct goahead *goahead_new(struct goruntime *rt);
void goahead_free(struct goahead *a);
/* Says of a lock that somebody waits for that it is an RWMutex: before the first look.
 * 0, or -ENOMEM: then nothing may be concluded, it would pass for a Mutex. */
int goahead_add_rw(struct goahead *a, uint64_t lock);
/*
 * Looks ahead of one goroutine.  lock: what it waits for, if that is a lock (it
 * would have it then), else 0.  *acts is valid until the next call.  Returns
 * their number; 0 also when nothing is known (it runs, or has moved, or the
 * budget of all looks together is used up).
 */
size_t goahead_look(struct goahead *a, const struct goroutine *g, uint64_t lock,
		    const struct goahead_act **acts);
/* The place of an act, in the user's code where there is any. */
int goahead_place(struct goahead *a, uint64_t pc, struct goframe *out);
/* Goroutines that were not looked at because the budget was used up. */
uint64_t goahead_left_out(const struct goahead *a);

#endif
