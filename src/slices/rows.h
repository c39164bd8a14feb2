/* SPDX-License-Identifier: BSD-2-Clause */
/* From what the probe summed to the slices of a window. */
#ifndef GOSPECT_SLICES_ROWS_H
#define GOSPECT_SLICES_ROWS_H

#include "gort/gotypes.h"
#include "model/look.h"
#include "slices/window.h"

/* types: names of elements; borrowed by the rows.  0, -ENOMEM. */
int slice_rows_fill(const struct look *l, struct gotypes *types, struct slices_window *out);

#endif
