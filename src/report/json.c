/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The report as one JSON object on one line, schema gospect.report/1: what is
 * not known is absent.  Strings come from hostile executables: broken UTF-8
 * becomes U+FFFD, and everything beyond ASCII is written as \uXXXX, so that a
 * terminal which shows the line cannot be controlled by it (C1 and
 * bidirectional control characters are legal inside JSON strings).
 */
#include "report/report.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "report/json_build.h"
#include "report/json_net.h"
#include "report/rows.h"

static void put_stack(struct json_builder *b, json_t *o, const struct place *stack, int n)
{
	json_t *list = json_array();

	for (int i = 0; i < n && i < WINDOW_MAX_STACK; i++) {
		json_t *frame = json_object();

		jb_put_place(b, frame, &stack[i]);
		jb_append(b, list, frame);
	}
	jb_put(b, o, "stack", list);
}

static json_t *target(struct json_builder *b, const struct window *w)
{
	json_t *o = json_object();

	jb_put(b, o, "pid", json_integer(w->pid));
	jb_put_string(b, o, "exe", w->exe);
	jb_put_string(b, o, "go", w->go);
	jb_put_string(b, o, "arch", w->arch);
	jb_put(b, o, "stripped", json_boolean(w->stripped));
	jb_put(b, o, "pie", json_boolean(w->pie));
	jb_put_string(b, o, "build_id", w->build_id);
	jb_put_string(b, o, "module", w->module);
	jb_put_string(b, o, "module_version", w->module_version);
	jb_put_time(b, o, "started", w->started_real_ns);
	jb_put_string(b, o, "container", w->container);
	jb_put_count(b, o, "rss_bytes", w->target_rss_bytes);
	jb_put_real(b, o, "cpu_cores", w->target_cpu_cores, 0.001);
	return o;
}

static json_t *probes(struct json_builder *b, const struct window *w)
{
	json_t *o = json_object(), *list = json_array();

	jb_put(b, o, "armed", json_integer(w->probes_armed));
	jb_put(b, o, "emulated", json_integer(w->probes_emulated));
	jb_put(b, o, "stepped", json_integer(w->probes_stepped));
	jb_put_count(b, o, "hits", w->probe_hits);
	for (int i = 0; i < w->nprobe; i++) {
		const struct probe_row *p = &w->probe[i];
		json_t *row = json_object();

		jb_put_string(b, row, "name", p->name);
		jb_put_string(b, row, "function", p->function);
		jb_put(b, row, "armed", json_boolean(p->armed));
		if (p->armed)
			jb_put_count(b, row, "hits", p->hits);
		if (p->cost_ns >= 0)
			jb_put_real(b, row, "cost_ns", p->cost_ns, 1);
		if (!p->armed)
			jb_put_string(b, row, "why", p->why);
		jb_append(b, list, row);
	}
	jb_put(b, o, "list", list);
	return o;
}

static json_t *cost(struct json_builder *b, const struct window *w)
{
	json_t *o = json_object();

	if (w->cost_target_pct >= 0)
		jb_put_real(b, o, "target_cpu_pct", w->cost_target_pct, 0.001);
	jb_put_real(b, o, "budget_pct", w->budget_pct, 0.001);
	if (w->exact_mode)
		jb_put(b, o, "exact", json_true());
	jb_put_real(b, o, "agent_cpu_pct", w->agent_cpu_pct, 0.001);
	jb_put_count(b, o, "agent_rss_bytes", w->agent_rss_bytes);
	jb_put(b, o, "probes", probes(b, w));
	return o;
}

static json_t *coverage(struct json_builder *b, const struct window *w)
{
	static const char *const state[] = { "exact", "sampled", "estimated", "partial", "off" };
	json_t *list = json_array();

	for (int i = 0; i < w->ncoverage; i++) {
		const struct coverage *c = &w->coverage[i];
		json_t *o = json_object();

		jb_put_string(b, o, "sensor", c->name ? c->name : sensor_name(c->sensor));
		jb_put_string(b, o, "state", state[c->state]);
		if (c->state == COVERAGE_SAMPLED)
			jb_put_real(b, o, "rate", c->rate, 0.0001);
		jb_put_string(b, o, "why", c->why);
		jb_append(b, list, o);
	}
	return list;
}

static json_t *losses(struct json_builder *b, const struct window *w)
{
	json_t *o = json_object();

	jb_put_count(b, o, "events", w->lost_events);
	jb_put_count(b, o, "map_full", w->lost_map_full);
	jb_put_count(b, o, "read_failures", w->lost_read_failures);
	return o;
}

