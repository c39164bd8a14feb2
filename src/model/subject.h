/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A subject: one thing that a program does and that can go wrong.  The observer
 * has a table of them and calls each in the same way; they do not know each
 * other.
 *
 * Life: open, then (count, observe_frames, look)* with begin_window after some
 * looks, and at a window's end fill and cover after its last look; close.
 * All results are 0 or -errno.  -ESRCH (the process ended) ends the look for
 * all; anything else concerns the subject alone: it is then not covered at this
 * look, and that is a loss.
 */
#ifndef GOSPECT_MODEL_SUBJECT_H
#define GOSPECT_MODEL_SUBJECT_H

#include "model/finding.h"
#include "model/look.h"

struct gostacks;
struct trace_reading;

/*
 * One bug class = one file = one detector.  A detector judges a window (which
 * carries the history of each site) and adds findings; it keeps no state.
 */
struct detector {
	const char *name; /* the finding kind */
	uint32_t sensors; /* mask of what it needs; skipped when none is covered */
	bool of_waits;    /* how long things take: says nothing of a process that was stopped */
	bool of_rates;    /* what happened in the window: skipped when that is short */
	/* that something happened several times: judges window.net->recent as well */
	bool of_few;
	void (*judge)(const struct window *w, struct findings *out);
};

/* What a look must have read for it; each needs those before it. */
enum subject_needs { NEEDS_TOTALS, NEEDS_WALK, NEEDS_STACKS };

struct subject {
	const char *name; /* its folder */
	uint32_t sensors; /* SENSOR_BIT()s; off when none of them is asked for */
	enum subject_needs needs;

	/*
	 * *self: its state, passed to all the others; closed when this returned 0.
	 * -EOPNOTSUPP: not to be had of this program, `why` (WINDOW_MAX_WHY bytes)
	 * says it in a sentence: its sensors are off.  -ENOMEM.
	 */
	int (*open)(void **self, const struct look *l, char *why);
	void (*close)(void *self);

	/* Each of these may be NULL. */

	/* Before a walk.  r: a whole reading of the probes, just made; NULL: between
	 * two of those, whoever counts something that must not be later than the walk
	 * reads it here.  Called also when the process has ended. */
	void (*count)(void *self, struct look *l, const struct trace_reading *r);
	/* Before stacks are read: may set the gostacks' callback (one subject can). */
	void (*observe_frames)(void *self, struct gostacks *gs);
	/* l->walk and, when it needs them, l->stacks are of this moment. */
	int (*look)(void *self, struct look *l);
	/* What the latest look saw is the start of a window.  follows: on another one,
	 * whose readings l still has (base, rbase: its start; totals, rnow: its end). */
	void (*begin_window)(void *self, const struct look *l, bool follows);
	/* Its part of the window, which it sets to known.  Those that need stacks come
	 * first: the walk is still as it was when stacks were read. */
	int (*fill)(void *self, struct look *l, struct window *w);
	/* What is not exact of its sensors: window_cover_add().  Their rows are there,
	 * exact; those it could not look at or fill are off, and it is not asked. */
	void (*cover)(void *self, const struct look *l, struct window *w);

	/* NULL-terminated, or NULL. */
	const struct detector *const *detectors;
};

#endif
