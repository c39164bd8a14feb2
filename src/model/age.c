/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/age.h"

#include <stdlib.h>
#include <string.h>

#include "base/vec.h"

#define LEAST_AGE_NS 1000000

struct since since_earlier(struct since a, struct since b)
{
	if (!a.ns || (b.ns && b.ns < a.ns))
		return b;
	return a;
}

double since_age_s(struct since s, uint64_t now_ns, enum age_kind *kind)
{
	uint64_t age_ns = s.ns && s.ns < now_ns ? now_ns - s.ns : 0;

	*kind = s.ns ? s.kind : AGE_UNKNOWN;
	if (*kind == AGE_AT_LEAST && age_ns < LEAST_AGE_NS)
		*kind = AGE_UNKNOWN;
	return *kind == AGE_UNKNOWN ? 0 : (double)age_ns / 1e9;
}

void age_max(double *s, enum age_kind *kind, double other_s, enum age_kind other)
{
	if (other == AGE_UNKNOWN)
		return;
	if (*kind == AGE_UNKNOWN || other_s > *s)
		*s = other_s;
	/* one that is at least 5.0 s old may be older than one that is 5.1 s old */
	*kind = *kind == AGE_AT_LEAST ? AGE_AT_LEAST : other;
}

struct since since_parked(const struct goroutine *g, uint64_t first_ns)
{
	uint64_t ns = g->parked_ns && g->parked_ns < first_ns ? g->parked_ns : first_ns;

	return (struct since){ ns, AGE_AT_LEAST };
}

uint64_t goroutine_stop(const struct goroutine *g)
{
	uint64_t what[] = { g->tracking_seq, g->sched_pc, g->sched_sp, g->waiting };

	return hash_bytes(what, sizeof(what));
}

void recall_init(struct recall *r)
{
	memset(r, 0, sizeof(*r));
	u64map_init(&r->at, RECALL_MAX);
}

void recall_deinit(struct recall *r)
{
	u64map_deinit(&r->at);
	free(r->fact);
	memset(r, 0, sizeof(*r));
}

const struct recalled *recall_find(const struct recall *r, uint64_t key)
{
	const uint64_t *at = u64map_find(&r->at, key);

	return at ? &r->fact[*at] : NULL;
}

static struct recalled keep(const struct recall *from, struct recall *to, uint64_t key,
			    uint64_t mark0, uint64_t mark1, uint64_t now_ns)
{
	const struct recalled *k = recall_find(from, key);
	struct recalled now = { .mark = { mark0, mark1 }, .first_ns = now_ns, .looks = 1 };

	if (k && k->mark[0] == mark0 && k->mark[1] == mark1) {
		now.first_ns = k->first_ns;
		now.looks = k->looks + 1;
	}
	if (to->n < RECALL_MAX && !array_room(&to->fact, to->n, &to->cap, sizeof(*to->fact)) &&
	    u64map_put(&to->at, key, to->n, NULL))
		to->fact[to->n++] = now;
	else
		to->dropped++;
	return now;
}

uint64_t recall_keep(const struct recall *from, struct recall *to, uint64_t key, uint64_t mark0,
		     uint64_t mark1, uint64_t now_ns)
{
	return keep(from, to, key, mark0, mark1, now_ns).first_ns;
}

uint64_t recall_keep_stop(const struct recall *from, struct recall *to, const struct goroutine *g,
			  uint64_t mark0, uint64_t now_ns)
{
	struct recalled k = keep(from, to, g->goid, mark0, goroutine_stop(g), now_ns);

	return k.looks > 2 ? k.first_ns : now_ns;
}

void recall_swap(struct recall *old, struct recall *new)
{
	recall_deinit(old);
	*old = *new;
	recall_init(new);
}
