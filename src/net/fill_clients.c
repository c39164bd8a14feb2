/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls of http.Client by place. */
#include "net/fill.h"

#include "net/subject.h"

struct client {
	struct net_client row;
	struct times *times; /* owned; NULL: none ended */
	uint64_t longest_ns;
};

static struct client *client_of(struct rowset *s, const struct place *place)
{
	struct place_key k = place_key(place);
	bool made, other;
	struct client *c = rowset_put(s, &k, sizeof(k), &made, &other);

	if (c && made) {
		c->row.other = other;
		c->row.timeout = c->row.deadline = c->row.cancel = UNKNOWN;
		if (!other)
			c->row.place = *place;
	}
	return c;
}

static int count_calls(struct fill *f, struct rowset *s)
{
	int err = 0;

	for (size_t i = 0; f->now && f->p->calls && i < f->now->ncall && !err; i++) {
		const struct trace_call *c = &f->now->call[i], *b;
		struct place place = { 0 };
		struct client *row;
		uint64_t begun, errors;

		if (c->kind != CALL_HTTP)
			continue;
		b = fill_base_of(f, c);
		begun = c->begun - (b ? b->begun : 0);
		errors = c->errors - (b ? b->errors : 0);
		if (!begun && !errors && c->hist.count == (b ? b->hist.count : 0))
			continue;
		if (!c->other)
			place_of_pcs(f->nw->rt, c->pcs, (int)c->npcs, false, &place);
		row = client_of(s, &place);
		if (!row)
			return -ENOMEM;
		row->row.other = row->row.other || c->other;
		row->row.requests += fill_scaled(begun, f->p->requests_sliced, f->p->requests_rate);
		row->row.errors += fill_scaled(errors, f->p->requests_sliced, f->p->requests_rate);
		err = fill_add_times(&row->times, c, b);
	}
	return err;
}

static bool has_no_limit(const struct net_limits *l)
{
	return l->timeout == KNOWN_NO && l->deadline == KNOWN_NO && l->cancel == KNOWN_NO;
}

static void count_inflight(const struct fill *f, struct client *c, const struct net_limits *limits,
			   int phase, uint64_t start_ns, enum age_kind age)
{
	uint64_t now = f->nw->cur.now_ns, took = now > start_ns ? now - start_ns : 0;

	c->row.in_flight++;
	if (!c->longest_ns || took >= c->longest_ns) {
		c->longest_ns = took ? took : 1;
		c->row.longest_in_flight_s = (double)took / 1e9;
		c->row.age = age;
		if (!c->row.hanging && (limits->timeout != UNKNOWN || c->row.in_flight == 1)) {
			c->row.timeout = limits->timeout;
			c->row.timeout_s = (double)limits->timeout_ns / 1e9;
			c->row.deadline = limits->deadline;
			c->row.cancel = limits->cancel;
		}
	}
	if (phase == NET_BODY || !has_no_limit(limits) ||
	    !no_timeout_hangs((double)took / 1e9, c->row.p99_ns))
		return;
	if (!c->row.hanging++) { /* of a place that calls in several ways, this one counts */
		c->row.timeout = c->row.deadline = c->row.cancel = KNOWN_NO;
		c->row.timeout_s = 0;
	}
	if ((double)took / 1e9 > c->row.longest_hanging_s) {
		c->row.longest_hanging_s = (double)took / 1e9;
		c->row.hanging_age = age;
	}
}

static const struct net_limits no_limits_known = { UNKNOWN, UNKNOWN, UNKNOWN, 0 };

static int count_all_inflight(struct fill *f, struct rowset *s)
{
	const struct net_look *l = &f->nw->cur;
	const struct place *last = NULL;
	struct client *c = NULL;

	for (size_t i = 0; i < l->ninflight; i++) {
		const struct net_inflight *r = &l->inflight[i];

		if (r->dead)
			continue;
		if (!last || !place_is(last, &r->place))
			c = client_of(s, &r->place);
		if (!c)
			return -ENOMEM;
		last = &r->place;
		count_inflight(f, c, &r->limits, r->phase, r->start_ns, r->age);
	}
	for (size_t i = 0; i < l->nconn; i++) {
		struct place place;

		if (!fill_is_held(f, &l->conn[i]))
			continue;
		place = fill_body_place(f, &l->conn[i]);
		c = client_of(s, &place);
		if (!c)
			return -ENOMEM;
		count_inflight(f, c, &no_limits_known, NET_BODY, fill_body_start(&l->conn[i]),
			       l->conn[i].request_age == AGE_EXACT ? AGE_EXACT : AGE_AT_LEAST);
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
	struct net_window *w = f->out;
	struct rowset s;
	int err;

	rowset_init(&s, sizeof(struct client));
	err = count_calls(f, &s);
	for (size_t i = 0; i < s.n; i++) {
		struct client *c = (struct client *)s.row + i;

		if (c->times) /* first: what hangs is longer than what is usual */
			fill_percentiles(c->times, &c->row.p50_ns, &c->row.p99_ns, &c->row.max_ns);
	}
	if (!err)
		err = count_all_inflight(f, &s);
	w->client = err ? NULL : calloc(s.n + 1, sizeof(*w->client));
	if (!w->client)
		err = -ENOMEM;
	for (size_t i = 0; i < s.n; i++) {
		struct client *c = (struct client *)s.row + i;

		free(c->times);
		if (err)
			continue;
		c->row.requests_known = f->now && f->p->calls;
		c->row.exactness = fill_exactness(f);
		c->row.rate = f->p->requests_sliced ? f->p->requests_rate : 1;
		w->client[w->nclient++] = c->row;
	}
	if (w->nclient)
		qsort(w->client, (size_t)w->nclient, sizeof(*w->client), by_client);
	rowset_deinit(&s);
	return err;
}
