/* SPDX-License-Identifier: BSD-2-Clause */
/* Groups of probes that share the governor's budget, and requests, against simulated loads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "trace/governor.h"
#include "governor_sim.h"

/* How busy the requests are is not known before: a short trial says it. */
static void requests_are_tried(void **state)
{
	struct governor_config cfg = config(100, 1);
	struct load l = { .births_per_s = 100, .cpu = 1, .request_hits_per_s = 200000 };
	struct sim s;

	(void)state;
	sim_init(&s, &cfg);
	assert_true(s.on & GROUP_BIT(GROUP_REQUESTS));
	sim_run(&s, &l, 60 * MS);
	assert_false(s.on & GROUP_BIT(GROUP_REQUESTS));
	assert_true(s.on_ns[GROUP_REQUESTS] <= 50 * MS);
	sim_run(&s, &l, 60 * S);
	assert_true(s.on_ns[GROUP_REQUESTS] > 400 * MS); /* and again in slices */
	assert_int_equal(s.switches, 0);
	assert_true(total_cost(&s) <= 0.0105 * s.cpu);
	assert_true(total_cost(&s) >= 0.006 * s.cpu);
}

static void few_requests_are_all_counted(void **state)
{
	struct governor_config cfg = config(100, 1);
	struct load l = { .births_per_s = 100, .cpu = 1, .request_hits_per_s = 8000 };
	struct sim s;

	(void)state;
	sim_init(&s, &cfg);
	sim_run(&s, &l, 60 * S);
	assert_int_equal(s.on_ns[GROUP_REQUESTS], s.ns);
	assert_int_equal(s.on_ns[GROUP_BIRTHS], s.ns);
}

/* Both too many: neither starves, and together they keep the budget. */
static void two_share_the_budget(void **state)
{
	struct governor_config cfg = config(40000, 2);
	struct load l = { .births_per_s = 40000, .cpu = 2, .request_hits_per_s = 150000 };
	struct sim s;

	(void)state;
	sim_init(&s, &cfg);
	sim_run(&s, &l, 60 * S);
	assert_true(total_cost(&s) <= 0.0105 * s.cpu);
	assert_true(total_cost(&s) >= 0.006 * s.cpu);
	assert_true(s.cost[GROUP_BIRTHS] >= 0.3 * total_cost(&s));
	assert_true(s.cost[GROUP_REQUESTS] >= 0.3 * total_cost(&s));
}

/* What fits whole into its half stays on; the other has the rest. */
static void the_small_one_stays_on(void **state)
{
	struct governor_config cfg = config(2000, 1);
	struct load requests = { .births_per_s = 2000, .cpu = 1, .request_hits_per_s = 200000 };
	struct load births = { .births_per_s = 40000, .cpu = 1, .request_hits_per_s = 2000 };
	struct sim s;

	(void)state;
	sim_init(&s, &cfg);
	sim_run(&s, &requests, 60 * S);
	assert_int_equal(s.on_ns[GROUP_BIRTHS], s.ns);
	assert_true(s.request_switches > 2);
	assert_true(total_cost(&s) <= 0.0105 * s.cpu);
	assert_true(s.cost[GROUP_REQUESTS] >= 0.004 * s.cpu);

	cfg = config(40000, 1);
	sim_init(&s, &cfg);
	sim_run(&s, &births, 60 * S);
	assert_int_equal(s.on_ns[GROUP_REQUESTS], s.ns);
	assert_true(s.switches > 2);
	assert_true(total_cost(&s) <= 0.0105 * s.cpu);
	assert_true(s.cost[GROUP_BIRTHS] >= 0.004 * s.cpu);
}

/* Dials at 1,900/s are over the budget and stay on; the others live on half of it. */
static void rare_comes_first(void **state)
{
	struct governor_config cfg = config(40000, 0.1);
	struct load l = {
		.births_per_s = 40000, .cpu = 0.1, .rare_per_s = 1900, .request_hits_per_s = 20000
	};
	struct sim s;

	(void)state;
	sim_init(&s, &cfg);
	s.hit_ns = 3000;
	sim_run(&s, &l, 20 * S);
	assert_int_equal(s.on_ns[GROUP_RARE], s.ns);
	assert_true(s.on_ns[GROUP_BIRTHS] && s.on_ns[GROUP_REQUESTS]);
	/* the floor: 2 ms a second */
	assert_true(s.cost[GROUP_BIRTHS] + s.cost[GROUP_REQUESTS] <= 20 * 2 * MS);
}

/* Rare ones that take most of the budget leave births slices that are short but
 * come as often, and the sum is within it. */
