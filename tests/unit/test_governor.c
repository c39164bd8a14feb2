/* SPDX-License-Identifier: BSD-2-Clause */
/* The governor against simulated loads: time, CPU and hits are made up here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "trace/governor.h"

#define MS 1000000ull
#define S  1000000000ull

/* A program: goroutines per second, CPU seconds per second of its own. */
struct load {
	double births_per_s, cpu, rare_per_s;
	double request_hits_per_s; /* of the probes on every request */
};

/* What was simulated so far. */
struct sim {
	struct governor g;
	struct governor_input in; /* totals */
	double births, cpu, cost[GROUP_COUNT], hits[GROUP_COUNT];
	double counted; /* births while on */
	uint64_t on_ns[GROUP_COUNT], ns;
	uint64_t switches, shortest_slice_ns, slice_began_ns; /* of births */
	uint64_t request_switches, steps;
	unsigned int on;
	double hit_ns;   /* what a hit really costs */
	bool blind;      /* memory tells nothing of births */
	bool coarse_cpu; /* CPU time comes in steps of 10 ms, as /proc/PID/stat has it */
};

static struct governor_config config(double births_per_s, double cpu)
{
	return (struct governor_config){
		.budget_pct = 1,
		.floor_ns = 2 * MS,
		.cost_per_hit_ns = { 1000, 900, 900 },
		.detach_ns = { 50 * MS, 50 * MS, 50 * MS },
		.births_per_s = births_per_s,
		.cpu_ns_per_s = cpu < 0 ? -1 : cpu * (double)S,
	};
}

static void sim_init(struct sim *s, const struct governor_config *cfg)
{
	memset(s, 0, sizeof(*s));
	s->hit_ns = 900;
	s->in.now_ns = 1000 * S;
	s->in.created = 1;
	s->births = 1;
	s->shortest_slice_ns = UINT64_MAX;
	s->slice_began_ns = s->in.now_ns;
	s->on = governor_init(&s->g, cfg, &s->in);
}

static void sim_switch(struct sim *s, unsigned int on)
{
	unsigned int bit = GROUP_BIT(GROUP_BIRTHS);

	if ((on ^ s->on) & GROUP_BIT(GROUP_REQUESTS))
		s->request_switches++;
	if ((on ^ s->on) & bit) {
		s->switches++;
		if (!(on & bit) && s->in.now_ns - s->slice_began_ns < s->shortest_slice_ns)
			s->shortest_slice_ns = s->in.now_ns - s->slice_began_ns;
		s->slice_began_ns = s->in.now_ns;
	}
	s->on = on;
}

static void sim_hits(struct sim *s, enum probe_group group, double hits)
{
	s->hits[group] += hits;
	s->cost[group] += hits * s->hit_ns;
	s->in.hits[group] = (uint64_t)s->hits[group];
	s->in.cost_ns[group] = (uint64_t)s->cost[group];
}

static double total_cost(const struct sim *s)
{
	double sum = 0;

	for (int i = 0; i < GROUP_COUNT; i++)
		sum += s->cost[i];
	return sum;
}

/* Runs a load for a time, 1 ms at a time; the governor steps when it asked to. */
static void sim_run(struct sim *s, const struct load *l, uint64_t ns)
{
	uint64_t end = s->in.now_ns + ns;

	while (s->in.now_ns < end) {
		double dt = 1e-3;
		int i;

		s->in.now_ns += MS;
		s->ns += MS;
		s->births += l->births_per_s * dt;
		if (s->on & GROUP_BIT(GROUP_BIRTHS)) {
			sim_hits(s, GROUP_BIRTHS, l->births_per_s * dt);
			s->counted += l->births_per_s * dt;
		}
		if (s->g.cfg.cost_per_hit_ns[GROUP_ENDS] > 0 && s->on & GROUP_BIT(GROUP_ENDS)) {
			assert_true(s->on & GROUP_BIT(GROUP_BIRTHS));
			sim_hits(s, GROUP_ENDS, l->births_per_s * dt);
		}
		if (s->on & GROUP_BIT(GROUP_RARE))
			sim_hits(s, GROUP_RARE, l->rare_per_s * dt);
		if (s->on & GROUP_BIT(GROUP_REQUESTS))
			sim_hits(s, GROUP_REQUESTS, l->request_hits_per_s * dt);
		for (i = 0; i < GROUP_COUNT; i++)
			if (s->on & GROUP_BIT(i))
				s->on_ns[i] += MS;
		s->cpu += l->cpu * dt * (double)S;
		s->in.cpu_ns = (uint64_t)(s->cpu + total_cost(s));
		if (s->coarse_cpu)
			s->in.cpu_ns -= s->in.cpu_ns % (10 * MS);
		s->in.created = s->blind ? 0 : (uint64_t)s->births;
		if (s->in.now_ns >= s->g.next_ns) {
			sim_switch(s, governor_step(&s->g, &s->in));
			s->steps++;
		}
	}
}

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
		cmocka_unit_test(idle_stays_exact),
		cmocka_unit_test(floor_keeps_small_programs_exact),
		cmocka_unit_test(busy_stays_within_budget),
		cmocka_unit_test(busy_and_blind),
		cmocka_unit_test(known_busy_does_not_begin_in_debt),
		cmocka_unit_test(tenfold_rise),
		cmocka_unit_test(rise_ends_a_slice_early),
		cmocka_unit_test(exact_never_slices),
		cmocka_unit_test(rare_is_sliced_only_when_it_is_not),
		cmocka_unit_test(coarse_cpu_time_does_not_matter),
		cmocka_unit_test(looks_often_enough),
		cmocka_unit_test(requests_are_tried),
		cmocka_unit_test(few_requests_are_all_counted),
		cmocka_unit_test(two_share_the_budget),
		cmocka_unit_test(the_small_one_stays_on),
		cmocka_unit_test(rare_comes_first),
		cmocka_unit_test(rare_leaves_short_slices),
		cmocka_unit_test(requests_come_back),
		cmocka_unit_test(slices_are_as_long_as_requests_take),
		cmocka_unit_test(waves_are_sampled),
		cmocka_unit_test(exact_counts_requests),
		cmocka_unit_test(ends_do_not_slice_births),
		cmocka_unit_test(ends_of_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
