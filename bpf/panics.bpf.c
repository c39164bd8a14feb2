// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Panics that are recovered, by the stack that panicked.  Where one begins (gopanic) its stack
 * and value are at hand; where it is recovered only the g is.  So what has begun is remembered by
 * the g, and by how deep in its stack it is: a panic may come while another is under way.
 */
#include "gospect.bpf.h"

#include "gospect/crash.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Full: its panics are counted in panics_other. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GS_MAX_PANICS);
	__type(key, __u64);
	__type(value, struct gs_panics);
} panics SEC(".maps");
/* Full: likewise.  What is never recovered stays: the process ends, or runtime.Goexit was called. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GS_MAX_PANICKING);
	__type(key, __u64);
	__type(value, struct gs_panicking);
} panicking SEC(".maps");

static const struct gs_panics no_panics;
static const struct gs_panicking no_panicking;

/* The next return address, by the frame pointers: false at the stack's base. */
static __always_inline bool next_pc(__u64 *fp, __u64 *pc)
{
	__u64 at = *fp;

	return at && !bpf_probe_read_user(fp, sizeof(*fp), (void *)at) &&
	       !bpf_probe_read_user(pc, sizeof(*pc), (void *)(at + 8));
}

SUBPROG __u64 stack_hash(go_regs *ctx)
{
	__u64 fp = GO_FP(ctx), pc = 0, hash = 1;

	if (bpf_probe_read_user(&pc, sizeof(pc), (void *)GO_SP(ctx)))
		return 0;
#pragma unroll
	for (int i = 0; i < GS_PANIC_FRAMES; i++) {
		hash = (hash ^ pc) * 0x9e3779b97f4a7c15ull;
		hash ^= hash >> 32;
		if (!next_pc(&fp, &pc))
			break;
	}
	return hash;
}

SUBPROG int take_pcs(go_regs *ctx, struct gs_panics *p)
{
	__u64 fp = GO_FP(ctx), pc = 0;

	bpf_probe_read_user(&pc, sizeof(pc), (void *)GO_SP(ctx));
#pragma unroll
	for (int i = 0; i < GS_PANIC_FRAMES; i++) {
		p->pcs[i] = pc;
		if (!next_pc(&fp, &pc))
			break;
	}
	return 0;
}

/* The string that the value is or begins with, if it looks like one: foreign bytes in any case. */
SUBPROG int take_text(struct gs_crash_panic *p)
{
	__u32 n = p->word[1] > GS_CRASH_TEXT ? GS_CRASH_TEXT : (__u32)p->word[1];

	if (p->word[0] <= 4096 || !p->word[1] || p->word[1] >= 1ull << 32)
		return 0;
	p->text_at = p->word[0];
	p->len = (__u32)p->word[1];
	barrier_var(n);
	if (n <= GS_CRASH_TEXT && !bpf_probe_read_user(p->text, n, (void *)p->word[0]))
		p->text_bytes = n;
	return 0;
}

SUBPROG int take_value(struct gs_crash_panic *p, __u64 type, __u64 data)
{
	p->type = type;
	p->data = data;
	if (!data || bpf_probe_read_user(p->word, sizeof(p->word), (void *)data))
		return 0;
	if (!bpf_probe_read_user(&p->more, sizeof(p->more), (void *)(data + 16)))
		p->flags = GS_PANIC_MORE;
	return take_text(p);
}

/* A stack that has not been seen before: this is the first of its panics. */
SUBPROG int take_first(go_regs *ctx, __u64 hash)
{
	struct gs_panics *p;

	if (bpf_map_update_elem(&panics, &hash, &no_panics, BPF_NOEXIST))
		return 0; /* no room, or another CPU was faster */
	p = bpf_map_lookup_elem(&panics, &hash);
	if (!p)
		return 0;
	take_pcs(ctx, p);
	take_value(&p->first, GO_ARG0(ctx), GO_ARG1(ctx));
	*(volatile __u64 *)&p->ns = bpf_ktime_get_ns();
	return 0;
}

SUBPROG __u64 depth_of(__u64 g, __u64 sp)
{
	__u64 hi = 0;

	bpf_probe_read_user(&hi, sizeof(hi), (void *)(g + 8)); /* g.stack is the first member */
	return hi - sp;
}

static __always_inline struct gs_panicking *panicking_of(__u64 g)
{
	struct gs_panicking *p = bpf_map_lookup_elem(&panicking, &g);

	if (p)
		return p;
	bpf_map_update_elem(&panicking, &g, &no_panicking, BPF_NOEXIST);
	return bpf_map_lookup_elem(&panicking, &g);
}

/* Those that are not under it are over. */
SUBPROG int drop_levels(struct gs_panicking *p, __u64 depth)
{
#pragma unroll
	for (__u32 i = 0; i < GS_PANIC_LEVELS; i++)
		if (i < p->n && p->level[i].depth >= depth) {
			p->n = i;
			break;
		}
	return 0;
}

/* Where there is no room the outermost goes. */
static __always_inline void push(struct gs_panicking *p, __u64 depth, __u64 hash)
{
	__u32 n;

	drop_levels(p, depth);
	if (p->n >= GS_PANIC_LEVELS) {
#pragma unroll
		for (int i = 1; i < GS_PANIC_LEVELS; i++)
			p->level[i - 1] = p->level[i];
		p->n = GS_PANIC_LEVELS - 1;
	}
	n = p->n;
	barrier_var(n);
	if (n >= GS_PANIC_LEVELS)
		return;
	p->level[n].depth = depth;
	p->level[n].hash = hash;
	p->n = n + 1;
}

/* gopanic(e), on the goroutine's own stack */
SEC("uprobe")
int panic_begin(go_regs *ctx)
{
	struct gs_panicking *p;
	struct hit h;
	__u64 hash;

	if (!hit_begin(&h, ctx, PROBE_PANIC_BEGIN, GROUP_PANICS))
		return 0;
	hash = stack_hash(ctx);
	p = hash ? panicking_of(GO_G(ctx)) : NULL;
	if (!p)
		return 0;
	if (!bpf_map_lookup_elem(&panics, &hash))
		take_first(ctx, hash);
	push(p, depth_of(GO_G(ctx), GO_SP(ctx)), hash);
	return 0;
}

/* The hash of the latest panic of a goroutine, which is over; 0: it is not known. */
SUBPROG __u64 pop(__u64 g)
{
	struct gs_panicking *p = bpf_map_lookup_elem(&panicking, &g);
	__u64 hash;
	__u32 n;

	n = p ? p->n - 1 : GS_PANIC_LEVELS;
	barrier_var(n);
	if (!p || n >= GS_PANIC_LEVELS)
		return 0;
	hash = p->level[n].hash;
	p->n = n;
	if (!n)
		bpf_map_delete_elem(&panicking, &g);
	return hash;
}

/* recovery(gp): it stands in gopanic, or in what that has called */
SEC("uprobe")
int panic_recovered(go_regs *ctx)
{
	struct gs_panics *p = NULL;
	struct hit h;
	__u64 hash;

	if (!hit_begin(&h, ctx, PROBE_PANIC_RECOVERED, GROUP_PANICS))
		return 0;
	hash = pop(GO_ARG0(ctx));
	if (hash)
		p = bpf_map_lookup_elem(&panics, &hash);
	gs_add(p ? &p->recovered : &h.count->panics_other, 1);
	return 0;
}
