/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the programs share: the maps (defined in maps.bpf.c), the way from a
 * hit to its target's spec, and the names of Go's argument registers.
 *
 * Rules: no per-CPU scratch unless each run takes one that is free (uprobe
 * programs are preemptible), no helper that writes to the target, every early
 * return counted, and no function with more than 48 bytes of stack.  From 64 on
 * (rounded up to 16) a kernel since 6.13 gives it a stack per CPU, which the next
 * run on that CPU would share with a preempted one.  tests/unit/test_programs.c
 * asks the kernel.
 */
#ifndef GOSPECT_BPF_H
#define GOSPECT_BPF_H

#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "gospect/abi.h"
#include "pidns.h"

/* Go's register ABI (internal/abi): integer argument n. */
#if defined(__TARGET_ARCH_x86)
#define GO_ARG0(ctx)    ((ctx)->rax)
#define GO_ARG1(ctx)    ((ctx)->rbx)
#define GO_ARG2(ctx)    ((ctx)->rcx)
#define GO_ARG3(ctx)    ((ctx)->rdi)
#define GO_ARG4(ctx)    ((ctx)->rsi)
#define GO_ARG5(ctx)    ((ctx)->r8)
#define GO_ARG6(ctx)    ((ctx)->r9)
#define GO_CLOSURE(ctx) ((ctx)->rdx)
#define GO_G(ctx)       ((ctx)->r14)
#define GO_SP(ctx)      ((ctx)->rsp)
#define GO_FP(ctx)      ((ctx)->rbp)
/* jbe is taken when CF (bit 0) or ZF (bit 6) is set. */
#define GO_STACK_CHECK_FAILS(ctx) ((ctx)->eflags & 0x41)
/* What a conditional branch is about to judge was equal, or zero: ZF. */
#define GO_EQUAL(ctx) ((ctx)->eflags & 0x40)
typedef struct pt_regs go_regs;
#else
#error "no register names for this architecture"
#endif

/* Set before loading (rodata): the verifier drops what is not used. */
extern const volatile bool gs_has_cookies; /* bpf_get_attach_cookie(), Linux 5.15 */
/* The end of goroutines is probed: births are timed to the nanosecond; all of them. */
extern const volatile bool gs_lifetimes, gs_every_birth;
/* User space takes rows out of tables just now: none may be added (src/trace/evict.c). */
extern volatile __u32 gs_no_new;
/* Our pid namespace when it is not the machine's; 0: it is. */
extern const volatile __u64 gs_pidns_dev;
extern const volatile __u64 gs_pidns_ino;

struct gs_specs_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, GS_MAX_TARGETS);
	__type(key, __u32);
	__type(value, struct gs_spec);
};
struct gs_counters_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, GS_MAX_TARGETS);
	__type(key, __u32);
	__type(value, struct gs_counters);
};
extern struct gs_specs_map specs SEC(".maps");
extern struct gs_counters_map counters SEC(".maps");

/* A function with a stack of its own. */
#define SUBPROG static __noinline __attribute__((unused))

#define gs_add(p, n) ((void)__sync_fetch_and_add((p), (n)))

/* The bucket of a duration.  A function of its own for the verifier, too (maps.bpf.c): it follows
 * the 64 ways through it once, and not each of them from each caller on to the program's end. */
__u32 hist_bucket(__u64 ns);

/* One run of a program. */
struct hit {
	const volatile struct gs_spec *spec;
	struct gs_counters *count;
	__u32 target;
};

SUBPROG __u32 namespace_tgid(void)
{
	return pid_in_namespace(gs_pidns_dev, gs_pidns_ino);
}

static __always_inline __u32 current_tgid(void)
{
	return gs_pidns_ino ? namespace_tgid() : bpf_get_current_pid_tgid() >> 32;
}

/* A hit of a known target: counted, and to be summed when true. */
static __always_inline bool hit_of(struct hit *h, go_regs *ctx, __u32 target, __u32 probe,
				   __u32 group)
{
	h->target = target;
	h->count = bpf_map_lookup_elem(&counters, &target);
	h->spec = bpf_map_lookup_elem(&specs, &target);
	if (!h->count || !h->spec)
		return false; /* a cookie beyond the table: never attached so */
	gs_add(&h->count->hits[probe], 1);
	if (!(h->spec->active & GROUP_BIT(group))) {
		gs_add(&h->count->inactive, 1);
		return false;
	}
	if (current_tgid() != h->spec->tgid) {
		gs_add(&h->count->foreign, 1);
		return false;
	}
	if ((h->spec->branch_probes[GS_PROBE_WORD(probe) % GS_PROBE_WORDS] & GS_PROBE_BIT(probe)) &&
	    GO_STACK_CHECK_FAILS(ctx)) {
		gs_add(&h->count->retried, 1);
		return false;
	}
	return true;
}

/*
 * Counts the hit and finds its spec: false when it must not be summed.
 * probe and group are constants at every call.
 */
static __always_inline bool hit_begin(struct hit *h, go_regs *ctx, __u32 probe, __u32 group)
{
	return hit_of(h, ctx, gs_has_cookies ? (__u32)bpf_get_attach_cookie(ctx) : 0, probe, group);
}

#endif
