/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The stacks of many goroutines, a million in a second or two: read in
 * batches, each distinct stack kept once.  Each one is consistent in itself:
 * the g is read again behind its stack, and a goroutine that has moved
 * meanwhile is read again, or said not to have been read.
 *
 * Who asks again and again (gostacks_renew()) reads only those that have moved:
 * a goroutine that waits, and was found to stand as it stood by three walks one
 * after the other (its id, how often it has run, pc, SP, what it waits for and
 * since when, the bounds of its stack: all that a walk reads of it), of which one
 * was at most as late as its stack was read, keeps that stack.  How often it has
 * run is known by 8 bits: one that ran 256 times between each of three walks and
 * stopped as deep in its stack seems not to have moved.  24 bytes a goroutine.
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

/* What one reading leaves to the next. */
struct gostacks_kept {
	struct kept *g; /* owned; by address */
	size_t n, cap;
	uint32_t walk; /* the number of that walk */
	uint64_t *pc;  /* owned: the stacks, of the reading before */
	struct gostack *stack;
	size_t nstack;
	uint32_t *number; /* owned: those they have now + 1; 0: none yet */
	bool on;
};

struct gostacks {
	uint64_t *pc; /* owned; run-time, innermost first, as goruntime_stack() */
	size_t npc, pc_cap;
	struct gostack *stack; /* owned: the distinct ones */
	size_t n, cap;
	uint64_t unread, ended, running;
	uint64_t again; /* goroutines that had moved and were read again */
	uint64_t known; /* that had not since the reading before, and were not read */
	/*
	 * NULL, or called for each stack whose goroutine had not moved meanwhile;
	 * without bytes where it has not since the reading before.  Returns 0, 1 to
	 * be called again with more of the stack (unless it is all), or a negative
	 * errno that ends the reading.
	 */
	int (*listener)(void *listens, const struct gostacks *s, const struct gostack_bytes *b);
	void *listens; /* borrowed */
	/* its own */
	uint32_t *index; /* hash table: number of a stack + 1 */
	size_t index_cap;
	struct pcinfo *info; /* what unwinding needs to know of a pc */
	size_t info_cap, info_n;
	struct stack_batch *batch;
	struct gostacks_kept kept;
};

int gostacks_init(struct gostacks *s);
void gostacks_deinit(struct gostacks *s);
/* As new, but for what is known of goroutines that do not move: before each reading of
 * all, in the order of a walk. */
void gostacks_renew(struct gostacks *s);
/*
 * Reads the stacks of a walk's goroutines into stack[w->n]: the number of a
 * stack, or one of the words above.  The g's that had moved are brought up to
 * date in the walk; one that has ended keeps what the walk saw.
 * 0, -ESRCH, -EPERM, -ENOMEM; -EOPNOTSUPP when stacks cannot be read at all
 * (rt->why_off[FACT_STACKS]).
 */
int gostacks_read(struct gostacks *s, struct goruntime *rt, struct gowalk *w, uint32_t *stack);
/*
 * The stack of g as the last reading of `from` found it, if g has waited in the same wait ever
 * since, as what the last collection wrote to it tells for certain: its number among those of `to`.
 * Else GOSTACK_UNREAD.
 */
uint32_t gostacks_take_stood(struct gostacks *to, const struct gostacks *from,
			     const struct goruntime *rt, const struct goroutine *g);

#endif
