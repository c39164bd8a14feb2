/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads that want a CPU and do not get one: what is in their registers does not change. */
#ifndef GOSPECT_PROC_WAITING_H
#define GOSPECT_PROC_WAITING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define WAITING_MAX 4096 /* of a process; of more the others are left out */

/* Threads that were running or waiting for a CPU at a moment. */
struct waiting {
	struct waiting_thread {
		pid_t tid;
		uint64_t run_ns; /* what it had run until then */
	} * v;                   /* owned */
	size_t n;
};

/* Those of now, in place of those before.  0, -ESRCH, -ENOMEM. */
int waiting_read(struct waiting *w, pid_t pid);
/* Whether each of them has run since, has ended, or waits for something else; forgets those. */
bool waiting_all_ran(struct waiting *w, pid_t pid);
void waiting_deinit(struct waiting *w);

#endif
