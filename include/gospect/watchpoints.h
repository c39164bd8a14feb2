/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Watchpoints: what the program that a trap runs and user space agree on.
 * Fixed-width members only, as in abi.h.
 */
#ifndef GOSPECT_WATCHPOINTS_H
#define GOSPECT_WATCHPOINTS_H

#include <linux/types.h>

#define GS_WATCH_WORDS   4    /* debug registers of an amd64 CPU */
#define GS_WATCH_HITS    4096 /* kept of a slice; a power of two */
#define GS_WATCH_THREADS 4096 /* counters of hits; a power of two */
#define GS_WATCH_FRAMES  6
#define GS_WATCH_REGS    16
#define GS_WATCH_RANGES  32
#define GS_WATCH_LOCKS   8 /* read at an access; bits GS_WATCH_HELD on of its flags */
#define GS_WATCH_HELD    8
#define GS_WATCH_HOLDS   8 /* places behind a store where a thread may be held */

/* gs_watch_hit.flags */
#define GS_WATCH_NO_G 1u /* not on a goroutine's own stack: g0, signals, C */

/* One access: the trap comes right behind the instruction. */
struct gs_watch_hit {
	__u64 begin_ns,
		end_ns; /* first and last instruction of the program; end 0: not there yet */
	__u64 pc;       /* behind the access */
	__u64 reg[GS_WATCH_REGS];     /* by number of the machine: rax, rcx, rdx, rbx, rsp, … */
	__u64 goid, gopc;             /* of the goroutine, unless NO_G */
	__u64 frame[GS_WATCH_FRAMES]; /* the word at rsp, then return addresses by frame pointer */
	__u32 tid;                    /* in the machine's first namespace */
	__u16 word, flags;
};
_Static_assert(sizeof(struct gs_watch_hit) == 40 + 8 * (GS_WATCH_REGS + GS_WATCH_FRAMES) + 8,
	       "gs_watch_hit");

struct gs_watch_range {
	__u64 lo, hi; /* run-time */
};

/* Written before a slice. */
struct gs_watch_target {
	__u64 addr[GS_WATCH_WORDS]; /* as the events have them */
	struct gs_watch_range
		stop[GS_WATCH_RANGES];     /* code that must not be held up: size 0 at the end */
	__u32 g_m, g_goid, g_gopc, m_curg; /* offsets */
	__u64 hold[GS_WATCH_HOLDS];        /* pcs; 0 at the end */
	__u64 lock[GS_WATCH_LOCKS];        /* a mutex's state, or how many read, of an RWMutex */
	__u32 lock_of[GS_WATCH_WORDS];     /* mask of them */
	__u32 lock_rw;                     /* mask */
	__u32 most_held;                   /* times in all */
	__u32 most;     /* hits of one thread on one word; then it is disarmed there */
	__u32 most_all; /* hits in all, <= GS_WATCH_HITS */
};

/* Of a slice. */
struct gs_watch_counts {
	__u32 hits;    /* those beyond most_all included, one of each thread and word */
	__u32 stopped; /* mask of words that code of `stop` touched */
	__u32 held;    /* times that a thread was, or would have been */
};

#endif
