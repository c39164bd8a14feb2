/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the goroutine detectors share.  Does a site's number keep growing?  Judged
 * from the looks at it (struct site_point), so that a start-up ramp that has ended,
 * a burst, or the noise of traffic is not taken for growth.
 */
#ifndef GOSPECT_GOROUTINES_GROWTH_H
#define GOSPECT_GOROUTINES_GROWTH_H

#include "goroutines/window.h"
#include "model/finding.h"

/*
 * Does a site's number keep growing?  Judged from the looks at it (struct
 * site_point), so that a start-up ramp that has ended, a burst, or the noise of
 * traffic is not taken for growth.  Shared by the goroutine detectors.
 */

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

/* What makes a site look as if it leaked. */
struct leak_signs {
	uint64_t count; /* stuck now */
	uint64_t from;  /* stuck when the growth began */
	uint64_t left;  /* that were stuck meanwhile and went on or ended */
	double run_s;   /* how long it has been growing */
	double per_minute;
};

/* How bad a growth is that goes on for run_s: low where it may be a start, as of pools that fill. */
enum severity growth_severity(const struct window *w, double run_s);

/* Whether its goroutines look up, connect or shake hands: these end by themselves, and it is their
 * host that is slow. */
bool goroutine_site_dials(const struct site_row *s);
/* … and the standard library has created them for that: up to 1.22 a look-up outlives its dial. */
bool goroutine_site_is_dial(const struct site_row *s);
/* Whether the site is suspected; the rules are in goroutine_leak.c. */
bool goroutine_leak_suspected(const struct window *w, const struct site_row *s,
			      struct leak_signs *signs);

/* How many goroutines of a creation site can never run again, by verdict. */
uint64_t goroutine_leaked_at(const struct window *w, const struct place *p);

/* How many started and ended at a site in the window, where that is known. */
void goroutine_evidence_births(struct finding *f, const struct window *w, const struct site_row *s);

/* Who holds the lock that they wait for, as far as it is known. */
void goroutine_evidence_lock(struct finding *f, const struct site_row *s);

/* Never judged: system goroutines, coroutines, the row of the rest, what another finding
 * explains. */
bool goroutine_site_is_special(const struct site_row *s);

/* Where most of the site's goroutines of a class stand (WAIT_OTHER + 1: of any
 * class): the row, or NULL; and its frame in the user's code, or NULL. */
#define WAIT_ANY (WAIT_OTHER + 1)
const struct wait_row *goroutine_site_wait(const struct site_row *s, int klass);
/* The handler of a server (net/http, gRPC) that a stack is in, innermost frame first: findings name
 * that, not the server which has started the goroutine; NULL: in none. */
const struct place *goroutine_handler_in(const struct place *const *line, int n);
const struct place *goroutine_wait_handler(const struct wait_row *wait);
/* … that most of a site's blocked ones are in. */
const struct place *goroutine_site_handler(const struct site_row *s);
const struct place *goroutine_wait_place(const struct wait_row *wait);

#endif
