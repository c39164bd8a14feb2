/* SPDX-License-Identifier: BSD-2-Clause */
#include "observe/window.h"

#include "observe/dump.h"
#include "observe/heap.h"
#include "observe/leaks.h"

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
	leaks_window_deinit(&w->leaks);
	free(w->locks.member);
	w->locks.member = NULL;
	w->locks.nmember = 0;
	w->locks.ndeadlock = 0;
	w->site = NULL;
	w->state = NULL;
	w->alloc = NULL;
	w->nsite = w->nstate = w->nalloc = 0;
}