static void rare_leaves_short_slices(void **state)
{
	struct governor_config cfg = config(40000, 0.3);
	struct load l = { .births_per_s = 40000, .cpu = 0.3, .rare_per_s = 2300 };
	struct sim s;

	(void)state;
	sim_init(&s, &cfg);
	sim_run(&s, &l, 60 * S);
	assert_int_equal(s.on_ns[GROUP_RARE], s.ns);
	assert_true(s.cost[GROUP_RARE] >= 0.006 * s.cpu);
	assert_true(total_cost(&s) <= 0.0101 * s.cpu);
	assert_true(s.switches / 2 >= 60 / 8);
	assert_true(s.shortest_slice_ns >= GOV_SLICE_MIN_NS && s.shortest_slice_ns < GOV_SLICE_NS);
}

/* A storm of panics: all else is counted as without it, and the sum is within the budget. */
static void panics_take_nothing(void **state)
{
	struct governor_config cfg = config(40000, 1);
	struct load l = {
		.births_per_s = 40000, .cpu = 1, .rare_per_s = 1000, .request_hits_per_s = 20000
	};
	struct sim calm, storm;

	(void)state;
	cfg.cost_per_hit_ns[GROUP_ENDS] = 500;
	cfg.detach_ns[GROUP_ENDS] = 50 * MS;
	sim_init(&calm, &cfg);
	sim_run(&calm, &l, 60 * S);
	assert_int_equal(calm.on_ns[GROUP_PANICS], calm.ns);
	sim_init(&storm, &cfg);
	l.panics_per_s = 100000;
	sim_run(&storm, &l, 60 * S);
	assert_int_equal(storm.on_ns[GROUP_RARE], storm.ns);
	assert_true(storm.cost[GROUP_BIRTHS] >= 0.95 * calm.cost[GROUP_BIRTHS]);
	assert_true(storm.cost[GROUP_REQUESTS] >= 0.95 * calm.cost[GROUP_REQUESTS]);
	assert_true(storm.cost[GROUP_ENDS] >= 0.9 * calm.cost[GROUP_ENDS]);
	assert_true(storm.on_ns[GROUP_PANICS] > 0);
	assert_true(total_cost(&storm) <= 0.0105 * storm.cpu);
}

/* What nobody else needs is theirs: few are all counted, of many in slices that use it up. */
static void panics_have_what_is_left(void **state)
{
	struct governor_config cfg = config(0, 1);
	struct load l = { .cpu = 1, .panics_per_s = 5000 };
	struct sim s;

	(void)state;
	sim_init(&s, &cfg);
	sim_run(&s, &l, 20 * S);
	assert_int_equal(s.on_ns[GROUP_PANICS], s.ns);

	sim_init(&s, &cfg);
	l.panics_per_s = 50000;
	sim_run(&s, &l, 60 * S);
	assert_true(s.on_ns[GROUP_PANICS] < s.ns);
	assert_true(s.cost[GROUP_PANICS] >= 0.005 * s.cpu);
	assert_true(total_cost(&s) <= 0.0105 * s.cpu);

	cfg.exact = true;
	sim_init(&s, &cfg);
	sim_run(&s, &l, 20 * S);
	assert_int_equal(s.on_ns[GROUP_PANICS], s.ns);
}

static void requests_come_back(void **state)
{
	struct governor_config cfg = config(10, 1);
	struct load calm = { .births_per_s = 10, .cpu = 1, .request_hits_per_s = 1000 };
	struct load storm = { .births_per_s = 10, .cpu = 1, .request_hits_per_s = 300000 };
	struct sim s;
	uint64_t on;

	(void)state;
	sim_init(&s, &cfg);
	sim_run(&s, &calm, 10 * S);
	sim_run(&s, &storm, 10 * S);
	assert_true(s.request_switches > 2);
	sim_run(&s, &calm, 20 * S);
	on = s.on_ns[GROUP_REQUESTS];
	sim_run(&s, &calm, 10 * S);
	assert_int_equal(s.on_ns[GROUP_REQUESTS] - on, 10 * S);
	assert_true(total_cost(&s) <= 0.0105 * s.cpu);
}

/* A tenth of the requests may be cut off by a slice's end. */
static void slices_are_as_long_as_requests_take(void **state)
{
	struct governor_config cfg = config(10, 1);
	struct load l = { .births_per_s = 10, .cpu = 1, .request_hits_per_s = 30000 };
	struct sim s;
	uint64_t on, n;

	(void)state;
	sim_init(&s, &cfg);
	assert_int_equal(s.g.b[GROUP_REQUESTS].slice_ns, GOV_SLICE_REQUESTS_NS);
	governor_cut_off(&s.g, 0.5);
	assert_int_equal(s.g.b[GROUP_REQUESTS].slice_ns, 5 * GOV_SLICE_REQUESTS_NS);
	governor_cut_off(&s.g, 0.1);
	assert_int_equal(s.g.b[GROUP_REQUESTS].slice_ns, 5 * GOV_SLICE_REQUESTS_NS);
	governor_cut_off(&s.g, 1);
	assert_int_equal(s.g.b[GROUP_REQUESTS].slice_ns, GOV_SLICE_REQUESTS_MAX_NS);
	sim_run(&s, &l, 60 * S);
	on = s.on_ns[GROUP_REQUESTS];
	n = s.request_switches / 2;
	assert_true(n > 2 && on / n >= GOV_SLICE_REQUESTS_MAX_NS - 100 * MS);
	assert_true(total_cost(&s) <= 0.0105 * s.cpu);
	governor_cut_off(&s.g, 0);
	assert_int_equal(s.g.b[GROUP_REQUESTS].slice_ns, GOV_SLICE_REQUESTS_NS);
}