static void put_age(struct json_builder *b, json_t *o, enum age_kind age, double oldest_s)
{
	if (age == AGE_UNKNOWN)
		return;
	jb_put_real(b, o, "oldest_s", oldest_s, 0.001);
	if (age == AGE_AT_LEAST)
		jb_put(b, o, "age", json_string("at_least"));
}

static void put_births(struct json_builder *b, json_t *o, bool known, uint64_t births,
		       uint64_t deaths)
{
	if (!known)
		return;
	jb_put_count(b, o, "births", births);
	jb_put_count(b, o, "deaths", deaths);
}

static void put_exactness(struct json_builder *b, json_t *o, bool known, enum exactness e)
{
	if (known)
		jb_put(b, o, "exactness", json_string(exactness_name(e)));
}

static void put_live(struct json_builder *b, json_t *o, const struct window *w, uint64_t live,
		     uint64_t live_at_start, uint64_t stuck)
{
	if (!w->goroutines->known)
		return;
	jb_put_count(b, o, "live", live);
	jb_put_count(b, o, "live_at_start", live_at_start);
	jb_put_count(b, o, "stuck", stuck);
}

static json_t *site(struct json_builder *b, const struct window *w, const struct site_row *s)
{
	json_t *o = json_object(), *waits = json_array();

	jb_put_place(b, o, &s->place);
	jb_put_string(b, o, "start", s->start);
	put_births(b, o, w->goroutines->births_known && s->births_known, s->births, s->deaths);
	put_live(b, o, w, s->live, s->live_at_start, s->stuck_window);
	put_age(b, o, s->age, s->oldest_s);
	put_exactness(b, o, w->goroutines->births_known && s->births_known, s->exactness);
	for (int i = 0; i < s->nwait; i++) {
		json_t *wait = json_object();

		jb_put_string(b, wait, "reason", s->wait[i].reason);
		jb_put_count(b, wait, "count", s->wait[i].count);
		put_stack(b, wait, s->wait[i].stack, s->wait[i].nstack);
		jb_append(b, waits, wait);
	}
	jb_put(b, o, "waits", waits);
	return o;
}

static json_t *site_rest(struct json_builder *b, const struct window *w,
			 const struct site_rest *rest)
{
	json_t *o = json_object(), *waits = json_array();

	jb_put(b, o, "other", json_true());
	put_births(b, o, w->goroutines->births_known && rest->births_known, rest->births,
		   rest->deaths);
	put_live(b, o, w, rest->live, rest->live_at_start, rest->stuck_window);
	put_age(b, o, rest->age, rest->oldest_s);
	put_exactness(b, o, w->goroutines->births_known && rest->births_known, rest->exactness);
	for (int i = 0; i < rest->nwait; i++) {
		json_t *wait = json_object();

		jb_put_string(b, wait, "reason", rest->wait[i].state);
		jb_put_count(b, wait, "count", rest->wait[i].count);
		put_stack(b, wait, NULL, 0);
		jb_append(b, waits, wait);
	}
	jb_put(b, o, "waits", waits);
	return o;
}

static json_t *sites(struct json_builder *b, const struct window *w)
{
	json_t *list = json_array();
	struct site_rest rest;
	int *show = calloc(REPORT_MAX_ROWS, sizeof(*show)), n;

	if (!show) {
		b->failed = true;
		return list;
	}
	n = rows_sites(w, REPORT_MAX_ROWS, show, &rest);
	for (int i = 0; i < n; i++)
		jb_append(b, list, site(b, w, &w->goroutines->site[show[i]]));
	if (rest.nrow)
		jb_append(b, list, site_rest(b, w, &rest));
	free(show);
	return list;
}

static json_t *states(struct json_builder *b, const struct window *w)
{
	json_t *o = json_object();
	json_int_t before;
	char key[280];

	/* the words may come from the target's own table: a key has to be clean */
	for (int i = 0; i < w->goroutines->nstate; i++) {
		words_fit(w->goroutines->state[i].state, 64, key, sizeof(key));
		before = json_integer_value(json_object_get(o, key));
		jb_put_count(b, o, key, w->goroutines->state[i].count + (uint64_t)before);
	}
	return o;
}

static json_t *goroutines(struct json_builder *b, const struct window *w)
{
	json_t *o = json_object();

	if (w->goroutines->created_known)
		jb_put_count(b, o, "created_total", w->goroutines->created_total);
	if (w->goroutines->known) {
		jb_put_count(b, o, "live_at_start", w->goroutines->live_at_start);
		jb_put_count(b, o, "live", w->goroutines->live);
		jb_put_count(b, o, "system", w->goroutines->system);
	}
	put_births(b, o, w->goroutines->births_known, w->goroutines->births, w->goroutines->deaths);
	put_exactness(b, o, w->goroutines->births_known, w->goroutines->births_exactness);
	if (w->goroutines->known)
		jb_put(b, o, "by_state", states(b, w));
	jb_put(b, o, "by_site", sites(b, w));
	if (w->goroutines->dump)
		jb_put(b, o, "groups", json_groups(b, w->goroutines->dump));
	return o;
}

