/* SPDX-License-Identifier: BSD-2-Clause */
/* Findings that only snapshots have: proven leaks, memory that grows, deadlocks. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/vec.h"
#include "goroutines/fill.h"
#include "observe/detect.h"
#include "prove/prove.h"
#include "snapshot_window.h"

static const struct finding *find(const struct findings *fs, const char *kind)
{
	for (int i = 0; i < fs->n; i++)
		if (!strcmp(fs->f[i].kind, kind))
			return &fs->f[i];
	return NULL;
}

static void verdicts_are_findings(void **state)
{
	static const struct {
		enum leaks_verdict verdict;
		uint64_t before;
		enum severity s;
		bool few; /* of many that live, by the same go statement */
	} cases[] = {
		{ LEAKS_VERDICT_PROVEN, 1204, SEVERITY_HIGH, false },
		{ LEAKS_VERDICT_PROVEN, 1204, SEVERITY_HIGH, true },
		{ LEAKS_VERDICT_PROVEN, 1100, SEVERITY_CRITICAL, false },
		{ LEAKS_VERDICT_PASSES, 1204, SEVERITY_MEDIUM, false },
		{ LEAKS_VERDICT_PASSES, 1, SEVERITY_MEDIUM, false },
		{ LEAKS_VERDICT_PASSES, 1, SEVERITY_MEDIUM, true },
		{ LEAKS_VERDICT_PASSES, 1204, SEVERITY_LOW, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct finding *got;
		struct fixture f;

		set_up(&f);
		fill_leaks(&f, cases[i].verdict);
		f.leak[0].count_before = cases[i].before;
		f.site[0].live = (cases[i].few ? 20 : 19) * f.leak[0].count;
		f.site[0].place = f.leak[0].place;
		detect_all(&f.r.window, &f.r.findings);
		got = find(&f.r.findings, "goroutine-leak");
		assert_non_null(got);
		assert_int_equal(got->severity, cases[i].s);
		assert_string_equal(got->id, "leak:main.main:main.go:5");
		assert_int_equal(got->exactness,
				 cases[i].verdict == LEAKS_VERDICT_PROVEN ? EXACT : ESTIMATED);
		for (int k = 0; k < f.r.findings.n; k++) /* main in select {} is none */
			assert_null(strstr(f.r.findings.f[k].id, "runtime.main"));
		tear_down(&f);
	}
}

/* Between the window's end and the moment that the verdicts are of, more have come, too. */
static void the_rate_is_of_the_time_it_took(void **state)
{
	const struct finding *got;
	struct fixture f;

	(void)state;
	set_up(&f);
	fill_leaks(&f, LEAKS_VERDICT_PROVEN);
	f.leak[0].count_before = f.leak[0].count - 12;
	f.r.window.window_s = 1;
	f.r.window.goroutines->leaks.late_s = 2;
	detect_all(&f.r.window, &f.r.findings);
	got = find(&f.r.findings, "goroutine-leak");
	assert_non_null(strstr(got->title, "and 240.0 more come every minute"));
	tear_down(&f);
}

/* Foreign code, or a site beyond those that are told apart: no function, in no row. */
static void leaks_without_a_place(void **state)
{
	const struct finding *got;
	struct fixture f;

	(void)state;
	set_up(&f);
	fill_leaks(&f, LEAKS_VERDICT_PROVEN);
	memset(&f.leak[0].place, 0, sizeof(f.leak[0].place));
	f.leak[1] = f.leak[0];
	f.leak[1].count = 3;
	f.leak[1].count_before = 3;
	detect_all(&f.r.window, &f.r.findings);
	got = find(&f.r.findings, "goroutine-leak");
	assert_non_null(got);
	assert_null(got->place.function);
	assert_non_null(strstr(got->title, "1,207 goroutines created at an unknown place"));
	assert_true(got->advice[0]);
	for (int i = 0, n = 0; i < f.r.findings.n; i++)
		assert_true((n += !strcmp(f.r.findings.f[i].kind, "goroutine-leak")) <= 1);
	tear_down(&f);
}

