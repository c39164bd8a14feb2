/* SPDX-License-Identifier: BSD-2-Clause */
/* What `gospect watch` prints: one object, schema gospect.watch/1. */
#ifndef GOSPECT_REPORT_RACE_H
#define GOSPECT_REPORT_RACE_H

#include "model/schema.h"
#include "race/race.h"
#include "report/executable.h"
#include "report/report.h"

#define WATCH_SCHEMA "gospect.watch/1"

/* Strings are borrowed; NULL: not known. */
struct race_report {
	int pid;
	struct executable_facts of;
	const char *end_reason;   /* why it is over before it was done; NULL: it was */
	struct race race;         /* owned */
	struct findings findings; /* owned */
};

extern const struct table race_document; /* struct race_report is its row */

void report_race_json(const struct race_report *r, struct buf *out);
void report_race_text(const struct race_report *r, const struct report_text_options *o,
		      struct buf *out);
void report_race_html(const struct race_report *r, struct buf *out);

#endif
