/* SPDX-License-Identifier: BSD-2-Clause */
#include "observe/recent.h"

#include <string.h>

#include "base/vec.h"

static bool any_gone(const struct trace_reading *r)
{
	for (size_t i = 0; i < r->nphase; i++)
		if (r->phase[i].gone)
			return true;
	for (size_t i = 0; i < r->ncall; i++)
		if (r->call[i].gone)
			return true;
	for (size_t i = 0; i < r->nfailure; i++)
		if (r->failure[i].gone)
			return true;
	return false;
}

/* Rows only grow until then, and are counts. */
static bool is_whole(const struct trace_reading *end)
{
	return !end->requests_sliced && !end->rare_sliced;
}

static void drop_first(struct recent *rc)
{
	trace_reading_deinit(&rc->old[0].r);
	rc->n--;
	memmove(&rc->old[0], &rc->old[1], (size_t)rc->n * sizeof(rc->old[0]));
}

void recent_clear(struct recent *rc)
{
	while (rc->n)
		drop_first(rc);
}

void recent_add(struct recent *rc, struct trace_reading *begin, uint64_t ns,
		const struct trace_reading *end)
{
	struct trace_reading *to;

	if (!is_whole(end) || any_gone(end)) {
		recent_clear(rc);
		return;
	}
	if (begin->nphase + begin->ncall + begin->nfailure > RECENT_MAX_ROWS ||
	    (rc->n && ns - rc->old[rc->n - 1].ns < RECENT_APART_NS))
		return;
	if (rc->n == (int)ARRAY_SIZE(rc->old))
		drop_first(rc);
	to = &rc->old[rc->n].r;
	memset(to, 0, sizeof(*to));
	to->phase = begin->phase;
	to->nphase = begin->nphase;
	to->call = begin->call;
	to->ncall = begin->ncall;
	to->failure = begin->failure;
	to->nfailure = begin->nfailure;
	begin->phase = NULL;
	begin->call = NULL;
	begin->failure = NULL;
	begin->nphase = begin->ncall = begin->nfailure = 0;
	rc->old[rc->n++].ns = ns;
}

const struct trace_reading *recent_base(const struct recent *rc, const struct trace_reading *end,
					uint64_t now_ns, uint64_t *ns)
{
	if (!is_whole(end) || end->nphase + end->ncall + end->nfailure > RECENT_MAX_ROWS)
		return NULL;
	for (int i = 0; i < rc->n; i++)
		if (now_ns - rc->old[i].ns <= RECENT_NS) {
			*ns = rc->old[i].ns;
			return &rc->old[i].r;
		}
	return NULL;
}
