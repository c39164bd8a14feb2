/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The report: a window and what was found in it.  Renderers turn it into text,
 * JSON (schema gospect.report/1), HTML or a profile; all show the same facts.
 */
#ifndef GOSPECT_REPORT_REPORT_H
#define GOSPECT_REPORT_REPORT_H

#include "base/buf.h"
#include "base/err.h"
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
/* One row of a table by itself: as JSON, and as a line of text without a width, what
 * people see of each column behind its heading. */
struct table;
struct row;
void report_json_row(const struct table *t, const struct row *r, struct buf *out);
void report_text_row(const struct table *t, const struct row *r, struct buf *out);

/* What was found, by itself. */
void report_text_findings(const struct findings *fs, const struct report_text_options *o,
			  struct buf *out);

/* One self-contained file, appended.  0, -ENOMEM, -ENOSPC. */
int report_html(const struct report *r, struct buf *out);

/*
 * For `go tool pprof`: the goroutines by stack, with labels `state`, `wait_reason`
 * and their own pprof labels.  Appends the gzipped bytes.  0; -EOPNOTSUPP when the
 * window has no dump; -ENOMEM, -ENOSPC.
 */
int report_pprof_goroutines(const struct report *r, struct buf *out);
/* The heap profile with runtime/pprof's four sample types; allocs: shown first is what was
 * allocated since the start, not what is in use.  As above. */
int report_pprof_heap(const struct report *r, bool allocs, struct buf *out);

/* CPU samples, in samples and in nanoseconds, with labels `created` and `kind`.  As above. */
int report_pprof_cpu(const struct report *r, struct buf *out);

/*
 * Two reports of one program compared: what appeared, grew, shrank, went away.
 * The last report in the text of each file (one object a line), compared, as
 * text of `columns` columns.  0; -EBADMSG with err when one is no report;
 * -ENOMEM, -ENOSPC.
 */
int report_diff(const char *a, size_t a_len, const char *b, size_t b_len, int columns,
		struct buf *out, struct err *err);

#endif