static json_t *alloc_row(struct json_builder *b, const struct alloc_row *a)
{
	json_t *o = json_object();

	jb_put_place(b, o, &a->place);
	jb_put_count(b, o, "count", a->count);
	jb_put_count(b, o, "bytes", a->bytes);
	jb_put_count(b, o, "max_bytes", a->max_bytes);
	put_stack(b, o, a->stack, a->nstack);
	return o;
}

static json_t *alloc_rest(struct json_builder *b, const struct alloc_rest *rest)
{
	json_t *o = json_object();

	jb_put(b, o, "other", json_true());
	jb_put_count(b, o, "count", rest->count);
	jb_put_count(b, o, "bytes", rest->bytes);
	jb_put_count(b, o, "max_bytes", rest->max_bytes);
	put_stack(b, o, NULL, 0);
	return o;
}

static json_t *alloc(struct json_builder *b, const struct window *w)
{
	json_t *o = json_object(), *list = json_array();
	int *show = calloc(REPORT_MAX_ROWS, sizeof(*show)), n;
	struct alloc_rest rest;

	jb_put_count(b, o, "large_threshold_bytes", w->memory->large_threshold_bytes);
	jb_put_count(b, o, "large_count", w->memory->large_count);
	jb_put_count(b, o, "large_bytes", w->memory->large_bytes);
	if (w->memory->total_alloc_bytes)
		jb_put_count(b, o, "all_bytes", w->memory->total_alloc_bytes);
	jb_put(b, o, "exactness", json_string(exactness_name(w->memory->alloc_exactness)));
	b->failed |= !show;
	n = show ? rows_allocs(w, REPORT_MAX_ROWS, show, &rest) : 0;
	for (int i = 0; i < n; i++)
		jb_append(b, list, alloc_row(b, &w->memory->alloc[show[i]]));
	if (show && rest.nrow)
		jb_append(b, list, alloc_rest(b, &rest));
	free(show);
	jb_put(b, o, "by_site", list);
	return o;
}

static json_t *pauses(struct json_builder *b, const struct gc_window *g)
{
	json_t *o = json_object();

	jb_put_count(b, o, "count", g->pause_count);
	jb_put_count(b, o, "p50_ns", g->pause_p50_ns);
	jb_put_count(b, o, "p99_ns", g->pause_p99_ns);
	jb_put_count(b, o, "max_ns", g->pause_max_ns);
	jb_put_count(b, o, "total_ns", g->pause_total_ns);
	if (g->pauses_from_memory)
		jb_put(b, o, "source", json_string("memory"));
	if (g->pauses_partial)
		jb_put(b, o, "partial", json_true());
	return o;
}

/* null: the program is known to have no limit. */
static void put_memory_limit(struct json_builder *b, json_t *o, int64_t limit)
{
	if (limit == INT64_MAX)
		jb_put(b, o, "memory_limit_bytes", json_null());
	else if (limit >= 0)
		jb_put(b, o, "memory_limit_bytes", json_integer(limit));
}

static json_t *gc(struct json_builder *b, const struct gc_window *g)
{
	json_t *o = json_object();

	if (g->known) {
		jb_put_count(b, o, "cycles_total", g->cycles_total);
		jb_put_count(b, o, "cycles", g->cycles);
	}
	if (g->heap_known) {
		jb_put_count(b, o, "heap_live_bytes", g->heap_live_bytes);
		jb_put_count(b, o, "heap_goal_bytes", g->heap_goal_bytes);
	}
	if (g->pauses_known)
		jb_put(b, o, "pauses", pauses(b, g));
	if (g->heap_known) {
		jb_put_count(b, o, "heap_marked_bytes", g->heap_marked_bytes);
		jb_put(b, o, "gogc", json_integer(g->gogc));
		put_memory_limit(b, o, g->memory_limit_bytes);
	}
	if (g->known) {
		jb_put_count(b, o, "forced_total", g->forced_total);
		jb_put_count(b, o, "forced", g->forced);
		if (g->cpu_pct >= 0)
			jb_put_real(b, o, "cpu_pct", g->cpu_pct, 0.001);
	}
	return o;
}

