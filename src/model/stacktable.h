/* SPDX-License-Identifier: BSD-2-Clause */
/* Makes a struct stack_table out of stacks of pcs. */
#ifndef GOSPECT_MODEL_STACKTABLE_H
#define GOSPECT_MODEL_STACKTABLE_H

#include "base/map.h"
#include "model/place.h"
#include "gort/goruntime.h"

/*
 * Whole stacks, each distinct one once.  A stack is a list of locations, a
 * location a pc with the functions inlined there.
 */
struct stack_location {
	uint64_t pc;       /* run-time; a return address but for the innermost */
	uint32_t first, n; /* in line[]: innermost (inlined) first; 0: in no function */
};

struct stack_entry {
	uint32_t first, n; /* in at[]: innermost first */
	bool whole;        /* down to where the goroutine began */
};

#define STACK_NONE UINT32_MAX /* no stack in the table */

struct stack_table {
	struct stack_location *location;
	size_t nlocation; /* all owned */
	struct place *line;
	size_t nline;
	uint32_t *at;
	size_t nat; /* numbers of locations */
	struct stack_entry *stack;
	size_t nstack;
};

#define STACK_MAX_NAMES 512

struct stack_builder {
	struct stack_table *t; /* borrowed: filled */
	struct goruntime *rt;
	struct u64map location_at;
	const char *name[STACK_MAX_NAMES]; /* of frames that are no function of Go's */
	int nname;
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
int stack_builder_add(struct stack_builder *b, const uint64_t *pcs, size_t n, bool whole,
		      bool logical);
/* A pc, of no code, that stands for a frame of that name (static) in stack_builder_add(). */
uint64_t stack_builder_name(struct stack_builder *b, const char *name);
void stack_table_deinit(struct stack_table *t);
/* Where it stands in the user's code, as place_pick(); NULL: nowhere but in the runtime. */
const struct place *stack_table_at(const struct stack_table *t, uint32_t stack);
/* The same with the library's function beside it, as place_of_lines(); false: no such place. */
bool stack_table_place(const struct stack_table *t, uint32_t stack, struct place *out);
/* Lines of a stack, innermost first, inlined ones included; at most max.
 * Returns how many; 0 for STACK_NONE. */
int stack_lines(const struct stack_table *t, uint32_t stack, const struct place **out, int max);
/* A line of the runtime's own. */
bool stack_line_is_runtime(const struct place *line);
#endif
