/* SPDX-License-Identifier: BSD-2-Clause */
#include "slices/window.h"

#include <stdlib.h>
#include <string.h>

double slice_row_per_slice(const struct slice_row *r)
{
	return r->begun ? (double)r->growths / (double)r->begun : 0;
}

void slices_window_deinit(struct slices_window *s)
{
	free(s->row);
	memset(s, 0, sizeof(*s));
}
