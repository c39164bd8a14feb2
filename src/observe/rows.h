/* SPDX-License-Identifier: BSD-2-Clause */
/* The goroutine tables of a window: by site, by state, by what they wait for. */
#ifndef GOSPECT_OBSERVE_ROWS_H
#define GOSPECT_OBSERVE_ROWS_H

#include "observe/sites.h"
#include "observe/window.h"

#define ROWS_WITH_STACKS 1000	/* the busiest sites: reports show no more rows than that */

static inline uint64_t scale_count(uint64_t n, double scale)
{
	return (uint64_t)((double)n * scale + 0.5);
}

/*
 * Fills w->site, w->state from the latest look and its walk.  births_scale
 * multiplies the births counted (sampling); when deaths_from_live, deaths are
 * births minus the growth.  read_stacks: the process can still be read.
 */
int rows_fill(struct sites *s, const struct gowalk *walk, double births_scale,
	      bool births_known, bool deaths_from_live, bool read_stacks, struct window *w);

#endif
