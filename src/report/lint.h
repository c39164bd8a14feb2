/* SPDX-License-Identifier: BSD-2-Clause */
/* What `gospect lint` prints: one object, schema gospect.lint/1. */
#ifndef GOSPECT_REPORT_LINT_H
#define GOSPECT_REPORT_LINT_H

#include "lint/lint.h"
#include "model/schema.h"
#include "report/executable.h"
#include "report/report.h"

#define LINT_SCHEMA "gospect.lint/1"

/* Strings are borrowed; NULL: not known. */
struct lint_report {
	int pid; /* 0: a file */
	const char *file;
	struct executable_facts of;
	struct lint lint;         /* owned */
	struct findings findings; /* owned */
	bool partial;             /* not everything was judged */
};

extern const struct table lint_document; /* struct lint_report is its row */

void report_lint_json(const struct lint_report *r, struct buf *out);
void report_lint_text(const struct lint_report *r, const struct report_text_options *o,
		      struct buf *out);

#endif
