/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A profile of one process, taken by a process of our own that was made before this one gave
 * its privileges up (cli/profiler.h).  One at a time; who asks waits for nothing.
 *
 *   server ──struct ask, two pipes──> profiler ──fork──> takes it, writes it, ends
 */
#ifndef GOSPECT_EXPORT_ASK_H
#define GOSPECT_EXPORT_ASK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"

enum ask_kind { ASK_GOROUTINE, ASK_HEAP, ASK_ALLOCS, ASK_CPU, ASK_KINDS };

#define ASK_SECONDS_MAX 60
#define ASK_OTHERS_S    20 /* beyond the seconds that were asked for */

/* What goes to the profiler, with the descriptors that the profile and messages go to; without
 * descriptors: the one under way is to end. */
struct ask {
	int32_t pid;
	uint32_t kind, seconds; /* of ASK_CPU */
	uint64_t start_ticks;   /* that the process has, or it is another one */
};

/* What comes back when all is written. */
struct asked {
	int32_t status; /* of an exit; negative: it was ended */
};

struct asker;

/* fd: to the profiler, the caller's, as long as this lives; NULL: no memory. */
struct asker *asker_new(int fd);
/* Ends what is under way, and tells of it; nothing more is begun. */
void asker_stop(struct asker *a);
void asker_free(struct asker *a); /* it is stopped; NULL is fine */
/*
 * Begins, in a thread that calls done(arg) at its end; client: the socket of who asked, whose
 * end ends it; -1: none.  0; -EBUSY: one is under way, or was not taken; -EPIPE: no profiler.
 */
int asker_begin(struct asker *a, const struct ask *q, int client, void (*done)(void *arg),
		void *arg);
/* What came of it, after done(): 0 with the profile in *out, else 1 with words in it, of status:
 * of an exit, or negative.  The next one may begin. */
int asker_take(struct asker *a, struct buf *out, int *status);

#endif
