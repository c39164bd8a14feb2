// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * CPU samples: a timer on each CPU finds the target running, or does nothing.
 * The stack is walked by frame pointers, from the system stack on to that of its
 * goroutine, and counted; no record is sent.  It runs in an interrupt, one at a
 * time on a CPU.
 */
#include <linux/bpf.h>
#include <linux/bpf_perf_event.h>
#include <linux/ptrace.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "gospect/cpu.h"
#include "pidns.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Written once it is known, behind the verifier's time. */
struct gs_cpu_target target = {};
const volatile __u32 slots = GS_CPU_SLOTS;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, GS_CPU_SLOTS);
	__type(key, __u32);
	__type(value, struct gs_cpu_stack);
} cpu_stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct gs_cpu_counts);
} cpu_counts SEC(".maps");

/* A stack in the making. */
struct sample {
	struct gs_cpu_stack s;
	__u64 word[GS_CPU_WORDS];
	__u64 pc, sp, bp, r14;
	/* the goroutine's, where the system stack is in use */
	__u64 cross_pc, cross_bp, cross_lo;
	__u64 lo, hi; /* of the stack that sp is on */
	__u64 hash;
	__u32 stop;          /* enum gs_cpu_stop */
	struct pt_regs regs; /* of the program, where the kernel was interrupted */
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sample);
} cpu_scratch SEC(".maps");

#define add(p, n) ((void)__sync_fetch_and_add((p), (n)))

static __always_inline bool read(void *to, __u32 n, __u64 from)
{
	return !bpf_probe_read_user(to, n, (void *)from);
}

static __always_inline __u64 read_word(__u64 from)
{
	__u64 v = 0;

	return read(&v, sizeof(v), from) ? v : 0;
}

static __always_inline bool in_text(__u64 pc)
{
	return pc >= target.text_lo && pc < target.text_hi;
}

/* The registers of the program; false: not to be had. */
static __always_inline bool take_registers(struct bpf_perf_event_data *ctx, struct sample *s)
{
	s->s.system_call = -1;
	if (ctx->regs.cs & 3) {
		s->pc = ctx->regs.rip;
		s->sp = ctx->regs.rsp;
		s->bp = ctx->regs.rbp;
		s->r14 = ctx->regs.r14;
		return true;
	}
	s->s.flags |= GS_CPU_KERNEL;
	if (bpf_probe_read_kernel(&s->regs, sizeof(s->regs),
				  (void *)bpf_task_pt_regs(bpf_get_current_task_btf())))
		return false;
	s->pc = s->regs.rip;
	s->sp = s->regs.rsp;
	s->bp = s->regs.rbp;
	s->r14 = s->regs.r14;
	if (s->regs.orig_rax < 1024)
		s->s.system_call = (__s32)s->regs.orig_rax;
	return true;
}

/* Where the goroutine goes on when the system stack ends. */
static __always_inline void take_crossing(struct sample *s, __u64 g)
{
	__u64 pc = read_word(g + target.g_sched_pc), sp = read_word(g + target.g_sched_sp);

	if (pc == target.system_switch)
		s->cross_pc = read_word(sp); /* systemstack and its like have no frame */
	else if (in_text(pc))
		s->cross_pc = pc; /* morestack */
	s->cross_bp = read_word(g + target.g_sched_bp);
	s->cross_lo = sp;
}

/* How it had stopped before: gogo() leaves the pc in the g; systemstack() writes over it. */
static __always_inline __u32 last_stop(struct sample *s, __u64 g)
{
	__u64 pc = read_word(g + target.g_sched_pc);

	s->s.left_pc = pc;
	if (pc >= target.preempt_lo && pc < target.preempt_hi)
		return GS_CPU_FORCED;
	if (pc >= target.park_lo && pc < target.park_hi)
		return GS_CPU_PARKED;
	return !pc || pc == target.system_switch ? GS_CPU_UNTOLD : GS_CPU_LEFT;
}

/* The goroutine: R14 in Go's code has it, where the stack is its own or its M's. */
static __always_inline void take_goroutine(struct sample *s)
{
	__u64 g = s->r14, m, g0, lohi[2], curg;

	s->s.flags |= GS_CPU_NO_G;
	if (!read(lohi, sizeof(lohi), g))
		return;
	s->lo = lohi[0];
	s->hi = lohi[1];
	m = read_word(g + target.g_m);
	if (!m)
		return;
	g0 = read_word(m + target.m_g0);
	curg = read_word(m + target.m_curg);
	if (g != g0 && (s->sp < s->lo || s->sp > s->hi)) {
		/* the vDSO's functions are called on the system stack */
		if (!g0 || !read(lohi, sizeof(lohi), g0) || s->sp < lohi[0] || s->sp > lohi[1])
			return;
	} else if (g == g0) {
		if (s->sp < s->lo || s->sp > s->hi)
			return;
		if (!curg) {
			s->s.flags &= ~GS_CPU_NO_G;
			s->s.flags |= GS_CPU_SCHED;
			return;
		}
		take_crossing(s, curg);
		g = curg;
	}
	s->s.goid = read_word(g + target.g_goid);
	s->s.gopc = read_word(g + target.g_gopc);
	s->s.flags &= ~GS_CPU_NO_G;
	s->stop = last_stop(s, g);
}

/* The caller that frame pointers lose: see struct gs_cpu_stack. */
static __always_inline void take_top(struct sample *s)
{
	s->s.ret = s->s.saved_ret = 0;
	s->s.saved_at = 0;
	if (!in_text(s->pc) || !read(s->word, sizeof(s->word), s->sp))
		return;
	if (in_text(s->word[0]))
		s->s.ret = s->word[0];
#pragma unroll
	for (int i = GS_CPU_WORDS - 2; i >= 0; i--)
		if (s->word[i] == s->bp && in_text(s->word[i + 1])) {
			s->s.saved_at = i;
			s->s.saved_ret = s->word[i + 1];
		}
}

