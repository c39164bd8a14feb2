/* SPDX-License-Identifier: BSD-2-Clause */
/* Readings that are kept for what is rare: which is the base, and when there is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "detect_net.h"
#include "net_window.h"
#include "observe/recent.h"

#define S NS_PER_S

/* A reading with one phase, that has been counted so often. */
static struct trace_reading reading(uint64_t count)
{
	struct trace_reading r = { .phase = calloc(1, sizeof(*r.phase)), .nphase = 1 };

	assert_non_null(r.phase);
	r.phase->hist.count = count;
	return r;
}

/* A window of a second that ends at `at`: its start has counted as many seconds. */
static void pass(struct recent *rc, uint64_t at, struct trace_reading *end)
{
	struct trace_reading begin = reading(at / S - 1);

	recent_add(rc, &begin, at - S, end);
	trace_reading_deinit(&begin);
}

static void the_base_is_a_minute_old_at_most(void **state)
{
	struct trace_reading end = { 0 };
	struct recent rc = { 0 };
	uint64_t ns;

	(void)state;
	assert_null(recent_base(&rc, &end, S, &ns));
	for (uint64_t at = 1; at <= 300; at++) {
		const struct trace_reading *base;

		pass(&rc, at * S, &end);
		base = recent_base(&rc, &end, at * S, &ns);
		assert_non_null(base);
		assert_int_equal(base->phase->hist.count, ns / S);
		assert_true(at * S - ns <= RECENT_NS);
		/* nearly all of it, once there is as much */
		assert_true(at * S - ns >= (at < 40 ? at * S : RECENT_NS - RECENT_APART_NS));
	}
	recent_clear(&rc);
}

static void what_is_not_whole_is_no_base(void **state)
{
	struct trace_reading end = { 0 }, sliced = { .requests_sliced = true }, gone = reading(1);
	struct trace_reading large = { .ncall = RECENT_MAX_ROWS + 1 };
	struct recent rc = { 0 };
	uint64_t ns;

	(void)state;
	pass(&rc, S, &end);
	assert_null(recent_base(&rc, &sliced, S, &ns));
	assert_null(recent_base(&rc, &large, S, &ns));
	pass(&rc, 2 * S, &sliced); /* from then on counts before it are not to be had */
	assert_null(recent_base(&rc, &end, 2 * S, &ns));
	pass(&rc, 3 * S, &end);
	assert_non_null(recent_base(&rc, &end, 3 * S, &ns));
	gone.phase->gone = true; /* its row begins anew */
	pass(&rc, 4 * S, &gone);
	assert_null(recent_base(&rc, &end, 4 * S, &ns));
	trace_reading_deinit(&gone);
	recent_clear(&rc);
}

/* Two of two in the window are too few, of the last minute seven of seven are not. */
static void few_are_judged_with_those_before(void **state)
{
	struct net_phase_row *row;
	const struct finding *f;
	struct fixture x, before;

	(void)state;
	set_up(&x);
	row = add_phase(&x.w, API, NET_CONNECT, 2, 1);
	row->errors = 2;
	detect(&x);
	assert_int_equal(x.fs.n, 0);

	set_up(&before);
	row = add_phase(&before.w, API, NET_CONNECT, 7, 1);
	row->errors = 7;
	x.w.net->recent = before.w.net;
	x.w.net->recent_s = 12;
	f = only(&x, "failing-phase", SEVERITY_MEDIUM);
	assert_true(number(f, "errors") == 7 && number(f, "count") == 7);
	assert_non_null(strstr(f->title, "7 of 7 in 12.0s"));

	/* the window has enough of its own: once, and that */
	x.w.net->phase[0].errors = x.w.net->phase[0].count = 5;
	f = only(&x, "failing-phase", SEVERITY_MEDIUM);
	assert_true(number(f, "errors") == 5);

	x.w.net->recent = NULL;
	tear_down(&before);
	tear_down(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_base_is_a_minute_old_at_most),
		cmocka_unit_test(what_is_not_whole_is_no_base),
		cmocka_unit_test(few_are_judged_with_those_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
