/* SPDX-License-Identifier: BSD-2-Clause */
/* Slices that append moves to a larger array: counted by a probe alone. */
#include "slices/subject.h"

#include <stdio.h>

#include "slices/rows.h"
#include "trace/trace.h"

static int slices_open(void **out, const struct look *l, char *why)
{
	(void)why;
	return gotypes_new((struct gotypes **)out, l->rt);
}

static void slices_close(void *self)
{
	gotypes_free(self);
}

static bool is_armed(const struct look *l)
{
	return look_armed(l, PROBE_SLICE_GROW) || look_armed(l, PROBE_SLICE_GROW_OLD);
}

static int slices_fill(void *self, struct look *l, struct window *w)
{
	const struct gototals *b = l->base, *n = l->totals;
	int err;

	/* no slice of the budget's in this window: nothing is known of it */
	if (!is_armed(l) || l->rnow->growths_share <= 0)
		return 0;
	err = slice_rows_fill(l, self, w->slices);
	w->slices->known = !err;
	if (b->has_total_alloc && n->has_total_alloc && n->total_alloc > b->total_alloc)
		w->slices->alloc_bytes = n->total_alloc - b->total_alloc;
	return err;
}

static void slices_cover(void *self, const struct look *l, struct window *w)
{
	(void)self;
	if (!is_armed(l))
		window_cover_add(w, SENSOR_SLICES, OFF, "%s", look_why_not(l, PROBE_SLICE_GROW));
	else if (l->rates.requests_sliced)
		window_cover_add(w, SENSOR_SLICES, SAMPLED, "budget%s",
				 w->slices->known ? "" : ": none were counted in this window")
			->rate = l->rnow->growths_share;
}

static const struct detector *const detectors[] = { &slice_growth_detector, NULL };

const struct subject slices_subject = {
	.name = "slices",
	.sensors = SENSOR_BIT(SENSOR_SLICES),
	.needs = NEEDS_TOTALS,
	.open = slices_open,
	.close = slices_close,
	.fill = slices_fill,
	.cover = slices_cover,
	.detectors = detectors,
};
