/* SPDX-License-Identifier: BSD-2-Clause */
#include "observe/window.h"

#include "observe/dump.h"
#include "observe/heap.h"
#include "observe/leaks.h"

#include <stdlib.h>
#include <string.h>

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
	leaks_window_deinit(&w->leaks);
	free(w->locks.member);
	free(w->locks.held);
	memset(&w->locks, 0, sizeof(w->locks));
	w->site = NULL;
	w->state = NULL;
	w->alloc = NULL;
	w->nsite = w->nstate = w->nalloc = 0;
}
