/* SPDX-License-Identifier: BSD-2-Clause */
/* What hits cost the target: the instruction's class and the program's run time. */
#include "trace/priv.h"

/*
 * Run time of a program until it is measured, ns: seen on a 3 GHz machine.
 * Used by the governor's first decision only.
 */
#define GUESS_COUNT_NS 200.0
#define GUESS_STACK_NS 1500.0
#define GUESS_CALL_NS  800.0 /* of the programs that remember and sum calls */
/* A class that could not be measured: what an emulated one costs in a VM. */
#define GUESS_CLASS_NS 750.0

static enum probe_group group_of(const struct trace *t, enum probe_id id)
{
	return t->arm[trace_prog_of(id)].group;
}

static double cost_of_hit(const struct trace *t, enum probe_id id)
{
	const struct probe *p = plan_find(&t->plan, id);
	enum trace_prog prog = trace_prog_of(id);
	double cost, run = t->arm[prog].prog_ns;

	if (!p)
		return 0;
	cost = p->cost_ns >= 0 ? p->cost_ns : GUESS_CLASS_NS;
	if (run < 0)
		run = id == PROBE_ALLOC_LARGE      ? GUESS_STACK_NS
		      : trace_serves_several(prog) ? GUESS_CALL_NS
						   : GUESS_COUNT_NS;
	return cost + run;
}

void trace_samples_cost(struct trace *t, uint64_t total_ns)
{
	t->samples_ns = total_ns;
}

void trace_pay(struct trace *t, const struct gs_counters *c)
{
	for (int i = 0; i < PROBE_COUNT; i++) {
		if (c->hits[i] <= t->paid_hits[i])
			continue; /* none, or read before those that are paid */
		t->cost_ns[group_of(t, (enum probe_id)i)] +=
			(double)(c->hits[i] - t->paid_hits[i]) * cost_of_hit(t, (enum probe_id)i);
		t->paid_hits[i] = c->hits[i];
	}
}

/* Mean cost of a hit of a group before any was seen. */
double trace_first_cost(const struct trace *t, enum probe_group g)
{
	double sum = 0;
	int n = 0;

	for (int i = 0; i < PROBE_COUNT; i++) {
		const struct probe *p = plan_find(&t->plan, (enum probe_id)i);

		if (!p || p->kind == SITE_NONE || group_of(t, p->id) != g)
			continue;
		sum += cost_of_hit(t, (enum probe_id)i);
		n++;
	}
	return n ? sum / n : 0;
}

/*
 * What is rare is a new connection; its look-up, connect, handshake and wait
 * for the pool make ten hits with TLS, six without.  Counts of up to 2,000 new
 * connections a second are to be exact.
 */
#define HITS_OF_A_DIAL  10
#define HITS_OF_A_PANIC 2

uint64_t trace_event_hits(enum trace_prog p)
{
	return p == PROG_NET_DIAL                                   ? HITS_OF_A_DIAL
	       : p == PROG_PANIC_BEGIN || p == PROG_PANIC_RECOVERED ? HITS_OF_A_PANIC
								    : 1;
}
