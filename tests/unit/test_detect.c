/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Detectors on windows made by a small simulation of goroutines: each has a
 * birth, an end, and times at which it runs; looks are taken as the observer
 * takes them (model/window.h, struct site_point).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "observe/detect.h"
#include "observe/window.h"
#include "parts.h"
#include "goroutines/growth.h"
#include "base/text.h"

#define NEVER 1e9
#define MIB   (1024 * 1024)

/* ---- the simulation ---- */

struct g {
	double born, ends;
	double period;     /* runs every so often, from birth; NEVER: not again */
	double busy_until; /* runs all the time until then */
	enum wait_class klass;
};

struct sim {
	struct g *g;
	int n, cap;
	uint32_t seed;
	struct window w;
	struct parts_by_hand parts;
	struct site_row site;
	struct wait_row wait[4];
};

static void sim_init(struct sim *m)
{
	memset(m, 0, sizeof(*m));
	m->seed = 1;
}

static void sim_deinit(struct sim *m)
{
	free(m->g);
}

static void add(struct sim *m, struct g g)
{
	if (m->n == m->cap) {
		m->cap = m->cap ? m->cap * 2 : 256;
		m->g = realloc(m->g, (size_t)m->cap * sizeof(*m->g));
		assert_non_null(m->g);
	}
	m->g[m->n++] = g;
}

static double uniform(struct sim *m)
{
	m->seed = m->seed * 1664525u + 1013904223u;
	return (double)(m->seed >> 8) / (1 << 24);
}

/* From `from` to `to`, evenly, `rate` a second, each living `life_s`. */
static void flow(struct sim *m, double from, double to, double rate, double life_s, double period,
		 enum wait_class klass)
{
	for (double t = from; t < to; t += 1 / rate)
		add(m, (struct g){ t, t + life_s, period, 0, klass });
}

/* The same at random times and with random lives, half to one and a half. */
static void random_flow(struct sim *m, double from, double to, double rate, double life_s,
			enum wait_class klass)
{
	for (double t = from; t < to; t += 2 * uniform(m) / rate)
		add(m, (struct g){ t, t + life_s * (0.5 + uniform(m)), NEVER, 0, klass });
}

static bool alive(const struct g *g, double t)
{
	return g->born <= t && t < g->ends;
}

static bool ran(const struct g *g, double before, double now)
{
	if (g->busy_until > before)
		return true;
	return g->period < NEVER &&
	       (int64_t)((now - g->born) / g->period) > (int64_t)((before - g->born) / g->period);
}

static bool is_stuck(const struct g *g, double before, double now)
{
	return alive(g, before) && alive(g, now) && g->klass == WAIT_BLOCKED &&
	       !ran(g, before, now);
}

/* As the observer does it: what flowed through a dropped point goes to the next. */
static void thin(struct site_row *s)
{
	uint64_t left = 0, did_run = 0;
	int n = 0;

	for (int i = 0; i < s->npoint; i++) {
		struct site_point p = s->point[i];

		p.stuck_left += left;
		p.ran += did_run;
		left = did_run = 0;
		if (i % 2 && i != s->npoint - 1) {
			left = p.stuck_left;
			did_run = p.ran;
			continue;
		}
		s->point[n++] = p;
	}
	s->npoint = n;
}

static struct site_point look(const struct sim *m, double before2, double before, double now,
			      bool first)
{
	struct site_point p = { .t_s = now };

	for (int i = 0; i < m->n; i++) {
		const struct g *g = &m->g[i];

		p.live += alive(g, now);
		if (first)
			continue;
		p.stuck += is_stuck(g, before, now);
		p.ran += alive(g, before) && alive(g, now) && ran(g, before, now);
		p.stuck_left +=
			before2 >= 0 && is_stuck(g, before2, before) && !is_stuck(g, before, now);
	}
	return p;
}

static void fill_waits(struct sim *m, double end)
{
	static const char *const reason[] = { "running", "chan receive", "IO wait", "sleep",
					      "finalizer wait" };
	struct site_row *s = &m->site;

	for (int k = WAIT_NOT; k <= WAIT_OTHER; k++) {
		struct wait_row w = { .reason = reason[k],
				      .klass = (enum wait_class)k,
				      .user = -1 };

		for (int i = 0; i < m->n; i++)
			w.count += alive(&m->g[i], end) && m->g[i].klass == (enum wait_class)k;
		if (!w.count)
			continue;
		w.nstack = 2;
		w.user = 1;
		w.stack[0] = (struct place){ "runtime.gopark", "proc.go", NULL, 435 };
		w.stack[1] = (struct place){ "main.worker", "notify.go", NULL, 57 };
		m->wait[s->nwait++] = w;
	}
	s->wait = m->wait;
}

/* Looks from 0 to `end` every `step`; the window is the last `window_s`. */
static void observe(struct sim *m, double end, double step, double window_s)
{
	struct site_row *s = &m->site;
	double before = 0, before2 = -1, start = end - window_s;

	s->place = (struct place){ "main.(*Shop).notify", "notify.go", NULL, 41 };
	s->start = "main.(*Shop).notify.func1";
	for (double t = 0; t < end + step / 2; t += step) {
		if (s->npoint == WINDOW_MAX_POINTS)
			thin(s);
		s->point[s->npoint++] = look(m, before2, before, t, t == 0);
		before2 = t == 0 ? -1 : before;
		before = t;
	}
	for (int i = 0; i < m->n; i++) {
		const struct g *g = &m->g[i];

		s->live += alive(g, end);
		s->live_at_start += alive(g, start);
		s->births += g->born > start && g->born <= end;
		s->deaths += g->ends > start && g->ends <= end;
		s->stuck_window += is_stuck(g, start, end);
	}
	s->births_known = true;
	s->oldest_s = end;
	s->age = AGE_AT_LEAST;
	fill_waits(m, end);
	parts_use(&m->parts, &m->w);
	m->w.window_s = window_s;
	m->w.observed_s = end;
	m->w.ncoverage = 1;
	m->w.coverage[0] = (struct coverage){ .sensor = SENSOR_GOROUTINES, .state = EXACT };
	m->parts.goroutines = (struct goroutines_window){
		.known = true,
		.births_known = true,
		.live = s->live,
		.site = s,
		.nsite = 1,
	};
}

