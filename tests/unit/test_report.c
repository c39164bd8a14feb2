/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The renderers: golden output of a small window, and what must hold of any
 * window (widths, valid JSON, foreign names made harmless, sums of tables).
 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "cli/screen_view.h"
#include "base/text.h"
#include "model/place.h"
#include "report/report.h"
#include "save_report.h"
#include "report/grid.h"
#include "observe/window.h"

#define OUTPUT_MAX (64u << 20)
#define HOSTILE                                          \
	"main.\x1b[31m(*\xff\xc3T).\xe2\x80\xae\xc2\x9b" \
	"2J\r\n\tx"

struct fixture {
	struct report r;
	struct buf out;
};

static void add_wait(struct site_row *s, const char *reason, enum wait_class klass, uint64_t count,
		     int nstack)
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
static void setup_empty(struct fixture *x)
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

static void setup_target(struct window *w)
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

static void setup_goroutines(struct window *w)
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

static void setup_rest(struct window *w)
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

static void setup_full(struct fixture *x)
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

static void teardown(struct fixture *x)
{
	buf_deinit(&x->out);
	findings_deinit(&x->r.findings);
	window_deinit(&x->r.window);
}

static const char *text(struct fixture *x, bool color, int columns)
{
	struct report_text_options o = { .color = color, .columns = columns };

	buf_reset(&x->out);
	report_text(&x->r, &o, &x->out);
	assert_int_equal(x->out.err, 0);
	return x->out.data;
}

static json_t *parsed(struct fixture *x)
{
	json_error_t err;
	json_t *o;

	buf_reset(&x->out);
	save_report(&x->r, &x->out);
	assert_int_equal(x->out.err, 0);
	assert_true(x->out.len > 2 && x->out.data[x->out.len - 1] == '\n');
	assert_ptr_equal(strchr(x->out.data, '\n'), x->out.data + x->out.len - 1);
	o = json_loads(x->out.data, JSON_REJECT_DUPLICATES, &err);
	if (!o)
		fail_msg("not JSON: %s", err.text);
	return o;
}

/* "goroutines.by_site.0.live"; NULL when absent. */
static json_t *at(json_t *o, const char *path)
{
	char part[64];

	while (o && *path) {
		size_t n = strcspn(path, ".");

		snprintf(part, sizeof(part), "%.*s", (int)n, path);
		o = json_is_array(o) ? json_array_get(o, (size_t)atoi(part))
				     : json_object_get(o, part);
		path += n + (path[n] == '.');
	}
	return o;
}

static void expect_keys(json_t *o, const char *keys)
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

/* Every line at most `columns` wide, nothing unprintable, valid UTF-8. */
static void expect_tidy(const char *s, int columns)
{
	char line[8192];
	int32_t code;

	while (*s) {
		size_t n = strcspn(s, "\n");

		assert_true(n < sizeof(line));
		memcpy(line, s, n);
		line[n] = '\0';
		if (words_columns(line) > columns)
			fail_msg("%d columns: '%s'", words_columns(line), line);
		for (const char *p = line; *p;) {
			p += utf8_next(p, &code);
			assert_true(code >= 0x20 && !(code >= 0x7f && code < 0xa0) &&
				    code != 0x202e);
		}
		assert_true(!n || line[n - 1] != ' ');
		s += n + 1;
	}
}

/* ---- text ---- */

static void text_of_a_small_window(void **state)
{
	static const char golden[] =
		"pid 4242 /srv/shop (go1.26.8, up 3h02m): cost 0.41% of its CPU (budget 1%), 5.0s "
		"to 10:00:05Z\n"
		"example.com/shop v1.2.3, 1.32 CPUs, 120.0 MiB resident; gospect: 0.60% of a CPU, "
		"9.0 MiB, 23 probes,\n"
		"  41,230 hits\n"
		"\n"
		"MEDIUM    1,204 goroutines created at main.(*Server).notify (notify.go:41) look "
		"leaked: stuck in\n"
		"          chan receive, and growing by 38 a minute\n"
		"          - blocked in chan receive at main.worker (notify.go:57), the oldest for "
		"at least 2h58m\n"
		"          - the second\n"
		"          do: let it end: select on ctx.Done() as well, or close the channel on "
		"every path\n"
		"\n"
		"goroutines: 1,396 live (from 1,200), ~2,190 born (438.0/s), ~1,994 ended "
		"(398.8/s), 918,230 created\n"
		"            in total, 9 system\n"
		"  states:   chan receive 1,204, IO wait 190, running 2\n"
		"  created at                   live  born/s  ended/s  oldest  waiting for   at\n"
		"  …rver).notify notify.go:41  1,204   ~38.0     ~0.0  >2h58m  chan receive  "
		"main.worker notify.go:57\n"
		"  …ver).Serve server.go:3454    192  ~400.0   ~398.8   14.2s  IO wait 99%   "
		"main.worker notify.go:57\n"
		"\n"
		"large allocations: 1,060 objects over 32.0 KiB, 10.4 GiB, 2.1 GiB/s, 93% of all "
		"allocation\n"
		"  allocated at                count     bytes    bytes/s   largest  share  called "
		"from\n"
		"  main.handler handler.go:88  1,060  10.4 GiB  2.1 GiB/s  10.0 MiB   100%  "
		"main.main main.go:12\n"
		"\n"
		"gc:         45 cycles (9.0/s), 5,120 in all, 3.1% of the CPU since the start; "
		"heap 40.0 MiB live,\n"
		"            goal 80.0 MiB\n"
		"  pauses:   90, p50 41µs, max 402µs, 4.4ms in all\n"
		"\n"
		"coverage:   goroutines sampled at 25% (budget); alloc, gc exact; sql off (not "
		"implemented yet)\n"
		"losses:     nothing lost\n";
	struct fixture x;

	(void)state;
	setup_full(&x);
	assert_string_equal(text(&x, false, 100), golden);
	teardown(&x);
}

