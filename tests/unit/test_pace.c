/* SPDX-License-Identifier: BSD-2-Clause */
/* When a process is looked at: simulated runs, of which all that is taken of a CPU is added up. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/clock.h"
#include "observe/pace.h"

#define T0    (1000 * NS_PER_S)
#define EVERY (5 * NS_PER_S)

/* What things take in ms, of a process that is looked at. */
struct costs {
	double walk, stacks_first, stacks, tables;
	double moved; /* share of its goroutines, from one look to the next */
};

struct run {
	struct pace p;
	const struct costs *c;
	uint64_t now, spent;
	int looks, reports;
	uint64_t longest_ns, window_spent[16], window_ns[16];
};

static uint64_t ns(double ms)
{
	return (uint64_t)(ms * 1e6);
}

static void begin(struct run *r, const struct costs *c, uint64_t every)
{
	*r = (struct run){ .c = c, .now = T0 };
	pace_set(&r->p, every);
	pace_looked(&r->p, T0 - 1, ns(2 * c->walk), ns(2 * c->walk + c->stacks_first), true, true);
	pace_begin(&r->p, T0);
}

static void look(struct run *r, bool whole)
{
	uint64_t all = ns(r->c->walk + (whole ? r->c->stacks : 0));

	pace_looked(&r->p, r->now, ns(r->c->walk), all, whole, true);
	pace_expect(&r->p, ns(1000 * r->c->moved), ns(1000));
	r->looks++;
	r->spent += all;
}

static void report(struct run *r)
{
	uint64_t before = r->spent, window = r->p.window_ns;

	pace_end(&r->p, r->now);
	look(r, true);
	r->spent += ns(r->c->tables);
	pace_ended(&r->p, r->spent - before, r->now);
	r->longest_ns = r->now - window > r->longest_ns ? r->now - window : r->longest_ns;
	r->window_ns[r->reports] = r->now - window;
	r->window_spent[r->reports++] = r->spent;
	r->spent = 0;
}

static void go(struct run *r, uint64_t every, int reports)
{
	uint64_t due = T0 + every;

	while (r->reports < reports) {
		uint64_t end = pace_end_ns(&r->p), at = pace_look_ns(&r->p);

		end = end < due ? due : end;
		r->now = at < end ? at : end;
		if (at < end) {
			look(r, pace_whole(&r->p, r->now));
			continue;
		}
		report(r);
		while (due <= r->now)
			due += every;
	}
}

/* Of a CPU, percent: of every window. */
static void takes_at_most(const struct run *r, double pct)
{
	for (int i = 0; i < r->reports; i++)
		if (100.0 * (double)r->window_spent[i] > pct * (double)r->window_ns[i])
			fail_msg("window %d: %.2f ms in %.2f s", i,
				 (double)r->window_spent[i] / 1e6, (double)r->window_ns[i] / 1e9);
}

static const struct costs small = { .walk = 0.05, .stacks_first = 3, .stacks = 0.1, .tables = 0.5 };
static const struct costs movers = {
	.walk = 4.5, .stacks_first = 20, .stacks = 14, .tables = 1.5, .moved = 1
};
static const struct costs waiters = { .walk = 17, .stacks_first = 103, .stacks = 5, .tables = 7 };
static const struct costs huge = {
	.walk = 200, .stacks_first = 1500, .stacks = 900, .tables = 90, .moved = 1
};

/* Few goroutines: a look a second, and every report on time. */
static void of_few(void **state)
{
	struct run r;

	(void)state;
	begin(&r, &small, EVERY);
	go(&r, EVERY, 4);
	assert_int_equal(r.longest_ns, EVERY);
	assert_in_range(r.looks, 16, 22);
	takes_at_most(&r, 0.1);
	/* a report every 100 ms is one every 100 ms */
	begin(&r, &small, NS_PER_S / 10);
	go(&r, NS_PER_S / 10, 8);
	assert_in_range(r.longest_ns, NS_PER_S / 10, NS_PER_S / 5);
	takes_at_most(&r, 0.8);
}

/* Many: from the first window on within the share, and reports are on time where it can be paid. */
static void of_many(void **state)
{
	struct run r;

	(void)state;
	begin(&r, &movers, EVERY);
	go(&r, EVERY, 4);
	assert_in_range(r.longest_ns, EVERY, EVERY + EVERY / 20);
	assert_in_range(r.looks, 8, 20); /* one in between, at least */
	takes_at_most(&r, 0.8);
	begin(&r, &waiters, EVERY);
	go(&r, EVERY, 6);
	assert_in_range(r.window_ns[0], EVERY, 3 * EVERY / 2);
	for (int i = 1; i < 6; i++)
		assert_in_range(r.window_ns[i], EVERY / 2, EVERY + NS_PER_MS);
	takes_at_most(&r, 0.8);
	begin(&r, &huge, EVERY);
	go(&r, EVERY, 3);
	takes_at_most(&r, 0.8);
	assert_true(r.longest_ns > 60 * NS_PER_S);
}

/* The second look comes in any case, and soon: without it nothing is seen to grow. */
static void second_look(void **state)
{
	struct run r;

	(void)state;
	begin(&r, &huge, EVERY);
	assert_int_equal(pace_look_ns(&r.p), T0 - 1 + NS_PER_S);
	r.now = pace_look_ns(&r.p);
	assert_false(pace_whole(&r.p, r.now));
	look(&r, false);
	assert_true(pace_look_ns(&r.p) > T0 + 60 * NS_PER_S);
	assert_true(pace_end_ns(&r.p) > T0 + 60 * NS_PER_S);
}

/* An end that took longer than it was expected to is paid by the window after it; one that was
 * asked for at once, as a screen's first, is not. */
static void what_was_not_expected(void **state)
{
	struct run r;

	(void)state;
	begin(&r, &small, EVERY);
	go(&r, EVERY, 1);
	r.now = r.p.window_ns + EVERY;
	pace_end(&r.p, r.now);
	pace_ended(&r.p, 100 * NS_PER_MS, r.now);
	assert_int_equal(r.p.spent_ns, 60 * NS_PER_MS); /* 40 ms are what 5 s have */
	assert_int_equal(pace_end_ns(&r.p), r.now + 160 * 125 * NS_PER_MS);

	begin(&r, &small, EVERY);
	pace_looked(&r.p, T0, ns(10), ns(10), false, true);
	pace_end(&r.p, T0);
	pace_ended(&r.p, 100 * NS_PER_MS, T0 + 1);
	assert_int_equal(r.p.spent_ns, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_few),
		cmocka_unit_test(of_many),
		cmocka_unit_test(second_look),
		cmocka_unit_test(what_was_not_expected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
