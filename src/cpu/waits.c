/* SPDX-License-Identifier: BSD-2-Clause */
/* Waiting to run: by the runtime's histogram, and by what the control group's quota did. */
#include "cpu/fill.h"

void cpu_waited_read(const struct look *l, struct cpu_waited *w)
{
	w->has_latency = !golatency_read(l->rt, &w->latency);
	usage_throttling(l->proc, &w->throttling);
}

static uint64_t gained(const struct cpu_waited *base, const struct cpu_waited *now, int i)
{
	uint64_t from = i < GOLATENCY_BUCKETS ? base->latency.bucket[i] : base->latency.over;
	uint64_t to = i < GOLATENCY_BUCKETS ? now->latency.bucket[i] : now->latency.over;

	return to > from ? to - from : 0;
}

/* The middle of the bucket: four of them to a power of two. */
static uint64_t percentile(const struct cpu_waited *base, const struct cpu_waited *now,
			   uint64_t total, double p)
{
	uint64_t want = (uint64_t)(p * (double)total), seen = 0;
	unsigned int i = 0;

	if (want >= total)
		want = total - 1;
	for (; i < GOLATENCY_BUCKETS; i++) {
		seen += gained(base, now, (int)i);
		if (seen > want)
			break;
	}
	if (i == GOLATENCY_BUCKETS)
		return golatency_from_ns(i);
	return (golatency_from_ns(i) + golatency_from_ns(i + 1)) / 2;
}

void cpu_waits_fill(const struct cpu_waited *base, const struct cpu_waited *now,
		    struct cpu_window *c)
{
	const struct throttling *b = &base->throttling, *n = &now->throttling;
	struct cpu_waits *w = &c->waits;

	w->known = base->has_latency && now->has_latency;
	for (int i = 0; w->known && i <= GOLATENCY_BUCKETS; i++) {
		w->timed += gained(base, now, i);
		if (golatency_from_ns((unsigned int)i) >= CPU_SLOW_NS)
			w->slow += gained(base, now, i);
	}
	if (w->timed) {
		w->p50_ns = percentile(base, now, w->timed, 0.5);
		w->p99_ns = percentile(base, now, w->timed, 0.99);
	}
	c->throttle.known = b->known && n->known && n->periods >= b->periods &&
			    n->throttled >= b->throttled && n->ns >= b->ns;
	if (c->throttle.known)
		c->throttle = (struct cpu_throttle){ true, n->periods - b->periods,
						     n->throttled - b->throttled, n->ns - b->ns };
}