/* A verdict that names nobody. */
static void no_leaked_goroutines(void **state)
{
	struct prove_result none = { .verdict = LEAKS_PASSES, .passes = 6 };
	struct goruntime rt = { .why_off[FACT_STACKS] = "not verified" };
	struct leaks_window l;
	struct sites s;

	(void)state;
	assert_int_equal(sites_init(&s, &rt), 0);
	assert_int_equal(leaks_fill(&l, &s, &none, NULL, 1, 0), 0);
	assert_int_equal(l.verdict, LEAKS_VERDICT_PASSES);
	assert_int_equal(l.nrow, 0);
	leaks_window_deinit(&l);
	sites_deinit(&s);
}

/* What the proof could not read is missing from the leaks, not from the walk. */
static void proof_losses_are_of_the_leaks(void **state)
{
	struct prove_result r = { .verdict = LEAKS_PASSES, .passes = 6, .losses = 3 };
	struct losses l = { 0 };
	struct window w = { 0 };

	(void)state;
	window_cover(&w, SENSOR_GOROUTINES, EXACT, "");
	leaks_cover(&r, &w);
	r.verdict = LEAKS_PROVEN;
	leaks_cover(&r, &w);
	r.losses = 0;
	leaks_cover(&r, &w);
	r.verdict = LEAKS_PASSES;
	r.passes = 1;
	leaks_cover(&r, &w);
	lose(&l, LOSS_PROOF, 3);
	losses_report(&l, &w);
	assert_int_equal(w.lost_read_failures, 3);
	assert_int_equal(w.coverage[0].state, EXACT);
	assert_int_equal(w.coverage[1].state, ESTIMATED);
	assert_non_null(
		strstr(w.coverage[1].why, "is certain; missing: what could not be read (3)"));
	assert_int_equal(w.coverage[2].state, PARTIAL);
	assert_string_equal(w.coverage[2].why, "missing: what could not be read (3)");
	assert_int_equal(w.coverage[3].state, EXACT);
	assert_string_equal(w.coverage[3].why, "");
	assert_string_equal(w.coverage[4].why, "one pass over a running process; --prove freezes "
					       "it for some milliseconds and is certain");
}

static void members_are_marked_as_leaked(void **state)
{
	struct leaked_goroutine leaked[] = { { .goid = 3 }, { .goid = 9 }, { .goid = 40 } };
	struct deadlock_member m[] = { { .goid = 40 }, { .goid = 4 }, { .goid = 3 } };
	struct goroutines_window g = {
		.leaks = { .goroutine = leaked, .ngoroutine = 3 },
		.deadlocks = { .member = m, .nmember = 3 },
	};
	struct window w = { .goroutines = &g };

	(void)state;
	deadlocks_mark_leaked(&w);
	assert_true(m[0].leaked);
	assert_false(m[1].leaked);
	assert_true(m[2].leaked);
}

static void no_leak_no_finding(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f);
	fill_leaks(&f, LEAKS_VERDICT_PROVEN);
	f.r.window.goroutines->leaks.row = &f.leak[1];
	f.r.window.goroutines->leaks.nrow = 1;
	f.r.window.memory->trend.n = 2; /* nothing to compare with */
	detect_all(&f.r.window, &f.r.findings);
	assert_int_equal(f.r.findings.n, 0);
	tear_down(&f);
}

/* What memory-growth says of that many points of the fixture's place. */
static const struct finding *growth_of(struct fixture *f, int n, const double *in_use_mib,
				       const double *allocated_mib, const double *t_s)
{
	struct trend_window *t = &f->r.window.memory->trend;

	t->n = n;
	for (int i = 0; i < n; i++) {
		f->trend[0].in_use[i] = (float)(in_use_mib[i] * 1048576);
		f->trend[0].allocated[i] =
			(float)((allocated_mib ? allocated_mib : in_use_mib)[i] * 1048576);
		t->total[i] = f->trend[0].in_use[i];
		t->t_s[i] = t_s ? t_s[i] : i;
	}
	findings_deinit(&f->r.findings);
	f->r.findings = (struct findings){ 0 };
	detect_all(&f->r.window, &f->r.findings);
	return find(&f->r.findings, "memory-growth");
}

