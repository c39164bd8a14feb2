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
#include "detect/wording.h"
#include "report/rows.h"

/* A function name longer than this is cut: linker limits are far below. */
#define JSON_STRING_MAX 16384

struct json_builder {
	bool failed;		/* out of memory: the object is not complete */
};

static void put(struct json_builder *b, json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, value))
		b->failed = true;
}

static void append(struct json_builder *b, json_t *array, json_t *value)
{
	if (json_array_append_new(array, value))
		b->failed = true;
}

/* The length of s when it is valid UTF-8 of a sane length, else 0. */
static size_t valid_length(const char *s)
{
	const char *p = s;
	int32_t code = 0;

	while (*p && code >= 0 && p - s < JSON_STRING_MAX)
		p += utf8_next(p, &code);
	return *p || code < 0 ? 0 : (size_t)(p - s);
}

/* Valid UTF-8 from any bytes, cut at the maximum. */
static json_t *string(const char *s)
{
	size_t n = valid_length(s);
	struct buf clean;
	json_t *value;
	int32_t code;

	if (n || !*s)
		return json_stringn_nocheck(s, n);
	buf_init(&clean, JSON_STRING_MAX);
	while (*s && !clean.err) {
		n = utf8_next(s, &code);
		if (code < 0)
			buf_puts(&clean, "\xef\xbf\xbd");
		else
			buf_add(&clean, s, n);
		s += n;
	}
	value = clean.err == -ENOMEM ? NULL : json_stringn_nocheck(clean.data, clean.len);
	buf_deinit(&clean);
	return value;
}

static void put_string(struct json_builder *b, json_t *o, const char *key, const char *s)
{
	if (s)
		put(b, o, key, string(s));
}

static void put_count(struct json_builder *b, json_t *o, const char *key, uint64_t v)
{
	put(b, o, key, json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v));
}

/* Rounded to `step` (0.001: milliseconds); not a number is not known. */
static void put_real(struct json_builder *b, json_t *o, const char *key, double v, double step)
{
	if (isfinite(v))
		put(b, o, key, json_real(round(v / step) / (1 / step)));
}

static void put_time(struct json_builder *b, json_t *o, const char *key, uint64_t real_ns)
{
	char text[40];

	if (!real_ns)
		return;
	clock_format_utc(real_ns, 1, text, sizeof(text));
	put(b, o, key, json_string(text));
}

static void put_place(struct json_builder *b, json_t *o, const struct place *p)
{
	put_string(b, o, "function", p->function);
	put_string(b, o, "file", p->file);
	if (p->line > 0)
		put(b, o, "line", json_integer(p->line));
}

static void put_stack(struct json_builder *b, json_t *o, const struct place *stack, int n)
{
	json_t *list = json_array();

	for (int i = 0; i < n && i < WINDOW_MAX_STACK; i++) {
		json_t *frame = json_object();

		put_place(b, frame, &stack[i]);
		append(b, list, frame);
	}
	put(b, o, "stack", list);
}

static const char *exactness_name(enum exactness e)
{
	return e == EXACT ? "exact" : e == SAMPLED ? "sampled" : "estimated";
}

static json_t *target(struct json_builder *b, const struct window *w)
{
	json_t *o = json_object();

	put(b, o, "pid", json_integer(w->pid));
	put_string(b, o, "exe", w->exe);
	put_string(b, o, "go", w->go);
	put_string(b, o, "arch", w->arch);
	put(b, o, "stripped", json_boolean(w->stripped));
	put(b, o, "pie", json_boolean(w->pie));
	put_string(b, o, "build_id", w->build_id);
	put_string(b, o, "module", w->module);
	put_string(b, o, "module_version", w->module_version);
	put_time(b, o, "started", w->started_real_ns);
	put_string(b, o, "container", w->container);
	put_count(b, o, "rss_bytes", w->target_rss_bytes);
	put_real(b, o, "cpu_cores", w->target_cpu_cores, 0.001);
	return o;
}

