/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of `diff` share: a row of two reports, and shares of samples. */
#ifndef GOSPECT_REPORT_DIFF_H
#define GOSPECT_REPORT_DIFF_H

#include <jansson.h>
#include <stdbool.h>

struct column;
struct grid;
struct table;

/* Something that both reports may have. */
struct diff_item {
	const json_t *a, *b; /* borrowed from the reports */
	double before, after;
};

enum diff_change { APPEARED, GREW, SHRANK, WENT, SAME };
extern const char *const diff_change_word[];
enum diff_change diff_change_of(const struct diff_item *i);

/* A described table, and where a report has it. */
struct diff_part {
	const struct table *table;
	const char *object, *list;
	const struct column *value; /* the number that is compared */
	/* Where it is a share of samples: how many these are, and what is at most left to who
	 * is not listed; of each report. */
	double of[2], unlisted[2];
};

/* Members of an object; "" and 0 where they are absent. */
const char *diff_text(const json_t *o, const char *key);
double diff_number(const json_t *o, const char *key);

/* Of a table of shares: reads what p says of report a (0) or b (1). */
void diff_read_shares(struct diff_part *p, const json_t *report, int which);
/* It differs by a point, and by three standard deviations of what so few samples can say. */
bool diff_is_share_change(const struct diff_part *p, const struct diff_item *i);
/* The cells of a row but for its name. */
void diff_print_shares(struct grid *t, const struct diff_part *p, const struct diff_item *i);

#endif
