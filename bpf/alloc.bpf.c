// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Large allocations, summed by user stack.  The stack itself is the key: no
 * hash collision can merge two stacks or lose one. */
#include "gospect.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Full: counted in stacks_full; the allocation belongs to no stack. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GS_MAX_STACKS);
	__type(key, struct gs_stack_key);
	__type(value, struct gs_alloc);
} stacks SEC(".maps");

/*
 * Where a thread builds its key, by thread id: 200 bytes are too many for the
 * stack, and per-CPU scratch is no use to a program that can be preempted.
 * Full: counted in threads_full; user space removes threads that ended.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GS_MAX_THREADS);
	__type(key, __u32);
	__type(value, struct gs_stack_key);
} alloc_scratch SEC(".maps");

static const struct gs_stack_key no_stack;
static const struct gs_alloc no_alloc;

static __always_inline struct gs_stack_key *scratch_of_thread(struct hit *h)
{
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	struct gs_stack_key *key = bpf_map_lookup_elem(&alloc_scratch, &tid);

	if (key)
		return key;
	if (!bpf_map_update_elem(&alloc_scratch, &tid, &no_stack, BPF_NOEXIST))
		gs_add(&h->count->threads_made, 1);
	key = bpf_map_lookup_elem(&alloc_scratch, &tid);
	if (!key)
		gs_add(&h->count->threads_full, 1);
	return key;
}

static __always_inline bool stack_of_thread(struct hit *h, go_regs *ctx, struct gs_stack_key *key)
{
	long n = bpf_get_stack(ctx, key->pcs, sizeof(key->pcs), BPF_F_USER_STACK);
	__u32 i;

	if (n < (long)sizeof(__u64)) {
		gs_add(&h->count->stack_failures, 1);
		return false;
	}
	key->npcs = (__u32)n / sizeof(__u64);
	key->target = h->target;
	/* What an earlier, deeper stack left behind is not part of this key. */
#pragma unroll
	for (i = 1; i < GS_MAX_FRAMES; i++)
		if (i >= key->npcs)
			key->pcs[i] = 0;
	return true;
}

static __always_inline struct gs_alloc *alloc_of(struct hit *h, struct gs_stack_key *key)
{
	struct gs_alloc *a = bpf_map_lookup_elem(&stacks, key);

	if (a)
		return a;
	bpf_map_update_elem(&stacks, key, &no_alloc, BPF_NOEXIST);
	a = bpf_map_lookup_elem(&stacks, key);
	if (!a)
		gs_add(&h->count->stacks_full, 1);
	return a;
}

/* runtime.mallocgcLarge (<= 1.23: mallocgc) at the call of
 * (*mcache).allocLarge(c, size, noscan). */
SEC("uprobe")
int alloc_large(go_regs *ctx)
{
	__u64 size = GO_ARG1(ctx);
	struct gs_stack_key *key;
	struct gs_alloc *a;
	struct hit h;

	if (!hit_begin(&h, ctx, GS_PROBE_ALLOC_LARGE, GS_ACTIVE_RARE))
		return 0;
	key = scratch_of_thread(&h);
	if (!key || !stack_of_thread(&h, ctx, key))
		return 0;
	a = alloc_of(&h, key);
	if (!a)
		return 0;
	gs_add(&a->count, 1);
	gs_add(&a->bytes, size);
	/* Two threads of one stack can lose the smaller of two new maxima only
	 * by a write between this test and this store. */
	if (size > a->max_bytes)
		a->max_bytes = size;
	return 0;
}