/* One of something is one of it. */
static void one_is_no_plural(void **state)
{
	struct fixture x;
	struct window *w = &x.r.window;

	(void)state;
	setup_full(&x);
	w->probes_armed = 1;
	w->probe_hits = 1;
	w->memory->large_count = 1;
	w->memory->gc.cycles = 1;
	text(&x, false, 100);
	assert_non_null(strstr(x.out.data, " 1 probe,"));
	assert_null(strstr(x.out.data, " 1 hits"));
	assert_non_null(strstr(x.out.data, " 1 object over"));
	assert_non_null(strstr(x.out.data, " 1 cycle ("));
	teardown(&x);
}

/* A name that does not fit makes the first line two, and nothing is missing from them. */
static void first_lines_are_whole(void **state)
{
	static const char exe[] =
		"/srv/releases/2026-11-30/linux-amd64/bin/the-service-that-serves";
	char why[300];
	struct fixture x;

	(void)state;
	setup_full(&x);
	memset(why, 'w', sizeof(why));
	for (size_t i = 9; i < sizeof(why); i += 10)
		why[i] = ' ';
	snprintf(why + sizeof(why) - 8, 8, "the end");
	x.r.window.exe = exe;
	x.r.window.memory_only = why;
	text(&x, false, 100);
	assert_non_null(strstr(x.out.data, "the-service-that-serves (go1.26.8, up "));
	assert_non_null(strstr(x.out.data, "10:00:05Z"));
	assert_non_null(strstr(x.out.data, "the end"));
	teardown(&x);
}

/* A reason may take all of its bytes: the text has it to the end. */
static void reasons_of_coverage_are_whole(void **state)
{
	struct coverage *c;
	struct fixture x;

	(void)state;
	setup_full(&x);
	for (int i = 0; i < 4; i++) {
		c = &x.r.window.coverage[i];
		c->state = PARTIAL;
		memset(c->why, 'a' + i, sizeof(c->why) - 1);
		for (size_t k = 20; k < sizeof(c->why) - 1; k += 20)
			c->why[k] = ' ';
		memcpy(c->why + sizeof(c->why) - 5, "end", 3);
		c->why[sizeof(c->why) - 2] = (char)('1' + i);
		c->why[sizeof(c->why) - 1] = '\0';
	}
	text(&x, false, 100);
	assert_non_null(strstr(x.out.data, "end1"));
	assert_non_null(strstr(x.out.data, "end4"));
	teardown(&x);
}

static void text_of_nothing_says_so(void **state)
{
	struct fixture x;

	(void)state;
	setup_empty(&x);
	assert_non_null(strstr(text(&x, false, 100), "nothing found"));
	expect_tidy(x.out.data, 100);
	teardown(&x);
	setup_full(&x);
	x.r.findings.n = 0;
	assert_non_null(strstr(text(&x, false, 200),
			       "nothing found. Looked at 1,396 goroutines of 2 sites, "
			       "1,060 large allocations, 45 GC cycles"));
	assert_null(strstr(x.out.data, "not judged yet"));
	window_cover_named(&x.r.window, "growth", OFF,
			   "not judged yet: 1 collection seen, 3 are needed");
	assert_non_null(strstr(text(&x, false, 200), "; growth of the heap is not judged yet\n"));
	teardown(&x);
}

static void text_fits_any_width(void **state)
{
	struct fixture x;

	(void)state;
	setup_full(&x);
	for (int columns = 40; columns <= 200; columns++)
		expect_tidy(text(&x, false, columns), columns);
	teardown(&x);
}

