/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does a site's number keep growing?  Judged from the looks at it (struct
 * site_point), so that a start-up ramp that has ended, a burst, or the noise of
 * traffic is not taken for growth.  Shared by the goroutine detectors.
 */
#ifndef GOSPECT_GOROUTINES_GROWTH_H
#define GOSPECT_GOROUTINES_GROWTH_H

#include "goroutines/window.h"

enum growth_of { GROWTH_LIVE, GROWTH_STUCK };

/*
 * What counts is the number that never fell again afterwards (the least of a
 * look and all later ones).  A run of growth is a stretch of looks in which
 * that number rose again and again; the pause allowed between two rises, and
 * from the last rise to the end, follows from the pauses seen.
 */
struct growth {
	bool goes_on;    /* a run long enough, and not ended: the rest is valid */
	int begin;       /* index of the point where the run begins */
	double run_s;    /* from there to the last look */
	double from, to; /* the number at both ends */
	double grown;    /* to - from */
	double per_minute;
	double pause_s;  /* the longest pause between rises that is no end */
	double max_fall; /* deepest fall from an earlier peak within the run */
};

/* The first point whose `stuck` means something: at the first look nothing is
 * known to have been there before (0, unless nobody was there at all). */
int growth_first(const struct site_row *s);

/* Judges the points from `first` on. */
void growth_measure(const struct site_row *s, int first, enum growth_of what, struct growth *g);

/* Seconds from the last rise of live to the last look, if live never fell from
 * `first` on; else 0: with traffic it says nothing. */
double growth_live_at_rest_s(const struct site_row *s, int first);

/* Mean of live over the last third of the points from `first` on, less the
 * mean over the first third: 2/3 of the growth of a straight line. */
double growth_of_live(const struct site_row *s, int first);

/* Sum of stuck_left after point `begin`. */
uint64_t growth_left(const struct site_row *s, int begin);

#endif
