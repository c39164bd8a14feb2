/* SPDX-License-Identifier: BSD-2-Clause */
/* What the process did with its CPU time in a window, by samples. */
#ifndef GOSPECT_CPU_WINDOW_H
#define GOSPECT_CPU_WINDOW_H

#include "model/stacktable.h"
#include "model/window.h"

/* What a sample is of, by its stack. */
enum cpu_kind { CPU_GO, CPU_GC, CPU_SCHEDULER, CPU_KERNEL, CPU_FOREIGN, CPU_KINDS };
extern const char *const cpu_kind_word[CPU_KINDS];

/* Samples of one stack. */
struct cpu_sample {
	uint32_t stack; /* in stacks; pseudo frames "[kernel] read", "[C]" included */
	uint64_t count;
	enum cpu_kind kind;
	struct place created; /* of its goroutine; may have no function */
};

/* Samples by function. */
struct cpu_function {
	bool other;
	struct place place;       /* where it was met most often while it ran itself, or called */
	uint64_t flat, cum;       /* samples: it ran; it or what it called ran */
	double flat_pct, cum_pct; /* of all samples */
	enum exactness exactness;
};

/* Samples by where the goroutine was created. */
struct cpu_site {
	bool other;
	struct place place; /* no function: the runtime's own, or not known */
	uint64_t samples;
	double pct;
	enum exactness exactness;
};

struct cpu_window {
	bool known;
	unsigned int hz;
	uint64_t period_ns; /* of CPU time that a sample stands for */
	uint64_t samples;   /* all of the process */
	uint64_t placed;    /* of them, those whose stack is known */
	uint64_t whole;     /* of these, down to where the stack begins */
	uint64_t kind[CPU_KINDS];
	struct cpu_sample *sample; /* owned; most samples first */
	size_t nsample;
	struct stack_table stacks;     /* owned */
	struct cpu_function *function; /* owned; by flat */
	int nfunction;
	struct cpu_site *site; /* owned; by samples */
	int nsite;
};

/* Frees what it owns; it is then empty. */
void cpu_window_deinit(struct cpu_window *c);

#endif
