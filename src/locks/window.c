/* SPDX-License-Identifier: BSD-2-Clause */
#include "locks/window.h"

#include <stdlib.h>
#include <string.h>

void locks_window_deinit(struct locks_window *l)
{
	free(l->row);
	free(l->pool_wait);
	memset(l, 0, sizeof(*l));
}
