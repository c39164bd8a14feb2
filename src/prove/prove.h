/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which goroutines can never run again: reachability over the process's own
 * memory, from outside.  A goroutine blocked on channels, a lock, a wait group
 * or a condition is leaked when nothing that can still run can reach what it
 * waits for (the algorithm of Go's own goroutineleak profile, runtime/mgc.go).
 *
 * Knows memory and layouts; knows nothing of reports.
 */
#ifndef GOSPECT_PROVE_PROVE_H
#define GOSPECT_PROVE_PROVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "gort/goruntime.h"

struct process;
struct freeze;

enum leak_verdict {
	LEAKS_OFF,    /* refused or not possible: result.why says it */
	LEAKS_PASSES, /* nothing was stopped: what all passes agree on */
	LEAKS_PROVEN  /* from a copy of the frozen process */
};

/*
 * A goroutine waits for a lock which, as the caller has inferred, the holder (or
 * each of several, with a pair of its own) has to give back first.
 */
struct prove_held {
	uint64_t waiter, holder; /* goids */
};

/* What is being done, and how much of that has been. */
struct prove_progress {
	const char *doing; /* NULL: the process stands still, this is no time for words */
	int pass, of;      /* of: 0 when it is for a proof */
	double share;      /* 0 to 1 */
};

/* The process is about to be stopped. */
struct prove_stop {
	uint64_t expected_ns;
	/* The stop before took longer than announced and was ended in vain, after this; or 0. */
	uint64_t in_vain_ns;
	bool again;    /* a stack that was not copied in the one before counts: all are now */
	bool uses_cgo; /* a system call of C code may see EINTR */
};

struct prove_config {
	struct goruntime *rt;          /* borrowed */
	const struct process *proc;    /* borrowed; NULL: memory without a process */
	bool prove;                    /* freeze for a copy */
	struct freeze *freeze;         /* borrowed, opened; with prove only */
	int passes;                    /* without prove: 6 */
	uint64_t limit_ns;             /* of the passes, see prove_run(); 0: none */
	uint64_t max_stop_ns;          /* an estimate above: not frozen, verdict PASSES */
	const struct prove_held *held; /* borrowed; may be NULL */
	size_t nheld;
	uint64_t max_bytes;   /* of our own memory; beyond: OFF, said, with too_much behind it */
	const char *too_much; /* what to do then; may be NULL */
	/* Called before freezing; NULL: silent. */
	void (*announce)(void *arg, const struct prove_stop *stop);
	void *arg;
	/* Called many times a second: false ends it, and the process runs on.  NULL: never. */
	bool (*go_on)(void *arg, const struct prove_progress *p);
};

struct leaked {
	struct goroutine g; /* as read in the last pass */
	uint64_t
		primitive; /* run-time address of the channel or lock; 0: nil channel, empty select */
	uint8_t kind;      /* enum leak_kind */
	bool by_design;    /* waits for ever on purpose: main, but not for a lock */
	uint8_t seen_passes; /* of result.passes */
};

enum leak_kind {
	LEAK_CHAN_RECV,
	LEAK_CHAN_SEND,
	LEAK_SELECT,
	LEAK_NIL_CHAN,
	LEAK_SELECT_NONE,
	LEAK_MUTEX,
	LEAK_RWMUTEX,
	LEAK_WAITGROUP,
	LEAK_COND,
	LEAK_SEMA
};

#define PROVE_MAX_RUNNING   256
#define PROVE_RUNNING_DEPTH 64

/* A goroutine that was on a CPU when the process was frozen. */
struct prove_running {
	uint64_t goid;
	uint64_t pc[PROVE_RUNNING_DEPTH]; /* innermost first; all as return addresses */
	int n;
	bool whole;
};

struct prove_result {
	enum leak_verdict verdict;
	char why[240];    /* OFF, or why PASSES although proof was asked for; else "" */
	bool tracer_busy; /* another tracer holds the process: exit 4 with a hint */
	struct leaked *v; /* owned; by goid */
	size_t n;
	/* Not leaked by reachability, but stuck if config.held says true; owned, by goid. */
	struct leaked *stuck;
	size_t nstuck;
	struct prove_running *running; /* owned; of a frozen process only */
	size_t nrunning;
	int passes;
	size_t candidates; /* blocked goroutines that were judged */
	uint64_t stop_ns;  /* those in vain included */
	uint64_t expected_stop_ns, total_ns;
	uint64_t as_of_ns;      /* our monotonic clock: who began later is in no verdict */
	uint64_t heap_bytes;    /* heap with pointers that was mirrored */
	uint64_t unknown_bytes; /* could not be read: treated as reaching everything */
	uint64_t losses;        /* structures that did not fit and were left out of the judgement */
};

/*
 * With prove: one look at the running process tells how long it will be stopped;
 * no stop takes longer than twice that.  Without: at least `passes` looks, more
 * (up to 24) when one takes back what the others said, but none is begun after
 * limit_ns: then three are enough, if the last one took nothing back, and after
 * three times that, or when it is told to end, two.  result.passes has their
 * number.  Between them is a pause, unless nothing ran during the last one.
 * Either way the process is looked at once more at the end, and what has moved
 * since, or is no longer in the queue it waited in, is taken back with all that
 * it keeps.
 *
 * 0 also when the verdict is OFF.  -ESRCH: the process ended; -ESTALE: it
 * became another program; -EINTR: told to end before there was a verdict;
 * -ENOMEM.  The target runs on in every case.
 */
int prove_run(const struct prove_config *cfg, struct prove_result *out, struct err *err);
void prove_result_deinit(struct prove_result *r);

#endif