static json_t *probes(struct json_builder *b, const struct window *w)
{
	json_t *o = json_object(), *list = json_array();

	put(b, o, "armed", json_integer(w->probes_armed));
	put(b, o, "emulated", json_integer(w->probes_emulated));
	put(b, o, "stepped", json_integer(w->probes_stepped));
	put_count(b, o, "hits", w->probe_hits);
	for (int i = 0; i < w->nprobe; i++) {
		const struct probe_row *p = &w->probe[i];
		json_t *row = json_object();

		put_string(b, row, "name", p->name);
		put_string(b, row, "function", p->function);
		put(b, row, "armed", json_boolean(p->armed));
		if (p->armed)
			put_count(b, row, "hits", p->hits);
		if (p->cost_ns >= 0)
			put_real(b, row, "cost_ns", p->cost_ns, 1);
		if (!p->armed)
			put_string(b, row, "why", p->why);
		append(b, list, row);
	}
	put(b, o, "list", list);
	return o;
}

static json_t *cost(struct json_builder *b, const struct window *w)
{
	json_t *o = json_object();

	if (w->cost_target_pct >= 0)
		put_real(b, o, "target_cpu_pct", w->cost_target_pct, 0.001);
	put_real(b, o, "budget_pct", w->budget_pct, 0.001);
	if (w->exact_mode)
		put(b, o, "exact", json_true());
	put_real(b, o, "agent_cpu_pct", w->agent_cpu_pct, 0.001);
	put_count(b, o, "agent_rss_bytes", w->agent_rss_bytes);
	put(b, o, "probes", probes(b, w));
	return o;
}

static json_t *coverage(struct json_builder *b, const struct window *w)
{
	static const char *const state[] = { "exact", "sampled", "estimated", "partial", "off" };
	json_t *list = json_array();

	for (int i = 0; i < w->ncoverage; i++) {
		const struct coverage *c = &w->coverage[i];
		json_t *o = json_object();

		put_string(b, o, "sensor", sensor_name(c->sensor));
		put_string(b, o, "state", state[c->state]);
		if (c->state == COVERAGE_SAMPLED)
			put_real(b, o, "rate", c->rate, 0.0001);
		put_string(b, o, "why", c->why);
		append(b, list, o);
	}
	return list;
}

static json_t *losses(struct json_builder *b, const struct window *w)
{
	json_t *o = json_object();

	put_count(b, o, "events", w->lost_events);
	put_count(b, o, "map_full", w->lost_map_full);
	put_count(b, o, "read_failures", w->lost_read_failures);
	return o;
}

static void put_age(struct json_builder *b, json_t *o, enum age_kind age, double oldest_s)
{
	if (age == AGE_UNKNOWN)
		return;
	put_real(b, o, "oldest_s", oldest_s, 0.001);
	if (age == AGE_AT_LEAST)
		put(b, o, "age", json_string("at_least"));
}

static void put_births(struct json_builder *b, json_t *o, const struct window *w, uint64_t births, uint64_t deaths)
{
	if (!w->births_known)
		return;
	put_count(b, o, "births", births);
	put_count(b, o, "deaths", deaths);
}

static void put_exactness(struct json_builder *b, json_t *o, const struct window *w, enum exactness e)
{
	if (w->births_known)
		put(b, o, "exactness", json_string(exactness_name(e)));
}

static void put_live(struct json_builder *b, json_t *o, const struct window *w,
		     uint64_t live, uint64_t live_at_start, uint64_t stuck)
{
	if (!w->goroutines_known)
		return;
	put_count(b, o, "live", live);
	put_count(b, o, "live_at_start", live_at_start);
	put_count(b, o, "stuck", stuck);
}

static json_t *site(struct json_builder *b, const struct window *w, const struct site_row *s)
{
	json_t *o = json_object(), *waits = json_array();

	put_place(b, o, &s->place);
	put_string(b, o, "start", s->start);
	put_births(b, o, w, s->births, s->deaths);
	put_live(b, o, w, s->live, s->live_at_start, s->stuck_window);
	put_age(b, o, s->age, s->oldest_s);
	put_exactness(b, o, w, s->exactness);
	for (int i = 0; i < s->nwait; i++) {
		json_t *wait = json_object();

		put_string(b, wait, "reason", s->wait[i].reason);
		put_count(b, wait, "count", s->wait[i].count);
		put_stack(b, wait, s->wait[i].stack, s->wait[i].nstack);
		append(b, waits, wait);
	}
	put(b, o, "waits", waits);
	return o;
}

