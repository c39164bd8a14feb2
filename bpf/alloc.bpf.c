// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Large allocations, summed by user stack. */
#include "gospect.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Full: counted in stacks_full and allocs_other; the allocation belongs to no stack. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GS_MAX_STACKS);
	__type(key, __u64);
	__type(value, struct gs_stack);
} stacks SEC(".maps");

/*
 * Where a thread puts its frames, by thread id: 200 bytes are too many for the
 * BPF stack, and to take a free one of several per CPU, as calls.bpf.h does,
 * needs a compare-and-swap (Linux 5.12; this program runs on older ones).
 * Full: counted in threads_full; user space removes threads that ended.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GS_MAX_THREADS);
	__type(key, __u32);
	__type(value, struct gs_stack);
} alloc_scratch SEC(".maps");

static const struct gs_stack no_stack;

static __always_inline struct gs_stack *scratch_of_thread(struct hit *h)
{
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	struct gs_stack *mine = bpf_map_lookup_elem(&alloc_scratch, &tid);

	if (mine)
		return mine;
	if (!bpf_map_update_elem(&alloc_scratch, &tid, &no_stack, BPF_NOEXIST))
		gs_add(&h->count->threads_made, 1);
	mine = bpf_map_lookup_elem(&alloc_scratch, &tid);
	if (!mine)
		gs_add(&h->count->threads_full, 1);
	return mine;
}

static __always_inline bool take_stack(struct hit *h, go_regs *ctx, struct gs_stack *mine)
{
	long n = bpf_get_stack(ctx, mine->pcs, sizeof(mine->pcs), BPF_F_USER_STACK);

	if (n < (long)sizeof(__u64)) {
		gs_add(&h->count->stack_failures, 1);
		return false;
	}
	mine->npcs = (__u32)n / sizeof(__u64);
	mine->target = h->target;
	return true;
}

/* Only the frames that are there: hashing the whole row costs twice as much. */
static __always_inline __u64 hash_of(const struct gs_stack *mine)
{
	__u64 hash = mine->target + 1;
	__u32 n = mine->npcs;

	for (__u32 i = 0; i < GS_MAX_FRAMES; i++) {
		if (i >= n)
			break;
		hash = (hash ^ mine->pcs[i]) * 0x9e3779b97f4a7c15ull;
		hash ^= hash >> 32;
	}
	return hash;
}

static __always_inline bool same_stack(const struct gs_stack *s, const struct gs_stack *mine)
{
	__u32 n = mine->npcs;
	__u64 diff = (s->npcs ^ n) | (s->target ^ mine->target);

	for (__u32 i = 0; i < GS_MAX_FRAMES; i++) {
		if (i >= n)
			break;
		diff |= s->pcs[i] ^ mine->pcs[i];
	}
	return !diff;
}

/* A stack not seen before: a copy of ours, its sums still 0. */
static __always_inline struct gs_stack *add_stack(struct hit *h, struct gs_stack *mine, __u64 *hash)
{
	struct gs_stack *s;

	/* What an earlier, deeper stack left behind. */
#pragma unroll
	for (__u32 i = 1; i < GS_MAX_FRAMES; i++)
		if (i >= mine->npcs)
			mine->pcs[i] = 0;
	/* Another CPU may be faster: what counts is the look-up after it. */
	if (!gs_no_new)
		bpf_map_update_elem(&stacks, hash, mine, BPF_NOEXIST);
	s = bpf_map_lookup_elem(&stacks, hash);
	if (!s)
		gs_add(&h->count->stacks_full, 1);
	return s;
}

/* The row of the stack that the target has now; NULL: counted, and why. */
static __always_inline struct gs_stack *stack_of(struct hit *h, go_regs *ctx)
{
	struct gs_stack *mine = scratch_of_thread(h), *s;
	__u64 hash;

	if (!mine || !take_stack(h, ctx, mine))
		return NULL;
	hash = hash_of(mine);
	s = bpf_map_lookup_elem(&stacks, &hash);
	if (!s)
		s = add_stack(h, mine, &hash);
	if (!s)
		return NULL;
	if (!same_stack(s, mine)) {
		gs_add(&h->count->stack_collisions, 1);
		return NULL;
	}
	return s;
}

/* runtime.mallocgcLarge (<= 1.23: mallocgc) at the call of
 * (*mcache).allocLarge(c, size, noscan). */
SEC("uprobe")
int alloc_large(go_regs *ctx)
{
	__u64 size = GO_ARG1(ctx);
	struct gs_stack *s;
	struct hit h;

	if (!hit_begin(&h, ctx, PROBE_ALLOC_LARGE, GROUP_RARE))
		return 0;
	s = stack_of(&h, ctx);
	if (!s) {
		gs_add(&h.count->allocs_other, 1);
		gs_add(&h.count->allocs_other_bytes, size);
		return 0;
	}
	gs_add(&s->count, 1);
	gs_add(&s->bytes, size);
	/* Of two new maxima of one stack at the same instant the smaller may stay. */
	if (size > s->max_bytes)
		s->max_bytes = size;
	return 0;
}
