/* SPDX-License-Identifier: BSD-2-Clause */
#include "race/proof.h"

#include <stdlib.h>

struct race_clock race_clock_of(uint64_t around_ns)
{
	double margin = RACE_MARGIN * (double)around_ns;

	return (struct race_clock){
		.margin_ns = margin < RACE_MARGIN_MOST ? (uint64_t)margin : RACE_MARGIN_MOST,
		.skew_ns = RACE_SKEW,
	};
}

/* Both touched the same byte: they meet in what is known, or one touched all there is. */
static bool share_byte(const struct race_event *a, const struct race_event *b, uint32_t len)
{
	if (a->known && b->known)
		return a->lo < b->hi && b->lo < a->hi;
	return len == 1 || (a->known && a->lo == 0 && a->hi == len) ||
	       (b->known && b->lo == 0 && b->hi == len);
}

static bool conflict(const struct race_event *a, const struct race_event *b, uint32_t len)
{
	if (a->map && a->map == b->map && (a->map_store || b->map_store))
		return true;
	return (a->store || b->store) && share_byte(a, b, len);
}

bool race_proves(const struct race_event *a, const struct race_event *b, uint32_t len,
		 const struct race_clock *c)
{
	return a->tid != b->tid && a->goid != b->goid &&
	       b->begin_ns + c->skew_ns < a->end_ns + c->margin_ns && conflict(a, b, len);
}

static int by_begin(const void *a, const void *b)
{
	const struct race_event *x = a, *y = b;

	return (x->begin_ns > y->begin_ns) - (x->begin_ns < y->begin_ns);
}

size_t race_pairs(struct race_event *e, size_t n, uint32_t len, const struct race_clock *c,
		  void (*fn)(void *arg, const struct race_pair *p), void *arg)
{
	size_t found = 0;

	qsort(e, n, sizeof(*e), by_begin);
	for (size_t a = 0; a < n; a++)
		for (size_t b = a + 1; b < n && e[b].begin_ns < e[a].end_ns + c->margin_ns; b++)
			if (race_proves(&e[a], &e[b], len, c)) {
				fn(arg, &(struct race_pair){
						a, b, (int64_t)(e[b].begin_ns - e[a].end_ns) });
				found++;
			}
	return found;
}

/* Of n events of other threads than tid's: how many, those that store, and their time. */
struct crowd {
	double all, stores, ns;
};

static struct crowd crowd_of(const struct race_event *e, size_t n, uint32_t tid)
{
	struct crowd c = { 0 };

	for (size_t i = 0; i < n; i++) {
		if (e[i].tid == tid)
			continue;
		c.all++;
		c.stores += e[i].store || e[i].map_store;
		c.ns += (double)(e[i].end_ns - e[i].begin_ns);
	}
	return c;
}

static bool seen_before(const struct race_event *e, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (e[k].tid == e[i].tid)
			return true;
	return false;
}

double race_expected(const struct race_event *e, size_t n, uint64_t span_ns,
		     const struct race_clock *c)
{
	struct crowd all = crowd_of(e, n, 0);
	double sum = 0, each;

	if (n < 2 || !span_ns)
		return 0;
	each = 2 * (all.ns / all.all + (double)c->margin_ns - (double)c->skew_ns);
	for (size_t i = 0; i < n; i++) {
		struct crowd others, own;

		if (seen_before(e, i))
			continue;
		others = crowd_of(e, n, e[i].tid);
		own = (struct crowd){ all.all - others.all, all.stores - others.stores, 0 };
		sum += own.stores * others.all + (own.all - own.stores) * others.stores;
	}
	return sum / 2 * (each > 0 ? each : 0) / (double)span_ns; /* each pair was seen from both */
}