static double per_minute_mib(const struct finding *f)
{
	for (int i = 0; f && i < f->nnumber; i++)
		if (!strcmp(f->number[i].name, "bytes_per_minute"))
			return f->number[i].value / 1048576;
	return -1;
}

static void memory_that_grows(void **state)
{
	static const double in_use[] = { 20, 36, 52, 68 }, two_minutes[] = { 0, 120, 240 },
			    quick[] = { 0, 0.9, 1.8, 2.7 };
	const struct finding *got;
	struct fixture f;

	(void)state;
	set_up(&f);
	detect_all(&f.r.window, &f.r.findings);
	got = find(&f.r.findings, "memory-growth");
	assert_non_null(got);
	assert_int_equal(got->severity, SEVERITY_MEDIUM);
	assert_string_equal(got->place.function, "main.keep");
	assert_int_equal(got->exactness, ESTIMATED);
	/* the time between the collections counts, not how long the window was */
	got = growth_of(&f, 3, in_use, NULL, two_minutes);
	assert_in_range(per_minute_mib(got), 7, 9);
	assert_int_equal(got->severity, SEVERITY_MEDIUM);
	assert_null(growth_of(&f, 3, in_use, NULL, NULL)); /* three in two seconds: a start */
	got = growth_of(&f, 4, in_use, NULL, quick);       /* four are more, and still not many */
	assert_int_equal(got->severity, SEVERITY_LOW);
	/* the sample saw a fourth too much: the collections know what they marked */
	for (int i = 0; i < 3; i++)
		f.r.window.memory->trend.live[i] = (20 + 12.8 * i) * 1048576;
	got = growth_of(&f, 3, in_use, NULL, two_minutes);
	assert_true(per_minute_mib(got) > 6.2 && per_minute_mib(got) < 6.6);
	tear_down(&f);
}

static void memory_that_comes_and_goes(void **state)
{
	static const double little[] = { 12, 13, 14 }, two[] = { 10, 20 },
			    /* a site that only makes garbage: what a collection met alive */
		garbage[] = { 2, 2, 9, 2, 6, 12 }, made[] = { 100, 200, 300, 400, 500, 600 },
			    rising[] = { 2, 6, 12 }, warm[] = { 5, 20, 40, 40, 40, 40, 40, 40 },
			    pools[] = { 5, 25, 38, 42, 43 }, steady[] = { 5, 14, 24, 33, 43 },
			    mixed[] = { 10, 15, 20, 25, 30, 35 };
	struct fixture f;

	(void)state;
	set_up(&f);
	assert_null(growth_of(&f, 3, little, NULL, NULL)); /* the noise of the sample */
	assert_null(growth_of(&f, 2, two, NULL, NULL));
	assert_null(growth_of(&f, 6, garbage, made, NULL));
	assert_null(growth_of(&f, 3, rising, made, NULL));
	assert_null(growth_of(&f, 8, warm, NULL, NULL));  /* it has ended */
	assert_null(growth_of(&f, 3, warm, NULL, NULL));  /* it may end */
	assert_null(growth_of(&f, 5, pools, NULL, NULL)); /* it comes to rest */
	assert_non_null(growth_of(&f, 5, steady, NULL, NULL));
	assert_non_null(growth_of(&f, 6, mixed, made, NULL)); /* much garbage, and a leak */
	tear_down(&f);
}

/* Two collections at the start, when a cache was being filled; the others come by the runtime's
 * clock, two minutes apart. */
