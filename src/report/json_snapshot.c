/* SPDX-License-Identifier: BSD-2-Clause */
/* What snapshots add to the report: groups, all goroutines, leaks, the heap profile. */
#include "report/json_build.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "observe/window.h"
#include "report/report.h"
#include "report/snapshot_rows.h"

#define MAX_FRAMES 512 /* of one stack, inlined ones included */

static int dump_to_buf(const char *data, size_t size, void *arg)
{
	struct buf *out = arg;

	buf_add(out, data, size);
	return out->err ? -1 : 0;
}

void json_write(struct json_builder *b, json_t *value, struct buf *out)
{
	if (json_dump_callback(value, dump_to_buf, out,
			       JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY |
				       JSON_REAL_PRECISION(15)) &&
	    !out->err)
		b->failed = true;
}

static json_t *stack_list(struct json_builder *b, const struct stack_table *t, uint32_t stack)
{
	json_t *list = json_array();
	const struct place *line[MAX_FRAMES];
	int n = stack_lines(t, stack, line, MAX_FRAMES);

	for (int i = 0; i < n; i++) {
		json_t *frame = json_object();

		jb_put_place(b, frame, line[i]);
		jb_append(b, list, frame);
	}
	return list;
}

static void put_labels(struct json_builder *b, json_t *o, const struct goroutine_dump *d,
		       uint32_t set)
{
	json_t *labels = json_object();

	if (set == DUMP_LABELS_UNKNOWN || set >= d->nlabel_set) {
		json_decref(labels);
		return; /* absent: not known */
	}
	for (uint32_t i = 0; i < d->label_set[set].n; i++) {
		const struct dump_label *l = &d->label[d->label_set[set].first + i];
		json_t *key = jb_string(l->key), *value = jb_string(l->value);

		if (!key || !value || json_object_set_new(labels, json_string_value(key), value))
			b->failed = true;
		json_decref(key);
	}
	jb_put(b, o, "labels", labels);
}

static void put_age(struct json_builder *b, json_t *o, const char *name, enum age_kind age,
		    double s)
{
	if (age == AGE_UNKNOWN)
		return;
	jb_put_real(b, o, name, s, 0.001);
	if (age == AGE_AT_LEAST)
		jb_put(b, o, "age", json_string("at_least"));
}

static void put_created(struct json_builder *b, json_t *o, const struct place *p)
{
	json_t *created;

	if (!p->function)
		return;
	created = json_object();
	jb_put_place(b, created, p);
	jb_put(b, o, "created", created);
}

static void put_ids(struct json_builder *b, json_t *o, const uint64_t *id, int n)
{
	json_t *ids = json_array();

	for (int i = 0; i < n; i++)
		jb_append(b, ids, json_integer((json_int_t)id[i]));
	jb_put(b, o, "ids", ids);
}

static json_t *group(struct json_builder *b, const struct goroutine_dump *d,
		     const struct dump_group *g)
{
	json_t *o = json_object();

	jb_put_count(b, o, "count", g->count);
	jb_put_string(b, o, "reason", g->reason);
	jb_put_string(b, o, "state", g->state);
	put_age(b, o, "oldest_s", g->age, g->oldest_s);
	put_labels(b, o, d, g->labels);
	put_created(b, o, &g->created);
	jb_put(b, o, "stack", stack_list(b, &d->stacks, g->stack));
	if (g->stack < d->stacks.nstack && !d->stacks.stack[g->stack].whole)
		jb_put(b, o, "stack_cut", json_true());
	if (g->unread)
		jb_put(b, o, "unread", json_true());
	put_ids(b, o, g->id, g->nid);
	return o;
}

json_t *json_groups(struct json_builder *b, const struct goroutine_dump *d)
{
	json_t *list = json_array();
	size_t n = d->ngroup <= REPORT_MAX_ROWS ? d->ngroup : REPORT_MAX_ROWS - 1;
	uint64_t rest = 0;

	for (size_t i = 0; i < n; i++)
		jb_append(b, list, group(b, d, &d->group[i]));
	for (size_t i = n; i < d->ngroup; i++)
		rest += d->group[i].count;
	if (rest) {
		json_t *o = json_object();

		jb_put(b, o, "other", json_true());
		jb_put_count(b, o, "count", rest);
		jb_put_count(b, o, "groups", d->ngroup - n);
		jb_append(b, list, o);
	}
	return list;
}

static json_t *one(struct json_builder *b, const struct goroutine_dump *d,
		   const struct dump_goroutine *g)
{
	json_t *o = json_object();

	jb_put_count(b, o, "id", g->goid);
	jb_put_string(b, o, "state", g->state);
	jb_put_string(b, o, "reason", g->reason);
	put_age(b, o, "age_s", g->age, g->age_s);
	if (g->creator)
		jb_put_count(b, o, "creator", g->creator);
	put_created(b, o, &g->created);
	jb_put_string(b, o, "start", g->start);
	put_labels(b, o, d, g->labels);
	jb_put(b, o, "locked", json_boolean(g->locked));
	jb_put(b, o, "stack", stack_list(b, &d->stacks, g->stack));
	return o;
}

void json_all(struct json_builder *b, const struct goroutine_dump *d, struct buf *out)
{
	buf_puts(out, "[");
	for (size_t i = 0; i < d->nall && !out->err && !b->failed; i++) {
		json_t *o = one(b, d, &d->all[i]);

		if (i)
			buf_puts(out, ",");
		json_write(b, o, out);
		json_decref(o);
	}
	buf_puts(out, "]");
}

