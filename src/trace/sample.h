/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What was counted in slices, and what it stands for in the whole window.
 *
 * A count of slices is taken to grow with something that is known all the time
 * and costs the target nothing: the write calls of the process (a request, a
 * response, a query is one), the bytes it wrote, or, where neither fits (a
 * database in memory, a lock), what it allocates, its CPU time or the time.  The ratio is estimated
 * from the slices, and how far they lie from it says how good that is.  Pure
 * arithmetic: no clock, no process.
 */
#ifndef GOSPECT_TRACE_SAMPLE_H
#define GOSPECT_TRACE_SAMPLE_H

#include <stdbool.h>

/* What is known all the time; times in seconds. */
enum sample_by {
	SAMPLE_BY_WRITES,
	SAMPLE_BY_BYTES,
	SAMPLE_BY_HEAP, /* bytes that are allocated, rounded up to spans */
	SAMPLE_BY_CPU,  /* of the process, without what its probes cost */
	SAMPLE_BY_TIME,
	SAMPLE_COST, /* of the probes: nothing grows with it */
	SAMPLE_BYS
};

/* Slices: how many, what is known of them, and its squares. */
struct sample_slices {
	double n, c[SAMPLE_BYS], cc[SAMPLE_BYS];
};

/* One row: what was counted in them, its squares, and its products with what is known. */
struct sample_row {
	double h, hh, hc[SAMPLE_BYS];
};

struct sample_window {
	struct sample_slices now, before; /* of the window, and some of before it */
	double all[SAMPLE_BYS];           /* slices and pauses of the window */
};

struct sample_estimate {
	double total;  /* of the window */
	double margin; /* in 19 of 20 windows the truth is no farther from it */
	double share;  /* of the total that was seen, 0..1 */
};

/* whole: it was not cut in two by a window's end. */
void sample_add_slice(struct sample_slices *s, const double c[SAMPLE_BYS], bool whole);
void sample_add_row(struct sample_row *r, double h, const double c[SAMPLE_BYS]);

/* before: of the same slices as w->before. */
struct sample_estimate sample_estimate(const struct sample_window *w, const struct sample_row *now,
				       const struct sample_row *before);

/* Once a window is over: how much is kept of what was before it, and of its own. */
#define SAMPLE_KEEP 8.0 /* slices */
void sample_kept(const struct sample_window *w, double *of_before, double *of_now);
void sample_keep_slices(struct sample_window *w, double of_before, double of_now);
void sample_keep_row(struct sample_row *before, const struct sample_row *now, double of_before,
		     double of_now);

/* The share of a window that its slices were, by what is known; if it is not, by time. */
double sample_share(const struct sample_window *w, enum sample_by by);

#endif
