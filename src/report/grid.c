/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/grid.h"

#include <string.h>

#include "base/text.h"

#define GAP            2    /* between columns */
#define CELL_COLUMNS   4096 /* no cell is ever wider, a path at the most */
#define GRID_BYTES_MAX (32u << 20)

void grid_init(struct grid *t, const struct grid_column *column, int ncolumn)
{
	memset(t, 0, sizeof(*t));
	t->column = column;
	t->ncolumn = ncolumn;
	for (int i = 0; i < ncolumn; i++)
		t->width[i] = words_columns(column[i].head);
	buf_init(&t->cell, GRID_BYTES_MAX);
}

void grid_deinit(struct grid *t)
{
	buf_deinit(&t->cell);
}

void grid_cell(struct grid *t, const char *text)
{
	char clean[CELL_COLUMNS * 4 + 1];
	int *width = &t->width[t->ncell % t->ncolumn], columns;

	words_fit_frames(text, CELL_COLUMNS, t->column[t->ncell % t->ncolumn].keep_end, clean,
			 sizeof(clean));
	buf_add(&t->cell, clean, strlen(clean) + 1);
	if (t->cell.err)
		return;
	t->ncell++;
	columns = words_columns(clean);
	if (columns > *width)
		*width = columns;
}

/* The column that has most to give, or -1. */
static int widest(const struct grid *t, const int *width)
{
	int best = -1;

	for (int i = 0; i < t->ncolumn; i++)
		if (t->column[i].min && width[i] > t->column[i].min &&
		    (best < 0 || width[i] > width[best]))
			best = i;
	return best;
}

/* Shrinks the widest columns until all fit, one column at a time; what still
 * does not fit is left out at the right.  Returns how many columns to print. */
static int layout(const struct grid *t, int room, int *width)
{
	int used = -GAP, n = t->ncolumn, i;

	for (i = 0; i < n; i++)
		used += (width[i] = t->width[i]) + GAP;
	while (used > room && (i = widest(t, width)) >= 0) {
		width[i]--;
		used--;
	}
	while (n > 1 && used > room)
		used -= width[--n] + GAP;
	if (used > room)
		width[0] = room > 0 ? room : 0;
	return n;
}

static void pad(struct buf *out, int n)
{
	buf_printf(out, "%*s", n, "");
}

static void print_cell(const struct grid_column *c, const char *text, bool last, int width,
		       struct buf *out)
{
	char fitted[CELL_COLUMNS * 4 + 8];
	int space;

	words_fit_frames(text, width, c->keep_end, fitted, sizeof(fitted));
	space = width - words_columns(fitted);
	if (c->right)
		pad(out, space);
	buf_puts(out, fitted);
	if (!c->right && !last)
		pad(out, space);
}

void grid_print(const struct grid *t, int indent, int width, struct buf *out)
{
	const char *cell = t->cell.data;
	int columns[GRID_MAX_COLUMNS];
	int n = layout(t, width - indent, columns), rows = t->ncell / t->ncolumn;

	for (int row = -1; row < rows; row++) {
		pad(out, indent);
		for (int i = 0; i < t->ncolumn; i++) {
			const struct grid_column *c = &t->column[i];
			const char *text = row < 0 ? c->head : cell;

			if (i < n)
				print_cell(c, text, i == n - 1, columns[i], out);
			if (i < n - 1)
				pad(out, GAP);
			if (row >= 0)
				cell += strlen(cell) + 1;
		}
		wrap_end_line(out);
	}
}