static __always_inline __u64 mix(__u64 h, __u64 v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 29;
}

static __always_inline void push(struct sample *s, __u64 pc)
{
	__u32 n = s->s.npcs;

	if (n < GS_CPU_FRAMES) {
		s->s.pcs[n] = pc;
		s->s.npcs = n + 1;
		s->hash = mix(s->hash, pc);
	} else {
		s->s.flags |= GS_CPU_CUT;
	}
}

/* One frame on; 0: the stack ends.  Global, as are those below: verified once, not for each
 * way that leads to it. */
int cpu_step(struct sample *s)
{
	__u64 frame[2];

	if (!s)
		return 0;
	/* from the system stack to the goroutine's */
	if (s->cross_pc && (s->bp < s->lo || s->bp >= s->hi)) {
		push(s, s->cross_pc);
		s->bp = s->cross_bp;
		s->lo = s->cross_lo;
		s->hi = ~0ull;
		s->cross_pc = 0;
	}
	if (!s->bp || s->bp & 7 || !read(frame, sizeof(frame), s->bp) || !in_text(frame[1]))
		return 0;
	push(s, frame[1]);
	if (s->cross_pc && frame[1] >= target.morestack_lo && frame[1] < target.morestack_hi) {
		s->bp = 0; /* the goroutine's is in its g */
		return 1;
	}
	if (frame[0] <= s->bp && !s->cross_pc) {
		s->bp = 0;
		return 0;
	}
	s->bp = frame[0];
	return 1;
}

static __always_inline void walk(struct sample *s)
{
	s->s.npcs = 0;
	push(s, s->pc);
	for (int i = 0; i < GS_CPU_FRAMES; i++)
		if (!cpu_step(s))
			return;
	if (s->bp)
		s->s.flags |= GS_CPU_CUT;
}

static __always_inline void hash_rest(struct sample *s)
{
	s->hash = mix(mix(s->hash, s->s.goid), s->s.ret);
	s->hash = mix(s->hash, s->s.saved_ret);
	s->hash = mix(s->hash, (__u64)s->s.flags << 32 | (__u32)s->s.system_call);
	if (!s->hash)
		s->hash = 1;
}

static __always_inline void fill(struct gs_cpu_stack *to, const struct sample *s)
{
	__u32 n = s->s.npcs;

	to->gopc = s->s.gopc;
	to->goid = s->s.goid;
	to->ret = s->s.ret;
	to->saved_ret = s->s.saved_ret;
	to->saved_at = s->s.saved_at;
	to->flags = s->s.flags;
	to->system_call = s->s.system_call;
	to->npcs = n;
	if (n <= GS_CPU_FRAMES)
		bpf_probe_read_kernel(to->pcs, n * sizeof(to->pcs[0]), s->s.pcs);
	__sync_fetch_and_add(&to->ready, 1);
}

/* Whether it has a slot. */
int cpu_count(struct sample *s)
{
	for (__u32 i = 0; s && i < GS_CPU_PROBES; i++) {
		__u32 slot = (__u32)(s->hash + i) & (slots - 1);
		struct gs_cpu_stack *at = bpf_map_lookup_elem(&cpu_stacks, &slot);
		__u64 was;

		if (!at)
			return 0;
		was = __sync_val_compare_and_swap(&at->hash, 0, s->hash);
		if (!was)
			fill(at, s);
		if (!was || was == s->hash) {
			if (s->stop < GS_CPU_STOPS)
				add(&at->stop[s->stop], 1);
			if (s->stop == GS_CPU_LEFT)
				at->left_pc = s->s.left_pc;
			add(&at->count, 1);
			return 1;
		}
	}
	return 0;
}

/* What it is of: its goroutine, and the top of the stack. */
int cpu_take(struct sample *s)
{
	if (!s)
		return 0;
	if (!in_text(s->pc))
		s->s.flags |= GS_CPU_FOREIGN;
	take_goroutine(s);
	take_top(s);
	return 0;
}

static __always_inline void take(struct bpf_perf_event_data *ctx, struct sample *s,
				 struct gs_cpu_counts *c)
{
	s->s.flags = 0;
	s->stop = GS_CPU_UNTOLD;
	s->s.goid = s->s.gopc = s->s.ret = s->s.saved_ret = 0;
	s->cross_pc = s->lo = s->hi = s->hash = 0;
	if (!take_registers(ctx, s)) {
		add(&c->no_user, 1);
		return;
	}
	cpu_take(s);
	walk(s);
	hash_rest(s);
	if (!cpu_count(s))
		add(&c->no_room, 1);
}

SEC("perf_event")
int cpu_sample(struct bpf_perf_event_data *ctx)
{
	__u32 zero = 0;
	struct gs_cpu_counts *c = bpf_map_lookup_elem(&cpu_counts, &zero);
	struct sample *s = bpf_map_lookup_elem(&cpu_scratch, &zero);
	__u64 begin;

	if (!c || !s)
		return 0;
	if (pid_in_namespace(target.pidns_dev, target.pidns_ino) != target.tgid) {
		add(&c->foreign, 1);
		return 0;
	}
	begin = bpf_ktime_get_ns();
	add(&c->samples, 1);
	take(ctx, s, c);
	add(&c->run_ns, bpf_ktime_get_ns() - begin);
	return 0;
}