static json_t *site_rest(struct json_builder *b, const struct window *w, const struct site_rest *rest)
{
	json_t *o = json_object(), *waits = json_array();

	put(b, o, "other", json_true());
	put_births(b, o, w, rest->births, rest->deaths);
	put_live(b, o, w, rest->live, rest->live_at_start, rest->stuck_window);
	put_age(b, o, rest->age, rest->oldest_s);
	put_exactness(b, o, w, rest->exactness);
	for (int i = 0; i < rest->nwait; i++) {
		json_t *wait = json_object();

		put_string(b, wait, "reason", rest->wait[i].state);
		put_count(b, wait, "count", rest->wait[i].count);
		put_stack(b, wait, NULL, 0);
		append(b, waits, wait);
	}
	put(b, o, "waits", waits);
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
		append(b, list, site(b, w, &w->site[show[i]]));
	if (rest.nrow)
		append(b, list, site_rest(b, w, &rest));
	free(show);
	return list;
}

static json_t *states(struct json_builder *b, const struct window *w)
{
	json_t *o = json_object();
	json_int_t before;
	char key[280];

	/* the words may come from the target's own table: a key has to be clean */
	for (int i = 0; i < w->nstate; i++) {
		words_fit(w->state[i].state, 64, key, sizeof(key));
		before = json_integer_value(json_object_get(o, key));
		put_count(b, o, key, w->state[i].count + (uint64_t)before);
	}
	return o;
}

static json_t *goroutines(struct json_builder *b, const struct window *w)
{
	json_t *o = json_object();

	if (w->created_known)
		put_count(b, o, "created_total", w->created_total);
	if (w->goroutines_known) {
		put_count(b, o, "live_at_start", w->live_at_start);
		put_count(b, o, "live", w->live);
		put_count(b, o, "system", w->system);
	}
	put_births(b, o, w, w->births, w->deaths);
	put_exactness(b, o, w, w->births_exactness);
	if (w->goroutines_known)
		put(b, o, "by_state", states(b, w));
	put(b, o, "by_site", sites(b, w));
	return o;
}

static json_t *alloc_row(struct json_builder *b, const struct alloc_row *a)
{
	json_t *o = json_object();

	put_place(b, o, &a->place);
	put_count(b, o, "count", a->count);
	put_count(b, o, "bytes", a->bytes);
	put_count(b, o, "max_bytes", a->max_bytes);
	put_stack(b, o, a->stack, a->nstack);
	return o;
}

static json_t *alloc_rest(struct json_builder *b, const struct alloc_rest *rest)
{
	json_t *o = json_object();

	put(b, o, "other", json_true());
	put_count(b, o, "count", rest->count);
	put_count(b, o, "bytes", rest->bytes);
	put_count(b, o, "max_bytes", rest->max_bytes);
	put_stack(b, o, NULL, 0);
	return o;
}

static json_t *alloc(struct json_builder *b, const struct window *w)
{
	json_t *o = json_object(), *list = json_array();
	int *show = calloc(REPORT_MAX_ROWS, sizeof(*show)), n;
	struct alloc_rest rest;

	put_count(b, o, "large_threshold_bytes", w->large_threshold_bytes);
	put_count(b, o, "large_count", w->large_count);
	put_count(b, o, "large_bytes", w->large_bytes);
	if (w->total_alloc_bytes)
		put_count(b, o, "all_bytes", w->total_alloc_bytes);
	put(b, o, "exactness", json_string(exactness_name(w->alloc_exactness)));
	b->failed |= !show;
	n = show ? rows_allocs(w, REPORT_MAX_ROWS, show, &rest) : 0;
	for (int i = 0; i < n; i++)
		append(b, list, alloc_row(b, &w->alloc[show[i]]));
	if (show && rest.nrow)
		append(b, list, alloc_rest(b, &rest));
	free(show);
	put(b, o, "by_site", list);
	return o;
}

static json_t *pauses(struct json_builder *b, const struct gc_window *g)
{
	json_t *o = json_object();

	put_count(b, o, "count", g->pause_count);
	put_count(b, o, "p50_ns", g->pause_p50_ns);
	put_count(b, o, "p99_ns", g->pause_p99_ns);
	put_count(b, o, "max_ns", g->pause_max_ns);
	put_count(b, o, "total_ns", g->pause_total_ns);
	if (g->pauses_from_memory)
		put(b, o, "source", json_string("memory"));
	if (g->pauses_partial)
		put(b, o, "partial", json_true());
	return o;
}

/* null: the program is known to have no limit. */
static void put_memory_limit(struct json_builder *b, json_t *o, int64_t limit)
{
	if (limit == INT64_MAX)
		put(b, o, "memory_limit_bytes", json_null());
	else if (limit >= 0)
		put(b, o, "memory_limit_bytes", json_integer(limit));
}

