/* SPDX-License-Identifier: BSD-2-Clause */
/* Goroutine leaks in the simulation, and what is neither a leak nor a flood. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/vec.h"
#include "observe/detect.h"
#include "simulation.h"
#include "parts.h"

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

static void dials_that_nobody_waits_for_never(void **state)
{
	static const char *const creators[] = {
		"net/http.(*Transport).startDialConnForLocked",
		"net.(*Resolver).lookupIPAddr",
		"net.(*Resolver).goLookupIPCNAMEOrder",
		"net.(*netFD).connect",
		"net.(*sysDialer).dialParallel",
		"net.doBlockingWithCtx[...]",
	};

	(void)state;
	for (size_t i = 0; i <= ARRAY_SIZE(creators); i++) {
		struct sim m;

		sim_init(&m);
		flow(&m, 0.25, 2, 2, NEVER, NEVER, WAIT_BLOCKED);
		observe(&m, 2, 0.4, 2);
		if (i == ARRAY_SIZE(creators)) {
			expect_kind(&m, "goroutine-leak", 3, 4, 120);
			break;
		}
		m.site.place.function = creators[i];
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
		cmocka_unit_test(dials_that_nobody_waits_for_never),
		cmocka_unit_test(the_row_of_the_rest_never),
		cmocka_unit_test(nothing_where_the_sensor_is_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