/* ---- what is found ---- */

static int count_kind(const struct findings *fs, const char *kind)
{
	int n = 0;

	for (int i = 0; i < fs->n; i++)
		n += !strcmp(fs->f[i].kind, kind);
	return n;
}

static const struct finding *only_finding(const struct findings *fs, const char *kind)
{
	assert_int_equal(fs->n, 1);
	assert_string_equal(fs->f[0].kind, kind);
	return &fs->f[0];
}

static double number(const struct finding *f, const char *name)
{
	for (int i = 0; i < f->nnumber; i++)
		if (!strcmp(f->number[i].name, name))
			return f->number[i].value;
	fail_msg("no number '%s'", name);
	return 0;
}

static void expect_nothing(struct sim *m)
{
	struct findings fs;

	fs = (struct findings){ 0 };
	detect_all(&m->w, &fs);
	if (fs.n)
		fail_msg("found '%s'", fs.f[0].title);
	findings_deinit(&fs);
	sim_deinit(m);
}

static void expect_kind(struct sim *m, const char *kind, double least, double most,
			double per_minute)
{
	const struct finding *f;
	struct findings fs;

	fs = (struct findings){ 0 };
	detect_all(&m->w, &fs);
	f = only_finding(&fs, kind);
	assert_int_equal(f->severity, SEVERITY_MEDIUM);
	assert_true(number(f, "count") >= least && number(f, "count") <= most);
	assert_true(number(f, "per_minute") > per_minute * 0.7 &&
		    number(f, "per_minute") < per_minute * 1.4);
	assert_true(f->title[0] && f->advice[0] && f->nevidence >= 1);
	findings_deinit(&fs);
	sim_deinit(m);
}

/* ---- leaks ---- */

static void leak_of_two_a_second_shows_in_two_seconds(void **state)
{
	(void)state;
	for (double phase = 0; phase < 0.5; phase += 0.03) {
		struct sim m;

		sim_init(&m);
		flow(&m, phase, 2, 2, NEVER, NEVER, WAIT_BLOCKED);
		observe(&m, 2, 0.4, 2);
		expect_kind(&m, "goroutine-leak", 3, 4, 120);
	}
}

static void leak_that_began_before_shows_in_two_seconds(void **state)
{
	(void)state;
	for (double phase = 0; phase < 0.5; phase += 0.03) {
		struct sim m;

		sim_init(&m);
		flow(&m, phase - 100, 2, 2, NEVER, NEVER, WAIT_BLOCKED);
		observe(&m, 2, 0.4, 2);
		expect_kind(&m, "goroutine-leak", 203, 205, 120);
	}
}

static void leak_of_a_thousand_a_second(void **state)
{
	struct sim m;

	(void)state;
	sim_init(&m);
	flow(&m, 0.0005, 2, 1000, NEVER, NEVER, WAIT_BLOCKED);
	observe(&m, 2, 0.4, 2);
	/* all blocked, none left: the newest count too */
	expect_kind(&m, "goroutine-leak", 2000, 2000, 60000);
}

static void leak_over_five_minutes(void **state)
{
	struct sim m;

	(void)state;
	sim_init(&m);
	flow(&m, 0.1, 300, 38 / 60.0, NEVER, NEVER, WAIT_BLOCKED);
	observe(&m, 300, 1, 5);
	expect_kind(&m, "goroutine-leak", 189, 190, 38);
}

static void slow_leak(void **state)
{
	struct sim m;

	(void)state;
	sim_init(&m);
	flow(&m, 3.3, 75, 0.1, NEVER, NEVER, WAIT_BLOCKED);
	observe(&m, 75, 1, 5);
	expect_kind(&m, "goroutine-leak", 7, 8, 6);
}

static void leak_in_bursts(void **state)
{
	struct sim m;

	(void)state;
	sim_init(&m);
	for (int i = 0; i < 8; i++)
		flow(&m, 2.5 + 5 * i, 2.7 + 5 * i, 500, NEVER, NEVER, WAIT_BLOCKED);
	observe(&m, 40, 1, 5);
	expect_kind(&m, "goroutine-leak", 800, 810, 1260);
}

static void few_that_stick_among_thousands_that_do_not(void **state)
{
	struct sim m;

	(void)state;
	sim_init(&m);
	random_flow(&m, -1, 20, 1000, 0.01, WAIT_BLOCKED);
	flow(&m, -30.2, 20, 2, NEVER, NEVER, WAIT_BLOCKED);
	observe(&m, 20, 1, 5);
	expect_kind(&m, "goroutine-leak", 95, 101, 120);
}

static void few_that_stick_among_slow_ones_that_drain(void **state)
{
	struct sim m;

	(void)state;
	sim_init(&m);
	random_flow(&m, -10, 30, 20, 1.5, WAIT_BLOCKED);
	flow(&m, 0.2, 30, 3, NEVER, NEVER, WAIT_BLOCKED);
	observe(&m, 30, 1, 5);
	expect_kind(&m, "goroutine-leak", 60, 90, 180);
}

