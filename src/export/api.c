/* SPDX-License-Identifier: BSD-2-Clause */
#include "export/api.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "model/schema.h"
#include "report/document.h"
#include "version.h"

#define TEXT_COLUMNS 400

/* A member of foreign text; "" is none. */
static void text(json_t *o, const char *key, const char *s)
{
	char clean[TEXT_COLUMNS * 8];

	if (*s)
		json_object_set_new(o, key,
				    json_string(words_fit(s, TEXT_COLUMNS, clean, sizeof(clean))));
}

static void number(json_t *o, const char *key, bool known, uint64_t n)
{
	if (known)
		json_object_set_new(o, key,
				    json_integer((json_int_t)(n > INT64_MAX ? INT64_MAX : n)));
}

static void moment(json_t *o, const char *key, uint64_t real_ns)
{
	char s[40];

	if (!real_ns)
		return;
	clock_format_utc(real_ns, 1, s, sizeof(s));
	json_object_set_new(o, key, json_string(s));
}

static json_t *service(const struct identity *i)
{
	json_t *o = json_object();

	text(o, "name", i->service_name);
	text(o, "namespace", i->service_namespace);
	text(o, "instance_id", i->service_instance_id);
	text(o, "version", i->service_version);
	if (i->service_guessed)
		json_object_set_new(o, "guessed", json_true());
	text(o, "container_id", i->container_id);
	text(o, "k8s_namespace", i->pod_namespace);
	text(o, "k8s_pod", i->pod_name);
	text(o, "k8s_container", i->container_name);
	text(o, "systemd_unit", i->unit);
	text(o, "host", i->host_name);
	return o;
}

static json_t *totals(const struct view_totals *t)
{
	json_t *o = json_object();

	moment(o, "time", t->real_ns);
	number(o, "goroutines", t->has_live, t->live);
	number(o, "goroutines_created", t->has_created, t->created);
	number(o, "gc_cycles", t->has_gc, t->gc_cycles);
	number(o, "gc_pause_ns", t->has_gc, t->gc_pause_ns);
	number(o, "heap_live_bytes", t->has_heap, t->heap_live_bytes);
	number(o, "heap_goal_bytes", t->has_heap && t->heap_goal_bytes, t->heap_goal_bytes);
	number(o, "allocated_bytes", t->has_alloc, t->alloc_bytes);
	number(o, "mapped_bytes", t->has_mapped, t->mapped_bytes);
	number(o, "gomaxprocs", t->gomaxprocs, t->gomaxprocs);
	number(o, "cpu_ns", t->has_cpu, t->cpu_ns);
	number(o, "rss_bytes", t->has_cpu, t->rss_bytes);
	number(o, "threads", t->has_cpu, (uint64_t)t->threads);
	return o;
}

static json_t *probes(const struct view_process *p)
{
	json_t *o = json_object();

	number(o, "armed", true, p->probes);
	moment(o, "since", p->probes_since_real_ns);
	text(o, "why", p->probes_why);
	number(o, "windows", true, p->probed ? p->probed->windows : 0);
	moment(o, "last", p->probed ? p->probed->last_real_ns : 0);
	return o;
}

static json_t *process(const struct view_process *p)
{
	json_t *o = json_object();

	number(o, "id", true, p->key);
	number(o, "pid", true, (uint64_t)p->pid);
	json_object_set_new(o, "service", service(p->identity));
	moment(o, "started", p->started_real_ns);
	text(o, "exe", p->exe);
	text(o, "go", p->go);
	text(o, "module", p->module);
	text(o, "module_version", p->module_version);
	text(o, "go_build_id", p->go_build_id);
	text(o, "depth", depth_word[p->depth]);
	text(o, "shallow", shallow_word[p->shallow]);
	text(o, "why", p->why);
	if (p->totals)
		json_object_set_new(o, "totals", totals(p->totals));
	moment(o, "walked", p->walked_real_ns);
	if (p->has_probes)
		json_object_set_new(o, "probes", probes(p));
	number(o, "findings", true, (uint64_t)p->nfinding);
	return o;
}

/* Takes the object, and appends it as text. */
static void put(json_t *o, struct buf *out)
{
	char *s = o ? json_dumps(o, JSON_COMPACT) : NULL;

	if (s)
		buf_puts(out, s);
	else if (!out->err)
		out->err = -ENOMEM;
	free(s);
	json_decref(o);
}

static void begin(const struct view *v, struct buf *out)
{
	char time[40];

	clock_format_utc(v->real_ns, 1, time, sizeof(time));
	buf_printf(out, "{\"time\":\"%s\"", time);
}

/* How it watches, and what it could not look at. */
static void self(const struct view *v, struct buf *out)
{
	const struct view_self *s = &v->self;
	json_t *o = json_object();

	text(o, "version", GOSPECT_VERSION);
	text(o, "host", v->host_name);
	moment(o, "started", s->started_real_ns);
	text(o, "starts", s->by_events ? "told" : "polled");
	text(o, "why_polling", s->why_polling);
	text(o, "probes_off", s->probes_off);
	number(o, "processes", true, s->processes);
	number(o, "unreadable", true, s->unreadable);
	number(o, "beyond", true, s->beyond);
	buf_puts(out, ",\"gospect\":");
	put(o, out);
}