static void text_has_colors_only_when_asked(void **state)
{
	struct fixture x;

	(void)state;
	setup_full(&x);
	assert_null(strchr(text(&x, false, 100), '\x1b'));
	assert_non_null(strstr(text(&x, true, 100), "\x1b[1;33mMEDIUM"));
	teardown(&x);
}

static void text_says_memory_only_in_the_first_line(void **state)
{
	const char *memory, *end;
	struct fixture x;

	(void)state;
	setup_full(&x);
	x.r.window.memory_only = "no probes: this needs CAP_BPF";
	text(&x, false, 100);
	memory = strstr(x.out.data, "from memory only, no probes");
	end = strchr(x.out.data, '\n');
	assert_true(memory && end && memory < end);
	assert_non_null(strstr(x.out.data, "this needs CAP_BPF"));
	assert_null(strstr(x.out.data, "no probes: this needs CAP_BPF")); /* the label says it */
	teardown(&x);
}

static void text_says_losses_and_the_end(void **state)
{
	struct fixture x;

	(void)state;
	setup_full(&x);
	x.r.window.lost_map_full = 12345;
	x.r.window.last = true;
	x.r.window.end_reason = "the process ended";
	text(&x, false, 100);
	assert_non_null(strstr(x.out.data,
			       "12,345 left out because a table was full (coverage says what)"));
	assert_non_null(strstr(x.out.data, "the process ended"));
	teardown(&x);
}

static void text_says_what_limits_the_process(void **state)
{
	static const struct process_window fine = {
		.known = true, .threads = 20, .threads_max = 10000, .gomaxprocs = 8, .cpus = 8
	};
	struct process_window *p;
	struct fixture x;

	(void)state;
	setup_full(&x);
	p = &x.r.window.process;
	*p = fine;
	text(&x, false, 200);
	assert_null(strstr(x.out.data, "process:"));
	teardown(&x);

	setup_full(&x);
	p = &x.r.window.process;
	*p = fine;
	p->threads = 1204;
	p->gomaxprocs = 64;
	p->cpus = 2;
	text(&x, false, 200);
	assert_non_null(strstr(x.out.data, "process:    1,204 threads of at most 10,000: Go ends"));
	assert_non_null(strstr(x.out.data, "GOMAXPROCS is 64, and its cgroup or affinity allows 2 "
					   "CPUs"));
	teardown(&x);
}

/* Counted by scaling, and none of them timed: there is no duration, not one of 0. */
static void text_of_waits_that_were_not_timed(void **state)
{
	struct fixture x;

	(void)state;
	setup_full(&x);
	*x.r.window.locks = (struct locks_window){ .known = true,
						   .waits_known = true,
						   .waits = 7344,
						   .margin = 900,
						   .exactness = SAMPLED };
	text(&x, false, 200);
	assert_non_null(strstr(x.out.data, "~7,344 waits ended"));
	assert_null(strstr(x.out.data, "waits ended, max"));
	teardown(&x);
}

static void text_of_samples_without_go_code(void **state)
{
	struct fixture x;

	(void)state;
	setup_full(&x);
	*x.r.window.cpu = (struct cpu_window){ .known = true,
					       .hz = 97,
					       .samples = 40,
					       .placed = 40,
					       .whole = 40,
					       .kind = { [CPU_GC] = 10, [CPU_KERNEL] = 30 } };
	text(&x, false, 200);
	assert_non_null(strstr(x.out.data, "40 samples at 97 Hz: gc 25%, kernel 75%"));
	teardown(&x);
}

static void text_marks_what_is_not_exact(void **state)
{
	struct fixture x;

	(void)state;
	setup_full(&x);
	assert_non_null(strstr(text(&x, false, 100), "~2,190 born"));
	x.r.window.goroutines->births_exactness = x.r.window.goroutines->site[0].exactness =
		x.r.window.goroutines->site[1].exactness = EXACT;
	assert_null(strchr(text(&x, false, 100), '~'));
	teardown(&x);
}

/* ---- JSON ---- */