static void leak_says_what_and_where(void **state)
{
	const struct finding *f;
	struct findings fs;
	struct sim m;

	(void)state;
	sim_init(&m);
	flow(&m, 0.0005, 10, 100, NEVER, NEVER, WAIT_BLOCKED);
	observe(&m, 10, 1, 5);
	fs = (struct findings){ 0 };
	detect_all(&m.w, &fs);
	f = only_finding(&fs, "goroutine-leak");
	assert_string_equal(f->id, "leak:main.(*Shop).notify:notify.go:41");
	assert_string_equal(f->place.function, "main.(*Shop).notify");
	assert_string_equal(
		f->title,
		"1,000 goroutines created at main.(*Shop).notify (notify.go:41) look leaked: "
		"stuck in chan receive, and growing by 6,000 a minute");
	assert_string_equal(f->evidence[0],
			    "blocked in chan receive at main.worker (notify.go:57), "
			    "the oldest for at least 10.0s");
	assert_non_null(strstr(f->evidence[1], "none of them ran or ended"));
	assert_string_equal(f->evidence[2], "500 started and 0 ended there in the last 5.0s");
	assert_non_null(strstr(f->advice, "ctx.Done()"));
	findings_deinit(&fs);
	sim_deinit(&m);
}

/* ---- neither leak nor flood ---- */

static void steady_populations(void **state)
{
	static const enum wait_class klass[] = { WAIT_BLOCKED, WAIT_IO, WAIT_SLEEP, WAIT_NOT,
						 WAIT_OTHER };
	static const double period[] = { NEVER, 0.05, 1.7 };

	(void)state;
	for (size_t k = 0; k < sizeof(klass) / sizeof(*klass); k++) {
		for (size_t p = 0; p < sizeof(period) / sizeof(*period); p++) {
			struct sim m;

			sim_init(&m);
			for (int i = 0; i < 500; i++)
				add(&m,
				    (struct g){ -100 + i * 0.01, NEVER, period[p], 0, klass[k] });
			observe(&m, p ? 30 : 2, p ? 1 : 0.4, p ? 5 : 2);
			expect_nothing(&m);
		}
	}
}

static void start_up_ramp_that_has_ended(void **state)
{
	(void)state;
	for (int k = WAIT_NOT; k <= WAIT_OTHER; k++) {
		for (double ramp = 1; ramp <= 15; ramp += 2) {
			struct sim m;

			sim_init(&m);
			flow(&m, 0.01, ramp, 50, NEVER, NEVER, (enum wait_class)k);
			observe(&m, 20, 1, 5);
			expect_nothing(&m);
		}
	}
}

static void start_up_ramp_that_has_ended_in_a_short_run(void **state)
{
	struct sim m;

	(void)state;
	sim_init(&m);
	flow(&m, 0.01, 1, 200, NEVER, NEVER, WAIT_BLOCKED);
	observe(&m, 2, 0.4, 2);
	expect_nothing(&m);
}

static void one_burst_that_stays(void **state)
{
	(void)state;
	for (double at = 0.3; at < 30; at += 0.7) {
		struct sim m;

		sim_init(&m);
		flow(&m, at, at + 0.3, 1000, NEVER, NEVER, WAIT_BLOCKED);
		observe(&m, 30, 1, 5);
		expect_nothing(&m);
	}
}

static void two_bursts_that_stay(void **state)
{
	(void)state;
	for (double at = 5; at < 30; at += 0.7) {
		struct sim m;

		sim_init(&m);
		flow(&m, 1.2, 4.6, 100, NEVER, NEVER, WAIT_BLOCKED);
		flow(&m, at, at + 1.1, 100, NEVER, NEVER, WAIT_BLOCKED);
		observe(&m, 30, 1, 5);
		expect_nothing(&m);
	}
}

static void bursts_that_drain(void **state)
{
	(void)state;
	for (double end = 6; end < 40; end += 1) {
		struct sim m;

		sim_init(&m);
		for (int i = 0; i < 10; i++)
			flow(&m, 1.5 + 4 * i, 1.6 + 4 * i, 2000, 2.5, NEVER, WAIT_BLOCKED);
		observe(&m, end, 1, 5);
		expect_nothing(&m);
	}
}

static void slow_traffic_that_drains(void **state)
{
	static const enum wait_class klass[] = { WAIT_BLOCKED, WAIT_IO, WAIT_SLEEP };

	(void)state;
	for (uint32_t seed = 1; seed <= 60; seed++) {
		for (int length = 0; length < 2; length++) {
			struct sim m;

			sim_init(&m);
			m.seed = seed;
			random_flow(&m, -20, 30, 5.0 * seed, 0.2 * (seed % 20 + 1),
				    klass[seed % 3]);
			observe(&m, length ? 30 : 2, length ? 1 : 0.4, length ? 5 : 2);
			expect_nothing(&m);
		}
	}
}

static void traffic_that_doubles_and_drains(void **state)
{
	struct sim m;

	(void)state;
	sim_init(&m);
	for (int i = -5; i < 40; i++)
		random_flow(&m, i, i + 1, 20 + (i > 0 ? i : 0), 2, WAIT_BLOCKED);
	observe(&m, 40, 1, 5);
	expect_nothing(&m);
}

static void traffic_that_begins_while_we_watch(void **state)
{
	(void)state;
	for (double begin = 0; begin < 15; begin += 0.5) {
		struct sim m;

		sim_init(&m);
		flow(&m, begin, 20, 50, 3, NEVER, WAIT_BLOCKED);
		observe(&m, 20, 1, 5);
		expect_nothing(&m);
	}
}

