/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The programs' own run time, from the kernel's BPF statistics.  They cost
 * every BPF program of the machine some 20 ns a run while they are on: so for
 * a second at the start, and again when a program runs that was idle then.
 */
#include "trace/priv.h"

#include <bpf/bpf.h>
#include <unistd.h>

#include "base/clock.h"

#define STATS_ROUND_NS NS_PER_S
#define STATS_MIN_RUNS 20	/* fewer say nothing */
#define STATS_ENOUGH_RUNS 2000
#define STATS_MAX_TRIES 20	/* rounds in all */
#define STATS_NEW_HITS 50	/* what makes another round worth it */

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

static void stats_on(struct trace *t, uint64_t now)
{
	int i;

	t->stats_fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
	t->stats_tries++;
	t->stats_since_ns = now;
	for (i = 0; t->stats_fd >= 0 && i < PROBE_COUNT; i++)
		prog_stats(t->arm[i].prog_fd, &t->arm[i].stat_cnt, &t->arm[i].stat_ns);
}

void stats_off(struct trace *t)
{
	if (t->stats_fd >= 0)
		close(t->stats_fd);
	t->stats_fd = -1;
}

/* Takes what the running round has; true when it has all it needs. */
static bool stats_take(struct trace *t)
{
	bool enough = true;
	int i;

	for (i = 0; i < PROBE_COUNT; i++) {
		struct arm *a = &t->arm[i];
		uint64_t cnt = 0, ns = 0, runs;

		if (!prog_stats(a->prog_fd, &cnt, &ns))
			continue;
		runs = cnt - a->stat_cnt;
		if (runs >= STATS_MIN_RUNS)
			a->prog_ns = (double)(ns - a->stat_ns) / (double)runs;
		if (runs < STATS_ENOUGH_RUNS)
			enough = false;
	}
	return enough;
}

static bool stats_wanted(struct trace *t, const struct gs_counters *c)
{
	bool wanted = false;
	int i;

	if (!t->stats_tries)
		return true;
	if (t->stats_tries >= STATS_MAX_TRIES)
		return false;
	for (i = 0; i < PROBE_COUNT; i++) {
		struct arm *a = &t->arm[i];

		if (a->prog_fd < 0 || a->prog_ns >= 0 || c->hits[i] - a->measured_hits < STATS_NEW_HITS)
			continue;
		a->measured_hits = c->hits[i];
		wanted = true;
	}
	return wanted;
}

void stats_step(struct trace *t, const struct gs_counters *c, uint64_t now)
{
	if (t->stats_fd >= 0) {
		if (stats_take(t) || now - t->stats_since_ns >= STATS_ROUND_NS)
			stats_off(t);
	} else if (stats_wanted(t, c)) {
		stats_on(t, now);
	}
}