static void json_has_the_keys_of_the_schema_in_order(void **state)
{
	struct fixture x;
	json_t *o;

	(void)state;
	setup_full(&x);
	o = parsed(&x);
	expect_keys(o, "schema time window_s observed_s target cost coverage losses goroutines "
		       "alloc gc findings ");
	expect_keys(at(o, "target"),
		    "pid exe go arch stripped pie build_id module module_version started "
		    "rss_bytes cpu_cores ");
	expect_keys(
		at(o, "cost"),
		"target_cpu_pct budget_pct agent_cpu_pct agent_rss_bytes agent_bpf_bytes probes ");
	expect_keys(at(o, "cost.probes"), "armed emulated stepped hits list ");
	expect_keys(at(o, "cost.probes.list.0"), "name function armed hits cost_ns ");
	expect_keys(at(o, "cost.probes.list.1"), "name function armed why ");
	expect_keys(at(o, "coverage.0"), "sensor state rate why ");
	expect_keys(at(o, "coverage.1"), "sensor state why ");
	expect_keys(at(o, "losses"), "events map_full read_failures ");
	expect_keys(at(o, "goroutines"),
		    "created_total live_at_start live system births deaths exactness "
		    "by_state by_site ");
	expect_keys(at(o, "goroutines.by_site.0"),
		    "function file line start births deaths live live_at_start "
		    "stuck oldest_s age exactness waits ");
	expect_keys(at(o, "goroutines.by_site.1"),
		    "function file line start births deaths live live_at_start "
		    "stuck oldest_s exactness waits ");
	expect_keys(at(o, "goroutines.by_site.0.waits.0"), "reason count stack ");
	expect_keys(at(o, "goroutines.by_site.0.waits.0.stack.0"), "function file line ");
	expect_keys(at(o, "alloc"),
		    "large_threshold_bytes large_count large_bytes all_bytes exactness by_site ");
	expect_keys(at(o, "alloc.by_site.0"),
		    "function file line count bytes max_bytes stack exactness ");
	expect_keys(at(o, "gc"),
		    "cycles_total cycles heap_live_bytes heap_goal_bytes pauses heap_marked_bytes "
		    "gogc memory_limit_bytes forced_total forced cpu_pct ");
	expect_keys(at(o, "gc.pauses"), "count p50_ns max_ns total_ns ");
	expect_keys(at(o, "findings.0"),
		    "id kind severity title place numbers exactness since_s evidence advice ");
	json_decref(o);
	teardown(&x);
}

static void json_has_the_values(void **state)
{
	struct fixture x;
	json_t *o;

	(void)state;
	setup_full(&x);
	o = parsed(&x);
	assert_string_equal(json_string_value(at(o, "schema")), "gospect.report/1");
	assert_string_equal(json_string_value(at(o, "time")), "2026-11-22T10:00:05.000Z");
	assert_true(json_is_real(at(o, "window_s")) && json_real_value(at(o, "window_s")) == 5.0);
	assert_int_equal(json_integer_value(at(o, "target.pid")), 4242);
	assert_true(json_is_true(at(o, "target.stripped")));
	assert_true(json_is_integer(at(o, "goroutines.created_total")));
	assert_int_equal(json_integer_value(at(o, "goroutines.by_state.chan receive")), 1204);
	assert_true(json_real_value(at(o, "goroutines.by_site.0.oldest_s")) == 10681.2);
	assert_string_equal(json_string_value(at(o, "goroutines.by_site.0.age")), "at_least");
	assert_int_equal(json_array_size(at(o, "goroutines.by_site.1.waits")), 2);
	assert_string_equal(json_string_value(at(o, "coverage.0.state")), "sampled");
	assert_true(json_is_null(at(o, "gc.memory_limit_bytes")));
	assert_true(json_is_integer(at(o, "findings.0.numbers.count")));
	assert_true(json_real_value(at(o, "findings.0.numbers.per_minute")) == 38.04);
	assert_string_equal(json_string_value(at(o, "findings.0.id")),
			    "leak:main.(*Server).notify:notify.go:41");
	assert_string_equal(json_string_value(at(o, "findings.0.severity")), "medium");
	assert_non_null(strstr(x.out.data, "\"oldest_s\":10681.2,"));
	json_decref(o);
	teardown(&x);
}

static void json_leaves_out_what_is_not_known(void **state)
{
	struct fixture x;
	json_t *o;

	(void)state;
	setup_empty(&x);
	o = parsed(&x);
	expect_keys(o, "schema time window_s observed_s target cost coverage losses findings ");
	expect_keys(at(o, "target"), "pid stripped pie cpu_cores ");
	assert_null(at(o, "cost.target_cpu_pct"));
	assert_int_equal(json_array_size(at(o, "findings")), 0);
	json_decref(o);
	teardown(&x);

	/* The total is from memory, which has none by site. */
	setup_full(&x);
	x.r.window.goroutines->site[0].births_known = x.r.window.goroutines->site[1].births_known =
		false;
	o = parsed(&x);
	assert_int_equal(json_integer_value(at(o, "goroutines.births")), 2190);
	assert_int_equal(json_integer_value(at(o, "goroutines.by_site.0.live")), 1204);
	assert_null(at(o, "goroutines.by_site.0.births"));
	assert_null(at(o, "goroutines.by_site.0.deaths"));
	assert_null(at(o, "goroutines.by_site.0.exactness"));
	json_decref(o);
	teardown(&x);

	setup_full(&x);
	x.r.window.goroutines->births_known = false;
	x.r.window.goroutines->created_known = false;
	x.r.window.memory->gc.heap_known = false;
	x.r.window.memory->gc.cpu_pct = -1;
	x.r.window.goroutines->site[0].age = AGE_UNKNOWN;
	x.r.findings.f[0].place.function = NULL;
	o = parsed(&x);
	assert_null(at(o, "goroutines.created_total"));
	assert_null(at(o, "goroutines.births"));
	assert_null(at(o, "goroutines.by_site.0.births"));
	assert_null(at(o, "goroutines.by_site.0.oldest_s"));
	assert_null(at(o, "gc.heap_live_bytes"));
	assert_null(at(o, "gc.memory_limit_bytes"));
	assert_null(at(o, "gc.cpu_pct"));
	assert_null(at(o, "findings.0.place"));
	json_decref(o);
	teardown(&x);
}

