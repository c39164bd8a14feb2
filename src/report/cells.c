/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/cells.h"

#include <errno.h>

#include "base/text.h"
#include "model/sentence.h"
#include "report/report.h"

#define CELL_MAX 8192

/* ---- columns ---- */

static bool is_number(enum column_type type)
{
	switch (type) {
	case COLUMN_COUNT:
	case COLUMN_BYTES:
	case COLUMN_NS:
	case COLUMN_GOID:
	case COLUMN_INTEGER:
	case COLUMN_INT:
	case COLUMN_MOST:
	case COLUMN_REAL:
	case COLUMN_AGE:
		return true;
	default:
		return false;
	}
}

void cells_init(struct cells *cells, const struct table *t, const struct window *w)
{
	int n = 0;

	for (int pos = 1; pos <= GRID_MAX_COLUMNS; pos++)
		for (int i = 0; i < t->ncolumn; i++) {
			const struct column *c = &t->column[i];

			if (c->pos != pos || (c->left_out && c->left_out(w)))
				continue;
			cells->from[n] = c;
			cells->column[n++] = (struct grid_column){
				.head = c->head,
				.right = is_number(c->type) || c->flags & COLUMN_RIGHT,
				.min = c->min,
				.keep_end = c->type == COLUMN_PLACE || c->flags & COLUMN_END,
			};
		}
	grid_init(&cells->grid, cells->column, n);
}

void cells_deinit(struct cells *cells)
{
	grid_deinit(&cells->grid);
}

/* ---- cells ---- */

/* A place where nothing is known of it is "?"; its cell says something else where it can. */
static void known_value(const struct column *c, const struct value *v, struct buf *out)
{
	switch (c->type) {
	case COLUMN_COUNT:
		sentence_count(out, "", v->count, "");
		break;
	case COLUMN_BYTES:
		sentence_bytes(out, "", (double)v->count, "");
		break;
	case COLUMN_NS:
		sentence_ns(out, "", v->count);
		break;
	case COLUMN_GOID:
		buf_printf(out, "%llu", (unsigned long long)v->count);
		break;
	case COLUMN_MOST:
		if (v->integer)
			sentence_count(out, "", (uint64_t)v->integer, "");
		else
			buf_puts(out, "no limit");
		break;
	case COLUMN_AGE:
		sentence_seconds(out, v->age == AGE_AT_LEAST ? ">" : "", v->real, "");
		break;
	case COLUMN_PLACE:
		sentence_place(out, v->place, "?");
		break;
	case COLUMN_TEXT:
	case COLUMN_CHARS:
	case COLUMN_HOST:
	case COLUMN_WORD:
		buf_puts(out, v->text);
		break;
	default: /* shown by a `cell` only */
		break;
	}
}

static enum exactness row_exactness(const struct table *t, const struct row *r)
{
	if (t->exactness)
		return t->exactness(r->w);
	return t->exactness_at
		       ? *(const enum exactness *)((const char *)r->row + t->exactness_at - 1)
		       : EXACT;
}

/* How long something has lasted of which there is none. */
static bool none_lasts(const struct column *c, const struct row *r)
{
	return c->type == COLUMN_AGE && c->of_at &&
	       !*(const uint64_t *)((const char *)r->row + c->of_at - 1);
}

static void cell_value(const struct table *t, const struct column *c, const struct row *r,
		       struct buf *out)
{
	/* a sum of rows that are not here is no more than their number */
	bool blank = t->total || (c->flags & COLUMN_NO_REST && !is_number(c->type));
	struct value v;

	if (r->nrest && c->flags & COLUMN_NAME_REST) {
		sentence_count(out, "", r->nrest, " more");
		return;
	}
	if (r->nrest && blank)
		return;
	if (c->cell) {
		c->cell(r, out);
		return;
	}
	schema_value(c, r, &v);
	if (v.is != VALUE_THERE || none_lasts(c, r)) {
		buf_puts(out, c->none && !r->nrest ? c->none : "-");
		return;
	}
	if (!v.count && (c->flags & COLUMN_DASH_0 || c->type == COLUMN_NS)) {
		buf_puts(out, "-"); /* not marked: it is no number that could be inexact */
		return;
	}
	if (c->flags & COLUMN_MARK)
		buf_puts(out, exactness_mark(row_exactness(t, r)));
	known_value(c, &v, out);
}

static void row_cells(struct cells *cells, const struct table *t, const struct row *r)
{
	struct buf cell;

	buf_init(&cell, CELL_MAX);
	for (int i = 0; i < cells->grid.ncolumn; i++) {
		buf_reset(&cell);
		cell_value(t, cells->from[i], r, &cell);
		grid_cell(&cells->grid, cell.len ? cell.data : "");
	}
	buf_deinit(&cell);
}

void cells_rows(struct cells *cells, const struct table *t, const struct row *row, size_t n)
{
	for (size_t i = 0; i < n; i++)
		row_cells(cells, t, &row[i]);
}

int cells_of_window(struct cells *cells, const struct table *t, const struct window *w, int max)
{
	struct rows rows;
	int err;

	cells_init(cells, t, w);
	if (!t->ncolumn || max <= 0)
		return 0;
	err = rows_of_window(&rows, t, w, (size_t)max);
	if (err)
		return err;
	cells_rows(cells, t, rows.row, rows.n);
	rows_deinit(&rows);
	return cells->grid.cell.err == -ENOMEM ? -ENOMEM : 0; /* full: a row less */
}

#define ROW_CELL_COLUMNS 160

void report_text_row(const struct table *t, const struct row *r, struct buf *out)
{
	char clean[ROW_CELL_COLUMNS * 4 + 1];
	struct cells cells;
	struct buf cell;

	cells_init(&cells, t, r->w);
	buf_init(&cell, CELL_MAX);
	for (int i = 0; i < cells.grid.ncolumn; i++) {
		buf_reset(&cell);
		cell_value(t, cells.from[i], r, &cell);
		words_fit(cell.len ? cell.data : "", ROW_CELL_COLUMNS, clean, sizeof(clean));
		buf_printf(out, "%s%s%s%s", i ? " " : "", cells.column[i].head,
			   *cells.column[i].head ? " " : "", clean);
	}
	buf_puts(out, "\n");
	buf_deinit(&cell);
	cells_deinit(&cells);
}
