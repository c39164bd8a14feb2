/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A table of text columns: one definition, any width.  Cells are foreign text:
 * they are cleaned when they come in and shortened to fit.
 * Rows and columns beyond what fits are never wrapped.
 */
#ifndef GOSPECT_REPORT_TABLE_H
#define GOSPECT_REPORT_TABLE_H

#include <stdbool.h>

#include "base/buf.h"

#define TABLE_MAX_COLUMNS 12

struct table_column {
	const char *head;
	bool right;    /* aligned to the right: numbers */
	int min;       /* may be shrunk to this many columns; 0: never shrunk */
	bool keep_end; /* shrunk cells lose their beginning, else their middle */
};

struct table {
	const struct table_column *column; /* borrowed */
	int ncolumn;
	int width[TABLE_MAX_COLUMNS]; /* of the widest cell so far */
	struct buf cell;              /* NUL-terminated cells, row after row */
	int ncell;
};

void table_init(struct table *t, const struct table_column *column, int ncolumn);
void table_deinit(struct table *t);
/* The next cell, left to right, row after row. */
void table_cell(struct table *t, const char *text);
/* Head and rows, each line indented and at most `width` columns with the
 * indent.  A row that is not complete is not printed. */
void table_print(const struct table *t, int indent, int width, struct buf *out);

#endif
