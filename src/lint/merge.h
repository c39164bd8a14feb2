/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A quick look at a function, before its paths are followed one by one: where paths meet, what
 * is known is what is known of all of them.  Most functions return nothing but what they have
 * allocated, and need no more than that.
 */
#ifndef GOSPECT_LINT_MERGE_H
#define GOSPECT_LINT_MERGE_H

#include "lint/walk.h"

/* Whether a path may return one of the itabs with a pointer that is not known to be set, or
 * leads nobody knows where.  0 or -ENOMEM. */
int merge_look(struct gobin *gb, const struct code *c, const struct itabs *t,
	       struct callees *callees, bool *may);
/* Walks that way, and undoes it; max_steps is set here.  0 or -ENOMEM. */
int merge_run(struct walk *w);
/* For lint/walk.c: a path comes to where others do.  Whether it goes on. */
bool merge_meets(struct walk *w, struct state *s, size_t at);

#endif
