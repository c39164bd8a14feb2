/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The report: a window and what was found in it.  Renderers turn it into
 * text or JSON (schema gospect.report/1); both show the same facts.
 */
#ifndef GOSPECT_REPORT_REPORT_H
#define GOSPECT_REPORT_REPORT_H

#include "base/buf.h"
#include "model/finding.h"
#include "observe/window.h"

#define REPORT_SCHEMA "gospect.report/1"

/* Owns what it says; handed over as a whole with report_move(), never copied. */
struct report {
	struct window window;
	struct findings findings;
};

/* Frees what the report owns, not the report; a zeroed one is fine. */
void report_deinit(struct report *r);
/* Hands everything over; *from is then empty. */
struct report report_move(struct report *from);

struct report_text_options {
	bool color;   /* terminal without NO_COLOR */
	int columns;  /* never wraps beyond; 100 */
	int max_rows; /* per table, 0: 20 */
};

/* Appends; buf->err tells (it has a maximum). JSON is one object on one line, newline at the end. */
void report_text(const struct report *r, const struct report_text_options *o, struct buf *out);
void report_json(const struct report *r, struct buf *out);

#endif
