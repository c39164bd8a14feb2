/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Samples of what a process does with its CPU time: on each CPU a timer of the
 * kernel's (a perf software event: no hardware counter, nothing in the process)
 * whose BPF program counts stacks.  An idle process costs nothing.
 */
#ifndef GOSPECT_TRACE_SAMPLER_H
#define GOSPECT_TRACE_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "gospect/cpu.h"

struct gobin;
struct sampler;

struct sampler_config {
	pid_t pid;
	const struct gobin *gb; /* borrowed while it begins: its layout has to be known */
	uint64_t bias;          /* run-time pc - link-time address */
	int proc_fd;            /* of /proc/PID */
	bool by_thread;         /* stacks of each thread apart */
};

/*
 * Makes the timers, which do not run yet: hz times a second on each CPU.  slots: how many
 * distinct stacks are kept, a power of two, 872 bytes each.  A thread begins to load
 * the program, which takes some 20 ms.  Before privileges are given up: it takes CAP_PERFMON
 * and CAP_BPF.  -EPERM, -EOPNOTSUPP, -ENOMEM with err.
 */
int sampler_open(struct sampler **out, unsigned int hz, uint32_t slots, struct err *err);
/* Waits for the program, tells it the process, and lets the timers run.  -EOPNOTSUPP, -EPERM,
 * -ENOMEM with err, also of the loading. */
int sampler_begin(struct sampler *s, const struct sampler_config *cfg, struct err *err);
/* Takes the timers away and frees.  NULL is fine. */
void sampler_close(struct sampler *s);
/* Stops, or starts again: what was counted stays. */
void sampler_pause(struct sampler *s, bool on);
unsigned int sampler_hz(const struct sampler *s);
/* Slots, `slots` of them, that the kernel writes to: those with `ready` set can be read; their
 * counts only grow.  Valid until sampler_close(), or sampler_clear(). */
const volatile struct gs_cpu_stack *sampler_stacks(const struct sampler *s, uint32_t *slots);
/* The labels' table, GS_CPU_LABEL_SLOTS of them; likewise. */
const volatile struct gs_cpu_labels *sampler_labels(const struct sampler *s);
/* That this thread (as the process itself counts) is that M's; in vain where others have its place. */
void sampler_know_thread(struct sampler *s, uint32_t thread, uint64_t m);
struct gs_cpu_counts sampler_counts(const struct sampler *s);
/* What they have cost the target so far, ns: what they took, and what the interrupts take. */
uint64_t sampler_cost_ns(const struct sampler *s);
/* Forgets all stacks and labels; counts stay.  Samples of this moment are lost. */
void sampler_clear(struct sampler *s);
/* Kernel memory of the tables. */
uint64_t sampler_bytes(const struct sampler *s);

#endif
