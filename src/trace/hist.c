/* SPDX-License-Identifier: BSD-2-Clause */
/* The buckets of bpf/gc.bpf.c, seen from user space. */
#include "trace/trace.h"

uint64_t trace_hist_value(unsigned int bucket)
{
	unsigned int octave;

	if (bucket < 16)
		return bucket;
	octave = bucket / 16 - 1;
	return (16ull + bucket % 16) << octave;
}

/* What a bucket gained between two readings; the counters only grow. */
static uint32_t gained(const struct trace_hist *now, const struct trace_hist *prev, int i)
{
	return now->bucket[i] - (prev ? prev->bucket[i] : 0);
}

uint64_t trace_hist_percentile(const struct trace_hist *now, const struct trace_hist *prev,
			       double p)
{
	uint64_t total = 0, want, seen = 0, lo, hi;
	int i;

	for (i = 0; i < TRACE_HIST_BUCKETS; i++)
		total += gained(now, prev, i);
	if (!total)
		return 0;
	want = (uint64_t)(p * (double)total);
	if (want >= total)
		want = total - 1;
	for (i = 0; i < TRACE_HIST_BUCKETS; i++) {
		seen += gained(now, prev, i);
		if (seen > want)
			break;
	}
	lo = trace_hist_value((unsigned int)i);
	hi = trace_hist_value((unsigned int)i + 1);
	lo += (hi - lo) / 2; /* middle of the bucket: 3 % off at most */
	return now->max_ns && now->max_ns < lo ? now->max_ns : lo;
}

double trace_share(uint64_t part, uint64_t part0, uint64_t whole, uint64_t whole0)
{
	double share = whole > whole0 ? (double)(part - part0) / (double)(whole - whole0) : 0;

	return share > 1 ? 1 : share;
}
