/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests in flight. */
#include "net/fill.h"

#define MAX_IN_FLIGHT 1000

/* One of them while they are put in order: a row is large, and most are in no list. */
struct aged {
	double since_s;
	uint64_t goroutine;
	uint32_t at; /* request, or from ninflight on connection */
};

static int by_age(const void *a, const void *b)
{
	const struct aged *x = a, *y = b;

	if (x->since_s != y->since_s)
		return x->since_s < y->since_s ? 1 : -1;
	return x->goroutine < y->goroutine ? -1 : x->goroutine > y->goroutine;
}

static void put_inflight(const struct fill *f, const struct net_inflight *r,
			 struct net_request *out)
{
	*out = (struct net_request){
		.phase = r->phase,
		.waits = r->waits,
		.goroutine = r->goid,
		.place = r->place,
		.timeout = r->limits.timeout,
		.deadline = r->limits.deadline,
		.cancel = r->limits.cancel,
		.timeout_s = (double)r->limits.timeout_ns / 1e9,
	};
	out->since_s = fill_age(f, r->start_ns, r->age, &out->age);
	if (r->moved_ns > r->start_ns)
		out->moved_s = out->since_s - fill_age_s(f, r->moved_ns);
	fill_host(f, r->host, out->host);
}

static void put_held(const struct fill *f, const struct net_conn *c, struct net_request *out)
{
	*out = (struct net_request){
		.phase = NET_BODY,
		.goroutine = f->look->walk->g[c->holder - 1].goid,
		.place = fill_body_place(f, c),
	};
	out->since_s = fill_age(f, fill_body_start(c), fill_body_age(c), &out->age);
	fill_host(f, net_conn_host(c), out->host);
}

/* All of them, the oldest first. */
static size_t list_aged(const struct fill *f, struct aged *all)
{
	const struct net_look *l = &f->nw->cur;
	size_t n = 0;

	for (size_t i = 0; i < l->ninflight; i++)
		if (!l->inflight[i].dead)
			all[n++] = (struct aged){ fill_age_s(f, l->inflight[i].start_ns),
						  l->inflight[i].goid, (uint32_t)i };
	for (size_t i = 0; i < l->nconn; i++)
		if (fill_is_held(f, &l->conn[i]))
			all[n++] = (struct aged){ fill_age_s(f, fill_body_start(&l->conn[i])),
						  f->look->walk->g[l->conn[i].holder - 1].goid,
						  (uint32_t)(l->ninflight + i) };
	qsort(all, n, sizeof(*all), by_age);
	return n;
}

int fill_in_flight(struct fill *f)
{
	const struct net_look *l = &f->nw->cur;
	struct net_window *w = f->out;
	struct aged *all = malloc((l->ninflight + l->nconn + 1) * sizeof(*all));
	size_t n = all ? list_aged(f, all) : 0, shown = n < MAX_IN_FLIGHT ? n : MAX_IN_FLIGHT;
	int err = all ? 0 : -ENOMEM;

	w->in_flight = calloc(shown + 1, sizeof(*w->in_flight));
	if (!w->in_flight)
		err = -ENOMEM;
	for (size_t i = 0; !err && i < shown; i++) {
		if (all[i].at < l->ninflight)
			put_inflight(f, &l->inflight[all[i].at], &w->in_flight[i]);
		else
			put_held(f, &l->conn[all[i].at - l->ninflight], &w->in_flight[i]);
	}
	w->in_flight_total = n;
	w->nin_flight = err ? 0 : (int)shown;
	free(all);
	return err;
}
