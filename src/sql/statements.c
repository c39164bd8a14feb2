/* SPDX-License-Identifier: BSD-2-Clause */
#include "sql/statements.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/vec.h"
#include "model/place.h"
#include "trace/trace.h"

/* A row and its durations in the window. */
struct timed_row {
	struct sql_statement s;
	struct trace_hist hist;
	double total, margin, errors_margin;
};

struct rows {
	const struct look *l;
	struct timed_row **row; /* owned, each of them too */
	size_t n, cap;
	size_t other;         /* number + 1 of the rest; 0: none */
	struct bytesmap base; /* pcs -> number in rbase->call */
};

static int index_base(struct rows *r)
{
	const struct trace_reading *base = r->l->rbase;

	bytesmap_init(&r->base, 1u << 20);
	for (size_t i = 0; base && i < base->ncall; i++)
		if (base->call[i].kind == CALL_STATEMENT &&
		    !bytesmap_put(&r->base, base->call[i].pcs, sizeof(base->call[i].pcs), i, NULL))
			return -ENOMEM;
	return 0;
}

/* The same call at the window's start; a new one had counted nothing. */
static const struct trace_call *base_of(const struct rows *r, const struct trace_call *c)
{
	static const struct trace_call none;
	uint64_t *at = bytesmap_find(&r->base, c->pcs, sizeof(c->pcs));

	return at ? &r->l->rbase->call[*at] : &none;
}

static struct timed_row *new_row(struct rows *r)
{
	if (array_room(&r->row, r->n, &r->cap, sizeof(*r->row)))
		return NULL;
	r->row[r->n] = calloc(1, sizeof(**r->row));
	return r->row[r->n] ? r->row[r->n++] : NULL;
}

static struct timed_row *row_at(struct rows *r, const struct trace_call *c)
{
	struct place at = { 0 };
	struct timed_row *row;
	bool other = c->other || r->n >= STATEMENTS_MAX;

	if (!c->other && !place_of_pcs(r->l->rt, c->pcs, (int)c->npcs, false, &at))
		at = (struct place){ 0 };
	for (size_t i = 0; i < r->n && !c->other; i++)
		if (!r->row[i]->s.other && place_equal(&r->row[i]->s.place, &at))
			return r->row[i];
	if (other && r->other)
		return r->row[r->other - 1];
	row = new_row(r);
	if (!row)
		return NULL;
	row->s.place = at;
	if (other) {
		row->s = (struct sql_statement){ .other = true };
		r->other = r->n;
	}
	return row;
}

static void add_times(struct trace_hist *sum, const struct trace_hist *now,
		      const struct trace_hist *base)
{
	sum->count += now->count - base->count;
	for (int i = 0; i < TRACE_HIST_BUCKETS; i++)
		sum->bucket[i] += now->bucket[i] - base->bucket[i];
}

static int add_call(struct rows *r, const struct trace_call *now)
{
	const struct trace_call *base = base_of(r, now);
	uint64_t begun = now->begun - base->begun, errors = now->errors - base->errors;
	struct timed_row *row;

	if (!begun && !errors && now->hist.count == base->hist.count && now->sample.total < 0.5)
		return 0;
	row = row_at(r, now);
	if (!row)
		return -ENOMEM;
	row->total += now->sample.sliced ? now->sample.total : (double)begun;
	row->margin += now->sample.sliced ? now->sample.margin : 0;
	errors = trace_errors(&now->sample, errors);
	row->s.errors += errors;
	row->errors_margin += trace_errors_margin(&now->sample, errors);
	add_times(&row->hist, &now->hist, &base->hist);
	if (now->max_ns_window > row->s.max_ns)
		row->s.max_ns = now->max_ns_window;
	return 0;
}

static void finish(struct timed_row *row, const struct look *l)
{
	struct sql_statement *s = &row->s;

	s->count = (uint64_t)(row->total + 0.5);
	s->margin = (uint64_t)ceil(row->margin);
	s->errors_margin = (uint64_t)ceil(row->errors_margin);
	s->timed = row->hist.count;
	/* the histogram knows no maximum of the window alone */
	row->hist.max_ns = s->max_ns;
	s->p50_ns = trace_hist_percentile(&row->hist, NULL, 0.5);
	s->p99_ns = trace_hist_percentile(&row->hist, NULL, 0.99);
	s->exactness = look_exactness(l, SENSOR_STATEMENTS, l->rates.requests_sliced);
	s->rate = l->rates.requests;
}

static int by_count(const void *a, const void *b)
{
	const struct sql_statement *x = a, *y = b;

	if (x->other != y->other)
		return x->other - y->other;
	return (x->count < y->count) - (x->count > y->count);
}

static int take(struct rows *r, struct sql_window *out)
{
	if (!r->n)
		return 0;
	out->statement = calloc(r->n, sizeof(*out->statement));
	if (!out->statement)
		return -ENOMEM;
	for (size_t i = 0; i < r->n; i++) {
		finish(r->row[i], r->l);
		out->statement[out->nstatement++] = r->row[i]->s;
	}
	qsort(out->statement, r->n, sizeof(*out->statement), by_count);
	return 0;
}

int statements_fill(const struct look *l, struct sql_window *out)
{
	struct rows r = { .l = l };
	int err = index_base(&r);

	out->statements_known =
		look_wants(l, SENSOR_STATEMENTS) && l->trace &&
		(look_armed(l, PROBE_STMT_QUERY) || look_armed(l, PROBE_STMT_EXEC) ||
		 look_armed(l, PROBE_PGX_QUERY) || look_armed(l, PROBE_PGX_EXEC));
	for (size_t i = 0; out->statements_known && i < l->rnow->ncall && !err; i++)
		if (l->rnow->call[i].kind == CALL_STATEMENT)
			err = add_call(&r, &l->rnow->call[i]);
	if (!err)
		err = take(&r, out);
	for (size_t i = 0; i < r.n; i++)
		free(r.row[i]);
	free(r.row);
	bytesmap_deinit(&r.base);
	return err;
}

void statements_cover(const struct look *l, struct window *w)
{
	if (!look_wants(l, SENSOR_STATEMENTS))
		return;
	if (!w->sql->statements_known)
		window_cover_add(w, SENSOR_STATEMENTS, OFF, "%s",
				 look_why_not(l, PROBE_STMT_QUERY));
	else
		look_cover_probes(l, SENSOR_STATEMENTS, "statements are not seen", w);
}