static void memory_of_rare_collections(void **state)
{
	static const double t_s[] = { 0, 0.02, 120, 240, 360, 480 },
			    cache[] = { 31, 60, 81, 81, 81, 81.1 }, leak[] = { 0, 0, 16, 32, 48 };
	const struct finding *got;
	struct fixture f;

	(void)state;
	set_up(&f);
	for (int n = 2; n <= 6; n++)
		assert_null(growth_of(&f, n, cache, NULL, t_s));
	assert_null(growth_of(&f, 3, leak, NULL, t_s));
	got = growth_of(&f, 4, leak, NULL, t_s);
	assert_int_equal(got->severity, SEVERITY_MEDIUM);
	assert_true(per_minute_mib(got) > 7.9 && per_minute_mib(got) < 8.1);
	tear_down(&f);
}

/* Ten looks: from MiB on, what is resident and what is mapped becomes so much more at each. */
static const struct finding *growth_outside(struct fixture *f, double from, double resident,
					    double mapped)
{
	struct outside_window *o = &f->r.window.memory->outside;

	f->r.window.memory->trend.n = 0;
	f->r.window.process = (struct process_window){ .known = true,
						       .split_known = true,
						       .rss_bytes = 200ull << 20,
						       .other_bytes = 150ull << 20 };
	o->n = 10;
	for (int i = 0; i < o->n; i++) {
		o->t_s[i] = 3 * i;
		o->resident[i] = (float)((from + resident * i) * 1048576);
		o->mapped[i] = (float)((500 + mapped * i) * 1048576);
	}
	findings_deinit(&f->r.findings);
	f->r.findings = (struct findings){ 0 };
	detect_all(&f->r.window, &f->r.findings);
	return find(&f->r.findings, "memory-growth");
}

static void memory_outside_the_heap(void **state)
{
	const struct finding *got;
	struct fixture f;

	(void)state;
	set_up(&f);
	got = growth_outside(&f, 100, 6, 6);
	assert_non_null(got);
	assert_string_equal(got->id, "memory-growth:not the Go heap");
	assert_int_equal(got->severity, SEVERITY_MEDIUM);
	assert_in_range(per_minute_mib(got), 119, 121);
	assert_null(growth_outside(&f, 100, 0, 0));
	assert_null(growth_outside(&f, 100, 0, 2));   /* mapped, not touched */
	assert_null(growth_outside(&f, 100, 2, 0));   /* touched for the first time */
	assert_null(growth_outside(&f, -400, 20, 0)); /* the Go heap's pages, likewise */
	assert_null(growth_outside(&f, 100, 0.1, 0.1));
	got = growth_outside(&f, 100, 60, 30); /* half of it is new */
	assert_in_range(per_minute_mib(got), 590, 610);
	/* what comes and goes */
	growth_outside(&f, 100, 6, 6);
	f.r.window.memory->outside.resident[5] += 40 << 20;
	findings_deinit(&f.r.findings);
	f.r.findings = (struct findings){ 0 };
	detect_all(&f.r.window, &f.r.findings);
	assert_null(find(&f.r.findings, "memory-growth"));
	tear_down(&f);
}

static void cycles_are_deadlocks(void **state)
{
	const struct finding *got;
	struct fixture f;

	(void)state;
	set_up(&f);
	f.member[0] = (struct deadlock_member){ .goid = 7, .lock = 0x10, .at = lines[2] };
	f.member[1] = (struct deadlock_member){ .goid = 9, .lock = 0x20, .at = lines[5] };
	f.r.window.goroutines->deadlocks =
		(struct deadlocks_window){ .known = true,
					   .deadlock = { { 0, 2, 40 }, { 0, 2, 40 } },
					   .ndeadlock = 2,
					   .member = f.member,
					   .nmember = 2 };
	detect_all(&f.r.window, &f.r.findings);
	got = find(&f.r.findings, "deadlock");
	assert_ptr_equal(got, &f.r.findings.f[0]);
	assert_int_equal(got->severity, SEVERITY_CRITICAL);
	assert_string_equal(got->id, "deadlock:main.keep:keep.go:50"); /* whoever is found first */
	assert_non_null(strstr(got->title, "38 more wait behind them"));
	assert_non_null(
		strstr(got->evidence[0],
		       "goroutine 7 at main.worker work.go:30 waits for a lock that goroutine 9"));
	assert_int_equal(f.r.findings.n, 2); /* one deadlock, and the memory */
	tear_down(&f);
}

