/* SPDX-License-Identifier: BSD-2-Clause */
/* The governor against simulated loads: time, CPU and hits are made up here. */
#ifndef GOSPECT_TESTS_GOVERNOR_SIM_H
#define GOSPECT_TESTS_GOVERNOR_SIM_H

#include <string.h>

#include "trace/governor.h"

#define MS 1000000ull
#define S  1000000000ull

/* A program: goroutines per second, CPU seconds per second of its own. */
struct load {
	double births_per_s, cpu, rare_per_s;
	double request_hits_per_s; /* of the probes on every request */
	double panics_per_s;
};

/* What was simulated so far. */
struct sim {
	struct governor g;
	struct governor_input in; /* totals */
	double births, cpu, cost[GROUP_COUNT], hits[GROUP_COUNT];
	double samples, samples_per_s; /* ns that CPU samples cost */
	double counted;                /* births while on */
	uint64_t on_ns[GROUP_COUNT], ns;
	uint64_t switches, shortest_slice_ns, slice_began_ns; /* of births */
	uint64_t request_switches, steps;
	unsigned int on;
	double hit_ns;   /* what a hit really costs */
	bool blind;      /* memory tells nothing of births */
	bool coarse_cpu; /* CPU time comes in steps of 10 ms, as /proc/PID/stat has it */
};

static inline struct governor_config config(double births_per_s, double cpu)
{
	return (struct governor_config){
		.budget_pct = 1,
		.floor_ns = 2 * MS,
		.cost_per_hit_ns = { 1000, 900, 900, [GROUP_PANICS] = 900 },
		.detach_ns = { 50 * MS, 50 * MS, 50 * MS, [GROUP_PANICS] = 50 * MS },
		.births_per_s = births_per_s,
		.cpu_ns_per_s = cpu < 0 ? -1 : cpu * (double)S,
	};
}

static inline void sim_init(struct sim *s, const struct governor_config *cfg)
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

static inline void sim_switch(struct sim *s, unsigned int on)
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

static inline void sim_hits(struct sim *s, enum probe_group group, double hits)
{
	s->hits[group] += hits;
	s->cost[group] += hits * s->hit_ns;
	s->in.hits[group] = (uint64_t)s->hits[group];
	s->in.cost_ns[group] = (uint64_t)s->cost[group];
}

static inline double total_cost(const struct sim *s)
{
	double sum = 0;

	for (int i = 0; i < GROUP_COUNT; i++)
		sum += s->cost[i];
	return sum;
}

/* Runs a load for a time, 1 ms at a time; the governor steps when it asked to. */
static inline void sim_run(struct sim *s, const struct load *l, uint64_t ns)
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
		if (s->on & GROUP_BIT(GROUP_PANICS))
			sim_hits(s, GROUP_PANICS, l->panics_per_s * dt);
		if (s->on & GROUP_BIT(GROUP_REQUESTS))
			sim_hits(s, GROUP_REQUESTS, l->request_hits_per_s * dt);
		for (i = 0; i < GROUP_COUNT; i++)
			if (s->on & GROUP_BIT(i))
				s->on_ns[i] += MS;
		s->cpu += l->cpu * dt * (double)S;
		s->samples += s->samples_per_s * dt;
		s->in.samples_ns = (uint64_t)s->samples;
		s->in.cpu_ns = (uint64_t)(s->cpu + s->samples + total_cost(s));
		if (s->coarse_cpu)
			s->in.cpu_ns -= s->in.cpu_ns % (10 * MS);
		s->in.created = s->blind ? 0 : (uint64_t)s->births;
		if (s->in.now_ns >= s->g.next_ns) {
			sim_switch(s, governor_step(&s->g, &s->in));
			s->steps++;
		}
	}
}

#endif
