/* SPDX-License-Identifier: BSD-2-Clause */
/* Failed calls of HTTP clients by host, phase, kind and place. */
#include "net/fill.h"

#include "net/failures.h"

/*
 * The phase in which calls to a host fail that had no connection, or one of
 * HTTP/2: where most that ends there fails, or most dials have no caller any more.
 * -1: nothing says it.
 */
static int host_phase(const struct net_window *w, const char *host)
{
	uint64_t n[NET_PHASES] = { 0 };
	int best = 0;

	for (int i = 0; i < w->nphase; i++)
		if (!w->phase[i].other && !strcmp(w->phase[i].host, host))
			n[w->phase[i].phase] += w->phase[i].errors;
	for (int i = 0; i < w->ndial; i++)
		if (!w->dial[i].other && !strcmp(w->dial[i].host, host))
			n[w->dial[i].phase] += w->dial[i].given_up;
	for (int i = 1; i < NET_BODY; i++)
		if (n[i] > n[best])
			best = i;
	return n[best] ? best : -1;
}

static int phase_of(const struct fill *f, const struct trace_failure *t, const char *host)
{
	int phase = net_failure_phase(t->types, t->detail);

	/* only reading says so: the answer came while its writer was about to say that it is done */
	if (t->phase == NET_REQUEST_WRITE && net_failure_of(t->types, t->detail) == NET_FAILURE_EOF)
		return NET_TTFB;
	if (t->phase >= 0)
		return t->phase;
	return phase >= 0 ? phase : host_phase(f->out, host);
}

static struct net_failure_row *row_of(struct fill *f, struct rowset *s,
				      const struct trace_failure *t)
{
	struct {
		struct place_key place;
		uint64_t host;
		int64_t phase, kind;
	} key = { .host = NET_NO_HOST };
	char host[WINDOW_MAX_HOST + 1] = "";
	struct place place = { 0 };
	struct net_failure_row *r;
	bool made, other;

	if (t->host[0])
		net_host_format(t->host, strnlen(t->host, sizeof(t->host)), "80", host);
	place_of_pcs(f->nw->rt, t->pcs, (int)t->npcs, false, &place);
	key.place = place_key(&place);
	key.host = net_host_number(f->nw, host);
	key.phase = phase_of(f, t, host);
	key.kind = net_failure_of(t->types, t->detail);
	r = rowset_put(s, &key, sizeof(key), &made, &other);
	if (!r || !made)
		return r;
	r->other = other;
	r->phase = other ? -1 : (int)key.phase;
	r->kind = other ? NET_FAILURE_OTHER : (enum net_failure)key.kind;
	fill_host(f, other ? NET_OTHER_HOST : (uint32_t)key.host, r->host);
	if (!other)
		r->place = place;
	return r;
}

static void count_dial(struct fill *f, const struct trace_failure *t, uint64_t n)
{
	char host[WINDOW_MAX_HOST + 1] = "";

	net_host_format(t->host, strnlen(t->host, sizeof(t->host)), "80", host);
	for (int i = 0; i < f->out->nphase; i++) {
		struct net_phase_row *p = &f->out->phase[i];

		if (!p->other && (int)p->phase == t->phase && !strcmp(p->host, host))
			p->failed[net_failure_of(t->types, t->detail)] += n;
	}
}

/* Calls of HTTP clients by their place: as many of those that failed were seen as of all. */
static int index_calls(const struct fill *f, struct bytesmap *at)
{
	bytesmap_init(at, FILL_MAX_ROWS);
	for (size_t i = 0; i < f->now->ncall; i++) {
		const struct trace_call *c = &f->now->call[i];

		if (c->kind == CALL_HTTP && !bytesmap_put(at, c->pcs, sizeof(c->pcs), i, NULL))
			return -ENOMEM;
	}
	return 0;
}

/* Of the failed calls of a place: how many of them were counted, 0..1. */
static double share_of(const struct fill *f, const struct bytesmap *calls,
		       const struct trace_failure *t)
{
	uint64_t *at = bytesmap_find(calls, t->pcs, sizeof(t->pcs));
	double share = at ? f->now->call[*at].sample.share : 0;

	if (!f->p->requests_sliced)
		return 1;
	return share > 0 ? share : f->p->requests_rate > 0 ? f->p->requests_rate : 1;
}

static int count(struct fill *f, struct rowset *s, const struct bytesmap *calls,
		 const struct trace_reading *from, bool before)
{
	for (size_t i = 0; from && i < from->nfailure; i++) {
		const struct trace_failure *t = &from->failure[i];
		uint64_t n = before ? -t->count : t->count;
		struct net_failure_row *r;
		double all;

		if (t->grpc)
			continue; /* fill_grpc.c */
		if (t->dial) {
			count_dial(f, t, n);
			continue;
		}
		r = f->p->calls ? row_of(f, s, t) : NULL;
		if (!f->p->calls)
			continue;
		if (!r)
			return -ENOMEM;
		r->seen += n;
		all = (before ? -(double)t->count : (double)t->count) / share_of(f, calls, t);
		rowset_times(s, r)->total += all;
		rowset_times(s, r)->seen += t->reused ? all : 0;
	}
	return 0;
}

static int by_count(const void *a, const void *b)
{
	const struct net_failure_row *x = a, *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return strcmp(x->host, y->host);
}

int fill_failures(struct fill *f)
{
	struct net_window *w = f->out;
	struct bytesmap calls;
	struct rowset s;
	int n = 0, err;

	if (!f->now)
		return 0;
	rowset_init(&s, sizeof(struct net_failure_row));
	err = index_calls(f, &calls);
	if (!err)
		err = count(f, &s, &calls, f->now, false);
	if (!err)
		err = count(f, &s, &calls, f->base, true);
	bytesmap_deinit(&calls);
	for (size_t i = 0; i < s.n; i++) {
		struct net_failure_row *r = (struct net_failure_row *)s.row + i;
		const struct row_times *t = rowset_times(&s, r);

		r->count = r->seen ? (uint64_t)(t->total + 0.5) : 0;
		r->reused = r->seen && t->seen > 0 ? (uint64_t)(t->seen + 0.5) : 0;
		fill_exactness(f->p->requests_sliced, f->p->requests_rate, &r->exactness, &r->rate);
	}
	err = rowset_take(&s, err, &w->failure, &w->nfailure, by_count);
	w->failures_known = !err && f->p->calls;
	while (n < w->nfailure && w->failure[n].count) /* those of before this window are last */
		n++;
	w->nfailure = n;
	return err;
}
