/* SPDX-License-Identifier: BSD-2-Clause */
#include "slices/tables.h"

#include <math.h>

#include "model/sentence.h"
#include "slices/window.h"

static void per_slice(const struct row *r, struct value *v)
{
	v->real = slice_row_per_slice(r->row);
	v->is = v->real > 0 ? VALUE_THERE : VALUE_ABSENT;
}

static void per_s_cell(const struct row *r, struct buf *out)
{
	const struct slice_row *s = r->row;

	sentence_bytes(out, exactness_mark(s->exactness), window_per_s(r->w, s->bytes), "/s");
}

#define S struct slice_row
static const struct column slice_column[] = {
	PLACE(S, place, "place", "the append, or what calls for it", SHOWN(1, "appended at"),
	      .min = 24, .none = "the standard library", .flags = COLUMN_NAME_REST, .id = 1),
	TEXT(S, element, "element", "type of the elements", SHOWN(2, "element"), .min = 8, .id = 2,
	     .flags = COLUMN_NO_REST | COLUMN_SOMETIMES),
	COUNT(S, growths, "growths", "reallocations in this window", SHOWN(3, "moved"),
	      .flags = COLUMN_MARK),
	COUNT(S, begun, "begun",
	      "of them, that gave a slice its first array on the heap: a slice begins"),
	GOT(COLUMN_REAL, "per_slice", per_slice, "reallocations for each slice that begins",
	    .step = 0.1, SHOWN(4, "a slice"), .flags = COLUMN_NO_REST | COLUMN_SOMETIMES),
	BYTES(S, bytes, "bytes_copied", "by that", SHOWN(5, "copied"), .flags = COLUMN_MARK),
	COUNT(S, max_length, "max_length",
	      "longest length at which one was moved, since the observation began",
	      SHOWN(7, "longest"), .flags = COLUMN_MAX_REST),
	COUNT(S, capacity, "capacity",
	      "that the longest was given then, before it is rounded up to a size class",
	      .flags = COLUMN_MAX_REST),
	EXACTNESS(S, exactness, RATE(S, rate)),
	CELL("bytes/s", 6, per_s_cell, .flags = COLUMN_RIGHT),
};
#undef S

static void slices_sentence(const struct window *w, struct buf *out)
{
	const struct slices_window *s = w->slices;
	const char *m = exactness_mark(s->exactness);

	buf_puts(out, m);
	sentence_counted(out, "", s->growths, "slice");
	buf_printf(out, " moved to a larger array, %s", m);
	sentence_bytes(out, "", window_per_s(w, s->bytes), "/s copied");
	if (s->alloc_bytes)
		buf_printf(out, ", %.0f%% of what the program allocates",
			   fmin(100, 100.0 * (double)s->bytes / (double)s->alloc_bytes));
}

const struct table slice_sites = {
	.name = "slice_site",
	.what = "Slices that append moved to a larger array, by the place that appends; sensor "
		"`slices`.",
	TABLE_ROWS(struct slice_row, slice_column),
	.other_at = OFFSET(struct slice_row, other, bool),
	.exactness_at = OFFSET(struct slice_row, exactness, enum exactness),
	.of = &slices_object,
	.label = "slices",
	.title = "Slices that grow",
	.with_part = true,
	.sentence = slices_sentence,
	.diff_title = "bytes copied per second by append",
	.diff_key = "bytes_copied",
	.diff_per_s = true,
};

#define S struct slices_window
static const struct column slices_column[] = {
	COUNT(S, growths, "growths", "reallocations in this window"),
	BYTES(S, bytes, "bytes_copied", "by that"),
	BYTES(S, alloc_bytes, "all_bytes", "all that the program allocated meanwhile",
	      .flags = COLUMN_ABSENT_0),
	EXACTNESS(S, exactness),
	ROWS(S, row, nrow, "by_site", &slice_sites, "by place and element"),
};
#undef S

static const void *slices_part(const struct window *w)
{
	return w->slices->known ? w->slices : NULL;
}

const struct table slices_object = TABLE("slices", "Slices that append moved to a larger array.",
					 struct slices_window, slices_column, .part = slices_part);
