/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is kept of the end of a process: by the probes (struct gs_crash), by
 * the kernel's tracepoints (struct gs_death).  As abi.h: fixed-width members,
 * no padding that a compiler could choose, sizes asserted on both sides.
 *
 * All of it comes from a process that is dying: every byte is foreign.
 */
#ifndef GOSPECT_CRASH_H
#define GOSPECT_CRASH_H

#include <linux/types.h>

/* A death makes one to three records; more: only counted. */
#define GS_CRASH_RECORDS 6
#define GS_CRASH_PANICS  8     /* of a chain; beyond: left out */
#define GS_CRASH_TEXT    1024  /* bytes of a message; what is longer is cut */
#define GS_CRASH_STACK   32768 /* bytes of the stack, from where it stands; what is deeper is cut */
#define GS_CRASH_CHUNK   1024  /* read in one piece */
#define GS_CRASH_OTHERS  96    /* other goroutines; beyond: only counted */

/* A link of g._panic, the latest first; the message of a fatal error is in the first. */
struct gs_crash_panic {
	__u64 type, data; /* the interface value: run-time addresses; 0: none */
	__u64 word[2];    /* what data points to; 0 where it could not be read */
	__u32 flags;      /* GS_PANIC_… */
	__u32 len;        /* of the string at data, or of the message; may be more than is here */
	__u32 text_bytes; /* that are in text; less: constants whose page was not in memory */
	__u32 more;       /* the four bytes behind word; only of GS_PANIC_MORE */
	__u64 text_at;    /* run-time address */
	char text[GS_CRASH_TEXT];
};
#define GS_PANIC_RECOVERED 1u
#define GS_PANIC_GOEXIT    2u /* runtime.Goexit under way: no panic */
#define GS_PANIC_MORE      4u

/*
 * Panics that are recovered, by the stack that panicked: value of map `panics`, by a hash of
 * pcs.  The value is that of the first one.
 */
#define GS_MAX_PANICS   128
#define GS_PANIC_FRAMES 8
struct gs_panics {
	__u64 recovered;
	__u64 ns;                   /* of the first, CLOCK_MONOTONIC; 0: it is being written */
	__u64 pcs[GS_PANIC_FRAMES]; /* return addresses, innermost first; 0 beyond */
	struct gs_crash_panic first;
};
/*
 * Panics under way: value of map `panicking`, by the g.  One that is as near to the stack's
 * base as a new one, or nearer, is over without having been recovered itself.
 */
#define GS_MAX_PANICKING 512
#define GS_PANIC_LEVELS  4 /* of one goroutine; the deepest makes room: counted in panics_other */
struct gs_panicking {
	__u32 n, unused;
	struct {
		__u64 depth; /* bytes below the stack's base */
		__u64 hash;
	} level[GS_PANIC_LEVELS];
};
_Static_assert(sizeof(struct gs_panicking) == 8 + 16 * GS_PANIC_LEVELS, "gs_panicking");

enum {
	GS_CRASH_TYPES = 1, /* a panic that nobody recovers, its value as it was given */
	GS_CRASH_PANIC,     /* … and as it is printed: errors and Stringers are text now */
	GS_CRASH_FATAL,     /* a fatal error: runtime.throw, runtime.fatal */
	GS_CRASH_SIGNAL,    /* a signal that no one handles */
	GS_CRASH_EXIT       /* os.Exit */
};

/* Another goroutine that lives, as it was then. */
struct gs_crash_other {
	__u64 goid, gopc, startpc;
	__u32 status, reason; /* of the g */
};

