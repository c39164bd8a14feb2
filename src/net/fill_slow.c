/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests that looks have seen for long, with the time in each phase. */
#include "net/fill.h"

#define MAX_SLOW 200
#define LEAST_S  0.1

static void put(const struct fill *f, const struct net_inflight *r, bool ended,
		struct net_slow *out)
{
	*out = (struct net_slow){
		.place = r->place,
		.goroutine = r->goid,
		.took_s = (double)(r->trail.seen_ns - r->start_ns) / 1e9,
		.age = ended ? AGE_AT_LEAST : r->age,
		.ended = ended,
		.looks = r->trail.looks,
		.unseen_s = (double)r->trail.unseen_ns / 1e9,
	};
	for (int i = 0; i < NET_PHASES; i++)
		out->in_phase_s[i] = (double)r->trail.in_phase_ns[i] / 1e9;
	fill_host(f, r->host, out->host);
}

static int by_length(const void *a, const void *b)
{
	const struct net_slow *x = a, *y = b;

	if (x->took_s != y->took_s)
		return x->took_s < y->took_s ? 1 : -1;
	return x->goroutine < y->goroutine ? -1 : x->goroutine > y->goroutine;
}

int fill_slow(struct fill *f)
{
	const struct netwatch *nw = f->nw;
	struct net_slow *v = calloc(nw->nended + nw->cur.ninflight + 1, sizeof(*v));
	int n = 0;

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < nw->nended; i++)
		put(f, &nw->ended[i], true, &v[n++]);
	for (size_t i = 0; i < nw->cur.ninflight; i++) {
		const struct net_inflight *r = &nw->cur.inflight[i];

		if (!r->dead && r->trail.seen_ns > r->start_ns + (uint64_t)(LEAST_S * 1e9))
			put(f, r, false, &v[n++]);
	}
	qsort(v, (size_t)n, sizeof(*v), by_length);
	f->out->slow = v;
	f->out->nslow = n < MAX_SLOW ? n : MAX_SLOW;
	return 0;
}
