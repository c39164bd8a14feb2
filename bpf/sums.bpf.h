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

/* Other CPUs may change the list at the same time: so often it is tried. */
#define POOL_TRIES        8
#define POOL_HEAD(was, n) (((was) >> 32) + 1) << 32 | (n)

/* Where one that is in a list has the next one; NULL: it has no such number. */
static __always_inline __u32 *pool_link(bool page, __u32 n)
{
	struct gs_page *p;
	struct gs_sum *s;

	if (page) {
		p = bpf_map_lookup_elem(&pages, &n);
		return p ? &p->bucket[0] : NULL;
	}
	s = bpf_map_lookup_elem(&sums, &n);
	return s ? &s->page[0] : NULL;
}

/* The number of a page, or of the first of `rows` rows; 0: there are no more. */
static __always_inline __u32 pool_take(volatile struct gs_pool *p, bool page, __u32 rows)
{
	__u64 was;
	__u32 *link;

	if (p->next + rows <= p->end) {
		was = __sync_fetch_and_add(&p->next, rows);
		if (was + rows <= p->end)
			return (__u32)was;
	}
#pragma unroll
	for (int i = 0; i < POOL_TRIES; i++) {
		was = p->free;
		link = (__u32)was ? pool_link(page, (__u32)was) : NULL;
		if (!link)
			return 0;
		if (__sync_val_compare_and_swap(&p->free, was,
						POOL_HEAD(was, *(volatile __u32 *)link)) == was) {
			*link = 0;
			return (__u32)was;
		}
	}
	return 0;
}

/* It is not needed: another CPU was faster. */
static __always_inline void pool_give(volatile struct gs_pool *p, bool page, __u32 n)
{
	__u32 *link = pool_link(page, n);
	__u64 was;

#pragma unroll
	for (int i = 0; link && i < POOL_TRIES; i++) {
		was = p->free;
		*(volatile __u32 *)link = (__u32)was;
		if (__sync_val_compare_and_swap(&p->free, was, POOL_HEAD(was, n)) == was)
			return;
	}
}

SUBPROG __u32 page_take(__u32 *place)
{
	volatile struct gs_pool *p = &gs_pools[GS_POOL_PAGES];
	__u32 n = pool_take(p, true, 1), other;

	if (!n)
		return 0;
	other = __sync_val_compare_and_swap(place, 0, n);
	if (other)
		pool_give(p, true, n);
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

SUBPROG __u32 row_take(volatile struct gs_pool *p, __u32 rows)
{
	return pool_take(p, false, rows);
}

SUBPROG int row_give(volatile struct gs_pool *p, __u32 n)
{
	pool_give(p, false, n);
	return 0;
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