static json_t *heap_row(struct json_builder *b, const struct heap_window *h,
			const struct heap_row *r)
{
	json_t *o = json_object(), *place = json_object();

	jb_put_place(b, o, &r->place);
	jb_put_place(b, place, &r->place);
	jb_put(b, o, "place", place);
	jb_put_count(b, o, "in_use_bytes", r->in_use_bytes);
	jb_put_count(b, o, "in_use_count", r->in_use_count);
	jb_put_count(b, o, "alloc_bytes", r->alloc_bytes);
	jb_put_count(b, o, "alloc_count", r->alloc_count);
	jb_put(b, o, "grown_bytes", json_integer(r->grown_bytes));
	jb_put(b, o, "stack", stack_list(b, &h->stacks, r->stack));
	return o;
}

static json_t *heap_rest(struct json_builder *b, const struct heap_window *h, int from)
{
	json_t *o = json_object();
	struct heap_row sum = { 0 };

	for (int i = from; i < h->nrow; i++) {
		sum.in_use_bytes += h->row[i].in_use_bytes;
		sum.in_use_count += h->row[i].in_use_count;
		sum.alloc_bytes += h->row[i].alloc_bytes;
		sum.alloc_count += h->row[i].alloc_count;
		sum.grown_bytes += h->row[i].grown_bytes;
	}
	jb_put(b, o, "other", json_true());
	jb_put_count(b, o, "in_use_bytes", sum.in_use_bytes);
	jb_put_count(b, o, "in_use_count", sum.in_use_count);
	jb_put_count(b, o, "alloc_bytes", sum.alloc_bytes);
	jb_put_count(b, o, "alloc_count", sum.alloc_count);
	jb_put(b, o, "grown_bytes", json_integer(sum.grown_bytes));
	jb_put(b, o, "stack", json_array());
	return o;
}

json_t *json_heap(struct json_builder *b, const struct window *w)
{
	const struct heap_window *h = &w->memory->heap;
	json_t *o = json_object(), *list = json_array();
	int n = h->nrow <= REPORT_MAX_ROWS ? h->nrow : REPORT_MAX_ROWS - 1;

	jb_put_count(b, o, "rate", h->rate);
	jb_put_count(b, o, "in_use_bytes", h->in_use_bytes);
	jb_put_count(b, o, "in_use_count", h->in_use_count);
	jb_put_count(b, o, "alloc_bytes", h->alloc_bytes);
	jb_put_count(b, o, "alloc_count", h->alloc_count);
	jb_put(b, o, "grown_bytes", json_integer(h->grown_bytes));
	jb_put(b, o, "exactness", json_string(h->rate > 1 ? "estimated" : "exact"));
	for (int i = 0; i < n; i++)
		jb_append(b, list, heap_row(b, h, &h->row[i]));
	if (n < h->nrow)
		jb_append(b, list, heap_rest(b, h, n));
	jb_put(b, o, "by_site", list);
	return o;
}

static json_t *leak_row(struct json_builder *b, const struct leaks_window *l,
			const struct leak_row *r)
{
	json_t *o = json_object();

	jb_put_place(b, o, &r->place);
	jb_put_string(b, o, "start", r->start);
	jb_put_string(b, o, "reason", r->reason);
	jb_put_count(b, o, "count", r->count);
	put_age(b, o, "oldest_s", r->age, r->oldest_s);
	if (r->by_design)
		jb_put(b, o, "by_design", json_true());
	jb_put(b, o, "stack", stack_list(b, &l->stacks, r->stack));
	put_ids(b, o, r->id, r->nid);
	return o;
}

static json_t *leak_rest(struct json_builder *b, const struct leaks_window *l, int from)
{
	json_t *o = json_object();
	uint64_t count = 0;

	for (int i = from; i < l->nrow; i++)
		count += l->row[i].count;
	jb_put(b, o, "other", json_true());
	jb_put_count(b, o, "count", count);
	jb_put(b, o, "stack", json_array());
	return o;
}

/* Goroutines that were on a CPU in the moment the process was frozen. */
static json_t *running_list(struct json_builder *b, const struct leaks_window *l)
{
	json_t *list = json_array();

	for (size_t i = 0; i < l->nrunning; i++) {
		json_t *o = json_object();

		jb_put_count(b, o, "id", l->running[i].goid);
		jb_put(b, o, "stack", stack_list(b, &l->stacks, l->running[i].stack));
		jb_append(b, list, o);
	}
	return list;
}

json_t *json_leaks(struct json_builder *b, const struct window *w)
{
	static const char *const verdict[] = { "off", "passes", "proven" };
	const struct leaks_window *l = &w->goroutines->leaks;
	json_t *o = json_object(), *list = json_array();
	int n = l->nrow <= REPORT_MAX_ROWS ? l->nrow : REPORT_MAX_ROWS - 1;
	uint64_t total = 0;

	for (int i = 0; i < l->nrow; i++)
		total += l->row[i].by_design ? 0 : l->row[i].count;
	jb_put_string(b, o, "verdict", verdict[l->verdict]);
	if (l->why[0])
		jb_put_string(b, o, "why", l->why);
	if (l->verdict != LEAKS_VERDICT_OFF) {
		jb_put_count(b, o, "passes", (uint64_t)l->passes);
		jb_put_count(b, o, "candidates", l->candidates);
		jb_put_count(b, o, "leaked", total);
	}
	if (l->stop_ms >= 0)
		jb_put_real(b, o, "stop_ms", l->stop_ms, 0.001);
	if (l->nrunning)
		jb_put(b, o, "running", running_list(b, l));
	for (int i = 0; i < n; i++)
		jb_append(b, list, leak_row(b, l, &l->row[i]));
	if (n < l->nrow)
		jb_append(b, list, leak_rest(b, l, n));
	jb_put(b, o, "by_site", list);
	return o;
}
