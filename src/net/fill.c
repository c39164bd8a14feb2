/* SPDX-License-Identifier: BSD-2-Clause */
/* The rows of a window: what the latest look saw, joined with what probes counted. */
#include "net/fill.h"

#include <math.h>

void rowset_init(struct rowset *s, size_t size)
{
	memset(s, 0, sizeof(*s));
	s->size = size;
	bytesmap_init(&s->index, FILL_MAX_ROWS);
}

void *rowset_put(struct rowset *s, const void *key, size_t len, bool *made, bool *other)
{
	uint64_t *at = bytesmap_put(&s->index, key, len, s->n, made);

	*other = !at;
	if (!at) {
		*made = !s->other;
		if (s->other)
			return s->row + (s->other - 1) * s->size;
	} else if (!*made) {
		return s->row + *at * s->size;
	}
	if (array_room(&s->row, s->n, &s->cap, s->size) ||
	    array_room(&s->times, s->n, &s->times_cap, sizeof(*s->times)))
		return NULL;
	s->times[s->n] = (struct row_times){ 0 };
	if (!at)
		s->other = s->n + 1;
	memset(s->row + s->n * s->size, 0, s->size);
	return s->row + s->n++ * s->size;
}

struct row_times *rowset_times(const struct rowset *s, const void *row)
{
	return &s->times[(size_t)((const uint8_t *)row - s->row) / s->size];
}

void rowset_percentiles(const struct rowset *s, const void *row, uint64_t *timed, uint64_t *p50,
			uint64_t *p99, uint64_t *max)
{
	const struct times *t = rowset_times(s, row)->now;

	if (!t || !t->hist.count)
		return;
	*timed = t->hist.count;
	*p50 = trace_hist_percentile(&t->hist, NULL, 0.5);
	*p99 = trace_hist_percentile(&t->hist, NULL, 0.99);
	*max = t->max_ns ? t->max_ns : trace_hist_percentile(&t->hist, NULL, 1);
	if (*p99 > *max && *max)
		*p99 = *max;
	if (*p50 > *max && *max)
		*p50 = *max;
}

int rowset_take(struct rowset *s, int err, void *rows, int *n,
		int (*order)(const void *, const void *))
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->times[i].now);
		free(s->times[i].before);
	}
	free(s->times);
	bytesmap_deinit(&s->index);
	if (err) {
		free(s->row);
		return err;
	}
	if (s->n && order)
		qsort(s->row, s->n, s->size, order);
	*(void **)rows = s->row;
	*n = (int)s->n;
	return 0;
}

double fill_age_s(const struct fill *f, uint64_t start_ns)
{
	uint64_t now = f->nw->cur.now_ns;

	return start_ns && now > start_ns ? (double)(now - start_ns) / 1e9 : 0;
}

void fill_host(const struct fill *f, uint32_t host, char out[WINDOW_MAX_HOST + 1])
{
	snprintf(out, WINDOW_MAX_HOST + 1, "%s", f->nw->host[host]);
}

uint32_t fill_host_number(const struct fill *f, const char *host)
{
	uint64_t *at = bytesmap_find(&f->nw->host_at, host, strlen(host));

	return at ? (uint32_t)*at : NET_NO_HOST;
}

uint64_t fill_scaled(uint64_t n, bool sampled, double rate)
{
	return sampled && rate > 0 ? (uint64_t)((double)n / rate + 0.5) : n;
}

void fill_exactness(bool sampled, double rate, enum exactness *exactness, double *row_rate)
{
	/* without a slice in the window: by those before it */
	*exactness = !sampled ? EXACT : rate > 0 ? SAMPLED : ESTIMATED;
	*row_rate = sampled ? rate : 1;
}

double fill_age(const struct fill *f, uint64_t start_ns, enum age_kind of, enum age_kind *kind)
{
	return since_age_s((struct since){ start_ns, of }, f->nw->cur.now_ns, kind);
}

void fill_oldest(const struct fill *f, uint64_t start_ns, enum age_kind of, double *oldest_s,
		 enum age_kind *oldest_age)
{
	enum age_kind kind;
	double age_s = fill_age(f, start_ns, of, &kind);

	age_max(oldest_s, oldest_age, age_s, kind);
}

int fill_add_times(struct times **to, const struct trace_hist *now, const struct trace_hist *base,
		   uint64_t max_ns)
{
	static const struct trace_hist none;
	struct trace_hist *sum;

	base = base ? base : &none;
	if (now->count == base->count)
		return 0;
	if (!*to)
		*to = calloc(1, sizeof(**to));
	if (!*to)
		return -ENOMEM;
	sum = &(*to)->hist;
	sum->count += now->count - base->count;
	sum->sum_ns += now->sum_ns - base->sum_ns;
	for (int i = 0; i < TRACE_HIST_BUCKETS; i++)
		sum->bucket[i] += now->bucket[i] - base->bucket[i];
	if (now->max_ns > sum->max_ns)
		sum->max_ns = now->max_ns;
	if (max_ns > (*to)->max_ns)
		(*to)->max_ns = max_ns;
	return 0;
}

/* ---- calls counted by probes ---- */

