/* SPDX-License-Identifier: BSD-2-Clause */
/* The buckets of bpf/gc.bpf.c, seen from user space. */
#include "trace/trace.h"

#include <string.h>

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

uint64_t trace_hist_percentile(const struct trace_hist *now, const struct trace_hist *prev, double p)
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
	lo += (hi - lo) / 2;	/* middle of the bucket: 3 % off at most */
	return now->max_ns && now->max_ns < lo ? now->max_ns : lo;
}

uint64_t trace_calls_sum(const struct trace_reading *r, enum trace_call_kind kind, struct trace_hist *sum)
{
	uint64_t max_ns = 0;
	size_t i, b;

	memset(sum, 0, sizeof(*sum));
	for (i = 0; i < r->ncall; i++) {
		const struct trace_call *c = &r->call[i];

		if (c->kind != kind)
			continue;
		sum->count += c->hist.count;
		sum->sum_ns += c->hist.sum_ns;
		for (b = 0; b < TRACE_HIST_BUCKETS; b++)
			sum->bucket[b] += c->hist.bucket[b];
		if (c->max_ns_window > max_ns)
			max_ns = c->max_ns_window;
	}
	return max_ns;
}
