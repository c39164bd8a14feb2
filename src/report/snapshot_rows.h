/* SPDX-License-Identifier: BSD-2-Clause */
/* Stacks of a stack table as lines, for every renderer. */
#ifndef GOSPECT_REPORT_SNAPSHOT_ROWS_H
#define GOSPECT_REPORT_SNAPSHOT_ROWS_H

#include "observe/window.h"

/* Lines of a stack, innermost first, inlined ones included; at most max.
 * Returns how many; 0 for STACK_NONE. */
int stack_lines(const struct stack_table *t, uint32_t stack, const struct place **out, int max);
/* Where a goroutine stands in the user's code: index into such lines, or -1. */
int stack_user_line(const struct place *const *line, int n);

#endif
