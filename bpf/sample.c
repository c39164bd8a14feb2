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

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, GS_CPU_LABEL_SLOTS);
	__type(key, __u32);
	__type(value, struct gs_cpu_labels);
} cpu_labels SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, GS_CPU_THREADS);
	__type(key, __u32);
	__type(value, struct gs_cpu_thread);
} cpu_threads SEC(".maps");

/* A stack in the making. */
struct sample {
	struct gs_cpu_stack s;
	__u64 word[GS_CPU_WORDS];
	__u64 pc, sp, bp, r12, r14;
	/* the goroutine's, where the system stack is in use */
	__u64 cross_pc, cross_bp, cross_lo;
	__u64 lo, hi; /* of the stack that sp is on */
	__u64 hash;
	__u32 thread;
	__u32 stop;          /* enum gs_cpu_stop */
	__u32 down;          /* it may go on at a lower address, once: on another stack */
	struct pt_regs regs; /* of the program, where the kernel was interrupted */
	struct gs_cpu_labels labels;
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

static __always_inline __u64 mix(__u64 h, __u64 v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 29;
}

/* The registers of the program; false: not to be had. */
static __always_inline bool take_registers(struct bpf_perf_event_data *ctx, struct sample *s)
{
	s->s.system_call = -1;
	if (ctx->regs.cs & 3) {
		s->pc = ctx->regs.rip;
		s->sp = ctx->regs.rsp;
		s->bp = ctx->regs.rbp;
		s->r12 = ctx->regs.r12;
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
	s->r12 = s->regs.r12;
	s->r14 = s->regs.r14;
	if (s->regs.orig_rax < 1024)
		s->s.system_call = (__s32)s->regs.orig_rax;
	return true;
}

/* What a goroutine has for a pc while its M is on the system stack (asm_amd64.s). */
static __always_inline bool is_switched(__u64 pc)
{
	return pc >= target.switch_lo && pc < target.switch_hi;
}

/* Where the goroutine goes on when the system stack ends.  systemstack() and its like have no
 * frame where its pc is an entry, else they have one: newer releases save it behind the prologue. */
static __always_inline void take_crossing(struct sample *s, __u64 g)
{
	__u64 pc = read_word(g + target.g_sched_pc), sp = read_word(g + target.g_sched_sp);
	__u64 bp = read_word(g + target.g_sched_bp);

	if (pc == target.switch_lo) {
		s->cross_pc = read_word(sp);
	} else if (is_switched(pc)) {
		s->cross_pc = read_word(bp + 8);
		bp = read_word(bp);
	} else if (in_text(pc)) {
		s->cross_pc = pc; /* morestack */
	}
	s->cross_bp = bp;
	s->cross_lo = sp;
	s->down = 1; /* copystack: what it copied points into the stack that was */
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
	return !pc || is_switched(pc) ? GS_CPU_UNTOLD : GS_CPU_LEFT;
}

/* ---- the goroutine's labels ---- */

static __always_inline void read_text(char *to, __u32 room, const __u64 string[2])
{
	__u64 len = string[1];

	if (len >= room)
		len = room - 1;
	if (!read(to, (__u32)len, string[0]))
		to[0] = 0;
}

/* Takes one: its key and value are strings at these addresses. */
int cpu_add_label(struct sample *s, __u64 key, __u64 value)
{
	__u64 at[4];
	__u64 *word;
	__u32 n;

	if (!s || !read(at, 16, key) || !read(at + 2, 16, value))
		return 0;
	n = s->labels.n;
	if (n >= GS_CPU_LABELS)
		return 0;
	word = (__u64 *)&s->labels.label[n];
	for (__u32 i = 0; i < sizeof(struct gs_cpu_label) / 8; i++)
		word[i] = 0;
	read_text(s->labels.label[n].key, GS_CPU_KEY, at);
	read_text(s->labels.label[n].value, GS_CPU_VALUE, at + 2);
	for (__u32 i = 0; i < sizeof(struct gs_cpu_label) / 8; i++)
		s->labels.hash = mix(s->labels.hash, word[i]);
	s->labels.n = n + 1;
	return 1;
}

#define MAP_PLACES 8 /* of a bucket of a map[string]string, up to 1.23 */

/* A map of one bucket: tops of hashes, keys, values.  false: it has more. */
static __always_inline bool take_map(struct sample *s, __u64 map)
{
	__u64 head[4]; /* count; flags, log2 of the buckets; buckets; old ones */
	__u8 top[MAP_PLACES];

	if (!read(head, sizeof(head), map) || head[1] >> 8 & 0xff || head[3] ||
	    !read(top, sizeof(top), head[2]))
		return false;
	for (int i = 0; i < MAP_PLACES; i++)
		if (top[i] >= 5) /* minTopHash */
			cpu_add_label(s, head[2] + 8 + 16 * i, head[2] + 136 + 16 * i);
	return true;
}

static __always_inline bool take_list(struct sample *s, __u64 list)
{
	__u64 head[2];

	if (!read(head, sizeof(head), list) || head[1] > 64)
		return false;
	for (__u32 i = 0; i < GS_CPU_LABELS && i < head[1]; i++)
		cpu_add_label(s, head[0] + 32 * i, head[0] + 32 * i + 16);
	return true;
}

/* Their slot + 1, or GS_CPU_LABELS_UNKNOWN. */
static __always_inline __u32 labels_slot(struct sample *s)
{
	for (__u32 i = 0; i < GS_CPU_PROBES; i++) {
		__u32 slot = (__u32)(s->labels.hash + i) & (GS_CPU_LABEL_SLOTS - 1);
		struct gs_cpu_labels *at = bpf_map_lookup_elem(&cpu_labels, &slot);
		__u64 was;

		if (!at)
			break;
		was = __sync_val_compare_and_swap(&at->hash, 0, s->labels.hash);
		if (!was) {
			at->n = s->labels.n;
			bpf_probe_read_kernel(at->label, sizeof(at->label), s->labels.label);
			__sync_fetch_and_add(&at->ready, 1);
		}
		if (!was || was == s->labels.hash)
			return slot + 1;
	}
	return GS_CPU_LABELS_UNKNOWN;
}

int cpu_take_labels(struct sample *s, __u64 g)
{
	__u64 at;
	bool read_all;

	if (!s || !target.labels_kind)
		return 0;
	at = read_word(g + target.g_labels);
	if (!at)
		return 0;
	s->labels.n = 0;
	s->labels.hash = 1;
	read_all = target.labels_kind == GS_CPU_LABELS_MAP ? take_map(s, read_word(at))
							   : take_list(s, at);
	s->s.labels = !read_all ? GS_CPU_LABELS_UNKNOWN : s->labels.n ? labels_slot(s) : 0;
	return 0;
}

/* ---- the goroutine ---- */

/* Whether the stack of that g is the one in use; its bounds are then in s. */
static __always_inline bool is_on(struct sample *s, __u64 g)
{
	__u64 lohi[2];

	if (!g || !read(lohi, sizeof(lohi), g) || s->sp < lohi[0] || s->sp > lohi[1])
		return false;
	s->lo = lohi[0];
	s->hi = lohi[1];
	return true;
}

/* Of a thread that runs Go's code: it may be in C the next time. */
static __always_inline void know_thread(__u32 thread, __u64 m)
{
	__u32 slot = thread & (GS_CPU_THREADS - 1);
	struct gs_cpu_thread *at = bpf_map_lookup_elem(&cpu_threads, &slot);

	if (!at || (at->thread && at->thread != thread))
		return;
	at->m = m;
	at->thread = thread;
}

static __always_inline __u64 m_of_thread(__u32 thread)
{
	for (__u32 i = 0; i < GS_CPU_PROBES; i++) {
		__u32 slot = (thread + i) & (GS_CPU_THREADS - 1);
		struct gs_cpu_thread *at = bpf_map_lookup_elem(&cpu_threads, &slot);

		if (at && at->thread == thread &&
		    (__u32)read_word(at->m + target.m_procid) == thread)
			return at->m;
	}
	return 0;
}

/* A word of the goroutine's stack: where it stood (its return address), or a frame pointer. */
static __always_inline void take_saved(struct sample *s, const __u64 lohi[2], __u64 v)
{
	__u64 pc[2];

	if (v < lohi[0] || v >= lohi[1] || v & 7 || !read(pc, sizeof(pc), v))
		return;
	if (in_text(pc[0])) {
		s->cross_pc = pc[0];
		s->cross_lo = v;
	} else if (in_text(pc[1])) {
		s->cross_bp = v;
	}
}

/*
 * What the race detector is called by (racecall in race_amd64.s): SP in R12, BP, for C to keep:
 * in these registers, or where it saved them first, at the top of the system stack.
 */
static __always_inline void take_racecall(struct sample *s, __u64 g, __u64 g0)
{
	__u64 top = read_word(g0 + target.g_sched_sp) & ~15ull, lohi[2];

	if (!read(lohi, sizeof(lohi), g))
		return;
	if (read(s->word, sizeof(s->word), top - sizeof(s->word)) &&
	    in_text(s->word[GS_CPU_WORDS - 1]))
		for (int i = 0; i < GS_CPU_WORDS - 1; i++)
			take_saved(s, lohi, s->word[i]);
	take_saved(s, lohi, s->bp);
	take_saved(s, lohi, s->r12);
}

/*
 * In C: by the thread.  Its own stack goes on where it called, where that was by cgo: it is then
 * in a system call, as the runtime sees it.
 */
static __always_inline __u64 goroutine_of_thread(struct sample *s)
{
	__u64 m = m_of_thread(s->thread), g, g0;

	g0 = m ? read_word(m + target.m_g0) : 0;
	if (!is_on(s, g0))
		return 0;
	g = read_word(m + target.m_curg);
	if (!g)
		return 0;
	if ((read_word(g + target.g_status) & 0xfff) == GS_GO_SYSCALL &&
	    is_switched(read_word(g + target.g_sched_pc)))
		take_crossing(s, g);
	else
		take_racecall(s, g, g0);
	s->bp = s->cross_pc ? 0 : s->cross_bp;
	return g;
}

/* R14 in Go's code has it, where the stack is its own or its M's. */
static __always_inline __u64 goroutine_of_register(struct sample *s)
{
	__u64 g = s->r14, m = read_word(g + target.g_m), g0, curg;

	if (!m)
		return 0;
	g0 = read_word(m + target.m_g0);
	curg = read_word(m + target.m_curg);
	if (g != g0 && g != curg)
		return 0;
	if (!is_on(s, g)) /* the vDSO's functions are called on the system stack, as C is */
		return g != g0 && s->s.flags & GS_CPU_VDSO && is_on(s, g0) ? g : 0;
	know_thread(s->thread, m);
	if (g != g0)
		return g;
	if (curg)
		take_crossing(s, curg);
	else
		s->s.flags |= GS_CPU_SCHED;
	return curg;
}

static __always_inline void take_goroutine(struct sample *s)
{
	bool c = (s->s.flags & (GS_CPU_FOREIGN | GS_CPU_VDSO)) == GS_CPU_FOREIGN;
	__u64 g = c ? 0 : goroutine_of_register(s);

	if (!g && !(s->s.flags & (GS_CPU_VDSO | GS_CPU_SCHED)))
		g = goroutine_of_thread(
			s); /* some C is linked into Go's code: the race detector's */
	if (!g) {
		if (!(s->s.flags & GS_CPU_SCHED))
			s->s.flags |= GS_CPU_NO_G;
		return;
	}
	s->s.goid = read_word(g + target.g_goid);
	s->s.gopc = read_word(g + target.g_gopc);
	s->stop = last_stop(s, g);
	cpu_take_labels(s, g);
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
	if (frame[0] <= s->bp && !s->cross_pc && !s->down) {
		s->bp = 0;
		return 0;
	}
	s->down = s->down && frame[0] > s->bp;
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
	s->hash = mix(s->hash, (__u64)s->s.labels << 32 | s->s.thread);
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
	to->labels = s->s.labels;
	to->thread = s->s.thread;
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
	if (s->pc >= target.vdso_lo && s->pc < target.vdso_hi)
		s->s.flags |= GS_CPU_VDSO;
	s->down = s->s.flags & GS_CPU_VDSO; /* it is called on the system stack, BP kept */
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
	s->s.labels = 0;
	s->s.thread = target.by_thread ? s->thread : 0;
	s->cross_pc = s->cross_bp = s->lo = s->hi = s->hash = 0;
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
	struct bpf_pidns_info ids;
	__u64 begin;

	if (!c || !s)
		return 0;
	ids = ids_in_namespace(target.pidns_dev, target.pidns_ino);
	s->thread = ids.pid;
	if (ids.tgid != target.tgid) {
		add(&c->foreign, 1);
		return 0;
	}
	begin = bpf_ktime_get_ns();
	add(&c->samples, 1);
	take(ctx, s, c);
	add(&c->run_ns, bpf_ktime_get_ns() - begin);
	return 0;
}
