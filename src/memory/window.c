/* SPDX-License-Identifier: BSD-2-Clause */
#include "memory/window.h"

#include <stdlib.h>
#include <string.h>

#include "memory/priv.h"

const struct place *alloc_caller(const struct alloc_row *a)
{
	for (int i = 0; a->place.function && i + 1 < a->nstack; i++)
		if (a->stack[i].function && !strcmp(a->stack[i].function, a->place.function))
			return stack_line_is_runtime(&a->stack[i + 1]) ? NULL : &a->stack[i + 1];
	return NULL;
}

void memory_window_deinit(struct memory_window *m)
{
	free(m->alloc);
	heap_window_deinit(&m->heap);
	free(m->trend.row);
	memset(m, 0, sizeof(*m));
}