static void json_zero_is_not_absent(void **state)
{
	struct fixture x;
	json_t *o;

	(void)state;
	setup_empty(&x);
	x.r.window.goroutines->known = x.r.window.goroutines->births_known =
		x.r.window.goroutines->created_known = x.r.window.memory->alloc_known = true;
	x.r.window.memory->gc.known = x.r.window.memory->gc.pauses_known = true;
	x.r.window.cost_target_pct = 0;
	o = parsed(&x);
	assert_true(json_is_integer(at(o, "goroutines.births")));
	assert_true(json_is_integer(at(o, "goroutines.live")));
	assert_true(json_is_array(at(o, "goroutines.by_site")));
	assert_true(json_is_integer(at(o, "alloc.large_count")));
	assert_true(json_is_integer(at(o, "gc.cycles")));
	assert_true(json_is_integer(at(o, "gc.pauses.count")));
	assert_true(json_is_real(at(o, "cost.target_cpu_pct")));
	assert_true(json_is_integer(at(o, "losses.events")));
	json_decref(o);
	teardown(&x);
}

static void json_says_where_pauses_come_from(void **state)
{
	struct fixture x;
	json_t *o;

	(void)state;
	setup_full(&x);
	x.r.window.memory->gc.pauses_from_memory = true;
	o = parsed(&x);
	assert_string_equal(json_string_value(at(o, "gc.pauses.source")), "memory");
	json_decref(o);
	teardown(&x);
}

static void json_is_never_half_an_object(void **state)
{
	struct fixture x;

	(void)state;
	setup_full(&x);
	for (size_t max = 0; max < 5000; max += 97) {
		buf_deinit(&x.out);
		buf_init(&x.out, max);
		buf_puts(&x.out, "before\n");
		save_report(&x.r, &x.out);
		if (x.out.err && max >= 7)
			assert_string_equal(x.out.data, "before\n");
	}
	teardown(&x);
}

/* ---- hostile names ---- */

static void setup_hostile(struct fixture *x, const char *name)
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

static void hostile_names_do_no_harm(void **state)
{
	static const char *const name[] = {
		HOSTILE,
		"",
		" ",
		"\x1b]0;title\x07",
		"\xff\xfe\xfd",
		"\xc0\x80",
		"\xed\xa0\x80",
		"\xf4\x90\x80\x80",
		"\xe2\x80",
		"\xe4\xb8\xad\xe6\x96\x87\xe5\x87\xbd\xe6\x95\xb0."
		"\xe4\xb8\xad\xe6\x96\x87\xe5\x87\xbd\xe6\x95\xb0",
		"e\xcc\x81\xcc\x81\xcc\x81",
		"%s%n%d",
		"main.Map[go.shape.struct { a/b.c int }]",
		"\xef\xbb\xbf\xe2\x80\x8b",
		"a\nb\r\nc",
		"\"quoted\\\"",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(name) / sizeof(*name); i++) {
		struct fixture x;

		setup_hostile(&x, name[i]);
		for (int columns = 40; columns <= 120; columns += 20)
			expect_tidy(text(&x, false, columns), columns);
		json_decref(parsed(&x));
		/* pure ASCII: a terminal that shows it sees no control character */
		for (size_t k = 0; k + 1 < x.out.len; k++)
			assert_true(x.out.data[k] >= 0x20 && x.out.data[k] < 0x7f);
		teardown(&x);
	}
}

static void broken_bytes_become_replacement_characters(void **state)
{
	struct fixture x;
	json_t *o;

	(void)state;
	setup_hostile(&x, "a\xff\x1b");
	o = parsed(&x);
	assert_string_equal(json_string_value(at(o, "goroutines.by_site.0.function")),
			    "a\xef\xbf\xbd\x1b");
	json_decref(o);
	assert_non_null(strstr(text(&x, false, 100), "a\xef\xbf\xbd\\x1b"));
	teardown(&x);
}

