/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/window.h"

#include <stdio.h>

struct coverage *window_cover(struct window *w, enum sensor s, enum coverage_state st,
			      const char *why)
{
	struct coverage *c = &w->coverage[w->ncoverage++];

	c->sensor = s;
	c->state = st;
	c->rate = 1;
	snprintf(c->why, sizeof(c->why), "%s", why);
	return c;
}
