/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What g.waitsince proves.
 *
 * Root marking gives it, when it is 0, to a goroutine that it finds blocked
 * (markroot of runtime/mgcmark.go, 1.18 to 1.27); execute() and exitsyscall()
 * clear it.  The value is work.tstart, which gcMark() sets: the time at which
 * the mark termination of the cycle BEFORE began, earlier than the wait by up
 * to the time between two collections.  Proven is that it was blocked before
 * the cycle after that one ended, and that it has not run since: the bound is
 * that cycle's end, which memstats keeps of the last 256.
 *
 * Two exceptions.  A goroutine that assists marking or stops the world counts as
 * blocked for so long and then runs on, until it is preempted after 10 to 20 ms.
 * And coroswitch() goes from one goroutine to another without execute(): in a
 * program that has it nothing is proven.
 */
#include "gort/goruntime_priv.h"

#include "base/clock.h"
#include "base/vec.h"

#define RUNS_ON_NS (20 * NS_PER_MS)
#define CLOCKS_NS \
	(int64_t)(10 * NS_PER_MS) /* between the two clocks that the runtime reads of one end */

static bool has_coroutines(const struct goruntime *rt)
{
	static const char *const name[] = { "runtime.coroswitch_m" };
	struct gofunc fn[1];

	return pclntab_find_names(rt->gb->pcln, name, 1, fn) || fn[0].entry;
}

void gocycles_set(struct gocycles *c, const struct gototals *t, int64_t real_offset_ns)
{
	uint32_t n = t->numgc < GO_CYCLES ? t->numgc : GO_CYCLES;

	c->known = true;
	c->ended = t->numgc;
	c->n = 0;
	c->last_ns = 0;
	for (uint32_t i = 0; i < n && !c->coroutines; i++) {
		uint32_t at = (t->numgc - n + i) % GO_CYCLES;

		c->end_ns[i] = (int64_t)t->pause_end_unix_ns[at] - real_offset_ns;
		c->pause_ns[i] = (int64_t)t->pause_ns[at];
		/* the wall clock was put back */
		if (i && c->end_ns[i] < c->end_ns[i - 1])
			return;
	}
	c->n = c->coroutines ? 0 : (int)n;
}

void gocycles_read(struct goruntime *rt)
{
	struct gocycles *c = &rt->cache->cycles;
	struct goraw raw = { 0 };
	struct gototals t = { 0 };

	c->known = false;
	c->n = 0;
	if (!goruntime_has(rt, FACT_GC))
		return;
	if (!c->asked)
		c->coroutines = has_coroutines(rt);
	c->asked = true;
	if (!goread_memstats(rt, &raw, &t) && raw.has_memstats && raw.gc_ring_fits)
		gocycles_set(c, &t, clock_real_offset_ns());
}

/* The number of the first cycle that ended at or after that time; n: none. */
static int first_since(const struct gocycles *c, int64_t ns)
{
	int lo = 0, hi = c->n;

	while (lo < hi) {
		int mid = (lo + hi) / 2;

		if (c->end_ns[mid] < ns)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

uint64_t gocycles_proven_ns(struct gocycles *c, int64_t since_ns)
{
	int at, met = -1;

	if (!c->n || since_ns <= 0)
		return 0;
	if (since_ns == c->last_ns)
		return c->last_proven_ns;
	at = first_since(c, since_ns);
	if (at < c->n && c->end_ns[at] - c->pause_ns[at] - CLOCKS_NS <= since_ns)
		met = at + 1; /* this is the one whose mark termination it is */
	else if (!at && c->ended > GO_CYCLES)
		met = 0; /* that one is no longer kept: so is, or this is, the one that met it */
	c->last_ns = since_ns;
	c->last_proven_ns = 0;
	if (met >= 0 && met < c->n && c->end_ns[met] > 0)
		c->last_proven_ns = (uint64_t)c->end_ns[met] + RUNS_ON_NS;
	return c->last_proven_ns;
}
