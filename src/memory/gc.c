/* SPDX-License-Identifier: BSD-2-Clause */
#include "memory/priv.h"

#include "base/vec.h"
#include "trace/trace.h"

#define RING ARRAY_SIZE(((struct gototals *)0)->pause_ns)

/* Pauses as memstats keeps them: one sum per cycle, the last 256 cycles. */
static void pauses_from_memory(const struct look *l, struct gc_window *g)
{
	uint64_t cycles = g->cycles, v[RING];
	uint32_t n = l->totals->numgc;

	g->pauses_known = true;
	g->pauses_from_memory = true;
	g->pauses_partial = cycles > RING;
	g->pause_count = cycles;
	g->pause_total_ns = l->totals->pause_total_ns - l->base->pause_total_ns;
	if (cycles > RING)
		cycles = RING;
	for (uint64_t i = 0; i < cycles; i++) {
		uint64_t p = l->totals->pause_ns[(n + RING - 1 - i) % RING], j = i;

		for (; j > 0 && v[j - 1] > p; j--)
			v[j] = v[j - 1];
		v[j] = p;
	}
	if (!cycles)
		return;
	g->pause_p50_ns = v[(cycles - 1) / 2];
	g->pause_p99_ns = v[(cycles - 1) * 99 / 100];
	g->pause_max_ns = v[cycles - 1];
}

static void pauses_from_probes(const struct look *l, struct gc_window *g)
{
	const struct trace_hist *n = &l->rnow->stw, *b = &l->rbase->stw;

	g->pauses_known = true;
	g->pause_count = n->count - b->count;
	g->pause_total_ns = n->sum_ns - b->sum_ns;
	g->pause_p50_ns = trace_hist_percentile(n, b, 0.5);
	g->pause_p99_ns = trace_hist_percentile(n, b, 0.99);
	g->pause_max_ns = g->pause_count ? l->rnow->stw_max_ns_window : 0;
}

static bool probed(const struct look *l)
{
	return look_armed(l, PROBE_STW_BEGIN) && look_armed(l, PROBE_STW_END);
}

void gc_fill(const struct look *l, struct gc_window *g)
{
	const struct gototals *b = l->base, *n = l->totals;

	g->cpu_pct = -1;
	g->memory_limit_bytes = -1;
	if (n->has_gc && b->has_gc) {
		g->known = true;
		g->cycles_total = n->numgc;
		g->forced_total = n->numforcedgc;
		g->cycles = n->numgc - b->numgc;
		g->forced = n->numforcedgc - b->numforcedgc;
		g->cpu_pct = n->gc_cpu_fraction * 100;
	}
	if (n->has_heap) {
		g->heap_known = true;
		g->heap_live_bytes = n->heap_live;
		g->heap_marked_bytes = n->heap_marked;
		g->heap_goal_bytes = n->heap_goal;
		g->gogc = n->gogc;
		g->memory_limit_bytes = n->memory_limit;
	}
	if (probed(l) && !l->rates.rare_sliced)
		pauses_from_probes(l, g);
	else if (g->known)
		pauses_from_memory(l, g);
}

void gc_cover(const struct look *l, const struct gc_window *g, struct window *w)
{
	if (!g->known && !probed(l))
		window_cover_add(w, SENSOR_GC, OFF, "%s", l->rt->why_off[FACT_GC]);
	else if (!g->known || !g->heap_known)
		window_cover_add(w, SENSOR_GC, PARTIAL, "%s",
				 l->rt->why_off[g->known ? FACT_HEAP : FACT_GC]);
}
