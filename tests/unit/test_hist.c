/* SPDX-License-Identifier: BSD-2-Clause */
/* Histograms: the kernel's side (a bucket for a value) against user space's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gospect/abi.h"
#include "trace/trace.h"

static void every_value_has_its_bucket(void **state)
{
	uint64_t v;

	(void)state;
	for (v = 0; v < 1ull << 42; v = v < 4096 ? v + 1 : v + v / 37) {
		unsigned int b = gs_hist_bucket(v);

		assert_in_range(b, 0, TRACE_HIST_BUCKETS - 1);
		assert_true(trace_hist_value(b) <= v);
		assert_true(v < trace_hist_value(b + 1));
	}
	assert_int_equal(gs_hist_bucket((1ull << 42) - 1), TRACE_HIST_BUCKETS - 1);
	assert_int_equal(gs_hist_bucket(1ull << 42), TRACE_HIST_BUCKETS - 1);
	assert_int_equal(gs_hist_bucket(UINT64_MAX), TRACE_HIST_BUCKETS - 1);
}

static void buckets_are_narrow(void **state)
{
	unsigned int b;

	(void)state;
	for (b = 16; b < TRACE_HIST_BUCKETS; b++) {
		uint64_t lo = trace_hist_value(b), hi = trace_hist_value(b + 1);

		assert_true(hi > lo && (hi - lo) * 16 <= lo);
	}
}

static void add(struct trace_hist *h, uint64_t ns)
{
	h->count++;
	h->sum_ns += ns;
	h->max_ns = ns > h->max_ns ? ns : h->max_ns;
	h->bucket[gs_hist_bucket(ns)]++;
}

static void percentiles(void **state)
{
	struct trace_hist h = { 0 }, prev;
	uint64_t i, p;

	(void)state;
	assert_int_equal(trace_hist_percentile(&h, NULL, 0.5), 0);
	for (i = 1; i <= 1000; i++)
		add(&h, i * 1000);
	p = trace_hist_percentile(&h, NULL, 0.5);
	assert_in_range(p, 440000, 560000);
	p = trace_hist_percentile(&h, NULL, 0.99);
	assert_in_range(p, 920000, 1000000);
	assert_true(trace_hist_percentile(&h, NULL, 1.0) <= h.max_ns);
	/* only what was added since */
	prev = h;
	for (i = 0; i < 10; i++)
		add(&h, 5000);
	p = trace_hist_percentile(&h, &prev, 0.5);
	assert_in_range(p, 4400, 5600);
	assert_int_equal(trace_hist_percentile(&h, &h, 0.5), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_value_has_its_bucket),
		cmocka_unit_test(buckets_are_narrow),
		cmocka_unit_test(percentiles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
