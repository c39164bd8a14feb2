/* SPDX-License-Identifier: BSD-2-Clause */
/* A small window that tests render, and readers of what came out. */
#ifndef GOSPECT_TESTS_REPORT_VIEW_H
#define GOSPECT_TESTS_REPORT_VIEW_H

#include <stdlib.h>

#include "model/place.h"
#include "observe/window.h"
#include "report_out.h"

#define HOSTILE                                          \
	"main.\x1b[31m(*\xff\xc3T).\xe2\x80\xae\xc2\x9b" \
	"2J\r\n\tx"

static inline void add_wait(struct site_row *s, const char *reason, enum wait_class klass,
			    uint64_t count, int nstack)
{
	struct wait_row *w;

	s->wait = realloc(s->wait, (size_t)(s->nwait + 1) * sizeof(*s->wait));
	assert_non_null(s->wait);
	w = &s->wait[s->nwait++];
	memset(w, 0, sizeof(*w));
	w->reason = reason;
	w->klass = klass;
	w->count = count;
	w->nstack = nstack;
	w->user = nstack - 1;
	for (int i = 0; i < nstack; i++)
		w->stack[i] = (struct place){ i ? "main.worker" : "runtime.gopark",
					      i ? "notify.go" : "proc.go", NULL, i ? 57 : 435 };
}

/* An empty window: nothing known, nothing found. */
static inline void setup_empty(struct fixture *x)
{
	memset(x, 0, sizeof(*x));
	assert_int_equal(window_init(&x->r.window), 0);
	x->r.window.pid = 4242;
	x->r.window.end_real_ns = 1795341605ull * 1000000000; /* 2026-11-22T10:00:05Z */
	x->r.window.cost_target_pct = -1;
	x->r.window.budget_pct = 1;
	x->r.window.memory->gc.cpu_pct = -1;
	x->r.window.memory->gc.memory_limit_bytes = -1;
	x->r.findings = (struct findings){ 0 };
	buf_init(&x->out, OUTPUT_MAX);
}

static inline void setup_target(struct window *w)
{
	w->window_s = 5;
	w->observed_s = 20;
	w->exe = "/srv/shop";
	w->go = "go1.26.8";
	w->arch = "amd64";
	w->stripped = true;
	w->build_id = "abc/def";
	w->module = "example.com/shop";
	w->module_version = "v1.2.3";
	w->started_real_ns = w->end_real_ns - 10920ull * 1000000000;
	w->target_rss_bytes = 120u << 20;
	w->target_cpu_cores = 1.32;
	w->cost_target_pct = 0.41;
	w->agent_cpu_pct = 0.6;
	w->agent_rss_bytes = 9000320;
	w->agent_bpf_bytes = 400000; /* the text shows the sum */
	w->probes_armed = w->probes_emulated = 23;
	w->probe_hits = 41230;
	w->nprobe = 2;
	w->probe = calloc(2, sizeof(*w->probe));
	w->probe[0] = (struct probe_row){ .name = "goroutine-birth",
					  .function = "runtime.newproc1",
					  .hits = 41000,
					  .cost_ns = 750,
					  .armed = true };
	w->probe[1] = (struct probe_row){ .name = "coroutine-birth",
					  .function = "runtime.newcoro.func1",
					  .cost_ns = -1,
					  .why = "not in this program" };
	w->ncoverage = 4;
	w->coverage[0] = (struct coverage){
		.sensor = SENSOR_GOROUTINES, .state = SAMPLED, .rate = 0.25, .why = "budget"
	};
	w->coverage[1] = (struct coverage){ .sensor = SENSOR_ALLOC, .state = EXACT };
	w->coverage[2] = (struct coverage){ .sensor = SENSOR_GC, .state = EXACT };
	w->coverage[3] = (struct coverage){ .sensor = SENSOR_SQL,
					    .state = OFF,
					    .why = "not implemented yet" };
}

