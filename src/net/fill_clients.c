/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls of http.Client by place. */
#include "net/fill.h"

#include "net/subject.h"

static struct net_client *client_of(struct rowset *s, const struct place *place)
{
	struct place_key k = place_key(place);
	bool made, other;
	struct net_client *c = rowset_put(s, &k, sizeof(k), &made, &other);

	if (c && made) {
		c->other = other;
		c->timeout = c->deadline = c->cancel = UNKNOWN;
		if (!other)
			c->place = *place;
	}
	return c;
}

static void *row_of_call(struct fill *f, struct rowset *s, const struct fill_call *c)
{
	struct place place = { 0 };
	struct net_client *row;

	if (!c->call->other)
		place = net_call_place(f->nw->rt, c->call->pcs, (int)c->call->npcs);
	row = client_of(s, &place);
	if (!row)
		return NULL;
	row->other = row->other || c->call->other;
	row->requests += c->begun;
	row->margin += c->margin;
	row->errors_margin += c->errors_margin;
	row->errors += c->errors;
	return row;
}

static bool has_no_limit(const struct net_limits *l)
{
	return l->timeout == KNOWN_NO && l->deadline == KNOWN_NO && l->cancel == KNOWN_NO;
}

static void count_inflight(const struct fill *f, struct net_client *c,
			   const struct net_limits *limits, int phase, struct since since,
			   uint64_t moved_ns)
{
	enum age_kind age;
	double took_s = fill_age(f, since.ns, since.kind, &age);

	c->in_flight++;
	c->limited += limits->timeout == KNOWN_YES || limits->deadline == KNOWN_YES ||
		      limits->cancel == KNOWN_YES;
	if (c->in_flight == 1 || (took_s > 0 && took_s >= c->longest_in_flight_s)) {
		c->longest_in_flight_s = took_s;
		c->age = age;
		if (!c->hanging && (limits->timeout != UNKNOWN || c->in_flight == 1)) {
			c->timeout = limits->timeout;
			c->timeout_s = (double)limits->timeout_ns / 1e9;
			c->deadline = limits->deadline;
			c->cancel = limits->cancel;
		}
	}
	if (phase == NET_BODY || !has_no_limit(limits) || !no_timeout_hangs(took_s, c->p99_ns) ||
	    (moved_ns && !no_timeout_hangs(fill_age_s(f, moved_ns), c->p99_ns)))
		return;
	if (!c->hanging++) { /* of a place that calls in several ways, this one counts */
		c->timeout = c->deadline = c->cancel = KNOWN_NO;
		c->timeout_s = 0;
	}
	if (took_s > c->longest_hanging_s) {
		c->longest_hanging_s = took_s;
		c->hanging_age = age;
	}
}

/* Without an http.Client, by HTTP/2: its begin comes by no probe. */
static bool is_direct_h2(const struct fill *f, const struct net_inflight *r)
{
	const struct netstack *k = &f->nw->stacks.stack[r->stack];

	return k->roles & NETROLE_REQUEST && !k->has_client && k->stage == NETSTAGE_HTTP2;
}

static const struct net_limits no_limits_known = { UNKNOWN, UNKNOWN, UNKNOWN, 0 };

static int count_all_inflight(struct fill *f, struct rowset *s)
{
	const struct net_look *l = &f->nw->cur;
	const struct place *last = NULL;
	struct net_client *c = NULL;

	for (size_t i = 0; i < l->ninflight; i++) {
		const struct net_inflight *r = &l->inflight[i];

		if (r->dead)
			continue;
		if (!last || !place_is(last, &r->place))
			c = client_of(s, &r->place);
		if (!c)
			return -ENOMEM;
		last = &r->place;
		count_inflight(f, c, &r->limits, r->phase, (struct since){ r->start_ns, r->age },
			       r->moved_ns);
		c->direct_h2 = c->direct_h2 || is_direct_h2(f, r);
	}
	for (size_t i = 0; i < l->nconn; i++) {
		struct place place;

		if (!fill_is_held(f, &l->conn[i]))
			continue;
		place = fill_body_place(f, &l->conn[i]);
		c = client_of(s, &place);
		if (!c)
			return -ENOMEM;
		count_inflight(f, c, &no_limits_known, NET_BODY,
			       (struct since){ fill_body_start(&l->conn[i]),
					       fill_body_age(&l->conn[i]) },
			       0);
	}
	return 0;
}

static int by_client(const void *a, const void *b)
{
	const struct net_client *x = a, *y = b;

	if (x->hanging != y->hanging)
		return x->hanging < y->hanging ? 1 : -1;
	if (x->requests != y->requests)
		return x->requests < y->requests ? 1 : -1;
	return x->in_flight < y->in_flight ? 1 : x->in_flight > y->in_flight ? -1 : 0;
}

int fill_clients(struct fill *f)
{
	struct rowset s;
	struct net_client *c;
	int err;

	rowset_init(&s, sizeof(*c));
	err = f->p->calls ? fill_calls(f, &s, CALL_HTTP, row_of_call) : 0;
	for (size_t i = 0; i < s.n; i++) { /* first: what hangs is longer than what is usual */
		c = (struct net_client *)s.row + i;
		rowset_percentiles(&s, c, &c->timed, &c->p50_ns, &c->p99_ns, &c->max_ns);
	}
	if (!err)
		err = count_all_inflight(f, &s);
	for (size_t i = 0; i < s.n; i++) {
		c = (struct net_client *)s.row + i;
		c->requests_known = f->now && f->p->calls && (c->requests || !c->direct_h2);
		fill_exactness(f->p->requests_sliced, f->p->requests_rate, &c->exactness, &c->rate);
	}
	return rowset_take(&s, err, &f->out->client, &f->out->nclient, by_client);
}
