// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Slices that append moves to a larger array (runtime.growslice), by the place that appends and
 * the type of the elements.  Nothing is remembered of a slice; nothing of its type is read.
 */
#include "gospect.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Full: counted in growths_other. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GS_MAX_GROWTHS);
	__type(key, struct gs_growth_key);
	__type(value, struct gs_growth);
} growths SEC(".maps");

static const struct gs_growth no_growth;

/* growslice itself, growsliceBuf, growsliceNoAlias, growsliceBufNoAlias (1.26) */
#define GROW_FRAMES 4

/* Where the first caller that is not the runtime's own goes on, by the frame pointers; 0: not
 * known (counted). */
SUBPROG __u64 caller_of(struct hit *h, go_regs *ctx)
{
	__u64 fp = GO_FP(ctx), at = GO_SP(ctx), pc = 0;

#pragma unroll
	for (int i = 0; i < GROW_FRAMES; i++) {
		if (bpf_probe_read_user(&pc, sizeof(pc), (void *)at)) {
			gs_add(&h->count->read_failures, 1);
			return 0;
		}
		if (pc < h->spec->runtime_lo || pc >= h->spec->runtime_hi)
			break;
		at = fp + 8;
		if (bpf_probe_read_user(&fp, sizeof(fp), (void *)fp))
			break;
	}
	return pc;
}

SUBPROG struct gs_growth *row_of(__u64 pc, __u64 type, __u32 target)
{
	struct gs_growth_key key = { .pc = pc, .type = type, .target = target };
	struct gs_growth *r = bpf_map_lookup_elem(&growths, &key);

	if (r)
		return r;
	/* Another CPU may be faster: what counts is the look-up after it. */
	bpf_map_update_elem(&growths, &key, &no_growth, BPF_NOEXIST);
	return bpf_map_lookup_elem(&growths, &key);
}

/* Since 1.25 a slice may begin in a buffer on the stack, of at most 32 bytes. */
#define BUFFER_ELEMENTS 32

SUBPROG bool begins(go_regs *ctx, __u64 array, __u64 capacity)
{
	__u64 stack_hi;

	if (!capacity)
		return true;
	return capacity <= BUFFER_ELEMENTS && array > GO_SP(ctx) &&
	       !bpf_probe_read_user(&stack_hi, sizeof(stack_hi), (void *)(GO_G(ctx) + 8)) &&
	       array < stack_hi;
}

/* The row of a hit; NULL: it counts nowhere, or as one of the others. */
static __always_inline struct gs_growth *growth_row(struct hit *h, go_regs *ctx, __u64 type)
{
	struct gs_growth *r = NULL;
	__u64 pc;

	if (!(h->spec->active & GS_ACTIVE_NEW))
		return NULL; /* the slice is over; what else began in it is followed */
	pc = caller_of(h, ctx);
	if (pc)
		r = row_of(pc, type, h->target);
	if (!r)
		gs_add(&h->count->growths_other, 1);
	return r;
}

/* Of two new maxima at the same instant the smaller may stay. */
static __always_inline void note(struct gs_growth *r, __u64 length, __u64 capacity, __u64 needed)
{
	gs_add(&r->count, 1);
	gs_add(&r->elements, length);
	if (needed > r->max_length)
		r->max_length = needed;
	if (capacity > r->max_capacity)
		r->max_capacity = capacity;
}

/* growslice(oldPtr, newLen, oldCap, num, et), since 1.20 */
SEC("uprobe")
int slice_grow(go_regs *ctx)
{
	struct gs_growth *r;
	struct hit h;

	if (!hit_begin(&h, ctx, PROBE_SLICE_GROW, GROUP_REQUESTS))
		return 0;
	r = growth_row(&h, ctx, GO_ARG4(ctx));
	if (!r)
		return 0;
	note(r, GO_ARG1(ctx) - GO_ARG3(ctx), GO_ARG2(ctx), GO_ARG1(ctx));
	if (begins(ctx, GO_ARG0(ctx), GO_ARG2(ctx)))
		gs_add(&r->begun, 1);
	return 0;
}

/* growslice(et, old, cap) */
SEC("uprobe")
int slice_grow_old(go_regs *ctx)
{
	struct gs_growth *r;
	struct hit h;

	if (!hit_begin(&h, ctx, PROBE_SLICE_GROW_OLD, GROUP_REQUESTS))
		return 0;
	r = growth_row(&h, ctx, GO_ARG0(ctx));
	if (!r)
		return 0;
	note(r, GO_ARG2(ctx), GO_ARG3(ctx), GO_ARG4(ctx));
	if (begins(ctx, GO_ARG1(ctx), GO_ARG3(ctx)))
		gs_add(&r->begun, 1);
	return 0;
}
