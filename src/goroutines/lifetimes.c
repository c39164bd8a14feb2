/* SPDX-License-Identifier: BSD-2-Clause */
#include "goroutines/fill.h"

#include <errno.h>
#include <stdlib.h>

#include "base/human.h"
#include "trace/trace.h"

#define LEAST_TO_COMPARE 8 /* fewer say nothing of how long they usually live */

/* What ended in the window at one track: several sites of the kernel's table. */
struct ended {
	uint64_t ends, max_ns;
	struct trace_hist hist; /* of those whose birth was seen */
};

struct at_start {
	struct bytesmap at; /* gopc, startpc -> its index in the reading at the window's start */
	const struct trace_reading *r;
};

static int index_start(struct at_start *b, const struct trace_reading *r)
{
	b->r = r;
	bytesmap_init(&b->at, r->nsite + 1);
	for (size_t i = 0; i < r->nsite; i++) {
		const uint64_t key[] = { r->site[i].gopc, r->site[i].startpc };

		if (!r->site[i].gone && !bytesmap_put(&b->at, key, sizeof(key), i, NULL))
			return -ENOMEM;
	}
	return 0;
}

/* sign: 1, or -1 for what had ended before the window. */
static void count(struct ended *e, const struct trace_site *s, int sign)
{
	uint64_t by = (uint64_t)sign;

	e->ends += by * s->ends;
	if (!s->lifetime)
		return;
	e->hist.count += by * s->lifetime->hist.count;
	for (int i = 0; i < TRACE_HIST_BUCKETS; i++)
		e->hist.bucket[i] += by * s->lifetime->hist.bucket[i];
}

static void add(struct ended *e, const struct trace_site *now, const struct at_start *b)
{
	const uint64_t key[] = { now->gopc, now->startpc };
	const uint64_t *was = bytesmap_find(&b->at, key, sizeof(key));

	count(e, now, 1);
	if (now->lifetime && now->lifetime->max_ns_window > e->max_ns)
		e->max_ns = now->lifetime->max_ns_window;
	if (was)
		count(e, &b->r->site[*was], -1);
}

/* of: by track, owned, NULL where none ended. */
static int collect(struct sites *s, const struct look *l, struct ended **of)
{
	struct at_start b = { 0 };
	int err = index_start(&b, l->rbase);

	for (size_t i = 0; !err && i < l->rnow->nsite; i++) {
		const struct trace_site *now = &l->rnow->site[i];
		size_t track = (size_t)(sites_of(s, now->gopc, now->startpc) - s->track);

		if (!now->ends)
			continue;
		if (!of[track])
			of[track] = calloc(1, sizeof(**of));
		if (of[track])
			add(of[track], now, &b);
		else
			err = -ENOMEM;
	}
	bytesmap_deinit(&b.at);
	return err;
}

static void row_fill(const struct look *l, struct site_track *t, const struct ended *e,
		     struct site_row *row)
{
	struct lifetime *life = &row->lifetime;

	if (!e->hist.count)
		return;
	*life = (struct lifetime){
		.count = e->hist.count,
		.timed = e->hist.count,
		.p50_ns = trace_hist_percentile(&e->hist, NULL, 0.5),
		.p99_ns = trace_hist_percentile(&e->hist, NULL, 0.99),
		.max_ns = e->max_ns,
		.exactness = e->hist.count < e->ends ? PARTIAL : EXACT,
	};
	if (l->rates.ends_sliced) {
		life->exactness = SAMPLED;
		life->rate = l->rates.ends;
		/* where many are born at a time not each birth is timed: their ends are counted */
		if (life->rate > 0)
			life->count = scale_count(e->ends, 1 / life->rate);
	}
	if (!t->lived_ns && e->hist.count >= LEAST_TO_COMPARE)
		t->lived_ns = life->p50_ns;
	row->lived_before_ns = e->hist.count >= LEAST_TO_COMPARE ? t->lived_ns : 0;
}

int lifetimes_fill(struct sites *s, const struct look *l, struct window *w)
{
	struct goroutines_window *g = w->goroutines;
	struct ended **of;
	int err;

	if (!look_armed(l, PROBE_GO_END))
		return 0;
	/* a site that is new here was no row's */
	of = calloc(s->n + l->rnow->nsite + 1, sizeof(*of));
	err = of ? collect(s, l, of) : -ENOMEM;
	for (int i = 0; !err && i < g->nsite; i++)
		if (of[g->site[i].track])
			row_fill(l, &s->track[g->site[i].track], of[g->site[i].track], &g->site[i]);
	for (size_t i = 0; of && i < s->n; i++)
		free(of[i]);
	free(of);
	return err;
}

/* Of how many sites some ended whose birth was not seen. */
static int not_whole(const struct goroutines_window *g)
{
	int n = 0;

	for (int i = 0; i < g->nsite; i++)
		n += g->site[i].lifetime.count && g->site[i].lifetime.exactness == PARTIAL;
	return n;
}

void lifetimes_cover(const struct look *l, struct window *w)
{
	int n = not_whole(w->goroutines);
	char sites[HUMAN_MAX];

	if (!look_armed(l, PROBE_GO_END))
		window_cover_add(w, SENSOR_LIFETIMES, OFF, "%s", look_why_not(l, PROBE_GO_END));
	else if (l->rates.ends_sliced)
		window_cover_add(
			w, SENSOR_LIFETIMES, SAMPLED,
			"budget: extrapolated from goroutines that ended in sampled slices")
			->rate = l->rates.ends;
	if (n)
		window_cover_add(w, SENSOR_LIFETIMES, PARTIAL,
				 "at %s some ended whose birth was not seen, or not timed",
				 human_counted((uint64_t)n, "site", sites));
}