static json_t *finding(struct json_builder *b, const struct finding *f)
{
	json_t *o = json_object(), *numbers = json_object(), *evidence = json_array(), *place;

	jb_put_string(b, o, "id", f->id);
	jb_put_string(b, o, "kind", f->kind);
	jb_put_string(b, o, "severity", severity_name(f->severity));
	jb_put_string(b, o, "title", f->title);
	if (f->place.function) {
		place = json_object();
		jb_put_place(b, place, &f->place);
		jb_put(b, o, "place", place);
	}
	for (int i = 0; i < f->nnumber; i++) {
		if (f->number[i].is_integer)
			jb_put_count(b, numbers, f->number[i].name, (uint64_t)f->number[i].value);
		else
			jb_put_real(b, numbers, f->number[i].name, f->number[i].value, 0.001);
	}
	jb_put(b, o, "numbers", numbers);
	jb_put_string(b, o, "exactness", exactness_name(f->exactness));
	if (f->since_s >= 0)
		jb_put_real(b, o, "since_s", f->since_s, 0.001);
	for (int i = 0; i < f->nevidence; i++)
		jb_append(b, evidence, jb_string(f->evidence[i]));
	jb_put(b, o, "evidence", evidence);
	jb_put_string(b, o, "advice", f->advice);
	return o;
}

static json_t *findings(struct json_builder *b, const struct findings *fs)
{
	json_t *list = json_array();

	for (int i = 0; i < fs->n; i++)
		jb_append(b, list, finding(b, &fs->f[i]));
	return list;
}

static json_t *report(struct json_builder *b, const struct report *r)
{
	const struct window *w = &r->window;
	json_t *o = json_object();

	jb_put_string(b, o, "schema", REPORT_SCHEMA);
	jb_put_time(b, o, "time", w->end_real_ns);
	jb_put_real(b, o, "window_s", w->window_s, 0.001);
	jb_put_real(b, o, "observed_s", w->observed_s, 0.001);
	if (w->last) {
		jb_put(b, o, "last", json_true());
		jb_put_string(b, o, "end_reason", w->end_reason);
	}
	jb_put(b, o, "target", target(b, w));
	jb_put(b, o, "cost", cost(b, w));
	jb_put(b, o, "coverage", coverage(b, w));
	jb_put(b, o, "losses", losses(b, w));
	if (w->goroutines->known || w->goroutines->births_known || w->goroutines->created_known)
		jb_put(b, o, "goroutines", goroutines(b, w));
	if (w->memory->alloc_known)
		jb_put(b, o, "alloc", alloc(b, w));
	if (w->memory->gc.known || w->memory->gc.heap_known || w->memory->gc.pauses_known)
		jb_put(b, o, "gc", gc(b, &w->memory->gc));
	if (w->net->known || w->net->phases_known)
		jb_put(b, o, "net", json_net(b, w->net));
	if (w->sql->known)
		jb_put(b, o, "sql", json_sql(b, w->sql));
	if (w->locks->known)
		jb_put(b, o, "locks", json_locks(b, w->locks));
	if (w->locks->waits_known)
		jb_put(b, o, "lock_waits", json_lock_waits(b, w->locks));
	if (w->memory->heap.known)
		jb_put(b, o, "heap", json_heap(b, w));
	if (w->goroutines->leaks.asked)
		jb_put(b, o, "leaks", json_leaks(b, w));
	jb_put(b, o, "findings", findings(b, &r->findings));
	if (r->findings.dropped)
		jb_put_count(b, o, "findings_dropped", r->findings.dropped);
	return o;
}

/* Member after member, so that the list of all goroutines is never a tree in memory. */
static void write_members(struct json_builder *b, const struct report *r, json_t *root,
			  struct buf *out)
{
	const struct goroutine_dump *d = r->window.goroutines->dump;
	const char *key, *before = "{";
	json_t *value;

	json_object_foreach(root, key, value)
	{
		buf_printf(out, "%s\"%s\":", before, key);
		json_write(b, value, out);
		before = ",";
		if (strcmp(key, "goroutines") || !d || !d->all || out->err)
			continue;
		out->data[--out->len] = '\0'; /* the object's end */
		buf_puts(out, ",\"all\":");
		json_all(b, d, out);
		buf_puts(out, "}");
	}
	buf_puts(out, "}\n");
}

void report_json(const struct report *r, struct buf *out)
{
	struct json_builder b = { 0 };
	json_t *root = report(&b, r);
	size_t before = out->len;

	if (!b.failed && root)
		write_members(&b, r, root, out);
	if ((b.failed || !root) && !out->err)
		out->err = -ENOMEM;
	if (out->err && out->data) { /* never half an object */
		out->len = before;
		out->data[before] = '\0';
	}
	json_decref(root);
}