struct call_key {
	uint64_t pcs[TRACE_CALL_FRAMES], text, kind;
};

static struct call_key key_of_call(const struct trace_call *c)
{
	struct call_key k = { .kind = c->kind + 1,
			      .text = hash_bytes(c->text, strnlen(c->text, sizeof(c->text))) };

	memcpy(k.pcs, c->pcs, sizeof(k.pcs));
	return k;
}

static void index_base(struct fill *f)
{
	bytesmap_init(&f->base_call, 1u << 20);
	for (size_t i = 0; f->base && i < f->base->ncall; i++) {
		struct call_key k = key_of_call(&f->base->call[i]);

		if (!bytesmap_put(&f->base_call, &k, sizeof(k), i, NULL))
			f->nw->no_room++;
	}
}

/* The same call at the window's start; a new one had counted nothing. */
static const struct trace_call *base_of(const struct fill *f, const struct trace_call *c)
{
	static const struct trace_call none;
	struct call_key k = key_of_call(c);
	uint64_t *at = bytesmap_find(&f->base_call, &k, sizeof(k));

	return at ? &f->base->call[*at] : &none;
}

int fill_calls(struct fill *f, struct rowset *s, enum call_kind kind,
	       void *(*row)(struct fill *f, struct rowset *s, const struct fill_call *c))
{
	int err = 0;

	for (size_t i = 0; f->now && i < f->now->ncall && !err; i++) {
		const struct trace_call *now = &f->now->call[i], *base;
		struct fill_call c = { .call = now };
		void *r;

		if (now->kind != kind)
			continue;
		base = base_of(f, now);
		/* a request may be given to another row just when they are read */
		c.begun = now->begun > base->begun ? now->begun - base->begun : 0;
		c.errors = trace_errors(&now->sample, now->errors - base->errors);
		c.errors_margin = (uint64_t)ceil(trace_errors_margin(&now->sample, c.errors));
		if (now->sample.sliced) {
			c.begun = (uint64_t)(now->sample.total + 0.5);
			c.margin = (uint64_t)ceil(now->sample.margin);
		}
		if (!c.begun && !c.errors && now->hist.count == base->hist.count)
			continue;
		r = row(f, s, &c);
		err = r ? fill_add_times(&rowset_times(s, r)->now, &now->hist, &base->hist,
					 f->recent ? 0 : now->max_ns_window)
			: -ENOMEM;
	}
	return err;
}

static bool has_candidates(const struct net_look *l)
{
	for (size_t i = 0; i < l->nconn; i++)
		if (nethold_is_candidate(l, &l->conn[i]))
			return true;
	return false;
}

static void forget_candidates(struct net_look *l)
{
	for (size_t i = 0; i < l->nconn; i++)
		l->conn[i].held = l->conn[i].held || nethold_is_candidate(l, &l->conn[i]);
}

static int fill_tables(struct fill *f)
{
	static int (*const fill[])(struct fill *) = {
		fill_phases,   fill_clients, fill_in_flight, fill_slow,        fill_uploads,
		fill_unclosed, fill_dials,   fill_failures,  fill_connections, fill_servers,
		fill_grpc,     fill_dead,    fill_lookups,   fill_silent,
	};
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(fill) && !err; i++)
		err = fill[i](f);
	return err;
}

/* Lost without a word where there is no memory: the window itself stands. */
static void fill_recent(const struct fill *of, const struct look *look)
{
	static int (*const fill[])(struct fill *) = { fill_phases, fill_clients, fill_failures,
						      fill_grpc };
	struct net_window *out = calloc(1, sizeof(*out));
	struct fill f = *of;
	int err = 0;

	if (!out)
		return;
	f.base = look->rrecent;
	f.out = out;
	f.recent = true;
	index_base(&f);
	out->dial = of->out->dial; /* by which failures know their phase */
	out->ndial = of->out->ndial;
	for (size_t i = 0; i < ARRAY_SIZE(fill) && !err; i++)
		err = fill[i](&f);
	out->dial = NULL;
	out->ndial = 0;
	bytesmap_deinit(&f.base_call);
	if (err) {
		net_window_deinit(out);
		free(out);
		return;
	}
	of->out->recent = out;
	of->out->recent_s = (double)(look->end_ns - look->recent_ns) / 1e9;
}

int netwatch_fill(struct netwatch *nw, const struct look *look,
		  const struct netwatch_probes *probes, struct net_window *out)
{
	static const struct netwatch_probes none = { 0 };
	struct fill f = { .nw = nw,
			  .look = look,
			  .base = look->rbase,
			  .now = look->rnow,
			  .p = probes ? probes : &none,
			  .out = out };
	int err = 0;

	nw->look = look;
	memset(out, 0, sizeof(*out));
	index_base(&f);
	if (has_candidates(&nw->cur))
		err = nethold_find(nw);
	if (err == -ESRCH) { /* it has ended: what was seen stands, except who holds bodies */
		forget_candidates(&nw->cur);
		err = 0;
	}
	if (!err)
		err = fill_tables(&f);
	out->known = !err;
	bytesmap_deinit(&f.base_call);
	if (!err && look->rrecent)
		fill_recent(&f, look);
	netwatch_report_losses(nw);
	return err;
}
