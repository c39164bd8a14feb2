// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Garbage collection: cycles and stop-the-world pauses.
 *
 * The runtime's own locks make this simple: one cycle at a time (gcsema), one
 * stopped world at a time (worldsema), so the begin of each fits in one word
 * per target and only one thread writes it.
 */
#include "gospect.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, GS_MAX_TARGETS);
	__type(key, __u32);
	__type(value, struct gs_gc);
} gc SEC(".maps");

static __always_inline void hist_add(struct gs_hist *hist, __u64 ns)
{
	__u32 b = hist_bucket(ns);

	gs_add(&hist->count, 1);
	gs_add(&hist->sum_ns, ns);
	if (ns > hist->max_ns)
		hist->max_ns = ns;
	if (b < GS_HIST_BUCKETS)
		gs_add(&hist->bucket[b], 1);
}

static __always_inline struct gs_gc *gc_begin(struct hit *h, go_regs *ctx, __u32 probe)
{
	if (!hit_begin(h, ctx, probe, GROUP_RARE))
		return 0;
	return bpf_map_lookup_elem(&gc, &h->target);
}

/* runtime.gcStart: entered by every caller whose trigger test passed, losers
 * of the race too.  The cycle begins with the last entry before the world is
 * stopped: an entry that came to nothing is overwritten by the next. */
SEC("uprobe")
int gc_start(go_regs *ctx)
{
	struct hit h;
	struct gs_gc *sums = gc_begin(&h, ctx, PROBE_GC_START);

	if (!sums)
		return 0;
	gs_add(&sums->starts, 1);
	if (!sums->cycle_stopped)
		sums->cycle_begin_ns = bpf_ktime_get_ns();
	return 0;
}

/* runtime.gcMarkTermination: once per cycle. */
SEC("uprobe")
int gc_end(go_regs *ctx)
{
	__u64 begin;
	struct hit h;
	struct gs_gc *sums = gc_begin(&h, ctx, PROBE_GC_END);

	if (!sums)
		return 0;
	gs_add(&sums->ends, 1);
	begin = sums->cycle_begin_ns;
	sums->cycle_begin_ns = 0;
	sums->cycle_stopped = 0;
	if (begin)
		hist_add(&sums->cycle, bpf_ktime_get_ns() - begin);
	else
		gs_add(&h.count->unpaired, 1);
	return 0;
}

/* runtime.stopTheWorldWithSema: worldsema is held. */
SEC("uprobe")
int stw_begin(go_regs *ctx)
{
	struct hit h;
	struct gs_gc *sums = gc_begin(&h, ctx, PROBE_STW_BEGIN);

	if (!sums)
		return 0;
	if (sums->cycle_begin_ns)
		sums->cycle_stopped = 1;
	sums->stw_begin_ns = bpf_ktime_get_ns();
	return 0;
}

/* runtime.startTheWorldWithSema. */
SEC("uprobe")
int stw_end(go_regs *ctx)
{
	__u64 begin, ns;
	__u64 *max;
	struct hit h;
	struct gs_gc *sums = gc_begin(&h, ctx, PROBE_STW_END);

	if (!sums)
		return 0;
	begin = sums->stw_begin_ns;
	sums->stw_begin_ns = 0;
	if (!begin) {
		gs_add(&h.count->unpaired, 1);
		return 0;
	}
	ns = bpf_ktime_get_ns() - begin;
	hist_add(&sums->stw, ns);
	max = h.spec->window & 1 ? &sums->stw_max_ns[1] : &sums->stw_max_ns[0];
	if (ns > *max)
		*max = ns;
	return 0;
}
