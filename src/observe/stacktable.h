/* SPDX-License-Identifier: BSD-2-Clause */
/* Makes a struct stack_table out of stacks of pcs. */
#ifndef GOSPECT_OBSERVE_STACKTABLE_H
#define GOSPECT_OBSERVE_STACKTABLE_H

#include "base/map.h"
#include "observe/window.h"
#include "target/goruntime.h"

struct stack_builder {
	struct stack_table *t;	/* borrowed: filled */
	struct goruntime *rt;
	struct u64map location_at;
	size_t location_cap, line_cap, at_cap, stack_cap;
};

/* The table has to be zeroed. */
void stack_builder_init(struct stack_builder *b, struct stack_table *t, struct goruntime *rt);
void stack_builder_deinit(struct stack_builder *b);
/*
 * Appends a stack.  `logical`: one pc per function, inlined ones too, as
 * runtime.Callers has them; else one per physical frame, as
 * goruntime_stack().  0, -ENOMEM.
 */
int stack_builder_add(struct stack_builder *b, const uint64_t *pcs, size_t n, bool whole, bool logical);
void stack_table_deinit(struct stack_table *t);
/* The innermost function outside the runtime (and, with `user`, outside the
 * standard library, where there is one); NULL when there is none. */
const struct place *stack_table_place(const struct stack_table *t, uint32_t stack, bool user);

/* Room for one more in an array of n that the caller owns: 0, -ENOMEM. */
int array_room(void *array, size_t n, size_t *cap, size_t size);

#endif