static inline void setup_goroutines(struct window *w)
{
	struct site_row *s;

	w->goroutines->known = w->goroutines->created_known = w->goroutines->births_known = true;
	w->goroutines->created_total = 918230;
	w->goroutines->live_at_start = 1200;
	w->goroutines->live = 1396;
	w->goroutines->system = 9;
	w->goroutines->births = 2190;
	w->goroutines->deaths = 1994;
	w->goroutines->births_exactness = SAMPLED;
	w->goroutines->nstate = 3;
	w->goroutines->state = calloc(3, sizeof(*w->goroutines->state));
	w->goroutines->state[0] = (struct state_count){ "chan receive", 1204 };
	w->goroutines->state[1] = (struct state_count){ "IO wait", 190 };
	w->goroutines->state[2] = (struct state_count){ "running", 2 };
	w->goroutines->nsite = 2;
	w->goroutines->site = s = calloc(2, sizeof(*w->goroutines->site));
	s[0].place = (struct place){ "main.(*Server).notify", "notify.go", NULL, 41 };
	s[0].start = "main.(*Server).notify.func1";
	s[0].births_known = s[1].births_known = true;
	s[0].births = 190;
	s[0].live = 1204;
	s[0].live_at_start = 1014;
	s[0].stuck_window = 1014;
	s[0].exactness = SAMPLED;
	s[0].oldest_s = 10681.2;
	s[0].age = AGE_AT_LEAST;
	add_wait(&s[0], "chan receive", WAIT_BLOCKED, 1204, 2);
	s[1].place = (struct place){ "net/http.(*Server).Serve", "server.go", NULL, 3454 };
	s[1].start = "net/http.(*conn).serve";
	s[1].births = 2000;
	s[1].deaths = 1994;
	s[1].live = 192;
	s[1].live_at_start = 186;
	s[1].exactness = SAMPLED;
	s[1].oldest_s = 14.2;
	s[1].age = AGE_EXACT;
	add_wait(&s[1], "IO wait", WAIT_IO, 190, 2);
	add_wait(&s[1], "running", WAIT_NOT, 2, 0);
}

static inline void setup_rest(struct window *w)
{
	w->memory->alloc_known = true;
	w->memory->large_threshold_bytes = 32768;
	w->memory->large_count = 1060;
	w->memory->large_bytes = 11114905600;
	w->memory->total_alloc_bytes = 12000000000;
	w->memory->nalloc = 1;
	w->memory->alloc = calloc(1, sizeof(*w->memory->alloc));
	w->memory->alloc[0].place = (struct place){ "main.handler", "handler.go", NULL, 88 };
	w->memory->alloc[0].count = 1060;
	w->memory->alloc[0].bytes = 11114905600;
	w->memory->alloc[0].max_bytes = 10485760;
	w->memory->alloc[0].nstack = 2;
	w->memory->alloc[0].stack[0] = w->memory->alloc[0].place;
	w->memory->alloc[0].stack[1] = (struct place){ "main.main", "main.go", NULL, 12 };
	w->memory->gc = (struct gc_window){
		.known = true,
		.cycles_total = 5120,
		.cycles = 45,
		.heap_known = true,
		.heap_live_bytes = 41943040,
		.heap_marked_bytes = 20971520,
		.heap_goal_bytes = 83886080,
		.gogc = 100,
		.memory_limit_bytes = INT64_MAX,
		.cpu_pct = 3.1,
		.pauses_known = true,
		.pause_count = 90,
		.pause_p50_ns = 41000,
		.pause_p99_ns = 310000,
		.pause_max_ns = 402000,
		.pause_total_ns = 4400000,
	};
}

