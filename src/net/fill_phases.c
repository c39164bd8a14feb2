/* SPDX-License-Identifier: BSD-2-Clause */
/* Phases of requests by host. */
#include "net/fill.h"

#include <math.h>

static bool is_rare(enum net_phase p)
{
	return p == NET_POOL_WAIT || p == NET_DNS || p == NET_CONNECT || p == NET_TLS;
}

static struct net_phase_row *phase_of(struct fill *f, struct rowset *s, const struct trace_phase *t)
{
	struct {
		uint64_t host;
		uint64_t phase;
	} key = { NET_OTHER_HOST, t->phase };
	char host[WINDOW_MAX_HOST + 1];
	bool made, other;
	struct net_phase_row *r;

	if (!t->other) {
		net_host_format(t->host, strnlen(t->host, sizeof(t->host)), "80", host);
		key.host = net_host_number(f->nw, host);
	}
	r = rowset_put(s, &key, sizeof(key), &made, &other);
	if (r && made) {
		r->other = other || key.host == NET_OTHER_HOST;
		fill_host(f, r->other ? NET_OTHER_HOST : (uint32_t)key.host, r->host);
		r->phase = t->phase;
	}
	return r;
}

static int count_phase(struct fill *f, struct rowset *s, const struct trace_phase *t, bool before)
{
	struct net_phase_row *r = (unsigned int)t->phase < NET_PHASES ? phase_of(f, s, t) : NULL;
	struct row_times *times = r ? rowset_times(s, r) : NULL;

	if (!r)
		return -ENOMEM;
	if (before)
		r->errors -= t->errors < r->errors ? t->errors : r->errors;
	else
		r->errors += t->errors;
	if (!before && t->sample.sliced) {
		times->total += t->sample.total;
		times->seen += t->sample.total * t->sample.share;
		times->margin += t->sample.margin;
		times->failed.sliced = true;
		times->failed.errors += t->sample.errors;
		times->failed.errors_margin += t->sample.errors_margin;
	}
	return fill_add_times(before ? &times->before : &times->now, &t->hist, NULL,
			      f->recent ? 0 : t->max_ns_window);
}

/* By host and phase, not by the host as it was written: those of the base are taken off again. */
static int count_phases(struct fill *f, struct rowset *s)
{
	int err = 0;

	for (size_t i = 0; i < f->now->nphase && !err; i++)
		err = count_phase(f, s, &f->now->phase[i], false);
	for (size_t i = 0; f->base && i < f->base->nphase && !err; i++)
		err = count_phase(f, s, &f->base->phase[i], true);
	return err;
}

uint32_t *fill_list_busiest(const struct netwatch *nw)
{
	uint32_t *at = calloc(nw->nhost, sizeof(*at));

	for (size_t i = 0; at && i < nw->nbusy; i++) {
		uint32_t *best = &at[nw->busy[i].host];

		if (nw->busy[i].count > (*best ? nw->busy[*best - 1].count : 0))
			*best = (uint32_t)i + 1;
	}
	return at;
}

static void take_off(struct trace_hist *now, const struct trace_hist *before)
{
	now->count -= before->count < now->count ? before->count : now->count;
	now->sum_ns -= before->sum_ns < now->sum_ns ? before->sum_ns : now->sum_ns;
	for (int i = 0; i < TRACE_HIST_BUCKETS; i++)
		now->bucket[i] -=
			before->bucket[i] < now->bucket[i] ? before->bucket[i] : now->bucket[i];
}

static void finish_phase(const struct fill *f, const struct rowset *s, struct net_phase_row *r,
			 const uint32_t *busiest)
{
	const struct row_times *t = rowset_times(s, r);
	bool rare = is_rare(r->phase);
	bool sliced = rare ? f->p->rare_sliced : f->p->requests_sliced;
	double rate = rare ? f->p->rare_rate : f->p->requests_rate;
	uint32_t at = r->other ? 0 : busiest[fill_host_number(f, r->host)];
	struct trace_sample failed = t->failed; /* as a call's: by what of this row was seen */

	if (t->before) {
		r->before_count = t->before->hist.count;
		r->before_p50_ns = trace_hist_percentile(&t->before->hist, NULL, 0.5);
	}
	if (t->before && t->now)
		take_off(&t->now->hist, &t->before->hist);
	rowset_percentiles(s, r, &r->timed, &r->p50_ns, &r->p99_ns, &r->max_ns);
	fill_exactness(sliced, rate, &r->exactness, &r->rate);
	if (r->exactness == EXACT && netolder_ended(f->nw, fill_host_number(f, r->host), rare))
		r->exactness = PARTIAL;
	if (t->total > 0)
		rate = t->seen / t->total;
	r->count = t->now ? fill_scaled(t->now->hist.count, sliced, rate) : 0;
	if (t->total > 0) {
		r->count = (uint64_t)(t->total + 0.5);
		r->margin = (uint64_t)ceil(t->margin);
	}
	failed.share = t->total > 0 ? t->seen / t->total : 0;
	r->errors = failed.sliced ? trace_errors(&failed, r->errors)
				  : fill_scaled(r->errors, sliced, rate);
	r->errors_margin = (uint64_t)ceil(trace_errors_margin(&failed, r->errors));
	r->total_ns = t->now ? fill_scaled(t->now->hist.sum_ns, sliced, rate) : 0;
	if (at)
		r->busiest = f->nw->busy[at - 1].place;
}

/* Of all hosts together, for who answers for all of them. */
static int sum_lookups(const struct fill *f, const struct rowset *s, struct net_phase_row *out)
{
	struct times *t = NULL;
	int err = 0;

	for (size_t i = 0; i < s->n && !err; i++) {
		const struct net_phase_row *r = (const struct net_phase_row *)s->row + i;
		const struct times *now = rowset_times(s, r)->now;

		if (r->phase != NET_DNS)
			continue;
		out->count += r->count;
		out->errors += r->errors;
		out->total_ns += r->total_ns;
		err = now ? fill_add_times(&t, &now->hist, NULL, now->max_ns) : 0;
	}
	out->phase = NET_DNS;
	out->timed = t ? t->hist.count : 0;
	out->p50_ns = t ? trace_hist_percentile(&t->hist, NULL, 0.5) : 0;
	out->p99_ns = t ? trace_hist_percentile(&t->hist, NULL, 0.99) : 0;
	out->max_ns = t ? t->max_ns : 0;
	fill_exactness(f->p->rare_sliced, f->p->rare_rate, &out->exactness, &out->rate);
	free(t);
	return err;
}

/* Phases that did not occur in the window. */
static void drop_empty(struct net_window *w)
{
	int n = 0;

	for (int i = 0; i < w->nphase; i++)
		if (w->phase[i].count || w->phase[i].errors)
			w->phase[n++] = w->phase[i];
	w->nphase = n;
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
	rowset_init(&s, sizeof(struct net_phase_row));
	err = count_phases(f, &s);
	busiest = fill_list_busiest(f->nw);
	if (!busiest)
		err = -ENOMEM;
	for (size_t i = 0; i < s.n && !err; i++)
		finish_phase(f, &s, (struct net_phase_row *)s.row + i, busiest);
	free(busiest);
	if (!err)
		err = sum_lookups(f, &s, &w->lookups);
	err = rowset_take(&s, err, &w->phase, &w->nphase, by_total);
	drop_empty(w);
	return err;
}
