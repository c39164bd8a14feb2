// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What every program uses: the targets' specs and counters, and the settings. */
#include "sums.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile bool gs_has_cookies = true;
const volatile bool gs_lifetimes = true, gs_every_birth = true;
const volatile __u64 gs_pidns_dev = 0;
const volatile __u64 gs_pidns_ino = 0;

struct gs_specs_map specs SEC(".maps");
struct gs_counters_map counters SEC(".maps");
struct gs_sums_map sums SEC(".maps");
struct gs_pages_map pages SEC(".maps");

volatile __u32 gs_no_new = 0;
volatile struct gs_pool gs_pools[GS_POOLS] = {};

__noinline __u32 hist_bucket(__u64 ns)
{
	return gs_hist_bucket(ns);
}

/* Other CPUs may change the list at the same time: so often it is tried. */
#define POOL_TRIES        8
#define POOL_HEAD(was, n) (((was) >> 32) + 1) << 32 | (n)

/* Where one that is in a list has the next one; NULL: it has no such number.  (The compiler
 * must not add to the pointer before it is checked.) */
static __always_inline __u32 *pool_link(__u32 pool, __u32 n)
{
	struct gs_page *p;
	struct gs_sum *s;

	if (pool == GS_POOL_PAGES) {
		p = bpf_map_lookup_elem(&pages, &n);
		if (!p)
			return NULL;
		barrier_var(p);
		return &p->bucket[0];
	}
	s = bpf_map_lookup_elem(&sums, &n);
	if (!s)
		return NULL;
	barrier_var(s);
	return &s->page[0];
}

__noinline __u32 pool_take(__u32 pool, __u32 rows)
{
	volatile struct gs_pool *p;
	__u64 was;
	__u32 *link;

	if (pool >= GS_POOLS)
		return 0;
	p = &gs_pools[pool];
	if (p->next + rows <= p->end) {
		was = __sync_fetch_and_add(&p->next, rows);
		if (was + rows <= p->end)
			return (__u32)was;
	}
#pragma unroll
	for (int i = 0; i < POOL_TRIES; i++) {
		was = p->free;
		link = (__u32)was ? pool_link(pool, (__u32)was) : NULL;
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

__noinline int pool_give(__u32 pool, __u32 n)
{
	volatile struct gs_pool *p;
	__u32 *link;
	__u64 was;

	if (pool >= GS_POOLS)
		return 0;
	p = &gs_pools[pool];
	link = pool_link(pool, n);
#pragma unroll
	for (int i = 0; link && i < POOL_TRIES; i++) {
		was = p->free;
		*(volatile __u32 *)link = (__u32)was;
		if (__sync_val_compare_and_swap(&p->free, was, POOL_HEAD(was, n)) == was)
			break;
	}
	return 0;
}

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

__noinline int sum_add(__u32 ref, __u64 ns, __u32 window, __u32 failed)
{
	struct gs_sum *s = sum_of(ref);
	__u32 w = window & 1, bucket = hist_bucket(ns);
	struct gs_page *page;

	if (!s)
		return SUM_NO_ROW;
	if (bucket >= GS_HIST_BUCKETS) /* for the verifier */
		bucket = GS_HIST_BUCKETS - 1;
	page = page_of(&s->page[bucket / GS_PAGE_BUCKETS]);
	if (!page)
		return SUM_NO_PAGE;
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
	return SUM_DONE;
}
