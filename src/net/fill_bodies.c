/* SPDX-License-Identifier: BSD-2-Clause */
/* Bodies of responses that are left alone. */
#include "net/fill.h"

/* Where the goroutine that holds a body stands. */
static struct place holder_place(const struct fill *f, const struct net_conn *c)
{
	struct place place = { 0 };
	uint32_t stack = c->holder ? f->look->stack_of[c->holder - 1] : GOSTACK_UNREAD;

	if (stack < GOSTACK_MAX) {
		const struct gostack *k = &f->look->stacks->stack[stack];

		place_of_pcs(f->nw->rt, f->look->stacks->pc + k->first, (int)k->n, true, &place);
	}
	return place;
}

struct place fill_body_place(const struct fill *f, const struct net_conn *c)
{
	return c->seen.place.function ? c->seen.place : holder_place(f, c);
}

bool fill_is_held(const struct fill *f, const struct net_conn *c)
{
	return c->held && c->holder && nethold_is_candidate(&f->nw->cur, c);
}

uint64_t fill_body_start(const struct net_conn *c)
{
	return c->seen.start_ns ? c->seen.start_ns : c->awaits_ns;
}

enum age_kind fill_body_age(const struct net_conn *c)
{
	return c->seen.start_ns && c->seen.age == AGE_EXACT ? AGE_EXACT : AGE_AT_LEAST;
}

static int by_bodies(const void *a, const void *b)
{
	const struct net_body_row *x = a, *y = b;

	return x->count < y->count ? 1 : x->count > y->count ? -1 : strcmp(x->host, y->host);
}

/* Those of the first look that are gone by now count for the rows of their host that have grown. */
static int spread_before(struct fill *f)
{
	struct net_window *w = f->out;
	uint64_t *there = calloc(f->nw->nhost, sizeof(*there)); /* by number of the host */

	if (!there)
		return -ENOMEM;
	for (int i = 0; i < w->nunclosed; i++)
		there[fill_host_number(f, w->unclosed[i].host)] += w->unclosed[i].count_before;
	for (int i = 0; i < w->nunclosed; i++) {
		struct net_body_row *r = &w->unclosed[i];
		uint32_t host = fill_host_number(f, r->host);
		uint64_t *at = u64map_find(&f->nw->unread_before, host), missing;

		if (!at || *at <= there[host])
			continue;
		missing = *at - there[host];
		if (missing > r->count - r->count_before)
			missing = r->count - r->count_before;
		r->count_before += missing;
		there[host] += missing;
	}
	free(there);
	return 0;
}

static struct net_body_row *row_of(struct fill *f, struct rowset *s, const struct net_conn *c)
{
	struct {
		struct place_key place;
		uint64_t host;
	} key = { place_key(&c->seen.place), net_conn_host(c) };
	bool made, other;
	struct net_body_row *r = rowset_put(s, &key, sizeof(key), &made, &other);

	if (r && made) {
		r->other = other;
		fill_host(f, other ? NET_OTHER_HOST : (uint32_t)key.host, r->host);
		if (!other)
			r->place = c->seen.place;
		r->exactness = EXACT;
	}
	return r;
}

static void count_body(const struct fill *f, const struct net_conn *c, struct net_body_row *r)
{
	r->count++;
	r->count_before += c->awaits_ns <= f->nw->begin_ns;
	fill_oldest(f, c->awaits_ns, c->awaits_exact ? AGE_EXACT : AGE_AT_LEAST, &r->oldest_s,
		    &r->age);
}

int fill_unclosed(struct fill *f)
{
	const struct net_look *l = &f->nw->cur;
	struct rowset s;
	int err = 0;

	rowset_init(&s, sizeof(struct net_body_row));
	for (size_t i = 0; i < l->nconn && !err; i++) {
		const struct net_conn *c = &l->conn[i];
		struct net_body_row *r;

		if (c->held || !nethold_is_candidate(l, c))
			continue;
		r = row_of(f, &s, c);
		if (r)
			count_body(f, c, r);
		else
			err = -ENOMEM;
	}
	err = rowset_take(&s, err, &f->out->unclosed, &f->out->nunclosed, by_bodies);
	return err ? err : spread_before(f);
}