static void goroutines_that_finish_late(void **state)
{
	struct sim m;

	(void)state;
	/* a job of 1,000 that wait for 12 s, then end: seen while they wait, and after */
	for (double end = 6; end <= 20; end += 7) {
		sim_init(&m);
		flow(&m, 0.01, 1.5, 1000, 12, NEVER, WAIT_BLOCKED);
		observe(&m, end, 1, 5);
		expect_nothing(&m);
	}
}

static void pool_that_falls_idle(void **state)
{
	struct sim m;

	(void)state;
	sim_init(&m);
	for (int i = 0; i < 200; i++)
		add(&m, (struct g){ -50, NEVER, NEVER, 2 + i * 0.1, WAIT_BLOCKED });
	observe(&m, 20, 1, 5);
	expect_nothing(&m);
}

static void a_goroutine_per_request(void **state)
{
	struct sim m;

	(void)state;
	sim_init(&m);
	random_flow(&m, -1, 10, 5000, 0.004, WAIT_IO);
	observe(&m, 10, 1, 5);
	expect_nothing(&m);
}

static void one_look_only(void **state)
{
	struct sim m;

	(void)state;
	sim_init(&m);
	flow(&m, -10, 0, 100, NEVER, NEVER, WAIT_BLOCKED);
	observe(&m, 0, 1, 0);
	expect_nothing(&m);
}

static void coroutines_and_system_goroutines_never(void **state)
{
	static const char *const start[] = { "main.x", "runtime.corostart", "runtime.bgsweep" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct sim m;

		sim_init(&m);
		flow(&m, 0, 10, 100, NEVER, NEVER, i == 1 ? WAIT_BLOCKED : WAIT_OTHER);
		observe(&m, 10, 1, 5);
		m.site.start = start[i];
		if (!i)
			m.wait[0].reason = "coroutine";
		expect_nothing(&m);
	}
}

static void the_row_of_the_rest_never(void **state)
{
	struct sim m;

	(void)state;
	sim_init(&m);
	flow(&m, 0, 10, 100, NEVER, NEVER, WAIT_BLOCKED);
	observe(&m, 10, 1, 5);
	m.site.other = true;
	expect_nothing(&m);
}

static void nothing_where_the_sensor_is_off(void **state)
{
	struct sim m;

	(void)state;
	sim_init(&m);
	flow(&m, 0, 10, 100, NEVER, NEVER, WAIT_BLOCKED);
	observe(&m, 10, 1, 5);
	m.w.coverage[0].state = OFF;
	expect_nothing(&m);
}

/* ---- floods ---- */

static void growing_ticker_loops_are_a_flood(void **state)
{
	struct sim m;

	(void)state;
	sim_init(&m);
	flow(&m, 0.01, 10, 20, NEVER, 1.3, WAIT_BLOCKED);
	observe(&m, 10, 1, 5);
	expect_kind(&m, "goroutine-flood", 199, 200, 1200);
}

static void growing_waits_are_a_flood(void **state)
{
	static const enum wait_class klass[] = { WAIT_IO, WAIT_SLEEP, WAIT_NOT };

	(void)state;
	for (int k = 0; k < 3; k++) {
		struct sim m;

		sim_init(&m);
		flow(&m, 0.01, 10, 20, NEVER, NEVER, klass[k]);
		observe(&m, 10, 1, 5);
		expect_kind(&m, "goroutine-flood", 199, 200, 1200);
		sim_init(&m);
		flow(&m, 0.001, 2, 100, NEVER, NEVER, klass[k]);
		observe(&m, 2, 0.4, 2);
		expect_kind(&m, "goroutine-flood", 199, 200, 6000);
	}
}

static void a_queue_that_is_not_kept_up_with_is_a_flood(void **state)
{
	struct sim m;

	(void)state;
	sim_init(&m);
	/* 100/s come; who comes at t stays for 0.5 s + 0.9 t */
	for (double t = 0; t < 30; t += 0.01)
		add(&m, (struct g){ t, t + 0.5 + 0.9 * t, NEVER, 0, WAIT_IO });
	observe(&m, 30, 1, 5);
	expect_kind(&m, "goroutine-flood", 1200, 1700, 3000);
}

static bool says_they_live_longer(struct sim *m)
{
	const struct finding *f;
	struct findings fs;
	bool says = false;

	fs = (struct findings){ 0 };
	detect_all(&m->w, &fs);
	f = only_finding(&fs, "goroutine-flood");
	for (int i = 0; i < f->nevidence; i++)
		says |= !strcmp(f->evidence[i],
				"those that end live longer and longer: half of them "
				"for 2.5s or more, 500ms when first measured");
	findings_deinit(&fs);
	return says;
}

static void a_flood_of_goroutines_that_live_longer_says_so(void **state)
{
	struct sim m;

	(void)state;
	sim_init(&m);
	for (double t = 0; t < 30; t += 0.01)
		add(&m, (struct g){ t, t + 0.5 + 0.9 * t, NEVER, 0, WAIT_IO });
	observe(&m, 30, 1, 5);
	assert_false(says_they_live_longer(&m));
	m.site.lifetime.count = 300;
	m.site.lifetime.p50_ns = 2500000000;
	m.site.lived_before_ns = 500000000;
	assert_true(says_they_live_longer(&m));
	m.site.lifetime.p50_ns = 999000000; /* not twice as long */
	assert_false(says_they_live_longer(&m));
	sim_deinit(&m);
}