static void very_long_names(void **state)
{
	static char plain[10001], wide[30001], broken[10001], huge[200001];
	static char *const name[] = { plain, wide, broken, huge };

	(void)state;
	memset(plain, 'n', sizeof(plain) - 1);
	memset(huge, 'h', sizeof(huge) - 1);
	memset(broken, '\xff', sizeof(broken) - 1);
	for (int i = 0; i < 10000; i++)
		memcpy(wide + 3 * i, "\xe4\xb8\xad", 3);
	for (int i = 0; i < 4; i++) {
		struct fixture x;

		setup_hostile(&x, name[i]);
		expect_tidy(text(&x, false, 100), 100);
		json_decref(parsed(&x));
		teardown(&x);
	}
}

/* ---- many rows ---- */

static void setup_many(struct fixture *x, int n, bool with_other)
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

static void sum(json_t *rows, const char *key, json_int_t *total)
{
	size_t i;
	json_t *row;

	*total = 0;
	json_array_foreach(rows, i, row) *total += json_integer_value(json_object_get(row, key));
}

static void tables_have_a_maximum_and_add_up(void **state)
{
	static const int rows[] = { 1, 999, 1000, 1001, 1002, 5000 };

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(*rows); i++) {
		int n = rows[i / 2];
		bool other = i % 2;
		json_t *o, *sites, *allocs, *last;
		json_int_t total;
		struct fixture x;

		setup_many(&x, n, other);
		o = parsed(&x);
		sites = at(o, "goroutines.by_site");
		allocs = at(o, "alloc.by_site");
		assert_int_equal(json_array_size(sites), n < REPORT_MAX_ROWS ? n : REPORT_MAX_ROWS);
		assert_int_equal(json_array_size(allocs),
				 n < REPORT_MAX_ROWS ? n : REPORT_MAX_ROWS);
		sum(sites, "live", &total);
		assert_int_equal(total, 2 * n);
		sum(sites, "births", &total);
		assert_int_equal(total, 3 * n);
		sum(allocs, "bytes", &total);
		assert_int_equal(total, 40000ll * n);
		last = json_array_get(sites, json_array_size(sites) - 1);
		assert_int_equal(json_is_true(json_object_get(last, "other")),
				 other || n > REPORT_MAX_ROWS);
		/* a row's waits add up to its live */
		sum(json_object_get(last, "waits"), "count", &total);
		assert_int_equal(total, json_integer_value(json_object_get(last, "live")));
		json_decref(o);
		expect_tidy(text(&x, false, 100), 100);
		teardown(&x);
	}
}

static void text_sums_what_it_does_not_show(void **state)
{
	struct fixture x;

	(void)state;
	setup_many(&x, 100, false);
	text(&x, false, 100);
	assert_non_null(strstr(x.out.data, "\n  81 more "));
	teardown(&x);
}

/* ---- parts ---- */

static void words_are_fitted(void **state)
{
	static const struct {
		const char *in;
		int columns;
		const char *middle, *end;
	} table[] = {
		{ "abcdef", 6, "abcdef", "abcdef" },
		{ "abcdefgh", 6, "ab…fgh", "…defgh" },
		{ "abc", 0, "", "" },
		{ "abc", 1, "…", "…" },
		{ "", 5, "", "" },
		{ "\xe4\xb8\xad\xe6\x96\x87x", 5, "\xe4\xb8\xad\xe6\x96\x87x",
		  "\xe4\xb8\xad\xe6\x96\x87x" },
		{ "\xe4\xb8\xad\xe6\x96\x87x", 4, "…x", "…\xe6\x96\x87x" },
		{ "a\tb", 9, "a\\x09b", "a\\x09b" },
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		words_fit(table[i].in, table[i].columns, out, sizeof(out));
		assert_true(words_columns(out) <= table[i].columns);
		assert_string_equal(out, table[i].middle);
		words_fit_end(table[i].in, table[i].columns, out, sizeof(out));
		assert_string_equal(out, table[i].end);
	}
	assert_string_equal(words_fit("abcdef", 6, out, 4), "abc");
	assert_string_equal(words_fit("abcdef", INT_MAX, out, sizeof(out)), "abcdef");
	assert_string_equal(words_fit("ab\xe4\xb8\xad", 6, out, 4), "ab");
}

