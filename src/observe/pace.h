/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When to look at a process: often enough that what grows is seen to grow, and so seldom that
 * looks and ends of windows take 0.8 % of a CPU together, however many goroutines there are: with
 * all else it is one percent.
 *
 * Arithmetic only: what things took is CPU time, since on a busy machine one may be long on its
 * way; moments are of our monotonic clock.  In a window looks leave what its end is expected to
 * take, so that reports are on time; those that cannot be paid for by then come later.
 */
#ifndef GOSPECT_OBSERVE_PACE_H
#define GOSPECT_OBSERVE_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct pace {
	uint64_t interval_ns, least_ns; /* between reports; between looks, at least */
	uint64_t begin_ns, window_ns;   /* of the first window; of this one */
	uint64_t look_ns;               /* the latest look that is compared with; 0: none yet */
	uint64_t spent_ns;    /* CPU time of this window, and what the one before had too much */
	uint64_t walk_ns;     /* what the latest look took without stacks, */
	uint64_t whole_ns;    /* with them, */
	uint64_t end_ns;      /* and a window's end: expected as long as there was none */
	uint64_t whole_at_ns; /* when stacks were read last */
	uint64_t unspent_ns;  /* spent_ns at the begin of an end */
	int looks;            /* counted up to 2 */
	bool ended;           /* at least one window */
	bool forced;          /* the end under way was not waited for */
};

/* interval_ns: between reports. */
void pace_set(struct pace *p, uint64_t interval_ns);

/* The first window, or another one after all that is past. */
void pace_begin(struct pace *p, uint64_t now_ns);
/* A look that began then: what it took up to the stacks, and in all.  recorded: it is one that
 * others are compared with. */
void pace_looked(struct pace *p, uint64_t begin_ns, uint64_t walk_ns, uint64_t all_ns, bool whole,
		 bool recorded);
/* What else was done for a look. */
void pace_spend(struct pace *p, uint64_t took_ns);
/* Of all goroutines so many had moved at the second look: what the first end will take. */
void pace_expect(struct pace *p, uint64_t moved, uint64_t all);
/* A window's end begins; it is over, and took that together with its look. */
void pace_end(struct pace *p, uint64_t now_ns);
void pace_ended(struct pace *p, uint64_t took_ns, uint64_t now_ns);

/* When the next look is due, and whether it reads stacks. */
uint64_t pace_look_ns(const struct pace *p);
bool pace_whole(const struct pace *p, uint64_t now_ns);
/* When the window may end at the earliest. */
uint64_t pace_end_ns(const struct pace *p);

#endif