/* In the kernel each of them has a thread, of which there may be 10,000. */
static void a_flood_in_the_kernel_takes_threads(void **state)
{
	struct findings fs = { 0 };
	const struct finding *f;
	struct sim m;

	(void)state;
	sim_init(&m);
	flow(&m, 0.01, 10, 20, NEVER, NEVER, WAIT_NOT);
	observe(&m, 10, 1, 5);
	m.w.process =
		(struct process_window){ .known = true, .threads = 205, .threads_max = 10000 };
	m.wait[0].reason = "syscall";
	detect_all(&m.w, &fs);
	f = only_finding(&fs, "goroutine-flood");
	assert_non_null(strstr(f->title, "in a system call"));
	assert_non_null(strstr(f->evidence[0],
			       "each holds a thread: 205 now; Go ends the program at "
			       "10,000, at this rate in 8m"));
	assert_true(number(f, "threads") == 205);
	findings_deinit(&fs);
	m.w.process.threads = 12; /* short calls */
	detect_all(&m.w, &fs);
	assert_null(strstr(only_finding(&fs, "goroutine-flood")->evidence[0], "thread"));
	findings_deinit(&fs);
	sim_deinit(&m);
}

static void few_connections_more_a_minute_are_no_flood(void **state)
{
	struct sim m;

	(void)state;
	sim_init(&m);
	flow(&m, -200, 60, 0.4, NEVER, NEVER, WAIT_IO);
	observe(&m, 60, 1, 5);
	expect_nothing(&m);
}

/* A reader and a writer by one go statement: the writers of idle ones are no leak ... */
static void writers_of_connections_are_no_leak(void **state)
{
	struct findings fs = { 0 };
	struct sim m;

	(void)state;
	sim_init(&m);
	flow(&m, -60, 10, 4, NEVER, NEVER, WAIT_IO);
	flow(&m, -60, 10, 4, NEVER, NEVER, WAIT_BLOCKED);
	observe(&m, 10, 1, 5);
	detect_all(&m.w, &fs);
	assert_int_equal(count_kind(&fs, "goroutine-leak"), 0);
	findings_deinit(&fs);
	sim_deinit(&m);
	sim_init(&m);
	/* beside clients that come and go */
	flow(&m, -60, 10, 4, NEVER, NEVER, WAIT_IO);
	flow(&m, -60, 10, 4, NEVER, NEVER, WAIT_BLOCKED);
	flow(&m, -60, 10, 200, 0.01, NEVER, WAIT_IO);
	observe(&m, 10, 1, 5);
	expect_nothing(&m);
}

/* ... but what is left over by steady connections is. */
static void leak_beside_steady_connections(void **state)
{
	struct findings fs = { 0 };
	struct sim m;

	(void)state;
	sim_init(&m);
	flow(&m, -60, -10, 20, NEVER, NEVER, WAIT_IO);
	flow(&m, -60, 10, 4, NEVER, NEVER, WAIT_BLOCKED);
	observe(&m, 10, 1, 5);
	detect_all(&m.w, &fs);
	only_finding(&fs, "goroutine-leak");
	findings_deinit(&fs);
	sim_deinit(&m);
}

static void leak_and_flood_of_one_site_are_one_finding(void **state)
{
	struct findings fs;
	struct sim m;

	(void)state;
	sim_init(&m);
	flow(&m, 0.01, 10, 200, NEVER, NEVER, WAIT_BLOCKED);
	observe(&m, 10, 1, 5);
	fs = (struct findings){ 0 };
	detect_all(&m.w, &fs);
	assert_int_equal(count_kind(&fs, "goroutine-leak"), 1);
	assert_int_equal(count_kind(&fs, "goroutine-flood"), 0);
	findings_deinit(&fs);
	sim_deinit(&m);
}

/* ---- which finding explains which ---- */

/* The goroutines of connections whose bodies nobody closes grow, and are no second finding. */
static void connections_of_unclosed_bodies_are_one_finding(void **state)
{
	struct net_body_row body = { .host = "api.example.com:443", .count = 12 };

	(void)state;
	for (int closed = 0; closed < 2; closed++) {
		struct findings fs;
		struct sim m;

		sim_init(&m);
		flow(&m, 0.01, 10, 20, NEVER, NEVER, WAIT_BLOCKED);
		observe(&m, 10, 1, 5);
		m.site.place = (struct place){ "net/http.(*Transport).dialConn", "transport.go",
					       NULL, 1995 };
		m.parts.net = (struct net_window){ .known = true,
						   .unclosed = &body,
						   .nunclosed = !closed };
		m.w.coverage[m.w.ncoverage++] = (struct coverage){ .sensor = SENSOR_NET };
		fs = (struct findings){ 0 };
		detect_all(&m.w, &fs);
		only_finding(&fs, closed ? "goroutine-leak" : "connection-leak");
		findings_deinit(&fs);
		sim_deinit(&m);
	}
}

/* ---- large allocations ---- */

static void alloc_window(struct window *w, struct alloc_row *a, uint64_t count, uint64_t bytes,
			 uint64_t all)
{
	static struct parts_by_hand parts;

	parts_use(&parts, w);
	memset(a, 0, sizeof(*a));
	a->place = (struct place){ "main.handler", "handler.go", NULL, 88 };
	a->count = count;
	a->bytes = bytes;
	a->max_bytes = count ? bytes / count : 0;
	w->window_s = w->observed_s = 5;
	w->memory->alloc_known = true;
	w->memory->large_count = count;
	w->memory->large_bytes = bytes;
	w->memory->total_alloc_bytes = all;
	w->memory->large_threshold_bytes = 32768;
	w->memory->alloc = a;
	w->memory->nalloc = 1;
	w->ncoverage = 2;
	w->coverage[0] = (struct coverage){ .sensor = SENSOR_ALLOC, .state = EXACT };
	w->coverage[1] = (struct coverage){ .sensor = SENSOR_GC, .state = EXACT };
}

