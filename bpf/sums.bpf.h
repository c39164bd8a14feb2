/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Durations summed in rows of histograms: the maps are in maps.bpf.c. */
#ifndef GOSPECT_SUMS_BPF_H
#define GOSPECT_SUMS_BPF_H

#include "gospect.bpf.h"

/* A site and an entry of `opens` know their row, so that nothing is looked up
 * for what comes again. */
struct gs_sums_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, GS_MAX_SUMS);
	__type(key, __u32);
	__type(value, struct gs_sum);
};
/* Full: counted in pages_full, and the duration in no sum. */
struct gs_pages_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, GS_MAX_PAGES);
	__type(key, __u32);
	__type(value, struct gs_page);
};
extern struct gs_sums_map sums SEC(".maps");
extern struct gs_pages_map pages SEC(".maps");

/* The last number given to a page. */
extern volatile __u64 gs_last_page;
/* 0, which the verifier does not know: see sum_end(). */
extern volatile __u32 gs_zero;

/* The page with this number's place in a row, a new one when it has none; NULL:
 * there are no more. */
static __always_inline struct gs_page *page_of(__u32 *place)
{
	__u32 n = *place, other;

	if (!n) {
		if (gs_last_page >= GS_MAX_PAGES - 1)
			return NULL;
		n = (__u32)__sync_fetch_and_add(&gs_last_page, 1) + 1;
		/* Another CPU may be faster: then this page stays unused. */
		other = __sync_val_compare_and_swap(place, 0, n);
		n = other ? other : n;
	}
	return bpf_map_lookup_elem(&pages, &n);
}

SUBPROG int sum_end(struct hit *h, struct gs_sum *s, __u64 ns, bool failed)
{
	__u32 window = h->spec->window, w = window & 1, bucket;
	struct gs_page *page;

	/* The verifier follows each of the 64 ways to a bucket to the end of the program,
	 * unless they all come to a number that it does not know. */
	bucket = gs_hist_bucket(ns) + gs_zero;
	if (bucket >= GS_HIST_BUCKETS) /* for the verifier */
		bucket = GS_HIST_BUCKETS - 1;
	page = page_of(&s->page[bucket / GS_PAGE_BUCKETS]);
	if (!page) {
		gs_add(&h->count->pages_full, 1);
		return 0;
	}
	gs_add(&page->bucket[bucket % GS_PAGE_BUCKETS], 1);
	gs_add(&s->count, 1);
	gs_add(&s->sum_ns, ns);
	if (failed)
		gs_add(&s->errors, 1);
	/* Of two new maxima at the same instant the smaller may stay. */
	if (ns > s->longest_ns)
		s->longest_ns = ns;
	if (s->max_window[w] != window) {
		s->max_window[w] = window;
		s->max_ns[w] = 0;
	}
	if (ns > s->max_ns[w])
		s->max_ns[w] = ns;
	return 0;
}

static __always_inline struct gs_sum *sum_of(__u32 row)
{
	return row ? bpf_map_lookup_elem(&sums, &row) : NULL;
}

#endif
