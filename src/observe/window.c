/* SPDX-License-Identifier: BSD-2-Clause */
#include "observe/window.h"

#include "observe/dump.h"
#include "observe/heap.h"
#include "observe/stacktable.h"

#include <stdlib.h>

void window_deinit(struct window *w)
{
	int i;

	for (i = 0; i < w->nsite; i++)
		free(w->site[i].wait);
	free(w->site);
	free(w->state);
	free(w->alloc);
	dump_free(w->dump);
	w->dump = NULL;
	heap_window_deinit(&w->heap);
	free(w->leaks.row);
	free(w->leaks.goroutine);
	stack_table_deinit(&w->leaks.stacks);
	w->leaks.row = NULL;
	w->leaks.goroutine = NULL;
	w->site = NULL;
	w->state = NULL;
	w->alloc = NULL;
	w->nsite = w->nstate = w->nalloc = 0;
}
