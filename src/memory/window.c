/* SPDX-License-Identifier: BSD-2-Clause */
#include "memory/window.h"

#include <stdlib.h>
#include <string.h>

#include "memory/priv.h"

void memory_window_deinit(struct memory_window *m)
{
	free(m->alloc);
	heap_window_deinit(&m->heap);
	memset(m, 0, sizeof(*m));
}
