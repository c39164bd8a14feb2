/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/window.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *const exactness_word[] = { "exact", "sampled", "estimated", "partial", "off" };

struct coverage *window_cover(struct window *w, enum sensor s, enum exactness st, const char *why)
{
	struct coverage *c;

	if (w->ncoverage == WINDOW_MAX_COVERAGE)
		return &w->coverage[WINDOW_MAX_COVERAGE - 1];
	c = &w->coverage[w->ncoverage++];
	c->sensor = s;
	c->state = st;
	c->rate = 1;
	snprintf(c->why, sizeof(c->why), "%s", why);
	return c;
}

struct coverage *window_cover_named(struct window *w, const char *name, enum exactness st,
				    const char *why)
{
	bool room = w->ncoverage < WINDOW_MAX_COVERAGE;
	struct coverage *c = window_cover(w, SENSOR_COUNT, st, why);

	if (room)
		c->name = name;
	return c;
}

struct coverage *window_coverage(struct window *w, enum sensor s)
{
	for (int i = 0; i < w->ncoverage; i++)
		if (w->coverage[i].sensor == s && !w->coverage[i].name)
			return &w->coverage[i];
	return NULL;
}

struct coverage *window_cover_add(struct window *w, enum sensor s, enum exactness st,
				  const char *fmt, ...)
{
	struct coverage *c = window_coverage(w, s);
	char why[WINDOW_MAX_WHY];
	size_t len;
	va_list ap;

	if (!c)
		c = window_cover(w, s, st, "");
	if (st > c->state)
		c->state = st;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	len = strlen(c->why);
	/* whole reasons only: one that does not fit is left out */
	if (why[0] && !strstr(c->why, why) && len + 2 + strlen(why) < sizeof(c->why))
		snprintf(c->why + len, sizeof(c->why) - len, "%s%s", len ? "; " : "", why);
	return c;
}