struct gs_crash {
	__u64 ns;    /* CLOCK_MONOTONIC */
	__u32 ready; /* written last */
	__u32 kind;  /* GS_CRASH_… */
	__s64 code;  /* EXIT: the status; SIGNAL: its number, 0 not known */
	__u32 tid;   /* as the machine numbers it */
	__u32 flags; /* GS_CRASH_… below */
	/* the goroutine */
	__u64 g, goid, gopc, startpc;
	/* where it stands: pc, and the stack from sp on */
	__u64 pc, sp, stack_hi;
	__u32 stack_bytes; /* that are in stack; 0: none */
	__u32 npanic;
	__u32 nother;   /* in other */
	__u32 unlooked; /* places of the list of all goroutines that were not looked at */
	struct gs_crash_panic panic[GS_CRASH_PANICS];
	struct gs_crash_other other[GS_CRASH_OTHERS];
	__u8 stack[GS_CRASH_STACK];
};
#define GS_CRASH_ON_G0  1u /* the thread was on its system stack */
#define GS_CRASH_NO_G   2u /* the thread ran no goroutine: this is the first of all */
#define GS_CRASH_MORE   4u /* the chain of panics is longer */
#define GS_CRASH_UNREAD 8u /* a word could not be read */

/* What the program has to know: written by user space before it is attached.  Offsets; 0xffffffff: not known. */
struct gs_crash_spec {
	__u32 g_m, g_goid, g_gopc, g_startpc, g_sched_pc, g_sched_sp, g_panic, m_curg;
	__u32 panic_arg, panic_link, panic_recovered, panic_goexit;
	__u32 g_status, g_reason;
	__u64 allgs;   /* run-time address of runtime.allgs or allgptr; 0 */
	__u64 allglen; /* … and of how many there are; 0 */
};

_Static_assert(sizeof(struct gs_crash_panic) == 56 + GS_CRASH_TEXT, "gs_crash_panic");
_Static_assert(sizeof(struct gs_panics) == 16 + 8 * GS_PANIC_FRAMES + sizeof(struct gs_crash_panic),
	       "gs_panics");
_Static_assert(sizeof(struct gs_crash) == 104 + GS_CRASH_PANICS * sizeof(struct gs_crash_panic) +
						  GS_CRASH_OTHERS * sizeof(struct gs_crash_other) +
						  GS_CRASH_STACK,
	       "gs_crash");
_Static_assert(sizeof(struct gs_crash_spec) == 72, "gs_crash_spec");

/* ---- the kernel's tracepoints ---- */

#define GS_SIGNALS 65 /* 1 to 64 */

/* Where members are in the kernel's structs, and two sizes: as its BTF says.  All are there. */
struct gs_kernel {
	__u32 task_exit_code, task_pid, task_tgid, task_signal, task_mm;
	__u32 signal_group_exit_code, signal_pids;
	__u32 pid_level, pid_numbers, upid_nr, upid_ns, upid_bytes, pidns_inum;
	__u32 rss, rss_bytes; /* of the first count in mm_struct, and to the next one; 0: none */
};

/* The latest signal of a number that was not ignored. */
struct gs_signal {
	__u64 ns;       /* 0: none came */
	__u64 first_ns; /* when the first one came */
	__u32 sender; /* process, in gospect's pid namespace if that is not the first; 0 not known */
	__s32 code;   /* si_code: SI_USER 0, SI_TKILL -6, SI_KERNEL 0x80, > 0 a fault */
	__u32 count;  /* that came */
	__u32 unused;
	char comm[16]; /* of the sending thread */
};

struct gs_death {
	__u64 exit_ns;      /* of the last thread that ended; 0: none has */
	__u32 leader_code;  /* as wait(2) has it: of the first thread … */
	__u32 group_code;   /* … and what exit_group() or a signal gave to all of them */
	__u32 leader_ended; /* 1: it has */
	__u32 threads;      /* that ended */
	__u64 oom_ns;       /* the OOM killer chose it; 0: it did not */
	__u64 oom_anon_pages, oom_file_pages, oom_shmem_pages; /* that it counted, roughly */
	struct gs_signal from_others[GS_SIGNALS];
	struct gs_signal from_itself[GS_SIGNALS];
};
_Static_assert(sizeof(struct gs_signal) == 48, "gs_signal");
_Static_assert(sizeof(struct gs_death) == 56 + 2 * GS_SIGNALS * sizeof(struct gs_signal),
	       "gs_death");

#endif
