/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/snapshot_rows.h"

#include "gobin/gobin.h"

int stack_lines(const struct stack_table *t, uint32_t stack, const struct place **out, int max)
{
	const struct stack_entry *e;
	int n = 0;

	if (stack >= t->nstack)
		return 0;
	e = &t->stack[stack];
	for (uint32_t i = 0; i < e->n; i++) {
		const struct stack_location *loc = &t->location[t->at[e->first + i]];

		for (uint32_t k = 0; k < loc->n && n < max; k++)
			out[n++] = &t->line[loc->first + k];
	}
	return n;
}

static struct goframe frame_of(const struct place *p)
{
	return (struct goframe){ .function = p->function ? p->function : "",
				 .file = p->file ? p->file : "",
				 .path = p->path ? p->path : "" };
}

int stack_user_line(const struct place *const *line, int n)
{
	for (int pass = 0; pass < 2; pass++)
		for (int i = 0; i < n; i++) {
			struct goframe f = frame_of(line[i]);

			if (!goframe_is_runtime(&f) && (pass || !goframe_is_std(&f)))
				return i;
		}
	return -1;
}
