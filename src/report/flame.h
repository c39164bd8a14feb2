/* SPDX-License-Identifier: BSD-2-Clause */
/* Stacks, of goroutines or of CPU samples, as a tree of functions, outermost first. */
#ifndef GOSPECT_REPORT_FLAME_H
#define GOSPECT_REPORT_FLAME_H

#include "observe/window.h"

#define FLAME_MAX_NODES   20000 /* beyond: counted in their parents only */
#define FLAME_MAX_DEPTH   200
#define FLAME_MAX_REASONS 24 /* told apart; the last one stands for all others */

struct flame_node {
	const struct place *place; /* NULL: the root, and what goroutines wait for */
	const char *reason;        /* of a leaf without place: what they wait for */
	uint64_t count;
	uint64_t by_reason[FLAME_MAX_REASONS];
	int child, next; /* first child, next sibling: most goroutines first; -1 */
};

struct flame {
	struct flame_node *node; /* owned; node[0] is the root */
	int n;
	const char *reason[FLAME_MAX_REASONS]; /* most goroutines first */
	uint64_t reason_count[FLAME_MAX_REASONS];
	int nreason;
	bool cut; /* not all nodes are there */
};

/* So many of one stack, for one reason. */
struct flame_item {
	uint32_t stack;
	uint64_t count;
	const char *reason;
};
struct flame_source {
	const struct stack_table *stacks;
	size_t n;
	struct flame_item (*item)(const struct flame_source *from, size_t i);
	const void *of;
	bool waits; /* how the runtime parks is left out, and the reason is a box of its own */
};
/* 0, -ENOMEM. */
int flame_make(struct flame *f, const struct flame_source *from);
void flame_deinit(struct flame *f);
/* Index of the reason that most goroutines of the node have. */
int flame_reason(const struct flame *f, const struct flame_node *n);

#endif