/* A stack loses whole frames; the one that is left is cut like any name. */
static void frames_fit(void **state)
{
	static const struct {
		const char *in;
		int columns;
		const char *begin, *end;
	} table[] = {
		{ "aa.f x.go:1 < bb.g y.go:2", 25, "aa.f x.go:1 < bb.g y.go:2",
		  "aa.f x.go:1 < bb.g y.go:2" },
		{ "aa.f x.go:1 < bb.g y.go:2", 24, "aa.f x.go:1 < …", "bb.g y.go:2" },
		{ "aa.f x.go:1 < bb.g y.go:2 < c.h", 28, "aa.f x.go:1 < …", "bb.g y.go:2 < c.h" },
		{ "aa.f x.go:1 < bb.g y.go:2 < c.h", 29, "aa.f x.go:1 < bb.g y.go:2 < …",
		  "bb.g y.go:2 < c.h" },
		{ "aa.f x.go:1 < bb.g y.go:2", 9, "aa.….go:1", "…g y.go:2" },
		{ "abcdef", 4, "a…ef", "…def" },
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		words_fit_frames(table[i].in, table[i].columns, false, out, sizeof(out));
		assert_string_equal(out, table[i].begin);
		words_fit_frames(table[i].in, table[i].columns, true, out, sizeof(out));
		assert_string_equal(out, table[i].end);
	}
}

static void places_in_words(void **state)
{
	struct place p = { "example.com/a/b.(*T[example.com/x/y.Z]).M", "m.go", NULL, 7 };
	char out[WORDS_PLACE_MAX];

	(void)state;
	assert_string_equal(words_place(&p, out, sizeof(out)),
			    "example.com/a/b.(*T[example.com/x/y.Z]).M (m.go:7)");
	assert_string_equal(words_place_short(&p, out, sizeof(out)),
			    "b.(*T[example.com/x/y.Z]).M m.go:7");
	p.in = "google.golang.org/grpc.newClientStream";
	assert_string_equal(words_place(&p, out, sizeof(out)),
			    "example.com/a/b.(*T[example.com/x/y.Z]).M (m.go:7, in "
			    "grpc.newClientStream)");
	assert_string_equal(words_place_short(&p, out, sizeof(out)),
			    "grpc.newClientStream < b.(*T[example.com/x/y.Z]).M m.go:7");
	p.in = NULL;
	p.line = 0;
	assert_string_equal(words_place(&p, out, sizeof(out)),
			    "example.com/a/b.(*T[example.com/x/y.Z]).M (m.go)");
	p.file = NULL;
	p.function = "main.f";
	assert_string_equal(words_place(&p, out, sizeof(out)), "main.f");
}

static void sentences_are_wrapped(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	assert_int_equal(wrap_text(&b, "one two three four", 0, 2, 10, 0), 3);
	assert_string_equal(b.data, "one two\n  three\n  four\n");
	buf_reset(&b);
	wrap_text(&b, "one two three four", 0, 2, 10, 2);
	assert_string_equal(b.data, "one two\n  three …\n");
	buf_reset(&b);
	wrap_text(&b, "abcdefghijklmnop", 0, 2, 10, 1);
	assert_string_equal(b.data, "abc…klmnop\n");
	buf_reset(&b);
	wrap_text(&b, "", 0, 2, 10, 1);
	assert_string_equal(b.data, "\n");
	buf_deinit(&b);
}

static void tables_drop_columns_that_do_not_fit(void **state)
{
	static const struct grid_column column[] = {
		{ .head = "name", .min = 4, .keep_end = true },
		{ .head = "n", .right = true },
	};
	struct grid t;
	struct buf b;

	(void)state;
	grid_init(&t, column, 2);
	grid_cell(&t, "abcdefgh");
	grid_cell(&t, "1,204");
	grid_cell(&t, "half a row");
	buf_init(&b, 4096);
	grid_print(&t, 2, 40, &b);
	assert_string_equal(b.data, "  name            n\n  abcdefgh    1,204\n");
	buf_reset(&b);
	grid_print(&t, 2, 13, &b);
	assert_string_equal(b.data, "  name      n\n  …fgh  1,204\n");
	buf_reset(&b);
	grid_print(&t, 0, 5, &b);
	assert_string_equal(b.data, "name\n…fgh\n");
	grid_deinit(&t);
	buf_deinit(&b);
}

/* ---- the live screen's layout ---- */

static void expect_view(struct screen_view *v, struct fixture *x, struct screen_state *st,
			int width, int height)
{
	screen_view_make(v, &x->r, st, width, height);
	assert_int_equal(v->text.err, 0);
	assert_true(v->nline <= height);
	for (int i = 0; i < v->nline; i++)
		expect_tidy(v->text.data + v->line[i].start, width);
	if (width >= 20 && height >= 2)
		assert_int_equal(v->line[v->nline - 1].style, STYLE_KEYS);
}

