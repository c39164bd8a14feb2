/* SPDX-License-Identifier: BSD-2-Clause */
/* The rows of a window: what the latest look saw, joined with what probes counted. */
#include "net/fill.h"

void rowset_init(struct rowset *s, size_t size)
{
	memset(s, 0, sizeof(*s));
	s->size = size;
	bytesmap_init(&s->index, FILL_MAX_ROWS);
}

void rowset_deinit(struct rowset *s)
{
	bytesmap_deinit(&s->index);
	free(s->row);
}

/* The rows, for the window. */
void *rowset_take(struct rowset *s, int *n)
{
	void *row = s->row;

	*n = (int)s->n;
	s->row = NULL;
	return row;
}

/* The row of a key, zeroed when *made.  *other: there is no more room, it is
 * the row of the rest.  NULL: no memory. */
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
	if (array_room(&s->row, s->n, &s->cap, s->size))
		return NULL;
	if (!at)
		s->other = s->n + 1;
	memset(s->row + s->n * s->size, 0, s->size);
	return s->row + s->n++ * s->size;
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

/* ---- histograms of a window ---- */

void fill_hist_add(struct trace_hist *to, const struct trace_hist *now,
		   const struct trace_hist *base)
{
	to->count += now->count - (base ? base->count : 0);
	to->sum_ns += now->sum_ns - (base ? base->sum_ns : 0);
	for (int i = 0; i < TRACE_HIST_BUCKETS; i++)
		to->bucket[i] += now->bucket[i] - (base ? base->bucket[i] : 0);
	if (now->max_ns > to->max_ns)
		to->max_ns = now->max_ns;
}

void fill_percentiles(const struct times *t, uint64_t *p50, uint64_t *p99, uint64_t *max)
{
	if (!t->hist.count)
		return;
	*p50 = trace_hist_percentile(&t->hist, NULL, 0.5);
	*p99 = trace_hist_percentile(&t->hist, NULL, 0.99);
	*max = t->max_ns;
	if (*p99 > *max && *max)
		*p99 = *max;
	if (*p50 > *max && *max)
		*p50 = *max;
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

const struct trace_call *fill_base_of(const struct fill *f, const struct trace_call *c)
{
	struct call_key k = key_of_call(c);
	uint64_t *at = bytesmap_find(&f->base_call, &k, sizeof(k));

	return at ? &f->base->call[*at] : NULL;
}

enum exactness fill_exactness(const struct fill *f)
{
	return f->p->requests_sliced ? SAMPLED : EXACT;
}

int fill_add_times(struct times **to, const struct trace_call *now, const struct trace_call *base)
{
	if (now->hist.count == (base ? base->hist.count : 0))
		return 0;
	if (!*to)
		*to = calloc(1, sizeof(**to));
	if (!*to)
		return -ENOMEM;
	fill_hist_add(&(*to)->hist, &now->hist, base ? &base->hist : NULL);
	if (now->max_ns_window > (*to)->max_ns)
		(*to)->max_ns = now->max_ns_window;
	return 0;
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
		fill_phases,      fill_clients, fill_in_flight, fill_unclosed,
		fill_connections, fill_servers, fill_grpc,
	};
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(fill) && !err; i++)
		err = fill[i](f);
	return err;
}

int netwatch_fill(struct netwatch *nw, const struct look *look,
		  const struct netwatch_probes *probes, struct net_window *out)
{
	static const struct netwatch_probes none = { 0 };
	struct fill f = { nw, look, look->rbase, look->rnow, probes ? probes : &none, out, { 0 } };
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
	netwatch_report_losses(nw);
	return err;
}