static void cycles_with_channels(void **state)
{
	const struct finding *got;
	struct fixture f;

	(void)state;
	set_up(&f);
	f.member[0] = (struct deadlock_member){ .goid = 7,
						.lock = 0x10,
						.at = lines[2],
						.wait = DEADLOCK_SEND,
						.wakeup = DEADLOCK_UNLOCKS,
						.leaked = true,
						.stuck = true };
	f.member[1] = (struct deadlock_member){ .goid = 9,
						.lock = 0x20,
						.at = lines[5],
						.wait = DEADLOCK_LOCK,
						.wakeup = DEADLOCK_RECEIVES,
						.wakeup_at = lines[2],
						.leaked = true,
						.stuck = true };
	f.r.window.goroutines->deadlocks = (struct deadlocks_window){ .known = true,
								      .deadlock = { { 0, 2, 2 } },
								      .ndeadlock = 1,
								      .member = f.member,
								      .nmember = 2 };
	detect_all(&f.r.window, &f.r.findings);
	got = find(&f.r.findings, "deadlock");
	assert_non_null(got);
	assert_non_null(strstr(got->title, "2 goroutines wait for each other, one of them"));
	assert_non_null(
		strstr(got->evidence[0],
		       "to send to a channel that goroutine 9 would receive from at work.go:30"));
	assert_non_null(strstr(got->evidence[1], "for a lock that goroutine 7 holds"));
	assert_non_null(strstr(got->evidence[2], "nobody else who can run"));
	assert_non_null(strstr(got->advice, "channel"));
	tear_down(&f);
	/* one that waits for itself */
	set_up(&f);
	f.member[0] = (struct deadlock_member){ .goid = 7,
						.lock = 0x10,
						.at = lines[2],
						.wait = DEADLOCK_READ_LOCK,
						.wakeup = DEADLOCK_UNLOCKS,
						.wakeup_at = lines[5] };
	f.r.window.goroutines->deadlocks = (struct deadlocks_window){ .known = true,
								      .deadlock = { { 0, 1, 2 } },
								      .ndeadlock = 1,
								      .member = f.member,
								      .nmember = 1 };
	detect_all(&f.r.window, &f.r.findings);
	got = find(&f.r.findings, "deadlock");
	assert_non_null(got);
	assert_string_equal(got->id, "deadlock:main.worker:work.go:30");
	assert_non_null(strstr(got->title, "a goroutine waits for a lock that it holds itself"));
	assert_non_null(strstr(got->title, "; 1 more waits behind it"));
	assert_non_null(strstr(got->evidence[0], "to read under a lock that it holds"));
	assert_non_null(strstr(got->evidence[1], "inferred"));
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verdicts_are_findings),
		cmocka_unit_test(no_leak_no_finding),
		cmocka_unit_test(the_rate_is_of_the_time_it_took),
		cmocka_unit_test(leaks_without_a_place),
		cmocka_unit_test(no_leaked_goroutines),
		cmocka_unit_test(proof_losses_are_of_the_leaks),
		cmocka_unit_test(members_are_marked_as_leaked),
		cmocka_unit_test(memory_that_grows),
		cmocka_unit_test(memory_of_rare_collections),
		cmocka_unit_test(memory_that_comes_and_goes),
		cmocka_unit_test(memory_outside_the_heap),
		cmocka_unit_test(cycles_are_deadlocks),
		cmocka_unit_test(cycles_with_channels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
