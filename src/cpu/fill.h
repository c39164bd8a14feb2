/* SPDX-License-Identifier: BSD-2-Clause */
/* From what the kernel counted to the CPU part of a window. */
#ifndef GOSPECT_CPU_FILL_H
#define GOSPECT_CPU_FILL_H

#include "cpu/window.h"
#include "gospect/cpu.h"
#include "gort/golatency.h"
#include "model/look.h"
#include "proc/usage.h"

/* A stack that was sampled in the window. */
struct cpu_met {
	const volatile struct gs_cpu_stack *at;
	uint64_t count;              /* in the window */
	uint32_t stop[GS_CPU_STOPS]; /* of these */
};

/* Who waited to run, look by look. */
struct cpu_queue {
	struct cpu_queued *at; /* owned */
	size_t n, cap;
	int looks;
};
/* The walk of a look.  0, -ENOMEM. */
int cpu_queue_look(struct cpu_queue *q, const struct gowalk *walk);
/* Forgets the looks so far: a window begins. */
void cpu_queue_clear(struct cpu_queue *q);
void cpu_queue_deinit(struct cpu_queue *q);
/* How many waited to run at a look, but for those created at n pcs (run-time). */
uint64_t cpu_queue_at(const struct cpu_queue *q, int look, const uint64_t *not_gopc, int n);

/*
 * Fills c->sample, c->stacks, c->kind, c->whole, c->placed.  0, -ENOMEM.
 */
int cpu_samples_fill(struct cpu_window *c, const struct look *l, const struct cpu_met *met,
		     size_t n);
/* Fills c->function and c->site from these.  0, -ENOMEM. */
int cpu_rows_fill(struct cpu_window *c);

/* Who was not seen to wait, in the windows before. */
struct cpu_running {
	struct cpu_goroutine g[CPU_MAX_GOROUTINES];
	int n;
};

/*
 * Fills c->goroutine, and who waited behind those that never wait: a second and more of CPU time
 * in samples, of consecutive windows; in none of these had it waited before it ran on, in half
 * at least it had been preempted, and in a tenth at most anything else had stopped it.
 * 0, -ENOMEM.
 */
int cpu_goroutines_fill(struct cpu_window *c, const struct cpu_queue *q,
			struct cpu_running *running);

/* What the runtime and the kernel have counted so far. */
struct cpu_waited {
	bool has_latency;
	struct golatency latency;
	struct throttling throttling;
};
void cpu_waited_read(const struct look *l, struct cpu_waited *w);
/* Fills c->waits and c->throttle: what came between. */
void cpu_waits_fill(const struct cpu_waited *base, const struct cpu_waited *now,
		    struct cpu_window *c);

/* "[kernel] futex"; static.  nr < 0: no system call. */
const char *cpu_kernel_name(int nr);

#endif
