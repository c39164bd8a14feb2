/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a function returns an itab with a nil pointer.
 *
 * An itab in a result's register is a result only if nothing else is done with it: the compiler
 * takes no address for nothing, so what is neither stored nor compared nor passed on is what
 * the function returns, and its pointer is in the next register (abi-internal.md).
 */
#ifndef GOSPECT_LINT_RETURNS_H
#define GOSPECT_LINT_RETURNS_H

#include <stdbool.h>
#include <stdint.h>

#include "lint/callees.h"

enum { MAX_RETURNS = 256 }; /* that differ, in one function */

struct nil_return {
	uint32_t from;   /* line that set the itab's register */
	uint32_t origin; /* line that took its address */
	uint32_t at;     /* the return */
	int32_t branch;  /* line of the last condition on the path; -1: none */
	int32_t call;    /* line of the call that brought the pointer; -1: it is constant */
	int64_t itab;
	bool always; /* no path there has another pointer */
};

struct returns {
	struct nil_return nil[MAX_RETURNS];
	int n;
	bool complex, blind; /* walk.h; of a complex function n is 0 */
	uint64_t steps;

	uint32_t healthy[MAX_RETURNS]; /* origins that came with another pointer */
	int nhealthy;
};

/* 0 or -ENOMEM. */
int returns_find(struct returns *r, struct gobin *gb, const struct code *c, const struct itabs *t,
		 struct callees *callees);

#endif
