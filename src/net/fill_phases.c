/* SPDX-License-Identifier: BSD-2-Clause */
/* Phases of requests by host. */
#include "net/fill.h"

struct phase {
	struct net_phase_row row;
	struct times *times, *before;
};

static bool is_rare(enum net_phase p)
{
	return p == NET_POOL_WAIT || p == NET_DNS || p == NET_CONNECT || p == NET_TLS;
}

static struct phase *phase_of(struct fill *f, struct rowset *s, const struct trace_phase *t)
{
	struct {
		uint64_t host;
		uint64_t phase;
	} key = { NET_OTHER_HOST, t->phase };
	char host[WINDOW_MAX_HOST + 1];
	bool made, other;
	struct phase *r;

	if (!t->other) {
		net_host_format(t->host, strnlen(t->host, sizeof(t->host)), "80", host);
		key.host = net_host_number(f->nw, host);
	}
	r = rowset_put(s, &key, sizeof(key), &made, &other);
	if (r && made) {
		r->row.other = other || key.host == NET_OTHER_HOST;
		fill_host(f, r->row.other ? NET_OTHER_HOST : (uint32_t)key.host, r->row.host);
		r->row.phase = t->phase;
		r->times = calloc(1, sizeof(*r->times));
		r->before = calloc(1, sizeof(*r->before));
	}
	return r && r->times && r->before ? r : NULL;
}

/* By host and phase, not by the host as it was written: those of the base are taken off again. */
static int count_phases(struct fill *f, struct rowset *s)
{
	for (size_t i = 0; i < f->now->nphase; i++) {
		const struct trace_phase *t = &f->now->phase[i];
		struct phase *r = (unsigned int)t->phase < NET_PHASES ? phase_of(f, s, t) : NULL;

		if (!r)
			return -ENOMEM;
		fill_hist_add(&r->times->hist, &t->hist, NULL);
		r->row.errors += t->errors;
		if (t->max_ns_window > r->times->max_ns)
			r->times->max_ns = t->max_ns_window;
	}
	for (size_t i = 0; f->base && i < f->base->nphase; i++) {
		const struct trace_phase *t = &f->base->phase[i];
		struct phase *r = (unsigned int)t->phase < NET_PHASES ? phase_of(f, s, t) : NULL;

		if (!r)
			return -ENOMEM;
		fill_hist_add(&r->before->hist, &t->hist, NULL);
		r->row.errors -= t->errors < r->row.errors ? t->errors : r->row.errors;
	}
	return 0;
}

/* The call with most requests to each host, by its number: index in nw->busy + 1; 0: none. */
static uint32_t *list_busiest(const struct netwatch *nw)
{
	uint32_t *at = calloc(nw->nhost, sizeof(*at));

	for (size_t i = 0; at && i < nw->nbusy; i++) {
		uint32_t *best = &at[nw->busy[i].host];

		if (nw->busy[i].count > (*best ? nw->busy[*best - 1].count : 0))
			*best = (uint32_t)i + 1;
	}
	return at;
}

static bool finish_phase(const struct fill *f, struct phase *r, const uint32_t *busiest)
{
	bool rare = is_rare(r->row.phase);
	bool sliced = rare ? f->p->rare_sliced : f->p->requests_sliced;
	double rate = rare ? f->p->rare_rate : f->p->requests_rate;
	struct trace_hist *now = &r->times->hist, *before = &r->before->hist;
	uint32_t at;

	r->row.before_count = before->count;
	if (before->count)
		r->row.before_p50_ns = trace_hist_percentile(before, NULL, 0.5);
	now->count -= before->count < now->count ? before->count : now->count;
	now->sum_ns -= before->sum_ns < now->sum_ns ? before->sum_ns : now->sum_ns;
	for (int i = 0; i < TRACE_HIST_BUCKETS; i++)
		now->bucket[i] -=
			before->bucket[i] < now->bucket[i] ? before->bucket[i] : now->bucket[i];
	if (!now->count && !r->row.errors)
		return false;
	fill_percentiles(r->times, &r->row.p50_ns, &r->row.p99_ns, &r->row.max_ns);
	r->row.count = fill_scaled(now->count, sliced, rate);
	r->row.errors = fill_scaled(r->row.errors, sliced, rate);
	r->row.total_ns = fill_scaled(now->sum_ns, sliced, rate);
	r->row.exactness = sliced ? SAMPLED : EXACT;
	r->row.rate = sliced ? rate : 1;
	at = r->row.other ? 0 : busiest[fill_host_number(f, r->row.host)];
	if (at)
		r->row.busiest = f->nw->busy[at - 1].place;
	return true;
}

static int by_total(const void *a, const void *b)
{
	const struct net_phase_row *x = a, *y = b;

	if (x->total_ns != y->total_ns)
		return x->total_ns < y->total_ns ? 1 : -1;
	return strcmp(x->host, y->host);
}

int fill_phases(struct fill *f)
{
	struct net_window *w = f->out;
	uint32_t *busiest;
	struct rowset s;
	int err = 0;

	w->phases_known = f->now && f->p->phases;
	if (!w->phases_known)
		return 0;
	rowset_init(&s, sizeof(struct phase));
	err = count_phases(f, &s);
	w->phase = err ? NULL : calloc(s.n + 1, sizeof(*w->phase));
	busiest = list_busiest(f->nw);
	if (!w->phase || !busiest)
		err = -ENOMEM;
	for (size_t i = 0; i < s.n; i++) {
		struct phase *r = (struct phase *)s.row + i;

		if (!err && finish_phase(f, r, busiest))
			w->phase[w->nphase++] = r->row;
		free(r->times);
		free(r->before);
	}
	free(busiest);
	if (w->nphase)
		qsort(w->phase, (size_t)w->nphase, sizeof(*w->phase), by_total);
	rowset_deinit(&s);
	return err;
}
