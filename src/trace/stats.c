/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The programs' own run time, from the kernel's BPF statistics.  They cost
 * every BPF program of the machine some 20 ns a run while they are on: so for
 * a second at the start, again when a program runs that was idle then, and
 * when the load is no longer what it was (a rare hit finds cold caches and
 * takes three times as long as one of many).  Needs CAP_SYS_ADMIN: without it
 * nothing is measured, and a guess stays in use.
 */
#include "trace/priv.h"

#include <bpf/bpf.h>
#include <unistd.h>

#include "base/clock.h"

#define STATS_ROUND_NS    NS_PER_S
#define STATS_SAMPLE_RUNS 16             /* of a program, that make a sample; fewer say nothing */
#define STATS_GAP_NS      (5 * NS_PER_S) /* between two rounds */
#define STATS_NEW_HITS    50             /* of a program not measured: worth another round */
#define STATS_RATE_CHANGE 4.0

static bool prog_stats(int fd, uint64_t *cnt, uint64_t *ns)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
		return false;
	*cnt = info.run_cnt;
	*ns = info.run_time_ns;
	return true;
}

static uint64_t all_hits(const struct gs_counters *c)
{
	uint64_t n = 0;

	for (int i = 0; i < PROBE_COUNT; i++)
		n += c->hits[i];
	return n;
}

static void stats_on(struct trace *t, const struct gs_counters *c, uint64_t now)
{
	t->stats_fd = keeper_stats();
	t->stats_since_ns = t->stats_until_ns = now;
	t->stats_hits = all_hits(c);
	for (int i = 0; t->stats_fd >= 0 && i < PROG_COUNT; i++) {
		t->arm[i].nsample = 0;
		t->arm[i].tried_hits = trace_prog_hits(c, (enum trace_prog)i);
		prog_stats(t->arm[i].prog_fd, &t->arm[i].stat_cnt, &t->arm[i].stat_ns);
	}
}

void stats_off(struct trace *t)
{
	if (t->stats_fd >= 0)
		close(t->stats_fd);
	t->stats_fd = -1;
}

/*
 * The median of some short samples: the kernel's numbers are wall time, and
 * one run that was preempted or waited for the hypervisor outweighs thousands.
 */
static void sample_add(struct arm *a, double ns)
{
	int i;

	for (i = a->nsample++; i > 0 && a->sample[i - 1] > ns; i--)
		a->sample[i] = a->sample[i - 1];
	a->sample[i] = ns;
	a->prog_ns = a->sample[a->nsample / 2];
}

/* Takes what the running round has; true when it has all it needs. */
static bool stats_take(struct trace *t)
{
	bool enough = true;

	for (int i = 0; i < PROG_COUNT; i++) {
		struct arm *a = &t->arm[i];
		uint64_t cnt = 0, ns = 0, runs;

		if (a->nsample == STATS_SAMPLES || !prog_stats(a->prog_fd, &cnt, &ns))
			continue;
		enough = false;
		runs = cnt - a->stat_cnt;
		if (runs < STATS_SAMPLE_RUNS)
			continue;
		sample_add(a, (double)(ns - a->stat_ns) / (double)runs);
		a->stat_cnt = cnt;
		a->stat_ns = ns;
	}
	return enough;
}

static bool has_new_program(struct trace *t, const struct gs_counters *c)
{
	for (int i = 0; i < PROG_COUNT; i++) {
		struct arm *a = &t->arm[i];
		uint64_t hits = trace_prog_hits(c, (enum trace_prog)i);

		if (a->prog_fd >= 0 && a->prog_ns < 0 && hits - a->tried_hits >= STATS_NEW_HITS)
			return true;
	}
	return false;
}

/* While everything is on, the hits since the last tick are the load. */
static bool load_changed(const struct trace *t, const struct gs_counters *c, uint64_t now)
{
	double rate;

	if (t->on != GROUP_ALL || now <= t->tick_ns)
		return false;
	rate = (double)(all_hits(c) - t->tick_hits) / ((double)(now - t->tick_ns) / NS_PER_S);
	return rate > t->stats_rate * STATS_RATE_CHANGE + 200 ||
	       (rate + 200) * STATS_RATE_CHANGE < t->stats_rate;
}

static bool stats_wanted(struct trace *t, const struct gs_counters *c, uint64_t now)
{
	if (t->stats_rate < 0)
		return true;
	if (now - t->stats_until_ns < STATS_GAP_NS)
		return false;
	return has_new_program(t, c) || load_changed(t, c, now);
}

void stats_step(struct trace *t, const struct gs_counters *c, uint64_t now)
{
	if (t->stats_fd >= 0) {
		if (stats_take(t) || now - t->stats_since_ns >= STATS_ROUND_NS) {
			stats_off(t);
			t->stats_until_ns = now;
		}
		t->stats_rate = (double)(all_hits(c) - t->stats_hits) /
				((double)(now - t->stats_since_ns + 1) / NS_PER_S);
	} else if (stats_wanted(t, c, now)) {
		stats_on(t, c, now);
		t->stats_rate = t->stats_rate < 0 ? 0 : t->stats_rate;
	}
	t->tick_ns = now;
	t->tick_hits = all_hits(c);
}
