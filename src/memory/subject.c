/* SPDX-License-Identifier: BSD-2-Clause */
#include "memory/subject.h"

#include <errno.h>
#include <stdlib.h>

#include "memory/priv.h"
#include "trace/trace.h"

#define LARGE_THRESHOLD 32768 /* runtime: maxSmallSize */

struct memory {
	struct heap_base heap;
	struct trend trend;
	struct outside outside;
	uint64_t dropped; /* of the trend, when they were last reported */
};

static int memory_open(void **out, const struct look *l, char *why)
{
	struct memory *m = calloc(1, sizeof(*m));

	(void)l;
	(void)why;
	if (!m)
		return -ENOMEM;
	heap_base_init(&m->heap);
	trend_init(&m->trend);
	*out = m;
	return 0;
}

static void memory_close(void *self)
{
	struct memory *m = self;

	heap_base_deinit(&m->heap);
	trend_deinit(&m->trend);
	free(m);
}

static bool reads_heap(const struct look *l)
{
	return l->heap && !l->gone && look_wants(l, SENSOR_ALLOC);
}

static int memory_look(void *self, struct look *l)
{
	struct memory *m = self;
	struct gototals now;

	if (l->gone || goruntime_totals(l->rt, &now))
		return 0; /* who ends with it says so */
	if (look_wants(l, SENSOR_ALLOC))
		trend_look(&m->trend, l->rt, &now);
	outside_look(&m->outside, l->proc, &now);
	return 0;
}

/* The first one: what there is already is nothing of it. */
static void memory_begin(void *self, const struct look *l, bool follows)
{
	struct memory *m = self;

	if (follows)
		return;
	if (reads_heap(l) && !l->once)
		heap_base_take(&m->heap, l->rt);
}

static int fill_allocs(const struct look *l, struct window *w)
{
	struct memory_window *mw = w->memory;
	const struct gototals *b = l->base, *n = l->totals;
	double rate = l->rates.rare;
	int err;

	mw->large_threshold_bytes = LARGE_THRESHOLD;
	if (b->has_total_alloc && n->has_total_alloc && n->total_alloc > b->total_alloc)
		mw->total_alloc_bytes = n->total_alloc - b->total_alloc;
	if (!look_armed(l, PROBE_ALLOC_LARGE))
		return 0;
	err = allocs_fill(l->rt, l->rbase, l->rnow, rate > 0 ? 1 / rate : 1, mw, l->losses);
	mw->alloc_known = !err;
	mw->alloc_exactness = look_exactness(l, SENSOR_ALLOC, l->rates.rare_sliced);
	for (int i = 0; i < mw->nalloc; i++)
		mw->alloc[i].exactness =
			mw->other_count && !mw->alloc[i].other && mw->alloc_exactness == EXACT
				? PARTIAL
				: mw->alloc_exactness;
	return err;
}

static void fill_heap(struct memory *m, const struct look *l, struct heap_window *h)
{
	if (heap_take(h, &m->heap, l->rt) == -ENOMEM)
		lose(l->losses, LOSS_HEAP_ROWS, 1);
}

static int memory_fill(void *self, struct look *l, struct window *w)
{
	struct memory *m = self;
	int err = look_wants(l, SENSOR_ALLOC) ? fill_allocs(l, w) : 0;

	if (look_wants(l, SENSOR_GC))
		gc_fill(l, &w->memory->gc);
	if (reads_heap(l))
		fill_heap(m, l, &w->memory->heap);
	memory_look(m, l);
	if (look_wants(l, SENSOR_ALLOC) && trend_fill(&m->trend, &w->memory->trend))
		lose(l->losses, LOSS_HEAP_ROWS, 1);
	outside_fill(&m->outside, &w->memory->outside);
	lose(l->losses, LOSS_HEAP_SITES, m->trend.dropped - m->dropped);
	m->dropped = m->trend.dropped;
	return err;
}

static void cover_allocs(const struct look *l, struct window *w)
{
	if (!look_armed(l, PROBE_ALLOC_LARGE))
		window_cover_add(w, SENSOR_ALLOC, OFF, "%s", look_why_not(l, PROBE_ALLOC_LARGE));
	else if (l->rates.rare_sliced)
		window_cover_add(w, SENSOR_ALLOC, SAMPLED, "budget")->rate = l->rates.rare;
}

static void cover_heap(const struct heap_window *h, struct window *w)
{
	bool scaled = h->known && h->rate > 1;

	window_cover_named(w, "heap",
			   !h->known ? OFF
			   : scaled  ? ESTIMATED
				     : EXACT,
			   scaled && !h->why[0] ? "the runtime's own sample, scaled up" : h->why);
}

static void memory_cover(void *self, const struct look *l, struct window *w)
{
	(void)self;
	if (look_wants(l, SENSOR_ALLOC))
		cover_allocs(l, w);
	if (look_wants(l, SENSOR_GC))
		gc_cover(l, &w->memory->gc, w);
	if (reads_heap(l))
		cover_heap(&w->memory->heap, w);
	if (look_wants(l, SENSOR_ALLOC))
		trend_cover(&w->memory->trend, w);
}

static const struct detector *const detectors[] = {
	&large_allocation_detector,
	&gc_pressure_detector,
	&memory_growth_detector,
	&outside_growth_detector,
	NULL,
};

const struct subject memory_subject = {
	.name = "memory",
	.sensors = SENSOR_BIT(SENSOR_ALLOC) | SENSOR_BIT(SENSOR_GC),
	.needs = NEEDS_TOTALS,
	.open = memory_open,
	.close = memory_close,
	.look = memory_look,
	.begin_window = memory_begin,
	.fill = memory_fill,
	.cover = memory_cover,
	.detectors = detectors,
};
