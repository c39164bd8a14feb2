/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text in columns: grids, and sentences on lines of a width.
 *
 * A grid is one definition for any width.  Cells are foreign text: they are
 * cleaned when they come in and shortened to fit.
 * Rows and columns beyond what fits are never wrapped.
 */
#ifndef GOSPECT_REPORT_GRID_H
#define GOSPECT_REPORT_GRID_H

#include <stdbool.h>
#include "base/buf.h"

#define GRID_MAX_COLUMNS 12

struct grid_column {
	const char *head;
	bool right;    /* aligned to the right: numbers */
	int min;       /* may be shrunk to this many columns; 0: never shrunk */
	bool keep_end; /* shrunk cells lose their beginning, else their middle */
};

struct grid {
	const struct grid_column *column; /* borrowed */
	int ncolumn;
	int width[GRID_MAX_COLUMNS]; /* of the widest cell so far */
	struct buf cell;             /* NUL-terminated cells, row after row */
	int ncell;
};

void grid_init(struct grid *t, const struct grid_column *column, int ncolumn);
void grid_deinit(struct grid *t);
/* The next cell, left to right, row after row. */
void grid_cell(struct grid *t, const char *text);
/* Head and rows, each line indented and at most `width` columns with the
 * indent.  A row that is not complete is not printed. */
void grid_print(const struct grid *t, int indent, int width, struct buf *out);

/*
 * Appends text (foreign: it is cleaned; NULL is ""), broken at spaces, and a newline.
 * `used` columns of the first line are taken already; further lines begin with
 * `indent` spaces; none is wider than `width`.  After max_lines (0: any number)
 * the rest is "…".  A word too long for a line loses its middle.  Returns the
 * number of lines.
 */
int wrap_text(struct buf *out, const char *text, int used, int indent, int width, int max_lines);
/* A newline, without spaces before it. */
void wrap_end_line(struct buf *out);

#endif
