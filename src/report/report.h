/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The report: a window and what was found in it.  Renderers turn it into
 * text or JSON (schema gospect.report/1); both show the same facts.
 */
#ifndef GOSPECT_REPORT_REPORT_H
#define GOSPECT_REPORT_REPORT_H

#include "base/buf.h"
#include "detect/finding.h"
#include "observe/window.h"

#define REPORT_SCHEMA "gospect.report/1"
#define REPORT_MAX_ROWS 1000	/* of a table; the rest is one row "other" */

struct report {
	const struct window *window;		/* borrowed */
	const struct findings *findings;	/* borrowed */
};

struct report_text_options {
	bool color;		/* terminal without NO_COLOR */
	int columns;		/* never wraps beyond; 100 */
	int max_rows;		/* per table, 0: 20 */
};

/* Appends; buf->err tells (it has a maximum). JSON is one object on one line, newline at the end. */
void report_text(const struct report *r, const struct report_text_options *o, struct buf *out);
void report_json(const struct report *r, struct buf *out);

#endif
