/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All paths through one function, with what is known on each (lint/state.h).
 *
 * Paths that meet with the same knowledge are one from there on.  A path ends at a return, in a
 * call that never comes back, or where what it knows says that it cannot be taken.
 */
#ifndef GOSPECT_LINT_WALK_H
#define GOSPECT_LINT_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/decode.h"
#include "base/map.h"
#include "lint/code.h"
#include "lint/state.h"

struct callees;
struct own_rules;
struct variant;

/* What a call was given, on all paths that came to it. */
struct call_args {
	uint8_t to_zero[ARCH_ABI_WORDS]; /* mask of WHEN_…: how it may compare with 0 */
	struct value v[ARCH_ABI_WORDS];  /* ANY where paths differ */
};

struct walk {
	struct gobin *gb;
	const struct code *code;
	const struct itabs *itabs; /* NULL: every return is of interest, not only theirs */
	struct callees *callees;
	size_t max_steps;
	uint16_t max_states; /* where paths meet: from then on less is remembered */
	uint64_t end_ns;     /* of the monotonic clock: what is not done by then is too complex */
	/* By line; not NULL: paths that meet become one (lint/merge.h), and calls are not looked into. */
	struct variant **merged;
	/* Objects that only this function has are followed (lint/own.h); NULL: they are not. */
	const struct own_rules *own;
	/* At each return: the path may come back here with other states. */
	void (*on_return)(struct walk *w, struct state *s, size_t at);
	void *arg;

	/* found out */
	size_t steps;
	bool complex;            /* there were too many paths, or too much to remember */
	bool mixed;              /* of merged: following paths one by one may tell more */
	bool blind;              /* a jump leads nobody knows where */
	bool *used;              /* by line: the itab that it set has another use than a return */
	struct call_args **args; /* by line, of calls; owned */

	/* under way */
	struct pending *pending;
	size_t npending, pending_cap, nmade; /* nmade: that have a state */
	struct u64map seen;
	uint16_t *met; /* by line: states that came there */
	int err;
};

/* 0 or -ENOMEM; what was found out is there until walk_deinit(). */
int walk_run(struct walk *w);
void walk_deinit(struct walk *w);

/* As state_compare() with 0, and with what callees never return. */
uint8_t walk_compare_zero(struct walk *w, struct state *s, struct value v);

/* For lint/flow.c: another path, from `at` on.  Its state is the walk's, and good
 * until the next; NULL: it is not followed. */
struct state *walk_fork(struct walk *w, const struct state *s, size_t at);
/* One instruction; the next one's index, or -1: the path ends. */
long walk_step(struct walk *w, struct state *s, size_t at);

#endif
