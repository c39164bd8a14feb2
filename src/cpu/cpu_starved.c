/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goroutines that are ready wait long for a CPU, because the control group's
 * quota is used up, or because more threads run Go code (GOMAXPROCS) than the
 * process has CPUs.
 *
 * They wait long: SLOW_PCT of the waits that the runtime timed, SLOW_LEAST at
 * least, took 8 ms and more.  The quota is used up: in THROTTLED_PCT of its
 * periods, THROTTLED_LEAST at least.  More threads than CPUs: twice as many, and
 * the program uses BUSY_PCT of what it may.  Without one of these causes it is
 * the machine that is busy, or the program has much to do: no finding.  Before
 * Go 1.20 the runtime does not say how long they wait.
 */
#include "cpu/subject.h"

#include <stdio.h>

#include "base/human.h"
#include "cpu/window.h"

#define SLOW_PCT        5
#define SLOW_LEAST      5
#define THROTTLED_PCT   25
#define THROTTLED_LEAST 5
#define BUSY_PCT        80
#define PROCS_TO_CPUS   2
#define ONE_IN          8 /* waits that the runtime times */

static bool waits_long(const struct cpu_waits *w)
{
	return w->known && w->slow >= SLOW_LEAST && w->slow * 100 >= w->timed * SLOW_PCT;
}

static bool is_throttled(const struct cpu_throttle *t)
{
	return t->known && t->throttled >= THROTTLED_LEAST &&
	       t->throttled * 100 >= t->periods * THROTTLED_PCT;
}

static bool has_too_many(const struct window *w)
{
	const struct process_window *p = &w->process;

	return p->known && p->cpus > 0 && p->gomaxprocs >= PROCS_TO_CPUS * p->cpus &&
	       w->target_cpu_cores * 100 >= p->cpus * BUSY_PCT;
}

static void title(struct finding *f, const struct window *w, bool throttled)
{
	const struct cpu_waits *waits = &w->cpu->waits;
	double pct = 100 * (double)waits->slow / (double)waits->timed;
	char slow[HUMAN_MAX], periods[HUMAN_MAX];

	if (throttled)
		finding_title(f,
			      "goroutines wait to run: the quota of %.3g CPUs was used up in %s "
			      "of its periods, and %s of the waits took 8 ms and more",
			      w->process.cpus,
			      human_percent(100 * (double)w->cpu->throttle.throttled /
						    (double)w->cpu->throttle.periods,
					    0, periods),
			      human_percent(pct, 0, slow));
	else
		finding_title(f,
			      "goroutines wait to run: GOMAXPROCS is %d where there are %.3g CPUs, "
			      "and %s of the waits took 8 ms and more",
			      w->process.gomaxprocs, w->process.cpus, human_percent(pct, 0, slow));
}

static void evidence(struct finding *f, const struct window *w)
{
	const struct cpu_window *c = w->cpu;
	char a[HUMAN_MAX], b[HUMAN_MAX];

	finding_evidence(f, "of %s that the runtime timed (one in %d): p50 %s, p99 %s",
			 human_counted(c->waits.timed, "wait", (char[HUMAN_MAX]){ 0 }), ONE_IN,
			 human_seconds((double)c->waits.p50_ns / 1e9, a),
			 human_seconds((double)c->waits.p99_ns / 1e9, b));
	if (c->throttle.known)
		finding_evidence(f,
				 "its threads were held up for %s in all, in %llu of %llu periods",
				 human_seconds((double)c->throttle.ns / 1e9, a),
				 (unsigned long long)c->throttle.throttled,
				 (unsigned long long)c->throttle.periods);
	finding_evidence(f, "GOMAXPROCS %d, %.3g CPUs granted, %.2f used", w->process.gomaxprocs,
			 w->process.cpus, w->target_cpu_cores);
}

static void judge(const struct window *w, struct findings *out)
{
	const struct cpu_window *c = w->cpu;
	bool throttled = is_throttled(&c->throttle);
	struct finding *f;

	if (!c->known || !waits_long(&c->waits) || (!throttled && !has_too_many(w)))
		return;
	f = findings_add_about(out, "cpu-starved", throttled ? "quota" : "gomaxprocs",
			       SEVERITY_MEDIUM, NULL);
	if (!f)
		return;
	title(f, w, throttled);
	finding_count(f, "count", c->waits.timed);
	finding_count(f, "slow", c->waits.slow);
	finding_number(f, "p99_ms", (double)c->waits.p99_ns / 1e6);
	if (c->throttle.known)
		finding_number(f, "throttled_pct",
			       c->throttle.periods ? 100 * (double)c->throttle.throttled /
							     (double)c->throttle.periods
						   : 0);
	finding_number(f, "cpus", w->process.cpus);
	finding_count(f, "gomaxprocs", (uint64_t)w->process.gomaxprocs);
	evidence(f, w);
	if (throttled && !has_too_many(w) && w->process.gomaxprocs <= w->process.cpus + 1)
		finding_advice(f, "raise the CPU limit, or see what uses it (table cpu)");
	else
		finding_advice(f,
			       "set GOMAXPROCS to the CPUs that it has (Go 1.25 and newer do so by "
			       "themselves, unless it is set), or raise the CPU limit");
	f->exactness = SAMPLED;
	f->since_s = w->window_s;
	f->weight = (double)c->waits.p99_ns;
}

const struct detector cpu_starved_detector = {
	.name = "cpu-starved",
	.sensors = SENSOR_BIT(SENSOR_CPU),
	.of_waits = true,
	.of_rates = true,
	.judge = judge,
};
