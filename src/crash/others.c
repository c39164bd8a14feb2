/* SPDX-License-Identifier: BSD-2-Clause */
/* What the other goroutines waited for when one died: the kernel side has read their g's. */
#include "crash/fill.h"

#include <errno.h>
#include <stdlib.h>

enum { MAIN_GOID = 1 };

static struct crash_other *row_of(struct crash_window *out, const char *reason,
				  const struct place *created)
{
	struct crash_other *r = out->other;

	for (; r < out->other + out->nother; r++)
		if (r->reason == reason && place_equal(&r->created, created))
			return r;
	out->nother++;
	r->reason = reason;
	r->created = *created;
	return r;
}

static void take(const struct look *l, const struct gs_crash_other *o, struct crash_window *out)
{
	struct goroutine g = { .status = (uint8_t)o->status, .wait_reason = (uint8_t)o->reason };
	struct place created = { 0 };
	uint64_t gopc = o->gopc;
	struct crash_other *r;

	if (o->goid != MAIN_GOID && goruntime_is_system(l->rt, o->startpc))
		return;
	if (o->goid != MAIN_GOID)
		place_of_pcs(l->rt, &gopc, 1, false, &created);
	r = row_of(out, goroutine_state(l->rt, &g), &created);
	r->count++;
	if (!r->goroutine || o->goid < r->goroutine)
		r->goroutine = o->goid;
	out->others_read++;
}

static int by_count(const void *x, const void *y)
{
	const struct crash_other *a = x, *b = y;

	if (a->count != b->count)
		return a->count < b->count ? 1 : -1;
	return a->goroutine < b->goroutine ? -1 : a->goroutine > b->goroutine;
}

int crash_take_others(const struct look *l, const struct gs_crash *c, struct crash_window *out)
{
	uint32_t n = c->nother < GS_CRASH_OTHERS ? c->nother : GS_CRASH_OTHERS;

	out->other = calloc((size_t)n + 1, sizeof(*out->other));
	if (!out->other)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		take(l, &c->other[i], out);
	out->others_total = out->others_read + c->unlooked;
	if (out->nother)
		qsort(out->other, (size_t)out->nother, sizeof(*out->other), by_count);
	return 0;
}