static int found(struct window *w, const char *kind)
{
	struct findings fs;
	int n;

	fs = (struct findings){ 0 };
	detect_all(w, &fs);
	n = count_kind(&fs, kind);
	assert_int_equal(fs.n, n);
	findings_deinit(&fs);
	return n;
}

static void large_allocation_thresholds(void **state)
{
	static const struct {
		uint64_t count, bytes, all;
		int found;
	} table[] = {
		{ 50, 500ull * MIB, 520ull * MIB, 1 },   /* a buffer per request */
		{ 50, 500ull * MIB, 0, 1 },              /* all allocation not known */
		{ 50, 400ull * MIB, 40000ull * MIB, 1 }, /* 1 %, but 80 MiB/s */
		{ 50, 200ull * MIB, 40000ull * MIB, 0 }, /* 0.5 %, 40 MiB/s */
		{ 50, 15ull * MIB, 20ull * MIB, 0 },     /* 3 MiB/s */
		{ 1, 500ull * MIB, 520ull * MIB, 0 },    /* a table that grew once */
		{ 2, 1000ull * MIB, 1000ull * MIB, 0 },
		{ 5, 160 * 1024, 5ull * MIB, 0 },
		{ 0, 0, 5ull * MIB, 0 },
	};
	struct alloc_row a;
	struct window w;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		alloc_window(&w, &a, table[i].count, table[i].bytes, table[i].all);
		assert_int_equal(found(&w, "large-allocation"), table[i].found);
	}
}

static void large_allocation_says_of_what_the_share_is(void **state)
{
	struct findings fs;
	struct alloc_row a;
	struct window w;

	(void)state;
	alloc_window(&w, &a, 50, 500ull * MIB, 1000ull * MIB);
	fs = (struct findings){ 0 };
	detect_all(&w, &fs);
	assert_string_equal(only_finding(&fs, "large-allocation")->title,
			    "main.handler (handler.go:88) allocates 100.0 MiB/s in large objects: "
			    "50% of what drives the GC");
	assert_string_equal(fs.f[0].id, "alloc:main.handler:handler.go:88");
	assert_int_equal(fs.f[0].severity, SEVERITY_LOW);
	assert_true(number(&fs.f[0], "share_pct") == 50);
	assert_true(number(&fs.f[0], "count") == 50);
	findings_deinit(&fs);

	w.memory->total_alloc_bytes = 0;
	fs = (struct findings){ 0 };
	detect_all(&w, &fs);
	assert_non_null(strstr(only_finding(&fs, "large-allocation")->title,
			       "100% of the bytes in large objects"));
	assert_true(number(&fs.f[0], "share_of_large_pct") == 100);
	findings_deinit(&fs);
}

/* ---- gc ---- */

/* A site of so many MiB a second, in main.stepN called from `caller` called from main.main. */
static void put_site(struct alloc_row *a, int step, const char *caller, uint64_t mib_per_s)
{
	static const char *const name[] = { "main.step0", "main.step1", "main.step2",
					    "main.step3", "main.step4", "bytes.growSlice" };

	memset(a, 0, sizeof(*a));
	a->place = (struct place){ name[step], "steps.go", NULL, 10 + step };
	a->count = 5 * mib_per_s;
	a->bytes = 5 * mib_per_s * MIB;
	a->max_bytes = MIB;
	a->stack[a->nstack++] = a->place;
	if (caller)
		a->stack[a->nstack++] = (struct place){ caller, "steps.go", NULL, 30 + step };
	a->stack[a->nstack++] = (struct place){ "main.main", "main.go", NULL, 7 };
}

static void large_allocations_of_one_caller_are_one_finding(void **state)
{
	struct alloc_row a[6], first;
	struct findings fs = { 0 };
	struct window w;

	(void)state;
	alloc_window(&w, &first, 500, 500ull * MIB, 1000ull * MIB);
	w.memory->alloc = a;
	w.memory->nalloc = 5;
	for (int i = 0; i < 5; i++)
		put_site(&a[i], i, "main.handle", 20);
	detect_all(&w, &fs);
	assert_string_equal(only_finding(&fs, "large-allocation")->title,
			    "main.handle (steps.go:30) and what it calls allocate 100.0 MiB/s in "
			    "large objects at 5 places: 50% of what drives the GC");
	assert_true(number(&fs.f[0], "places") == 5);
	assert_true(number(&fs.f[0], "count") == 500);
	findings_deinit(&fs);

	/* two lines of one function, and the standard library on top of the stack */
	for (int i = 0; i < 2; i++) {
		put_site(&a[i], 5, "main.render", 50);
		a[i].stack[1].line = 30 + i;
	}
	w.memory->nalloc = 2;
	detect_all(&w, &fs);
	assert_string_equal(only_finding(&fs, "large-allocation")->place.function, "main.render");
	findings_deinit(&fs);

	/* different callers, far from where they meet */
	put_site(&a[0], 0, "main.orders", 50);
	put_site(&a[1], 1, "main.reports", 50);
	detect_all(&w, &fs);
	assert_int_equal(count_kind(&fs, "large-allocation"), 2);
	findings_deinit(&fs);

	/* one of them makes nearly all: it is the cause */
	put_site(&a[0], 0, "main.handle", 90);
	put_site(&a[1], 1, "main.handle", 10);
	detect_all(&w, &fs);
	assert_string_equal(only_finding(&fs, "large-allocation")->place.function, "main.step0");
	findings_deinit(&fs);
}

