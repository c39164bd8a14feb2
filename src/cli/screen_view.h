/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What stands on the live screen, as lines of text with an attribute each:
 * knows the report and the size, nothing of curses.
 */
#ifndef GOSPECT_CLI_SCREEN_VIEW_H
#define GOSPECT_CLI_SCREEN_VIEW_H

#include <stdbool.h>

#include "base/buf.h"
#include "report/report.h"

enum screen_sort { SORT_LIVE, SORT_BIRTHS, SORT_DEATHS, SORT_AGE, SORT_NAME };

enum screen_style {
	STYLE_PLAIN,
	STYLE_TITLE,
	STYLE_HEAD,
	STYLE_DIM,
	STYLE_BAD,
	STYLE_WARN,
	STYLE_NOTE,
	STYLE_KEYS
};

struct screen_state {
	enum screen_sort sort;
	bool paused, details, help;
	int scroll;     /* first row of the goroutine table shown */
	int rows_shown; /* set by the view: rows of that table, for paging */
};

#define SCREEN_MAX_LINES 512 /* a taller terminal stays empty below */

struct screen_line {
	size_t start; /* offset in text of a NUL-terminated line */
	enum screen_style style;
};

struct screen_view {
	struct buf text;
	struct screen_line line[SCREEN_MAX_LINES];
	int nline;
};

void screen_view_init(struct screen_view *v);
void screen_view_deinit(struct screen_view *v);
/* Lays out a report on width x height; puts st->scroll into range.  Every line
 * is at most `width` columns, and there are at most `height` of them. */
void screen_view_make(struct screen_view *v, const struct report *r, struct screen_state *st,
		      int width, int height);

#endif
