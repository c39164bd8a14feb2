/* SPDX-License-Identifier: BSD-2-Clause */
/* What the process did with its CPU time in a window, by samples. */
#ifndef GOSPECT_CPU_WINDOW_H
#define GOSPECT_CPU_WINDOW_H

#include "gospect/cpu.h"
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
	uint64_t goid, gopc;  /* 0 not known */
	uint32_t thread;      /* 0: not told apart */
	uint32_t labels;      /* in labels, + 1; 0: none, or not known */
	/* how the goroutine had stopped the time before, as far as that is known */
	uint64_t forced, parked, left; /* it was preempted; it waited; anything else */
};

/* A goroutine that used much of the CPU. */
struct cpu_goroutine {
	uint64_t goid, gopc;
	struct place created; /* may have no function */
	uint64_t samples;
	double pct;                    /* of all samples */
	uint64_t forced, parked, left; /* as of a sample */
	/* the innermost function that is in all of its stacks, and the lines where it stood
	 * there: at.line to last_line; may have no function */
	struct place at;
	uint64_t last_line;
	/* samples since it was seen to wait last, of windows before this one, too; of these, how
	 * it had stopped the time before */
	uint64_t ran, ran_forced, ran_left;
	bool never_waits; /* see cpu_goroutines_fill() */
	/* of goroutines of other places than those that never wait: how many waited to run, on
	 * average where any did, and at how many looks any did */
	uint64_t behind;
	int behind_looks;
	uint64_t lock_waiters; /* for a lock that it holds; set in observe/explain_rows.c */
	enum exactness exactness;
};

/* How long goroutines waited to run; the runtime times one stop in eight. */
struct cpu_waits {
	bool known;
	uint64_t timed, p50_ns, p99_ns;
	uint64_t slow; /* of them, of CPU_SLOW_NS and more */
};
#define CPU_SLOW_NS (1ull << 23) /* 8.4 ms: where a bucket of the runtime's begins */

/* What the control group's quota did. */
struct cpu_throttle {
	bool known;                  /* there is a quota */
	uint64_t periods, throttled; /* of the quota; in which it was used up */
	uint64_t ns;                 /* for which threads were kept from running, summed */
};

#define CPU_MAX_GOROUTINES 10

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
	bool profile; /* every function and place, not those with most samples */
	unsigned int hz;
	uint64_t period_ns; /* of CPU time that a sample stands for */
	uint64_t samples;   /* all of the process */
	uint64_t placed;    /* of them, those whose stack is known */
	uint64_t whole;     /* of these, down to where the stack begins */
	uint64_t kind[CPU_KINDS];
	struct cpu_sample *sample; /* owned; most samples first */
	size_t nsample;
	struct stack_table stacks;     /* owned */
	struct gs_cpu_labels *labels;  /* owned; pprof labels; NULL: no sample has any */
	uint64_t labels_unknown;       /* samples whose labels could not be kept */
	struct cpu_function *function; /* owned; by flat */
	int nfunction;
	struct cpu_site *site; /* owned; by samples */
	int nsite;
	struct cpu_goroutine goroutine[CPU_MAX_GOROUTINES]; /* by samples */
	int ngoroutine;
	/* goroutines that waited to run at looks: at how many looks any did, their sum */
	int looks, queued_looks;
	uint64_t queued;
	struct cpu_waits waits;
	struct cpu_throttle throttle;
};

/* Frees what it owns; it is then empty. */
void cpu_window_deinit(struct cpu_window *c);

#endif
