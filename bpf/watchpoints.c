// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Watchpoints: a thread has touched a word, and waits in the trap.  Who did it and
 * when is kept, nothing else; the word itself is never read, for that would trap again.
 *
 * The program says by its result whether this thread's event goes on: 1 disarms it
 * before the thread goes on (the event is enabled for one overflow, and only those
 * that return 1 count).
 */
#include <linux/bpf.h>
#include <linux/bpf_perf_event.h>
#include <linux/ptrace.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "gospect/watchpoints.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u64 hold_ns = 0; /* of word_touched_hold */

struct gs_watch_target target = {};
struct gs_watch_counts counts = {};
struct gs_watch_hit hits[GS_WATCH_HITS] = {};
__u32 by_thread[GS_WATCH_THREADS *
		GS_WATCH_WORDS] = {}; /* threads that share one are disarmed earlier */

static __always_inline __u64 read_word(__u64 from)
{
	__u64 v = 0;

	return bpf_probe_read_user(&v, sizeof(v), (void *)from) ? 0 : v;
}

/* Which of the words; GS_WATCH_WORDS: none of this slice. */
static __always_inline __u32 word_of(__u64 addr)
{
	for (__u32 i = 0; i < GS_WATCH_WORDS; i++)
		if (target.addr[i] == addr)
			return i;
	return GS_WATCH_WORDS;
}

static __always_inline bool must_stop(__u64 pc)
{
	for (int i = 0; i < GS_WATCH_RANGES; i++) {
		if (!target.stop[i].hi)
			return false;
		if (pc > target.stop[i].lo && pc <= target.stop[i].hi)
			return true;
	}
	return false;
}

/* The goroutine: R14 in Go's code has it, where the stack is its own. */
static __noinline int take_goroutine(struct gs_watch_hit *h)
{
	__u64 g = h->reg[14], sp = h->reg[4], m;

	h->flags = GS_WATCH_NO_G;
	if (sp < read_word(g) || sp > read_word(g + 8))
		return 0;
	m = read_word(g + target.g_m);
	if (!m || read_word(m + target.m_curg) != g)
		return 0;
	h->goid = read_word(g + target.g_goid);
	h->gopc = read_word(g + target.g_gopc);
	h->flags = 0;
	return 0;
}

static __always_inline void take_registers(struct gs_watch_hit *h, struct bpf_perf_event_data *ctx)
{
	h->pc = ctx->regs.rip;
	h->reg[0] = ctx->regs.rax;
	h->reg[1] = ctx->regs.rcx;
	h->reg[2] = ctx->regs.rdx;
	h->reg[3] = ctx->regs.rbx;
	h->reg[4] = ctx->regs.rsp;
	h->reg[5] = ctx->regs.rbp;
	h->reg[6] = ctx->regs.rsi;
	h->reg[7] = ctx->regs.rdi;
	h->reg[8] = ctx->regs.r8;
	h->reg[9] = ctx->regs.r9;
	h->reg[10] = ctx->regs.r10;
	h->reg[11] = ctx->regs.r11;
	h->reg[12] = ctx->regs.r12;
	h->reg[13] = ctx->regs.r13;
	h->reg[14] = ctx->regs.r14;
	h->reg[15] = ctx->regs.r15;
}

static __noinline int take_frames(struct gs_watch_hit *h)
{
	__u64 fp = h->reg[5];

	h->frame[0] = read_word(h->reg[4]);
	for (int i = 1; i < GS_WATCH_FRAMES; i++) {
		h->frame[i] = fp ? read_word(fp + 8) : 0;
		fp = fp ? read_word(fp) : 0;
	}
	return 0;
}

/* Which of the word's locks somebody holds: a Mutex's lowest bit says so, and of an RWMutex how
 * many read, less a large number where one wants to write. */
static __noinline int take_locks(struct gs_watch_hit *h)
{
	__u32 mine = target.lock_of[h->word & (GS_WATCH_WORDS - 1)];

	for (int i = 0; i < GS_WATCH_LOCKS; i++) {
		__u32 state = 0;

		if (!(mine >> i & 1) ||
		    bpf_probe_read_user(&state, sizeof(state), (void *)target.lock[i]))
			continue;
		if (target.lock_rw >> i & 1 ? state != 0 : state & 1)
			h->flags |= 1u << (GS_WATCH_HELD + i);
	}
	return 0;
}

static __always_inline bool is_to_be_held(__u64 pc)
{
	for (int i = 0; i < GS_WATCH_HOLDS; i++)
		if (target.hold[i] == pc)
			return __sync_fetch_and_add(&counts.held, 1) < target.most_held;
	return false;
}

static long is_over(__u32 i, __u64 *until)
{
	(void)i;
	return bpf_ktime_get_ns() >= *until;
}

/* Stays in the trap, so that others come meanwhile. */
static __noinline int hold(__u64 until)
{
	enum { READS_OF_THE_CLOCK = 1 << 15 };

	bpf_loop(READS_OF_THE_CLOCK, is_over, &until, 0);
	return 0;
}

static __always_inline int touched(struct bpf_perf_event_data *ctx, bool holds)
{
	__u64 now = bpf_ktime_get_ns();
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	__u32 i, n, word = word_of(ctx->addr);
	struct gs_watch_hit *h;

	barrier_var(word); /* what is compared is what is used, for the verifier */
	if (word >= GS_WATCH_WORDS || counts.stopped >> word & 1)
		return 1;
	i = __sync_fetch_and_add(&counts.hits, 1);
	barrier_var(i);
	if (i >= target.most_all || i >= GS_WATCH_HITS)
		return 1;
	h = &hits[i];
	h->end_ns = 0;
	h->begin_ns = now;
	h->tid = tid;
	h->word = (__u16)word;
	take_registers(h, ctx);
	take_goroutine(h);
	take_locks(h);
	take_frames(h);
	if (must_stop(h->pc))
		__sync_fetch_and_or(&counts.stopped, 1u << word);
	n = __sync_fetch_and_add(&by_thread[(tid & (GS_WATCH_THREADS - 1)) * GS_WATCH_WORDS + word],
				 1) +
	    1;
	if (holds && is_to_be_held(h->pc))
		hold(now + hold_ns);
	h->end_ns = bpf_ktime_get_ns();
	return n >= target.most || counts.stopped >> word & 1;
}

SEC("perf_event")
int word_touched(struct bpf_perf_event_data *ctx)
{
	return touched(ctx, false);
}

/* A program of its own: kernels before 5.17 have no loops of this kind. */
SEC("perf_event")
int word_touched_hold(struct bpf_perf_event_data *ctx)
{
	return touched(ctx, true);
}