static void gc_window(struct window *w, uint64_t cycles, double cpu_pct)
{
	static struct parts_by_hand parts;

	parts_use(&parts, w);
	w->window_s = w->observed_s = 5;
	w->ncoverage = 1;
	w->coverage[0] = (struct coverage){ .sensor = SENSOR_GC, .state = EXACT };
	w->memory->gc = (struct gc_window){
		.known = true,
		.cycles = cycles,
		.cycles_total = cycles + 100,
		.cpu_pct = cpu_pct,
		.heap_known = true,
		.heap_live_bytes = 3 * MIB,
		.heap_marked_bytes = 2 * MIB,
		.heap_goal_bytes = 4 * MIB,
		.gogc = 100,
		.memory_limit_bytes = INT64_MAX,
		.pauses_known = true,
		.pause_count = 2 * cycles,
		.pause_total_ns = 2 * cycles * 60000,
	};
}

static void gc_of_a_busy_service_is_no_pressure(void **state)
{
	static const uint64_t cycles[] = { 0, 1, 15, 60, 140 };
	struct window w;

	(void)state;
	for (size_t i = 0; i < sizeof(cycles) / sizeof(*cycles); i++) {
		gc_window(&w, cycles[i], 3.5);
		assert_int_equal(found(&w, "gc-pressure"), 0);
		gc_window(&w, cycles[i], -1);
		assert_int_equal(found(&w, "gc-pressure"), 0);
	}
}

static void gc_pressure_for_each_reason(void **state)
{
	struct window w;

	(void)state;
	gc_window(&w, 60, 9); /* often, and it costs */
	assert_int_equal(found(&w, "gc-pressure"), 1);
	gc_window(&w, 250, 1); /* 50 a second, lately */
	assert_int_equal(found(&w, "gc-pressure"), 1);
	gc_window(&w, 10, 25); /* a quarter of the CPU */
	assert_int_equal(found(&w, "gc-pressure"), 1);
	gc_window(&w, 10, 1); /* 300 ms of 5 s */
	w.memory->gc.pause_total_ns = 300000000;
	assert_int_equal(found(&w, "gc-pressure"), 1);
	gc_window(&w, 10, 1); /* one long pause is the machine's */
	w.memory->gc.pause_total_ns = 300000000;
	w.memory->gc.pause_max_ns = 290000000;
	assert_int_equal(found(&w, "gc-pressure"), 0);
	gc_window(&w, 20, 1); /* runtime.GC() in a loop */
	w.memory->gc.forced = 20;
	assert_int_equal(found(&w, "gc-pressure"), 1);
	gc_window(&w, 0, 1); /* nearly all of the limit is in use */
	w.memory->gc.memory_limit_bytes = 100 * MIB;
	w.memory->gc.heap_marked_bytes = 85 * MIB;
	assert_int_equal(found(&w, "gc-pressure"), 1);
}

static void gc_near_the_limit_before_a_collection_is_normal(void **state)
{
	struct window w;

	(void)state;
	gc_window(&w, 2, 1);
	w.memory->gc.gogc = -1;
	w.memory->gc.memory_limit_bytes = 100 * MIB;
	w.memory->gc.heap_live_bytes = 99 * MIB;
	w.memory->gc.heap_marked_bytes = 20 * MIB;
	assert_int_equal(found(&w, "gc-pressure"), 0);
}

static void gc_pressure_with_and_without_a_place(void **state)
{
	struct alloc_row a;
	struct findings fs;
	struct window w;

	(void)state;
	gc_window(&w, 250, 12);
	fs = (struct findings){ 0 };
	detect_all(&w, &fs);
	assert_string_equal(only_finding(&fs, "gc-pressure")->id, "gc:process");
	assert_null(fs.f[0].place.function);
	findings_deinit(&fs);

	alloc_window(&w, &a, 3, 3ull * MIB, 6ull * MIB); /* half of all, but little */
	struct gc_window keep = {
		.known = true, .cycles = 250, .cpu_pct = 12, .memory_limit_bytes = -1
	};
	w.memory->gc = keep;
	fs = (struct findings){ 0 };
	detect_all(&w, &fs);
	assert_string_equal(only_finding(&fs, "gc-pressure")->id, "gc:main.handler:handler.go:88");
	assert_string_equal(fs.f[0].place.function, "main.handler");
	findings_deinit(&fs);
}

/* ---- findings ---- */

static void findings_are_sorted_worst_first(void **state)
{
	struct place p = { "main.f", "f.go", NULL, 1 };
	struct findings fs;

	(void)state;
	fs = (struct findings){ 0 };
	findings_add(&fs, "a", "a", SEVERITY_LOW, &p)->weight = 100;
	findings_add(&fs, "b", "b", SEVERITY_MEDIUM, &p)->weight = 1;
	findings_add(&fs, "c", "c", SEVERITY_MEDIUM, &p)->weight = 2;
	findings_add(&fs, "d", "d", SEVERITY_CRITICAL, &p)->weight = 0;
	findings_sort(&fs);
	assert_string_equal(fs.f[0].kind, "d");
	assert_string_equal(fs.f[1].kind, "c");
	assert_string_equal(fs.f[2].kind, "b");
	assert_string_equal(fs.f[3].kind, "a");
	findings_deinit(&fs);
}

static void findings_beyond_the_maximum_are_counted(void **state)
{
	struct place p = { "main.f", "f.go", NULL, 1 };
	struct findings fs;

	(void)state;
	fs = (struct findings){ 0 };
	for (int i = 0; i < FINDINGS_MAX + 7; i++)
		findings_add(&fs, "a", "a", SEVERITY_LOW, &p);
	assert_int_equal(fs.n, FINDINGS_MAX);
	assert_int_equal(fs.dropped, 7);
	findings_deinit(&fs);
}

