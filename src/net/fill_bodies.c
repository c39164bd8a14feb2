/* SPDX-License-Identifier: BSD-2-Clause */
/* Bodies of responses that are left alone. */
#include "net/fill.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/place.h"
#include "model/stacktable.h"

/* Where the goroutine that holds a body stands. */
static struct place holder_place(const struct fill *f, const struct net_conn *c)
{
	struct place place = { 0 };
	uint32_t stack = c->holder ? f->stack_of[c->holder - 1] : GOSTACK_UNREAD;

	if (stack < GOSTACK_MAX) {
		const struct gostack *k = &f->gs->stack[stack];

		netplace_of_pcs(f->nw->rt, f->gs->pc + k->first, (int)k->n, true, &place);
	}
	return place;
}

struct place fill_body_place(const struct fill *f, const struct net_conn *c)
{
	return c->place.function ? c->place : holder_place(f, c);
}

/* A body that a goroutine holds, and does not read just now: its request goes on. */
bool fill_is_held(const struct fill *f, const struct net_conn *c)
{
	return c->held && c->holder && nethold_is_candidate(&f->nw->cur, c);
}

uint64_t fill_body_start(const struct net_conn *c)
{
	return c->request_start_ns ? c->request_start_ns : c->awaits_ns;
}

static int by_bodies(const void *a, const void *b)
{
	const struct net_body_row *x = a, *y = b;

	return x->count < y->count ? 1 : x->count > y->count ? -1 : strcmp(x->host, y->host);
}

/* Those of the first look that are gone by now count for the rows of their host that have grown. */
static void spread_before(struct fill *f)
{
	struct net_window *w = f->out;

	for (int i = 0; i < w->nunclosed; i++) {
		struct net_body_row *r = &w->unclosed[i];
		uint64_t *host = bytesmap_find(&f->nw->host_at, r->host, strlen(r->host)), *at,
			 there = 0, missing;

		at = host ? u64map_find(&f->nw->unread_before, *host) : NULL;
		for (int k = 0; k < w->nunclosed; k++)
			if (!strcmp(w->unclosed[k].host, r->host))
				there += w->unclosed[k].count_before;
		if (!at || *at <= there)
			continue;
		missing = *at - there;
		r->count_before +=
			missing < r->count - r->count_before ? missing : r->count - r->count_before;
	}
}

int fill_unclosed(struct fill *f)
{
	const struct net_look *l = &f->nw->cur;
	struct rowset s;
	int err = 0;

	rowset_init(&s, sizeof(struct net_body_row));
	for (size_t i = 0; i < l->nconn && !err; i++) {
		const struct net_conn *c = &l->conn[i];
		struct {
			struct place_key place;
			uint64_t host;
		} key;
		struct net_body_row *r;
		bool made, other;
		double age;

		if (c->held || !nethold_is_candidate(l, c))
			continue;
		key.place = place_key(&c->place);
		key.host = c->request_host != NET_NO_HOST ? c->request_host : c->host;
		r = rowset_put(&s, &key, sizeof(key), &made, &other);
		if (!r) {
			err = -ENOMEM;
			break;
		}
		if (made) {
			r->other = other;
			fill_host(f, other ? NET_OTHER_HOST : (uint32_t)key.host, r->host);
			if (!other)
				r->place = c->place;
			r->exactness = EXACT;
		}
		r->count++;
		r->count_before += c->awaits_ns <= f->nw->begin_ns;
		age = fill_age_s(f, c->awaits_ns);
		if (age >= r->oldest_s) {
			r->oldest_s = age;
			r->age = c->awaits_exact ? AGE_EXACT : AGE_AT_LEAST;
		}
	}
	f->out->unclosed = rowset_take(&s, &f->out->nunclosed);
	if (f->out->nunclosed) {
		spread_before(f);
		qsort(f->out->unclosed, (size_t)f->out->nunclosed, sizeof(*f->out->unclosed),
		      by_bodies);
	}
	rowset_deinit(&s);
	return err;
}
