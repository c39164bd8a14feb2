/* SPDX-License-Identifier: BSD-2-Clause */
#include "goroutines/window.h"

#include <stdlib.h>
#include <string.h>

#include "goroutines/fill.h"

void goroutines_window_deinit(struct goroutines_window *g)
{
	for (int i = 0; i < g->nsite; i++)
		free(g->site[i].wait), free(g->site[i].point);
	free(g->site);
	free(g->state);
	dump_free(g->dump);
	leaks_window_deinit(&g->leaks);
	free(g->deadlocks.member);
	free(g->deadlocks.held);
	memset(g, 0, sizeof(*g));
}
