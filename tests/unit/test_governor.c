/* SPDX-License-Identifier: BSD-2-Clause */
/* One group of probes under the governor, against simulated loads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "trace/governor.h"
#include "governor_sim.h"

static void idle_stays_exact(void **state)
{
	struct governor_config cfg = config(-1, -1);
	struct load idle = { .births_per_s = 100, .cpu = 0.01, .rare_per_s = 5 };
	struct sim s;

	(void)state;
	sim_init(&s, &cfg);
	assert_int_equal(s.on, GROUP_ALL);
	sim_run(&s, &idle, 60 * S);
	assert_int_equal(s.switches, 0);
	assert_int_equal(s.on, GROUP_ALL);
}

/* 1,800 births/s cost 1.6 ms/s: more than 1 % of a program that uses 5 % of a
 * CPU, but within the floor of 2 ms/s. */
static void floor_keeps_small_programs_exact(void **state)
{
	struct governor_config cfg = config(1800, 0.05);
	struct load l = { .births_per_s = 1800, .cpu = 0.05 };
	struct sim s;

	(void)state;
	sim_init(&s, &cfg);
	sim_run(&s, &l, 60 * S);
	assert_int_equal(s.switches, 0);

	cfg.floor_ns = 0;
	sim_init(&s, &cfg);
	sim_run(&s, &l, 60 * S);
	assert_true(s.switches > 0);
}

static void busy_stays_within_budget(void **state)
{
	static const double cpus[] = { 0.4, 1, 2, 8 };
	struct load l = { .births_per_s = 40000 };
	struct sim s;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cpus) / sizeof(cpus[0]); i++) {
		struct governor_config cfg = config(40000, cpus[i]);

		l.cpu = cpus[i];
		sim_init(&s, &cfg);
		sim_run(&s, &l, 30 * S);
		assert_true(total_cost(&s) <= 0.0101 * s.cpu);
		/* and makes use of it, if it is worth a slice at all */
		assert_true(total_cost(&s) >= 0.006 * s.cpu || s.switches == 0);
		assert_true(s.shortest_slice_ns >= GOV_SLICE_NS);
		assert_true(s.counted > 0);
	}
}

/* What CPU samples cost is of the same budget; they leave a part of it, however much they take. */
static void samples_are_of_the_budget(void **state)
{
	struct governor_config cfg = config(40000, 1);
	struct load l = { .births_per_s = 40000, .cpu = 1 };
	struct sim s;

	(void)state;
	sim_init(&s, &cfg);
	s.samples_per_s = 5 * MS;
	sim_run(&s, &l, 30 * S);
	assert_true(total_cost(&s) + s.samples <= 0.0101 * s.cpu);
	assert_true(total_cost(&s) + s.samples >= 0.006 * s.cpu);

	sim_init(&s, &cfg);
	s.samples_per_s = 20 * MS; /* twice the budget */
	sim_run(&s, &l, 60 * S);
	assert_true(s.counted > 0);
	assert_true(total_cost(&s) <= 0.0011 * s.cpu);
}

/* Without knowing memory's counts the first slice is on trust, the rest learned. */
static void busy_and_blind(void **state)
{
	struct governor_config cfg = config(-1, -1);
	struct load l = { .births_per_s = 40000, .cpu = 1 };
	struct sim s;

	(void)state;
	sim_init(&s, &cfg);
	s.blind = true;
	assert_int_equal(s.on, GROUP_ALL);
	sim_run(&s, &l, 60 * S);
	assert_true(s.switches > 2);
	assert_true(total_cost(&s) <= 0.0105 * s.cpu);
}

static void known_busy_does_not_begin_in_debt(void **state)
{
	struct governor_config cfg = config(100000, 1);
	struct sim s;

	(void)state;
	sim_init(&s, &cfg);
	assert_int_equal(s.on & GROUP_BIT(GROUP_BIRTHS), 0);
	assert_true(s.on & GROUP_BIT(GROUP_RARE));
}

static void tenfold_rise(void **state)
{
	struct governor_config cfg = config(4000, 1);
	struct load before = { .births_per_s = 4000, .cpu = 1 },
		    after = { .births_per_s = 40000, .cpu = 2 };
	struct sim s;
	double cost, cpu, counted, births, rate;
	uint64_t on, ns;

	(void)state;
	sim_init(&s, &cfg);
	sim_run(&s, &before, 10 * S);
	assert_int_equal(s.switches, 0);
	assert_int_equal((long)s.counted, (long)s.births - 1);
	cost = total_cost(&s);
	cpu = s.cpu;
	counted = s.counted;
	births = s.births;
	on = s.on_ns[GROUP_BIRTHS];
	ns = s.ns;
	sim_run(&s, &after, 20 * S);
	assert_true(s.switches > 2);
	assert_true(total_cost(&s) - cost <= 0.0105 * (s.cpu - cpu));
	/* what the slices saw, scaled by their share of the time */
	rate = (s.counted - counted) / ((double)(s.on_ns[GROUP_BIRTHS] - on) / (double)(s.ns - ns));
	assert_true(rate > 0.9 * (s.births - births) && rate < 1.1 * (s.births - births));
	/* and back again */
	sim_run(&s, &before, 10 * S);
	on = s.switches;
	sim_run(&s, &before, 20 * S);
	assert_int_equal(s.switches, on);
	assert_int_equal(s.on, GROUP_ALL);
}

