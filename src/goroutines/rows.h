/* SPDX-License-Identifier: BSD-2-Clause */
/* The goroutine tables of a window: by site, by state, by what they wait for. */
#ifndef GOSPECT_GOROUTINES_ROWS_H
#define GOSPECT_GOROUTINES_ROWS_H

#include "goroutines/sites.h"
#include "goroutines/window.h"

#define ROWS_WITH_STACKS 1000 /* the busiest sites: reports show no more rows than that */

/*
 * Fills w->goroutines->site, w->goroutines->state from the latest look and its walk.  births_scale
 * multiplies the births counted (sampling).  ended: the process can be read no
 * more, and goroutines were born after the latest look that are in no walk.
 */
int rows_fill(struct sites *s, const struct gowalk *walk, double births_scale, bool births_known,
	      bool ended, struct window *w);

#endif
