/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goroutines that a function starts for others, with a function that it was given:
 * sync.(*WaitGroup).Go, errgroup.(*Group).Go, time.AfterFunc.  Their go statement says
 * nothing; what was given does.
 */
#ifndef GOSPECT_GOROUTINES_GIVEN_H
#define GOSPECT_GOROUTINES_GIVEN_H

#include "gort/goruntime.h"
#include "model/place.h"

struct go_site {
	struct place place; /* the user's; no function: not known */
	const char *start;  /* the function that runs there; "?" not known */
	bool given;         /* each goroutine's own stack says more: given_place() */
};

/* What is known of a go statement and its start function; run-time pcs. */
void go_site_of(struct goruntime *rt, uint64_t gopc, uint64_t startpc, struct go_site *out);

/* Where the function begins that a goroutine of such a site was given, by its whole stack
 * (run-time pcs, innermost first); false where that does not say it: it has not begun. */
bool given_place(struct goruntime *rt, const uint64_t *pcs, int npcs, const struct go_site *site,
		 struct place *out);

#endif
