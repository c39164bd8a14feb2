/* SPDX-License-Identifier: BSD-2-Clause */
/* How large BPF tables are made: by sensor and target, within a bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "gospect/abi.h"
#include "trace/sizes.h"

static struct map_sizes sizes(uint32_t sensors, uint64_t functions, uint64_t threads)
{
	const struct map_needs n = { sensors, functions, threads };
	struct map_sizes s;

	map_sizes(&n, &s);
	return s;
}

static void one_target_has_one_row(void **state)
{
	struct map_sizes s = sizes(SENSOR_ALL, 20000, 30);

	(void)state;
	assert_int_equal(s.specs, 1);
	assert_int_equal(s.counters, 1);
	assert_int_equal(s.gc, 1);
}

static void sites_follow_functions(void **state)
{
	(void)state;
	assert_int_equal(sizes(SENSOR_ALL, 8000, 1).sites, 2000);
	assert_int_equal(sizes(SENSOR_ALL, 10, 1).sites, 1024);
	assert_int_equal(sizes(SENSOR_ALL, 10000000, 1).sites, GS_MAX_SITES);
	assert_int_equal(sizes(SENSOR_ALL, 0, 1).sites, GS_MAX_SITES);
}

static void scratches_follow_threads(void **state)
{
	(void)state;
	assert_int_equal(sizes(SENSOR_ALL, 1, 100).alloc_scratch, 400);
	assert_int_equal(sizes(SENSOR_ALL, 1, 1).alloc_scratch, 256);
	assert_int_equal(sizes(SENSOR_ALL, 1, 10000).alloc_scratch, GS_MAX_THREADS);
	assert_int_equal(sizes(SENSOR_ALL, 1, 0).alloc_scratch, GS_MAX_THREADS);
}

static void what_is_not_used_takes_one_entry(void **state)
{
	struct map_sizes s = sizes(SENSOR_BIT(SENSOR_GC), 20000, 30);

	(void)state;
	assert_int_equal(s.sites + s.births + s.stacks + s.alloc_scratch + s.opens + s.holds +
				 s.conn_hosts + s.hosts + s.phases + s.calls + s.sums + s.pages +
				 s.net_scratch,
			 13);
	s = sizes(SENSOR_BIT(SENSOR_LOCKS), 20000, 30);
	assert_int_equal(s.calls, GS_MAX_CALLS);
	assert_int_equal(s.sums, GS_PHASE_ROWS);
	assert_int_equal(s.pages, GS_MAX_PAGES);
	assert_int_equal(s.hosts + s.phases + s.holds, 3);
	assert_int_equal(sizes(SENSOR_BIT(SENSOR_NET), 20000, 30).sums, GS_MAX_SUMS);
	assert_int_equal(sizes(SENSOR_BIT(SENSOR_LIFETIMES), 20000, 30).sums, GS_MAX_LIVES);
}

/* What the kernel takes for an entry of a hash table: its key and value, 48 bytes
 * of its own, and a bucket. */
static uint64_t hash_bytes_of(uint64_t n, uint64_t key, uint64_t value)
{
	uint64_t buckets = 1;

	while (buckets < n)
		buckets *= 2;
	return n * (48 + key + (value + 7) / 8 * 8) + buckets * 16;
}

static void all_of_them_stay_within_the_bound(void **state)
{
	struct map_sizes s = sizes(SENSOR_ALL, 0, 0);
	uint64_t bytes = (uint64_t)s.births * sizeof(struct gs_birth) +
			 (uint64_t)s.sums * sizeof(struct gs_sum) +
			 (uint64_t)s.pages * sizeof(struct gs_page);

	(void)state;
	bytes += hash_bytes_of(s.sites, sizeof(struct gs_site_key), sizeof(struct gs_site));
	bytes += hash_bytes_of(s.stacks, 8, sizeof(struct gs_stack));
	bytes += hash_bytes_of(s.alloc_scratch, 8, sizeof(struct gs_stack));
	bytes += hash_bytes_of(s.opens, sizeof(struct gs_open_key), sizeof(struct gs_open));
	bytes += hash_bytes_of(s.holds, sizeof(struct gs_open_key), sizeof(struct gs_open));
	bytes += hash_bytes_of(s.conn_hosts, sizeof(struct gs_open_key), 8);
	bytes += hash_bytes_of(s.hosts, sizeof(struct gs_host), 8);
	bytes += hash_bytes_of(s.phases, sizeof(struct gs_phase_key), 8);
	bytes += hash_bytes_of(s.calls, sizeof(struct gs_call_key), 8);
	print_message("%.2f MiB at most\n", (double)bytes / (1 << 20));
	assert_true(bytes <= SIZES_MAX_BYTES);
	assert_true(bytes > SIZES_MAX_BYTES / 2); /* they are counted */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_target_has_one_row),
		cmocka_unit_test(sites_follow_functions),
		cmocka_unit_test(scratches_follow_threads),
		cmocka_unit_test(what_is_not_used_takes_one_entry),
		cmocka_unit_test(all_of_them_stay_within_the_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