/* In waves: within the budget, looked at not too often, and by more than the troughs. */
static void waves_are_sampled(void **state)
{
	struct governor_config cfg = config(8000, 0.6);
	struct load high = { .births_per_s = 24000, .cpu = 1.8, .request_hits_per_s = 312000 };
	struct load low = { .births_per_s = 10, .cpu = 0.01, .request_hits_per_s = 0 };
	struct sim s;
	double most = 0;

	(void)state;
	sim_init(&s, &cfg);
	for (int i = 0; i < 100; i++) {
		double cost = total_cost(&s);
		uint64_t steps = s.steps;

		sim_run(&s, &high, 667 * MS);
		sim_run(&s, &low, 1333 * MS);
		cost = total_cost(&s) - cost;
		most = cost > most && i > 2 ? cost : most;
		assert_true(s.steps - steps < 200);
	}
	assert_true(total_cost(&s) <= 0.011 * s.cpu);
	assert_true(most < 0.1 * (double)S);
	assert_true(s.request_switches > 40);
}

static void exact_counts_requests(void **state)
{
	struct governor_config cfg = config(100, 1);
	struct load l = { .births_per_s = 100, .cpu = 1, .request_hits_per_s = 300000 };
	struct sim s;

	(void)state;
	cfg.exact = true;
	sim_init(&s, &cfg);
	sim_run(&s, &l, 10 * S);
	assert_int_equal(s.on_ns[GROUP_REQUESTS], s.ns);
}

/* Births that fit are exact with their ends probed, too, whatever requests take. */
static void ends_do_not_slice_births(void **state)
{
	struct governor_config cfg = config(1000, 0.05);
	struct load l = { .births_per_s = 1000, .cpu = 0.05, .request_hits_per_s = 5000 };
	struct sim s;

	(void)state;
	cfg.cost_per_hit_ns[GROUP_ENDS] = 900;
	cfg.detach_ns[GROUP_ENDS] = 50 * MS;
	sim_init(&s, &cfg);
	sim_run(&s, &l, 60 * S);
	assert_int_equal(s.switches, 0);
	assert_true(s.on_ns[GROUP_ENDS] > 6 * S);
	assert_true(s.on_ns[GROUP_REQUESTS] > 3 * S);
	assert_true(total_cost(&s) <= 1.05 * 60 * 2 * MS);

	/* nothing else to do: all of them are on */
	l.request_hits_per_s = 0;
	l.births_per_s = cfg.births_per_s = 900;
	sim_init(&s, &cfg);
	sim_run(&s, &l, 60 * S);
	assert_int_equal(s.on_ns[GROUP_ENDS], 60 * S);
}

/* Births that do not fit anyway give ends a part, and are seen soon and often still. */
static void ends_of_many(void **state)
{
	struct governor_config cfg = config(40000, 1);
	struct load l = { .births_per_s = 40000, .cpu = 1, .request_hits_per_s = 500000 };
	struct sim without, with;

	(void)state;
	sim_init(&without, &cfg);
	sim_run(&without, &l, 60 * S);
	cfg.cost_per_hit_ns[GROUP_ENDS] = 900;
	cfg.detach_ns[GROUP_ENDS] = 50 * MS;
	sim_init(&with, &cfg);
	sim_run(&with, &l, 60 * S);
	assert_true(with.on_ns[GROUP_BIRTHS] > without.on_ns[GROUP_BIRTHS] * 0.6);
	assert_true(with.on_ns[GROUP_ENDS] > 300 * MS);
	assert_true(total_cost(&with) <= 0.0105 * with.cpu);

	/* in a short window, too */
	sim_init(&with, &cfg);
	sim_run(&with, &l, 3 * S);
	assert_true(with.on_ns[GROUP_BIRTHS] > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_tried),
		cmocka_unit_test(few_requests_are_all_counted),
		cmocka_unit_test(two_share_the_budget),
		cmocka_unit_test(the_small_one_stays_on),
		cmocka_unit_test(rare_comes_first),
		cmocka_unit_test(rare_leaves_short_slices),
		cmocka_unit_test(panics_take_nothing),
		cmocka_unit_test(panics_have_what_is_left),
		cmocka_unit_test(requests_come_back),
		cmocka_unit_test(slices_are_as_long_as_requests_take),
		cmocka_unit_test(waves_are_sampled),
		cmocka_unit_test(exact_counts_requests),
		cmocka_unit_test(ends_do_not_slice_births),
		cmocka_unit_test(ends_of_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
