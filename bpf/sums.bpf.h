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

/*
 * Functions of their own for the verifier, too (maps.bpf.c): it follows them once, and not
 * at each call on each way.  pool_take: the number of a page, or of the first of so many
 * rows; 0: there are no more.  pool_give: it is not needed, another CPU was faster.
 */
__u32 pool_take(__u32 pool, __u32 rows);
int pool_give(__u32 pool, __u32 n);
/* A duration into a row.  See sum_end(). */
enum sum_result { SUM_DONE, SUM_NO_ROW, SUM_NO_PAGE };
int sum_add(__u32 ref, __u64 ns, __u32 window, __u32 failed);

/* How a row that was just taken is known; 0: there is none. */
static __always_inline __u32 row_ref(__u32 n)
{
	struct gs_sum *s = n ? bpf_map_lookup_elem(&sums, &n) : NULL;

	return s ? GS_ROW_REF(n, s->generation) : 0;
}

/* NULL: none, or it has been given to another since. */
static __always_inline struct gs_sum *sum_of(__u32 ref)
{
	__u32 row = GS_ROW_NUMBER(ref);
	struct gs_sum *s = row ? bpf_map_lookup_elem(&sums, &row) : NULL;

	return s && s->generation == GS_ROW_GENERATION(ref) ? s : NULL;
}

/* What has taken ns ends: whether there is such a row. */
static __always_inline bool sum_end(struct hit *h, __u32 ref, __u64 ns, bool failed)
{
	int r = sum_add(ref, ns, h->spec->window, failed);

	if (r == SUM_NO_PAGE)
		gs_add(&h->count->pages_full, 1);
	return r != SUM_NO_ROW;
}

#endif
