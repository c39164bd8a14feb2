/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Contexts in a live process: what kind one is, where it keeps its parent, and
 * what limits the chain from one of them to its root has.  A type of somebody's
 * own may have limits of its own: such a chain says nothing.
 */
#ifndef GOSPECT_GORT_GOCONTEXT_H
#define GOSPECT_GORT_GOCONTEXT_H

#include "gort/gotypes.h"

enum context_kind {
	CONTEXT_UNKNOWN,
	CONTEXT_ROOT,
	CONTEXT_CANCEL,
	CONTEXT_TIMER,
	CONTEXT_VALUE,
	CONTEXT_AFTER,
	CONTEXT_STOP,
	CONTEXT_WITHOUT,
	CONTEXT_SIGNAL,
	CONTEXT_INSIDE /* the cancelCtx that a timerCtx points to: not one of its own */
};

/* Of a type's name, as gotypes_of_itab() has it; NULL: unknown. */
enum context_kind gocontext_kind(const char *name);
/* In 1.20 a timerCtx points to its cancelCtx, before and since it has it in itself. */
bool gocontext_timer_points(const struct goruntime *rt);
/* Where a context keeps its parent; -1: it has none. */
int32_t gocontext_parent(const struct goruntime *rt, enum context_kind kind);

struct gocontext_limits {
	bool whole;            /* to the root: what is not here is not there */
	bool deadline, cancel; /* seen */
	int cancels;           /* so many that can be cancelled, timers apart */
};
/* The chain that begins with this interface's value; all unseen where it cannot be read. */
struct gocontext_limits gocontext_limits(struct goruntime *rt, struct gotypes *types, uint64_t itab,
					 uint64_t data);

#endif
