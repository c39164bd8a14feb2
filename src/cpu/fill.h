/* SPDX-License-Identifier: BSD-2-Clause */
/* From what the kernel counted to the CPU part of a window. */
#ifndef GOSPECT_CPU_FILL_H
#define GOSPECT_CPU_FILL_H

#include "cpu/window.h"
#include "gospect/cpu.h"
#include "model/look.h"

/* A stack that was sampled in the window. */
struct cpu_met {
	const volatile struct gs_cpu_stack *at;
	uint64_t count; /* in the window */
};

/*
 * Fills c->sample, c->stacks, c->kind, c->whole, c->placed.  0, -ENOMEM.
 */
int cpu_samples_fill(struct cpu_window *c, const struct look *l, const struct cpu_met *met,
		     size_t n);
/* Fills c->function and c->site from these.  0, -ENOMEM. */
int cpu_rows_fill(struct cpu_window *c);

/* "[kernel] futex"; static.  nr < 0: no system call. */
const char *cpu_kernel_name(int nr);

#endif