static inline void setup_full(struct fixture *x)
{
	struct finding *f;

	setup_empty(x);
	setup_target(&x->r.window);
	setup_goroutines(&x->r.window);
	setup_rest(&x->r.window);
	f = findings_add(&x->r.findings, "goroutine-leak", "leak", SEVERITY_MEDIUM,
			 &x->r.window.goroutines->site[0].place);
	finding_title(
		f, "1,204 goroutines created at main.(*Server).notify (notify.go:41) look leaked: "
		   "stuck in chan receive, and growing by 38 a minute");
	finding_count(f, "count", 1204);
	finding_number(f, "per_minute", 38.04);
	finding_evidence(f, "blocked in chan receive at main.worker (notify.go:57), the oldest for "
			    "at least 2h58m");
	finding_evidence(f, "the second");
	finding_evidence(f, "the third, which there is no room for in the text");
	finding_advice(
		f, "let it end: select on ctx.Done() as well, or close the channel on every path");
	f->since_s = 20;
}

static inline void expect_keys(json_t *o, const char *keys)
{
	char all[1024] = "";
	const char *key;
	json_t *value;

	assert_true(json_is_object(o));
	json_object_foreach(o, key, value)
	{
		strcat(all, key);
		strcat(all, " ");
	}
	assert_string_equal(all, keys);
}

/* ---- hostile names ---- */

static inline void setup_hostile(struct fixture *x, const char *name)
{
	struct finding *f;
	char title[WORDS_PLACE_MAX];

	setup_full(x);
	x->r.window.exe = x->r.window.go = x->r.window.module = x->r.window.module_version =
		x->r.window.container = x->r.window.build_id = name;
	x->r.window.goroutines->state[0].state = name;
	for (int i = 0; i < x->r.window.goroutines->nsite; i++) {
		x->r.window.goroutines->site[i].place = (struct place){ name, name, name, 41 };
		x->r.window.goroutines->site[i].start = name;
		x->r.window.goroutines->site[i].wait[0].reason = name;
		x->r.window.goroutines->site[i].wait[0].stack[1] =
			(struct place){ name, name, NULL, 1 };
	}
	x->r.window.memory->alloc[0].place = x->r.window.goroutines->site[0].place;
	x->r.window.memory->alloc[0].stack[0] = x->r.window.memory->alloc[0].stack[1] =
		x->r.window.goroutines->site[0].place;
	f = findings_add(&x->r.findings, "goroutine-leak", "leak", SEVERITY_MEDIUM,
			 &x->r.window.goroutines->site[0].place);
	finding_title(f, "created at %s", words_place(&f->place, title, sizeof(title)));
	finding_evidence(f, "%s", name);
	finding_advice(f, "%s", name);
	snprintf(x->r.window.coverage[3].why, sizeof(x->r.window.coverage[3].why), "%s", name);
	x->r.window.memory_only = name;
	x->r.window.last = true;
	x->r.window.end_reason = name;
}

/* ---- many rows ---- */

static inline void setup_many(struct fixture *x, int n, bool with_other)
{
	setup_full(x);
	for (int i = 0; i < x->r.window.goroutines->nsite; i++)
		free(x->r.window.goroutines->site[i].wait);
	free(x->r.window.goroutines->site);
	free(x->r.window.memory->alloc);
	x->r.window.goroutines->nsite = x->r.window.memory->nalloc = n;
	x->r.window.goroutines->site = calloc((size_t)n + 1, sizeof(*x->r.window.goroutines->site));
	x->r.window.memory->alloc = calloc((size_t)n + 1, sizeof(*x->r.window.memory->alloc));
	for (int i = 0; i < n; i++) {
		struct site_row *s = &x->r.window.goroutines->site[i];

		s->place = (struct place){ "main.f", "f.go", NULL, i + 1 };
		s->live = 2;
		s->births_known = true;
		s->births = 3;
		s->deaths = 1;
		add_wait(s, i % 2 ? "select" : "chan receive", WAIT_BLOCKED, 2, 2);
		x->r.window.memory->alloc[i].place = s->place;
		x->r.window.memory->alloc[i].count = 1;
		x->r.window.memory->alloc[i].bytes = 40000;
		x->r.window.memory->alloc[i].max_bytes = 40000u + (unsigned int)i;
	}
	x->r.window.goroutines->site[n - 1].other = x->r.window.memory->alloc[n - 1].other =
		with_other;
}

#endif