static void processes(const struct view *v, struct buf *out)
{
	buf_puts(out, ",\"processes\":[");
	for (size_t i = 0; i < v->nprocess; i++) {
		buf_puts(out, i ? ",\n" : "\n");
		put(process(&v->process[i]), out);
	}
	buf_puts(out, "]");
}

void api_processes(const struct view *v, struct buf *out)
{
	begin(v, out);
	self(v, out);
	processes(v, out);
	buf_puts(out, "}\n");
}

/* ---- findings ---- */

/* One finding with whose it is, into the members that o has; reason and closed: of one that is
 * over. */
static void finding_in(json_t *o, const struct view_finding *f, const struct identity *who,
		       pid_t pid, uint64_t key, const char *reason, uint64_t closed_ns,
		       struct buf *out)
{
	size_t at = out->len;

	text(o, "id", f->id);
	moment(o, "opened", f->opened_real_ns);
	moment(o, "seen", f->seen_real_ns);
	moment(o, "closed", closed_ns);
	text(o, "reason", reason);
	text(o, "worst", severity_word[f->worst]);
	text(o, "snapshot", f->snapshot);
	number(o, "process", true, key);
	number(o, "pid", true, (uint64_t)pid);
	json_object_set_new(o, "service", service(who));
	put(o, out);
	if (out->err || out->len <= at)
		return;
	out->len--; /* the brace: the report's own words on it go in */
	buf_puts(out, ",\"finding\":");
	report_json_row(&report_findings, &(struct row){ .row = f->finding }, out);
	if (out->len && out->data[out->len - 1] == '\n')
		out->len--;
	buf_puts(out, "}");
}

static void finding(const struct view_finding *f, const struct identity *who, pid_t pid,
		    uint64_t key, const char *reason, uint64_t closed_ns, struct buf *out)
{
	json_t *o = json_object();

	text(o, "state", closed_ns ? "closed" : "open");
	finding_in(o, f, who, pid, key, reason, closed_ns, out);
}

void api_event(const struct view_event *e, struct buf *out)
{
	json_t *o = json_object();

	text(o, "event", view_event_word[e->kind]);
	moment(o, "time", e->real_ns);
	finding_in(o, &e->finding, e->identity, e->pid, e->process_key, e->reason,
		   e->kind == VIEW_CLOSED ? e->real_ns : 0, out);
	buf_puts(out, "\n");
}

void closed_deinit(struct closed_findings *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->row[i].json);
	c->n = 0;
}

static void drop_first(struct closed_findings *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(c->row[i].json);
	memmove(&c->row[0], &c->row[n], (c->n - n) * sizeof(c->row[0]));
	c->n -= n;
}

void closed_add(struct closed_findings *c, const struct view *v)
{
	size_t old = 0;

	for (size_t i = 0; i < v->nevent; i++) {
		const struct view_event *e = &v->event[i];
		struct buf json;

		if (e->kind != VIEW_CLOSED)
			continue;
		buf_init(&json, 64u << 10);
		finding(&e->finding, e->identity, e->pid, e->process_key, e->reason, e->real_ns,
			&json);
		if (json.err) {
			buf_deinit(&json);
			continue;
		}
		if (c->n == CLOSED_MAX)
			drop_first(c, 1);
		c->row[c->n].real_ns = e->real_ns;
		c->row[c->n++].json = json.data;
	}
	while (old < c->n && v->real_ns > c->row[old].real_ns &&
	       v->real_ns - c->row[old].real_ns > CLOSED_MAX_NS)
		old++;
	if (old)
		drop_first(c, old);
}

static void findings(const struct view *v, const struct closed_findings *closed, struct buf *out)
{
	const char *before = "\n";

	buf_puts(out, ",\"findings\":[");
	for (size_t i = 0; i < v->nprocess; i++) {
		const struct view_process *p = &v->process[i];

		for (int k = 0; k < p->nfinding; k++) {
			buf_puts(out, before);
			finding(&p->finding[k], p->identity, p->pid, p->key, "", 0, out);
			before = ",\n";
		}
	}
	for (size_t i = closed ? closed->n : 0; i; i--) {
		buf_puts(out, before);
		buf_puts(out, closed->row[i - 1].json);
		before = ",\n";
	}
	buf_puts(out, "]");
}

void api_findings(const struct view *v, const struct closed_findings *closed, struct buf *out)
{
	begin(v, out);
	findings(v, closed, out);
	buf_puts(out, "}\n");
}

void api_all(const struct view *v, struct buf *out)
{
	begin(v, out);
	processes(v, out);
	findings(v, NULL, out);
	buf_puts(out, "}\n");
}

int api_process(const struct view *v, uint64_t key, struct buf *out)
{
	for (size_t i = 0; i < v->nprocess; i++)
		if (v->process[i].key == key) {
			if (!v->process[i].walk)
				return -ENODATA;
			report_json(v->process[i].walk, out);
			return 0;
		}
	return -ENOENT;
}
