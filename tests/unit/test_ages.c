/* SPDX-License-Identifier: BSD-2-Clause */
/* What a goroutine's waitsince proves, by the ends of collections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "gort/goruntime_priv.h"
#include "model/age.h"

#define BOOT_NS   (int64_t)(1000 * NS_PER_S) /* of the wall clock, at 0 of the monotonic one */
#define PAUSE_NS  (int64_t)(100000)
#define TSTART(s) ((int64_t)((s)*1e9) - PAUSE_NS / 2)
#define MARGIN_NS (20 * NS_PER_MS)

/* numgc cycles; number i (from 0) ended at (i + 1) * every_s. */
static void collect(struct gocycles *c, uint32_t numgc, double every_s)
{
	struct gototals t = { .numgc = numgc };

	for (uint32_t i = numgc > GO_CYCLES ? numgc - GO_CYCLES : 0; i < numgc; i++) {
		t.pause_ns[i % GO_CYCLES] = (uint64_t)PAUSE_NS;
		t.pause_end_unix_ns[i % GO_CYCLES] =
			(uint64_t)(BOOT_NS + (int64_t)((i + 1) * every_s * 1e9));
	}
	*c = (struct gocycles){ 0 };
	gocycles_set(c, &t, BOOT_NS);
}

/* It is the mark termination of the cycle before that is stored: the one after it met the goroutine. */
static void the_cycle_after_met_it(void **state)
{
	struct gocycles c;

	(void)state;
	collect(&c, 8, 15);
	assert_int_equal(c.n, 8);
	assert_int_equal(gocycles_proven_ns(&c, TSTART(15)), 30 * NS_PER_S + MARGIN_NS);
	assert_int_equal(gocycles_proven_ns(&c, TSTART(105)), 120 * NS_PER_S + MARGIN_NS);
	assert_int_equal(gocycles_proven_ns(&c, TSTART(105)), 120 * NS_PER_S + MARGIN_NS);
}

/* The cycle that met it has not ended, or ended after these were read. */
static void the_last_one_proves_nothing(void **state)
{
	struct gocycles c;

	(void)state;
	collect(&c, 8, 15);
	assert_int_equal(gocycles_proven_ns(&c, TSTART(120)), 0);
	assert_int_equal(gocycles_proven_ns(&c, TSTART(135)), 0);
	assert_int_equal(gocycles_proven_ns(&c, 0), 0);
	collect(&c, 1, 15);
	assert_int_equal(gocycles_proven_ns(&c, TSTART(15)), 0);
	collect(&c, 0, 15);
	assert_int_equal(gocycles_proven_ns(&c, TSTART(15)), 0);
}

static void of_300_the_last_256_are_kept(void **state)
{
	struct gocycles c;

	(void)state;
	collect(&c, 300, 2); /* 45 to 300 are there: they ended at 90 to 600 s */
	assert_int_equal(gocycles_proven_ns(&c, TSTART(10)), 90 * NS_PER_S + MARGIN_NS);
	assert_int_equal(gocycles_proven_ns(&c, TSTART(88)), 90 * NS_PER_S + MARGIN_NS);
	assert_int_equal(gocycles_proven_ns(&c, TSTART(90)), 92 * NS_PER_S + MARGIN_NS);
	assert_int_equal(gocycles_proven_ns(&c, TSTART(598)), 600 * NS_PER_S + MARGIN_NS);
}

static void a_clock_that_was_set_proves_nothing(void **state)
{
	struct gototals t = { .numgc = 3 };
	struct gocycles c = { 0 };

	(void)state;
	for (int i = 0; i < 3; i++) {
		t.pause_ns[i] = (uint64_t)PAUSE_NS;
		t.pause_end_unix_ns[i] = (uint64_t)BOOT_NS + (uint64_t)(i + 1) * 10 * NS_PER_S;
	}
	gocycles_set(&c, &t, BOOT_NS);
	assert_int_equal(gocycles_proven_ns(&c, TSTART(10)), 20 * NS_PER_S + MARGIN_NS);
	gocycles_set(&c, &t, BOOT_NS + 3600 * (int64_t)NS_PER_S); /* put forward since */
	assert_int_equal(gocycles_proven_ns(&c, TSTART(10)), 0);
	gocycles_set(&c, &t, BOOT_NS - 5 * (int64_t)NS_PER_S); /* put back since */
	assert_int_equal(gocycles_proven_ns(&c, TSTART(10)), 0);
	t.pause_end_unix_ns[1] = (uint64_t)BOOT_NS; /* put back in between */
	gocycles_set(&c, &t, BOOT_NS);
	assert_int_equal(gocycles_proven_ns(&c, TSTART(10)), 0);
}

/* After coroutines nothing is: they go on without what clears it. */
static void coroutines_prove_nothing(void **state)
{
	struct gototals t = { .numgc = 3, .pause_end_unix_ns = { 10, 20, 30 } };
	struct gocycles c = { .coroutines = true };

	(void)state;
	gocycles_set(&c, &t, 0);
	assert_true(c.known);
	assert_int_equal(c.ended, 3);
	assert_int_equal(gocycles_proven_ns(&c, 10), 0);
}

/* 1 of 256 goroutines that have run seems not to have: only what three looks have alike counts. */
static void a_stop_is_seen_three_times(void **state)
{
	struct goroutine g = { .goid = 7, .tracking_seq = 3, .sched_sp = 0x1000 };
	struct recall old, now;
	uint64_t first[5];

	(void)state;
	recall_init(&old);
	recall_init(&now);
	for (uint64_t i = 0; i < 5; i++) {
		if (i == 4)
			g.tracking_seq++; /* it has run */
		first[i] = recall_keep_stop(&old, &now, &g, 99, 100 + i);
		recall_swap(&old, &now);
	}
	assert_int_equal(first[0], 100);
	assert_int_equal(first[1], 101);
	assert_int_equal(first[2], 100);
	assert_int_equal(first[3], 100);
	assert_int_equal(first[4], 104);
	recall_deinit(&old);
	recall_deinit(&now);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_cycle_after_met_it),
		cmocka_unit_test(the_last_one_proves_nothing),
		cmocka_unit_test(of_300_the_last_256_are_kept),
		cmocka_unit_test(a_clock_that_was_set_proves_nothing),
		cmocka_unit_test(coroutines_prove_nothing),
		cmocka_unit_test(a_stop_is_seen_three_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
