/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A process that stands still for a moment: every thread stopped by ptrace,
 * which the kernel ends by itself when the tracer ends.  Nothing is written to
 * the process.  Knows nothing of Go.
 *
 * The tracer is a process of its own (hold.c), in a session of its own: whatever
 * happens to this one, it lets go when it was told to, or when this one ends.
 * Should it be stopped itself, a timer of the kernel kills it.
 */
#ifndef GOSPECT_PROVE_FREEZE_H
#define GOSPECT_PROVE_FREEZE_H

#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct frozen_thread {
	pid_t tid;
	bool seized, stopped, gone;
	int signal; /* to be delivered when it resumes, 0: none */
	uint64_t pc, sp;
	bool in_syscall;
	size_t first_word, nwords; /* its registers in freeze.word */
};

struct freeze {
	struct frozen_thread *thread; /* owned */
	size_t n;
	uint64_t *word; /* owned: registers, vector registers too */
	size_t nword;
	uint64_t stop_ns; /* how long it stood still, by whoever held it; set when that is over */
	char why[160];
	pid_t holder;
	int sock; /* to it; -1: there is none */
	bool holds;
	uint64_t began_ns, kill_ns;
	/* of this thread, while it stands still */
	bool urgent;
	int policy;
	struct sched_param priority;
	sigset_t signals;
};

/* A zeroed one is of a process of which nothing is known: no holder, no thread. */
void freeze_init(struct freeze *f);
/*
 * Makes the holder, a copy of this process: call while this one is small.  The
 * process that is to be frozen is not touched.
 */
int freeze_open(struct freeze *f);
static inline bool freeze_is_open(const struct freeze *f)
{
	return f->sock >= 0;
}
/*
 * freeze_begin() stops all threads, until none is new, and reads their registers.
 * At `until_ns` (monotonic; UINT64_MAX: never) the holder lets go by itself; when it
 * has not been able to, the kernel ends it at kill_ns.  -EBUSY: another tracer has
 * it; -EPERM; -ETIME: not all did stop in time; -ESRCH, -ENOMEM.  After a failure
 * nothing is stopped.
 */
int freeze_begin(struct freeze *f, pid_t pid, uint64_t until_ns, uint64_t kill_ns);
/* Resumes them.  0, or -ETIME: they have been running since some moment before. */
int freeze_end(struct freeze *f);
void freeze_deinit(struct freeze *f);

#endif
