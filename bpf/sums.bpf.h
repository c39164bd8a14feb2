/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Durations summed in rows of histograms: the maps are in maps.bpf.c. */
#ifndef GOSPECT_SUMS_BPF_H
#define GOSPECT_SUMS_BPF_H

#include "gospect.bpf.h"

/* A site and an entry of `opens` know their row, so that nothing is looked up for
 * what comes again.  User space takes rows back that are idle (src/trace/rows.c): what
 * knows such a row finds none (sum_of()), and looks its own up again. */
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

/* User space says where they begin and end. */
extern volatile struct gs_pool gs_pools[GS_POOLS];
/* 0, which the verifier does not know: see sum_end(). */
extern volatile __u32 gs_zero;

/*
 * Functions of their own for the verifier, too (maps.bpf.c): it follows them once, and not
 * at each call on each way.  pool_take: the number of a page, or of the first of so many
 * rows; 0: there are no more.  pool_give: it is not needed, another CPU was faster.
 */
__u32 pool_take(__u32 pool, __u32 rows);
int pool_give(__u32 pool, __u32 n);

static __always_inline __u32 page_take(__u32 *place)
{
	__u32 n = pool_take(GS_POOL_PAGES, 1), other;

	if (!n)
		return 0;
	other = __sync_val_compare_and_swap(place, 0, n);
	if (other)
		pool_give(GS_POOL_PAGES, n);
	return other ? other : n;
}

/* The page with this number's place in a row, a new one when it has none; NULL:
 * there are no more. */
static __always_inline struct gs_page *page_of(__u32 *place)
{
	__u32 n = *place;

	if (!n)
		n = page_take(place);
	return n ? bpf_map_lookup_elem(&pages, &n) : NULL;
}

/* How a row that was just taken is known; 0: there is none. */
static __always_inline __u32 row_ref(__u32 n)
{
	struct gs_sum *s = n ? bpf_map_lookup_elem(&sums, &n) : NULL;

	return s ? GS_ROW_REF(n, s->generation) : 0;
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

/* NULL: none, or it has been given to another since. */
static __always_inline struct gs_sum *sum_of(__u32 ref)
{
	__u32 row = GS_ROW_NUMBER(ref);
	struct gs_sum *s = row ? bpf_map_lookup_elem(&sums, &row) : NULL;

	return s && s->generation == GS_ROW_GENERATION(ref) ? s : NULL;
}

#endif
