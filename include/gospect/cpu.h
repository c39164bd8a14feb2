/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * CPU samples: what the program that the timer runs and user space agree on.
 * Fixed-width members only, as in abi.h.
 */
#ifndef GOSPECT_CPU_H
#define GOSPECT_CPU_H

#include <linux/types.h>

#define GS_CPU_FRAMES      96  /* innermost ones; deeper stacks are cut */
#define GS_GO_SYSCALL      3   /* runtime._Gsyscall */
#define GS_CPU_PROBES      8   /* slots that are tried for a stack */
#define GS_CPU_WORDS       16  /* of the stack's top that are looked at */
#define GS_CPU_SLOTS       512 /* least; a power of two */
#define GS_CPU_LABELS      6   /* of a goroutine that are kept, and of each so many bytes: */
#define GS_CPU_KEY         32
#define GS_CPU_VALUE       64
#define GS_CPU_LABEL_SLOTS 256  /* of the labels' table */
#define GS_CPU_THREADS     1024 /* of the threads' table; a power of two, as that */

/* gs_cpu_stack.flags */
#define GS_CPU_KERNEL  1u  /* it was in the kernel */
#define GS_CPU_CUT     2u  /* there are frames beyond the table */
#define GS_CPU_NO_G    4u  /* which goroutine it was is not known */
#define GS_CPU_SCHED   8u  /* on the system stack, for no goroutine */
#define GS_CPU_FOREIGN 16u /* outside of Go's code: C, vDSO */
#define GS_CPU_VDSO    32u /* with FOREIGN: the latter */

/* How a goroutine that runs had stopped the time before: what its g kept of it. */
enum gs_cpu_stop {
	GS_CPU_UNTOLD, /* written over meanwhile, or there is no goroutine */
	GS_CPU_FORCED, /* it was preempted, by a signal */
	GS_CPU_PARKED, /* it waited */
	GS_CPU_LEFT,   /* anything else, by left_pc: at a function's entry, in a system call */
	GS_CPU_STOPS
};

/*
 * A stack and how often it was met: open addressing by hash, slots are never
 * given back while samples are taken.
 *
 * Frame pointers lose the caller of a function that has no frame (yet, or any
 * more).  Who knows the frame's size at pcs[0] finds it in `ret` (size 0), or,
 * where the saved frame pointer of word saved_at is what the register still (or
 * again) has, in `saved_ret` (size 8 * (saved_at + 1)).
 */
struct gs_cpu_stack {
	__u64 hash;  /* 0: free */
	__u64 count; /* samples */
	__u64 ready; /* the rest is written */
	__u64 gopc;  /* where the goroutine was created, run-time; 0 not known */
	__u64 goid;
	__u64 ret, saved_ret; /* 0: no address in Go's code */
	__u32 saved_at;
	__u32 flags;       /* GS_CPU_… */
	__s32 system_call; /* with GS_CPU_KERNEL; < 0: none (a fault, an interrupt) */
	__u32 npcs;
	__u32 labels; /* of its goroutine: their slot + 1; 0: none; GS_CPU_LABELS_UNKNOWN */
	__u32 thread; /* where the target asks for it, of its namespace */
	__u32 stop[GS_CPU_STOPS]; /* how the goroutine had last stopped running: samples of each */
	__u64 left_pc;            /* of the latest GS_CPU_LEFT: where, run-time */
	__u64 pcs[GS_CPU_FRAMES]; /* run-time: where it stood, then return addresses */
};
_Static_assert(sizeof(struct gs_cpu_stack) == 104 + 8 * GS_CPU_FRAMES, "gs_cpu_stack");

/* pprof labels of a goroutine, when it was sampled: a table as that of stacks. */
#define GS_CPU_LABELS_UNKNOWN (~0u) /* there are some, and no way to read them, or no room */
struct gs_cpu_label {
	char key[GS_CPU_KEY], value[GS_CPU_VALUE]; /* cut, then zeroes */
};
struct gs_cpu_labels {
	__u64 hash, ready;
	__u32 n, unused;
	struct gs_cpu_label label[GS_CPU_LABELS];
};
_Static_assert(sizeof(struct gs_cpu_labels) == 24 + 96 * GS_CPU_LABELS, "gs_cpu_labels");

/* How a release keeps them: golabels.h. */
enum gs_cpu_labels_kind { GS_CPU_LABELS_NONE, GS_CPU_LABELS_LIST, GS_CPU_LABELS_MAP };

/* A thread and its M, written by user space: C leaves the goroutine in no register.  In
 * one of GS_CPU_PROBES slots from `thread` on; the M is asked whether it is still its own. */
struct gs_cpu_thread {
	__u64 m;
	__u32 thread, unused;
};

/* Counts since the programs were loaded. */
struct gs_cpu_counts {
	__u64 samples; /* of the target, all of them */
	__u64 no_room; /* of them, in no stack: the table was full */
	__u64 no_user; /* of them, in the kernel without the registers of the program */
	__u64 foreign; /* of other processes */
	__u64 run_ns;  /* what the samples of the target took, the interrupts apart */
};
_Static_assert(sizeof(struct gs_cpu_counts) == 40, "gs_cpu_counts");

/* What the program knows of the target: set before the timers run. */
struct gs_cpu_target {
	__u64 text_lo, text_hi; /* Go's code, run-time */
	__u64 morestack_lo, morestack_hi;
	__u64 preempt_lo, preempt_hi; /* asyncPreempt2 */
	__u64 park_lo, park_hi;       /* gopark */
	__u64 switch_lo, switch_hi;   /* systemstack_switch */
	__u64 vdso_lo, vdso_hi;
	__u64 pidns_dev, pidns_ino; /* tgid is of that namespace; 0: of the first */
	__u32 tgid;
	__u32 g_m, g_goid, g_gopc, g_sched_sp, g_sched_pc, g_sched_bp;
	__u32 m_g0, m_curg, m_procid;
	__u32 g_labels, labels_kind; /* enum gs_cpu_labels_kind */
	__u32 g_status;
	__u32 by_thread;
};
_Static_assert(sizeof(struct gs_cpu_target) == 168, "gs_cpu_target");

#endif
