/* SPDX-License-Identifier: BSD-2-Clause */
/* Described tables as people see them: the cells of a grid. */
#ifndef GOSPECT_REPORT_CELLS_H
#define GOSPECT_REPORT_CELLS_H

#include "model/schema.h"
#include "report/grid.h"

struct cells {
	struct grid grid; /* its cells are clean text */
	struct grid_column column[GRID_MAX_COLUMNS];
	const struct column *from[GRID_MAX_COLUMNS];
};

/* The columns of a table, without rows. */
void cells_init(struct cells *cells, const struct table *t, const struct window *w);
void cells_deinit(struct cells *cells);
void cells_rows(struct cells *cells, const struct table *t, const struct row *row, size_t n);
/* The table with its rows in the window, at most max: 0 or -ENOMEM, and then it has none. */
int cells_of_window(struct cells *cells, const struct table *t, const struct window *w, int max);

#endif