static json_t *gc(struct json_builder *b, const struct gc_window *g)
{
	json_t *o = json_object();

	if (g->known) {
		put_count(b, o, "cycles_total", g->cycles_total);
		put_count(b, o, "cycles", g->cycles);
	}
	if (g->heap_known) {
		put_count(b, o, "heap_live_bytes", g->heap_live_bytes);
		put_count(b, o, "heap_goal_bytes", g->heap_goal_bytes);
	}
	if (g->pauses_known)
		put(b, o, "pauses", pauses(b, g));
	if (g->heap_known) {
		put_count(b, o, "heap_marked_bytes", g->heap_marked_bytes);
		put(b, o, "gogc", json_integer(g->gogc));
		put_memory_limit(b, o, g->memory_limit_bytes);
	}
	if (g->known) {
		put_count(b, o, "forced_total", g->forced_total);
		put_count(b, o, "forced", g->forced);
		if (g->cpu_pct >= 0)
			put_real(b, o, "cpu_pct", g->cpu_pct, 0.001);
	}
	return o;
}

static json_t *finding(struct json_builder *b, const struct finding *f)
{
	json_t *o = json_object(), *numbers = json_object(), *evidence = json_array(), *place;

	put_string(b, o, "id", f->id);
	put_string(b, o, "kind", f->kind);
	put_string(b, o, "severity", severity_name(f->severity));
	put_string(b, o, "title", f->title);
	if (f->place.function) {
		place = json_object();
		put_place(b, place, &f->place);
		put(b, o, "place", place);
	}
	for (int i = 0; i < f->nnumber; i++) {
		if (f->number[i].is_integer)
			put_count(b, numbers, f->number[i].name, (uint64_t)f->number[i].value);
		else
			put_real(b, numbers, f->number[i].name, f->number[i].value, 0.001);
	}
	put(b, o, "numbers", numbers);
	put_string(b, o, "exactness", exactness_name(f->exactness));
	if (f->since_s >= 0)
		put_real(b, o, "since_s", f->since_s, 0.001);
	for (int i = 0; i < f->nevidence; i++)
		append(b, evidence, string(f->evidence[i]));
	put(b, o, "evidence", evidence);
	put_string(b, o, "advice", f->advice);
	return o;
}

static json_t *findings(struct json_builder *b, const struct findings *fs)
{
	json_t *list = json_array();

	for (int i = 0; i < fs->n; i++)
		append(b, list, finding(b, &fs->f[i]));
	return list;
}

static json_t *report(struct json_builder *b, const struct report *r)
{
	const struct window *w = r->window;
	json_t *o = json_object();

	put_string(b, o, "schema", REPORT_SCHEMA);
	put_time(b, o, "time", w->end_real_ns);
	put_real(b, o, "window_s", w->window_s, 0.001);
	put_real(b, o, "observed_s", w->observed_s, 0.001);
	if (w->last) {
		put(b, o, "last", json_true());
		put_string(b, o, "end_reason", w->end_reason);
	}
	put(b, o, "target", target(b, w));
	put(b, o, "cost", cost(b, w));
	put(b, o, "coverage", coverage(b, w));
	put(b, o, "losses", losses(b, w));
	if (w->goroutines_known || w->births_known || w->created_known)
		put(b, o, "goroutines", goroutines(b, w));
	if (w->alloc_known)
		put(b, o, "alloc", alloc(b, w));
	if (w->gc.known || w->gc.heap_known || w->gc.pauses_known)
		put(b, o, "gc", gc(b, &w->gc));
	put(b, o, "findings", findings(b, r->findings));
	if (r->findings->dropped)
		put_count(b, o, "findings_dropped", r->findings->dropped);
	return o;
}

static int dump_to_buf(const char *data, size_t size, void *arg)
{
	struct buf *out = arg;

	buf_add(out, data, size);
	return out->err ? -1 : 0;
}

void report_json(const struct report *r, struct buf *out)
{
	struct json_builder b = { 0 };
	json_t *root = report(&b, r);
	size_t before = out->len;

	if (!b.failed && root)
		json_dump_callback(root, dump_to_buf, out,
				   JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(15));
	buf_puts(out, "\n");
	if (b.failed && !out->err)
		out->err = -ENOMEM;
	if (out->err && out->data) {	/* never half an object */
		out->len = before;
		out->data[before] = '\0';
	}
	json_decref(root);
}