/* A rise in the middle of a slice ends it at once, not after its 200 ms. */
static void rise_ends_a_slice_early(void **state)
{
	struct governor_config cfg = config(10, 0.1);
	struct load calm = { .births_per_s = 10, .cpu = 0.1 },
		    storm = { .births_per_s = 2000000, .cpu = 0.1 };
	struct sim s;
	uint64_t on;

	(void)state;
	sim_init(&s, &cfg);
	sim_run(&s, &calm, 10 * S);
	on = s.on_ns[GROUP_BIRTHS];
	sim_run(&s, &storm, 5 * S);
	assert_true(s.on_ns[GROUP_BIRTHS] - on <= 200 * MS);
	assert_true(s.g.b[GROUP_BIRTHS].tokens < 0);
}

static void exact_never_slices(void **state)
{
	struct governor_config cfg = config(100000, 1);
	struct load l = { .births_per_s = 100000, .cpu = 1, .rare_per_s = 50000 };
	struct sim s;

	(void)state;
	cfg.exact = true;
	sim_init(&s, &cfg);
	assert_int_equal(s.on, GROUP_ALL);
	sim_run(&s, &l, 30 * S);
	assert_int_equal(s.switches, 0);
	assert_int_equal(s.on_ns[GROUP_RARE], s.ns);
}

static void rare_is_sliced_only_when_it_is_not(void **state)
{
	struct governor_config cfg = config(0, 0.1);
	struct load some = { .cpu = 0.1, .rare_per_s = 1900 },
		    many = { .cpu = 0.1, .rare_per_s = 20000 };
	struct load cheap = { .cpu = 32, .rare_per_s = 20000 };
	struct sim s;

	(void)state;
	sim_init(&s, &cfg);
	s.hit_ns = 3000; /* 5.7 ms/s: over the budget, below the rate */
	sim_run(&s, &some, 20 * S);
	assert_int_equal(s.on_ns[GROUP_RARE], s.ns);

	sim_init(&s, &cfg);
	sim_run(&s, &many, 20 * S);
	assert_true(s.on_ns[GROUP_RARE] < s.ns);
	assert_true(s.cost[GROUP_RARE] <= 1.1 * 2 * MS * 20);

	sim_init(&s, &cfg); /* many, but within the budget of 32 CPUs */
	sim_run(&s, &cheap, 20 * S);
	assert_int_equal(s.on_ns[GROUP_RARE], s.ns);
}

static void coarse_cpu_time_does_not_matter(void **state)
{
	struct governor_config cfg = config(40000, 1);
	struct load l = { .births_per_s = 40000, .cpu = 1 };
	struct sim s;

	(void)state;
	sim_init(&s, &cfg);
	s.coarse_cpu = true;
	sim_run(&s, &l, 30 * S);
	assert_true(total_cost(&s) <= 0.0102 * s.cpu);
	assert_true(total_cost(&s) >= 0.006 * s.cpu);
}

/* While a slice is on somebody must look at least every 50 ms. */
static void looks_often_enough(void **state)
{
	struct governor_config cfg = config(40000, 1);
	struct load l = { .births_per_s = 40000, .cpu = 1 };
	struct sim s;
	int i;

	(void)state;
	sim_init(&s, &cfg);
	for (i = 0; i < 10000; i++) {
		sim_run(&s, &l, MS);
		if (s.on & GROUP_BIT(GROUP_BIRTHS))
			assert_true(s.g.next_ns <= s.in.now_ns + 50 * MS);
		else
			assert_true(s.g.next_ns <= s.in.now_ns + 100 * MS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(idle_stays_exact),
		cmocka_unit_test(floor_keeps_small_programs_exact),
		cmocka_unit_test(busy_stays_within_budget),
		cmocka_unit_test(samples_are_of_the_budget),
		cmocka_unit_test(busy_and_blind),
		cmocka_unit_test(known_busy_does_not_begin_in_debt),
		cmocka_unit_test(tenfold_rise),
		cmocka_unit_test(rise_ends_a_slice_early),
		cmocka_unit_test(exact_never_slices),
		cmocka_unit_test(rare_is_sliced_only_when_it_is_not),
		cmocka_unit_test(coarse_cpu_time_does_not_matter),
		cmocka_unit_test(looks_often_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
