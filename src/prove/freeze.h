/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A process that stands still for a moment: every thread stopped by ptrace,
 * which the kernel ends by itself when gospect does.  Nothing is written to
 * the process.  Knows nothing of Go.
 *
 * The tracer is a thread of its own: when it ends, the kernel lets go whatever
 * it still holds, also a thread that did not stop in time.
 */
#ifndef GOSPECT_PROVE_FREEZE_H
#define GOSPECT_PROVE_FREEZE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FREEZE_MAX_THREADS 65536

struct frozen_thread {
	pid_t tid;
	bool seized, stopped, gone;
	int signal; /* to be delivered when it resumes, 0: none */
	uint64_t pc, sp;
	bool in_syscall;
	size_t first_word, nwords; /* its registers in freeze.word */
};

struct freeze {
	pid_t pid;
	struct frozen_thread *thread; /* owned */
	size_t n, cap;
	uint64_t *word; /* owned: registers, vector registers too */
	size_t nword, word_cap;
	uint64_t began_ns; /* when the first thread was interrupted */
	uint64_t stop_ns;  /* set by freeze_end(): how long it stood still */
	char why[160];
	/* of the tracing thread */
	pthread_t tracer;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool running, ready, release;
	int result;
	uint64_t deadline_ns;
};

/*
 * freeze_begin() stops all threads, until none is new, and reads their registers.  -EBUSY:
 * another tracer has it; -EPERM; -ETIME: a thread did not stop by the deadline
 * (monotonic); -ESRCH, -ENOMEM.  After a failure nothing is stopped.
 */
int freeze_init(struct freeze *f);
int freeze_begin(struct freeze *f, pid_t pid, uint64_t deadline_ns);
/* Resumes them; harmless when nothing is stopped. */
void freeze_end(struct freeze *f);
void freeze_deinit(struct freeze *f);

#endif