static void ids_of_long_names_differ(void **state)
{
	char a[10001], b[10001];
	struct place pa = { a, "f.go", NULL, 1 }, pb = { b, "f.go", NULL, 1 };
	struct finding *fa, *fb;
	struct findings fs;

	(void)state;
	memset(a, 'a', sizeof(a) - 1);
	a[sizeof(a) - 1] = '\0';
	memcpy(b, a, sizeof(a));
	b[9000] = 'b';
	fs = (struct findings){ 0 };
	fa = findings_add(&fs, "a", "a", SEVERITY_LOW, &pa);
	fb = findings_add(&fs, "a", "a", SEVERITY_LOW, &pb);
	assert_string_not_equal(fa->id, fb->id);
	finding_title(fa, "%s", a);
	assert_true(strlen(fa->title) < sizeof(fa->title));
	assert_non_null(strstr(fa->title, "…"));
	findings_deinit(&fs);
}

static void a_title_is_never_cut_inside_a_character(void **state)
{
	struct place p = { "main.f", "f.go", NULL, 1 };
	struct findings fs;
	char name[1000];

	(void)state;
	for (int shift = 0; shift < 4; shift++) {
		struct finding *f;
		int32_t code;

		memset(name, 'x', (size_t)shift);
		for (int i = 0; i < 240; i++)
			memcpy(name + shift + 4 * i, "\xf0\x90\x80\x80", 4);
		name[shift + 960] = '\0';
		fs = (struct findings){ 0 };
		f = findings_add(&fs, "a", "a", SEVERITY_LOW, &p);
		finding_title(f, "%s", name);
		for (const char *q = f->title; *q; q += utf8_next(q, &code))
			;
		for (const char *q = f->title; *q;) {
			q += utf8_next(q, &code);
			assert_true(code >= 0);
		}
		findings_deinit(&fs);
	}
}

static void severities_by_name(void **state)
{
	enum severity s;

	(void)state;
	for (int i = SEVERITY_INFO; i <= SEVERITY_CRITICAL; i++) {
		assert_int_equal(severity_parse(severity_word[i], &s), 0);
		assert_int_equal(s, i);
	}
	assert_int_not_equal(severity_parse("bad", &s), 0);
	assert_int_not_equal(severity_parse("", &s), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leak_of_two_a_second_shows_in_two_seconds),
		cmocka_unit_test(leak_that_began_before_shows_in_two_seconds),
		cmocka_unit_test(leak_of_a_thousand_a_second),
		cmocka_unit_test(leak_over_five_minutes),
		cmocka_unit_test(slow_leak),
		cmocka_unit_test(leak_in_bursts),
		cmocka_unit_test(few_that_stick_among_thousands_that_do_not),
		cmocka_unit_test(few_that_stick_among_slow_ones_that_drain),
		cmocka_unit_test(leak_says_what_and_where),
		cmocka_unit_test(steady_populations),
		cmocka_unit_test(start_up_ramp_that_has_ended),
		cmocka_unit_test(start_up_ramp_that_has_ended_in_a_short_run),
		cmocka_unit_test(one_burst_that_stays),
		cmocka_unit_test(two_bursts_that_stay),
		cmocka_unit_test(bursts_that_drain),
		cmocka_unit_test(slow_traffic_that_drains),
		cmocka_unit_test(traffic_that_doubles_and_drains),
		cmocka_unit_test(traffic_that_begins_while_we_watch),
		cmocka_unit_test(goroutines_that_finish_late),
		cmocka_unit_test(pool_that_falls_idle),
		cmocka_unit_test(a_goroutine_per_request),
		cmocka_unit_test(one_look_only),
		cmocka_unit_test(coroutines_and_system_goroutines_never),
		cmocka_unit_test(the_row_of_the_rest_never),
		cmocka_unit_test(nothing_where_the_sensor_is_off),
		cmocka_unit_test(growing_ticker_loops_are_a_flood),
		cmocka_unit_test(growing_waits_are_a_flood),
		cmocka_unit_test(a_queue_that_is_not_kept_up_with_is_a_flood),
		cmocka_unit_test(a_flood_of_goroutines_that_live_longer_says_so),
		cmocka_unit_test(a_flood_in_the_kernel_takes_threads),
		cmocka_unit_test(few_connections_more_a_minute_are_no_flood),
		cmocka_unit_test(writers_of_connections_are_no_leak),
		cmocka_unit_test(leak_beside_steady_connections),
		cmocka_unit_test(leak_and_flood_of_one_site_are_one_finding),
		cmocka_unit_test(large_allocation_thresholds),
		cmocka_unit_test(large_allocation_says_of_what_the_share_is),
		cmocka_unit_test(large_allocations_of_one_caller_are_one_finding),
		cmocka_unit_test(gc_of_a_busy_service_is_no_pressure),
		cmocka_unit_test(gc_pressure_for_each_reason),
		cmocka_unit_test(gc_near_the_limit_before_a_collection_is_normal),
		cmocka_unit_test(gc_pressure_with_and_without_a_place),
		cmocka_unit_test(findings_are_sorted_worst_first),
		cmocka_unit_test(findings_beyond_the_maximum_are_counted),
		cmocka_unit_test(ids_of_long_names_differ),
		cmocka_unit_test(a_title_is_never_cut_inside_a_character),
		cmocka_unit_test(severities_by_name),
		cmocka_unit_test(connections_of_unclosed_bodies_are_one_finding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
