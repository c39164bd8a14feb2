/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The stacks of many goroutines, a million in a second or two: read in
 * batches, each distinct stack kept once.  Each one is consistent in itself:
 * the g is read again behind its stack, and a goroutine that has moved
 * meanwhile is read again, or said not to have been read.
 */
#ifndef GOSPECT_GORT_GOSTACKS_H
#define GOSPECT_GORT_GOSTACKS_H

#include "gort/goruntime.h"

#define GOSTACKS_DEPTH 256 /* innermost frames kept of a stack */

/* Instead of the number of a stack. */
#define GOSTACK_RUNNING UINT32_MAX       /* it runs: its stack is not to be had */
#define GOSTACK_UNREAD  (UINT32_MAX - 1) /* it changed each time, or cannot be read */
#define GOSTACK_ENDED   (UINT32_MAX - 2) /* it has ended since the walk */
#define GOSTACK_MAX     (1u << 24)       /* numbers are smaller */

struct gostack {
	uint32_t first, n; /* in pc[] */
	bool whole;        /* down to the goroutine's start */
};

/* A stack as it was read, good until the listener returns. */
struct gostack_bytes {
	uint32_t walk;        /* index of its goroutine in the walk */
	uint32_t stack;       /* its number */
	const uint8_t *bytes; /* from where SP stands on */
	size_t len;
	bool all; /* as much as is ever read of one */
};

struct gostacks {
	uint64_t *pc; /* owned; run-time, innermost first, as goruntime_stack() */
	size_t npc, pc_cap;
	struct gostack *stack; /* owned: the distinct ones */
	size_t n, cap;
	uint64_t unread, ended, running;
	uint64_t again; /* goroutines that had moved and were read again */
	/*
	 * NULL, or called for each stack whose goroutine had not moved meanwhile.
	 * Returns 0, 1 to be called again with more of the stack (unless it is
	 * all), or a negative errno that ends the reading.
	 */
	int (*listener)(void *listens, const struct gostacks *s, const struct gostack_bytes *b);
	void *listens; /* borrowed */
	/* its own */
	uint32_t *index; /* hash table: number of a stack + 1 */
	size_t index_cap;
	struct pcinfo *info; /* what unwinding needs to know of a pc */
	size_t info_cap, info_n;
	struct stack_batch *batch;
};

int gostacks_init(struct gostacks *s);
void gostacks_deinit(struct gostacks *s);
/*
 * Reads the stacks of a walk's goroutines into stack[w->n]: the number of a
 * stack, or one of the words above.  The g's that had moved are brought up to
 * date in the walk; one that has ended keeps what the walk saw.
 * 0, -ESRCH, -EPERM, -ENOMEM; -EOPNOTSUPP when stacks cannot be read at all
 * (rt->why_off[FACT_STACKS]).
 */
int gostacks_read(struct gostacks *s, struct goruntime *rt, struct gowalk *w, uint32_t *stack);

#endif
