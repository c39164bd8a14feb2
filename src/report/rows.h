/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which rows of a window's tables are shown, and what the others add up to:
 * every renderer cuts its tables through these.
 */
#ifndef GOSPECT_REPORT_ROWS_H
#define GOSPECT_REPORT_ROWS_H

#include "observe/window.h"

/* Distinct wait reasons in a summed row: Go has about 50. Beyond: summed in the last. */
#define ROWS_MAX_REASONS 64

/* What the rows that are not shown add up to. */
struct site_rest {
	int nrow; /* rows in it; 0: nothing to show */
	uint64_t births, deaths, live, live_at_start, stuck_window;
	bool births_known; /* of every row */
	enum exactness exactness;
	double oldest_s;
	enum age_kind age;
	struct state_count wait[ROWS_MAX_REASONS];
	int nwait;
};

struct alloc_rest {
	int nrow;
	uint64_t count, bytes, max_bytes;
};

/*
 * At most max rows are to be shown, the summed one included.  Returns how many
 * rows of the window to show one by one, and fills the rest.  The window's own
 * `other` row always goes into the rest; show[] gets the indexes (room for max).
 */
int rows_sites(const struct window *w, int max, int *show, struct site_rest *rest);
int rows_allocs(const struct window *w, int max, int *show, struct alloc_rest *rest);

#endif
