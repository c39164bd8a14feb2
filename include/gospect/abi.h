/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The contract between the BPF programs and user space: map keys and values.
 *
 * Fixed-width members only, no padding the compiler could choose, no libc;
 * included by bpf/ and by src/trace/.  Every size is asserted on both sides,
 * because the two sides are compiled by different compilers.
 *
 * Sums only.  No program sends a record per hit; what a program could not sum
 * it counts in struct gs_counters.
 */
#ifndef GOSPECT_ABI_H
#define GOSPECT_ABI_H

#include <linux/types.h>

/* Probes, numbered as enum probe_id of src/plan/plan.h (asserted in src/trace). */
enum {
	GS_PROBE_GO_BIRTH,
	GS_PROBE_CORO_BIRTH,
	GS_PROBE_GO_DEATH,
	GS_PROBE_ALLOC_LARGE,
	GS_PROBE_GC_START,
	GS_PROBE_GC_END,
	GS_PROBE_STW_BEGIN,
	GS_PROBE_STW_END,
	GS_PROBE_MAX
};

/* Table sizes.  What happens when one is full is said at the table (bpf/maps.bpf.c). */
#define GS_MAX_TARGETS		64
#define GS_MAX_SITES		16384
#define GS_MAX_STACKS		4096
#define GS_MAX_THREADS		4096
#define GS_BIRTH_SLOTS		65536	/* a power of two */
/* Births beyond these in one jiffy (1 to 10 ms) are counted but not timed: at
 * such a rate the table above would forget them within seconds anyway. */
#define GS_BIRTHS_PER_JIFFY	32
#define GS_MAX_FRAMES		24
#define GS_HIST_BUCKETS		320

/* Bits of gs_spec.active: which group of probes counts. */
#define GS_ACTIVE_RARE		1u
#define GS_ACTIVE_GOVERNED	2u

/*
 * What the programs know of one target: the value of map `specs`, found by
 * the cookie's low 32 bits (0 where the kernel has no cookies).  User space
 * writes it before attaching; `active` and `window` change while attached.
 */
struct gs_spec {
	__u32 tgid;		/* as the programs see it: see gs_pidns_ino */
	__u32 active;		/* GS_ACTIVE_… */
	__u32 branch_probes;	/* bit per probe: the site is the stack check's jbe,
				 * and a hit that takes it (CF or ZF) does not count */
	__u32 window;		/* 0 or 1: which stw_max_ns[] grows */
	/* offsets in the runtime's g; startpc is at gopc + 16 in every release */
	__u32 g_goid;
	__u32 g_gopc;
};
_Static_assert(sizeof(struct gs_spec) == 24, "gs_spec");

/* Distance of g.startpc from g.gopc: the two are read in one piece. */
#define GS_STARTPC_AFTER_GOPC	16

/* Per target and CPU; updated atomically, for uprobe programs can be preempted. */
struct gs_counters {
	__u64 hits[GS_PROBE_MAX];	/* every run of a program: what the target paid for */
	/* early returns */
	__u64 inactive;			/* not counting yet, or between two slices */
	__u64 foreign;			/* another process: the pid filter let it through */
	__u64 retried;			/* stack check that took its branch */
	__u64 read_failures;		/* the g or the funcval could not be read */
	__u64 sites_full;
	__u64 stacks_full;
	__u64 threads_full;
	__u64 stack_failures;		/* bpf_get_stack() failed */
	__u64 unpaired;			/* end of a cycle or pause whose begin was not seen */
	__u64 threads_made;		/* entries added to `alloc_scratch` */
	__u64 stack_collisions;
};
_Static_assert(sizeof(struct gs_counters) == 152, "gs_counters");

/* Goroutines: key and value of map `sites`.  The key's shape lets the program
 * read g.gopc … g.startpc right into it. */
struct gs_site_key {
	__u64 gopc;
	__u64 target;
	__u64 startpc;
};
struct gs_site {
	__u64 births;
	__u64 deaths;
};
_Static_assert(sizeof(struct gs_site_key) == 24, "gs_site_key");
_Static_assert(sizeof(struct gs_site) == 16, "gs_site");

/*
 * Birth times: a direct-mapped table, slot = (goid + target * odd) & mask.
 * `owner` is GS_BIRTH_OWNER(target, goid); 0 while a slot is being written.
 */
struct gs_birth {
	__u64 owner;
	__u64 ns;	/* CLOCK_MONOTONIC */
};
_Static_assert(sizeof(struct gs_birth) == 16, "gs_birth");
#define GS_BIRTH_OWNER(target, goid) (((__u64)(target) << 48) | (goid))
#define GS_BIRTH_SLOT(target, goid) \
	(((goid) + (__u64)(target) * 40503u) & (GS_BIRTH_SLOTS - 1))

/*
 * Large allocations by stack: value of map `stacks`.  The key is a 64-bit hash
 * of the stack; the frames are compared, and two stacks of one hash are
 * counted in stack_collisions, never merged.
 */
struct gs_stack {
	__u64 count;
	__u64 bytes;
	__u64 max_bytes;
	__u32 target;
	__u32 npcs;
	__u64 pcs[GS_MAX_FRAMES];	/* 0 beyond npcs */
};
_Static_assert(sizeof(struct gs_stack) == 32 + 8 * GS_MAX_FRAMES, "gs_stack");

/* A histogram of durations: eight buckets an octave, exact below 8 ns; the
 * last bucket takes all from 2^42 ns (73 minutes). */
struct gs_hist {
	__u64 count;
	__u64 sum_ns;
	__u64 max_ns;
	__u32 bucket[GS_HIST_BUCKETS];
};
_Static_assert(sizeof(struct gs_hist) == 24 + 4 * GS_HIST_BUCKETS, "gs_hist");

/* Index of the highest bit set; v is not 0.  (BPF has no such instruction.) */
static inline __attribute__((always_inline)) __u32 gs_high_bit(__u64 v)
{
	__u32 n = 0, step;

	for (step = 32; step; step >>= 1)
		if (v >> step) {
			v >>= step;
			n += step;
		}
	return n;
}

/* The bucket of a duration. */
static inline __attribute__((always_inline)) __u32 gs_hist_bucket(__u64 ns)
{
	__u32 e;

	if (ns < 8)
		return (__u32)ns;
	if (ns >> 42)
		return GS_HIST_BUCKETS - 1;
	e = gs_high_bit(ns);
	return (e - 2) * 8 + (__u32)((ns >> (e - 3)) & 7);
}

/* GC of one target: the value of map `gc`. */
struct gs_gc {
	__u64 starts;		/* gcStart: losers of the race included */
	__u64 ends;		/* cycles ended */
	__u64 cycle_begin_ns;	/* 0: no cycle under way that we saw begin */
	__u64 cycle_stopped;	/* the world was stopped since cycle_begin_ns */
	__u64 stw_begin_ns;	/* 0: the world runs */
	__u64 stw_max_ns[2];	/* largest pause by window: see gs_spec.window */
	struct gs_hist cycle;
	struct gs_hist stw;
};
_Static_assert(sizeof(struct gs_gc) == 56 + 2 * sizeof(struct gs_hist), "gs_gc");

#endif
