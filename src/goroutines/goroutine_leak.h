/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_GOROUTINES_GOROUTINE_LEAK_H
#define GOSPECT_GOROUTINES_GOROUTINE_LEAK_H

#include "model/detector.h"
#include "goroutines/window.h"

extern const struct detector goroutine_leak_detector;

/* What makes a site look as if it leaked. */
struct leak_signs {
	uint64_t count; /* stuck now */
	uint64_t from;  /* stuck when the growth began */
	uint64_t left;  /* that were stuck meanwhile and went on or ended */
	double run_s;   /* how long it has been growing */
	double per_minute;
};

/* Whether the site is suspected; the rules are in goroutine_leak.c. */
bool goroutine_leak_suspected(const struct window *w, const struct site_row *s,
			      struct leak_signs *signs);

/* How many goroutines of a creation site can never run again, by verdict. */
uint64_t goroutine_leaked_at(const struct window *w, const struct place *p);

/* How many started and ended at a site in the window, where that is known. */
void goroutine_evidence_births(struct finding *f, const struct window *w, const struct site_row *s);

/* Never judged: system goroutines, coroutines, the row of the rest. */
bool goroutine_site_is_special(const struct site_row *s);

/* Where most of the site's goroutines of a class stand (WAIT_OTHER + 1: of any
 * class): the row, or NULL; and its frame in the user's code, or NULL. */
#define WAIT_ANY (WAIT_OTHER + 1)
const struct wait_row *goroutine_site_wait(const struct site_row *s, int klass);
const struct place *goroutine_wait_place(const struct wait_row *wait);

#endif