static void screen_fits_any_terminal(void **state)
{
	static const int size[][2] = { { 1, 1 },   { 8, 2 },    { 20, 5 },   { 40, 10 },
				       { 80, 24 }, { 132, 43 }, { 200, 50 }, { 500, 600 } };

	(void)state;
	for (size_t i = 0; i < sizeof(size) / sizeof(*size); i++) {
		for (int flags = 0; flags < 8; flags++) {
			struct screen_state st = { .details = flags & 1,
						   .help = flags & 2,
						   .paused = flags & 4 };
			struct screen_view v;
			struct fixture x;

			setup_hostile(&x, i % 2 ? HOSTILE : "main.f");
			screen_view_init(&v);
			expect_view(&v, &x, &st, size[i][0], size[i][1]);
			screen_view_deinit(&v);
			teardown(&x);
			setup_many(&x, 2000, true);
			screen_view_init(&v);
			st.scroll = flags * 1000;
			expect_view(&v, &x, &st, size[i][0], size[i][1]);
			screen_view_deinit(&v);
			teardown(&x);
		}
	}
}

static bool shows(const struct screen_view *v, const char *what)
{
	for (int i = 0; i < v->nline; i++)
		if (strstr(v->text.data + v->line[i].start, what))
			return true;
	return false;
}

static int line_of(const struct screen_view *v, const char *what)
{
	for (int i = 0; i < v->nline; i++)
		if (strstr(v->text.data + v->line[i].start, what))
			return i;
	return -1;
}

static void screen_sorts_and_scrolls(void **state)
{
	struct screen_state st = { .sort = SORT_LIVE };
	struct screen_view v;
	struct fixture x;

	(void)state;
	setup_full(&x);
	screen_view_init(&v);
	expect_view(&v, &x, &st, 100, 30);
	assert_true(line_of(&v, "notify.go:41 ") < line_of(&v, "server.go:3454"));
	st.sort = SORT_BIRTHS;
	expect_view(&v, &x, &st, 100, 30);
	assert_true(line_of(&v, "server.go:3454") < line_of(&v, "1,204   ~38.0"));
	st.sort = SORT_NAME;
	expect_view(&v, &x, &st, 100, 30);
	assert_true(line_of(&v, "1,204   ~38.0") < line_of(&v, "server.go:3454"));
	st.scroll = 1000;
	expect_view(&v, &x, &st, 100, 30);
	assert_int_equal(st.scroll, 0); /* all rows fit */
	teardown(&x);

	setup_many(&x, 500, false);
	st = (struct screen_state){ .scroll = 1000 };
	expect_view(&v, &x, &st, 100, 24);
	assert_int_equal(st.scroll, 500 - st.rows_shown);
	assert_true(shows(&v, "f.go:500"));
	st.paused = true;
	expect_view(&v, &x, &st, 100, 24);
	assert_true(shows(&v, "PAUSED"));
	screen_view_deinit(&v);
	teardown(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_of_a_small_window),
		cmocka_unit_test(one_is_no_plural),
		cmocka_unit_test(first_lines_are_whole),
		cmocka_unit_test(reasons_of_coverage_are_whole),
		cmocka_unit_test(text_of_nothing_says_so),
		cmocka_unit_test(text_fits_any_width),
		cmocka_unit_test(text_has_colors_only_when_asked),
		cmocka_unit_test(text_says_memory_only_in_the_first_line),
		cmocka_unit_test(text_says_losses_and_the_end),
		cmocka_unit_test(text_says_what_limits_the_process),
		cmocka_unit_test(text_of_waits_that_were_not_timed),
		cmocka_unit_test(text_of_samples_without_go_code),
		cmocka_unit_test(text_marks_what_is_not_exact),
		cmocka_unit_test(json_has_the_keys_of_the_schema_in_order),
		cmocka_unit_test(json_has_the_values),
		cmocka_unit_test(json_leaves_out_what_is_not_known),
		cmocka_unit_test(json_zero_is_not_absent),
		cmocka_unit_test(json_says_where_pauses_come_from),
		cmocka_unit_test(json_is_never_half_an_object),
		cmocka_unit_test(hostile_names_do_no_harm),
		cmocka_unit_test(broken_bytes_become_replacement_characters),
		cmocka_unit_test(very_long_names),
		cmocka_unit_test(tables_have_a_maximum_and_add_up),
		cmocka_unit_test(text_sums_what_it_does_not_show),
		cmocka_unit_test(words_are_fitted),
		cmocka_unit_test(frames_fit),
		cmocka_unit_test(places_in_words),
		cmocka_unit_test(sentences_are_wrapped),
		cmocka_unit_test(tables_drop_columns_that_do_not_fit),
		cmocka_unit_test(screen_fits_any_terminal),
		cmocka_unit_test(screen_sorts_and_scrolls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
