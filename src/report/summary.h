/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parts that the text report and the live screen have in common: sentences
 * about the target, the cost and the totals, and the two tables.  "~" marks
 * what is sampled or estimated, ">" an age that is a lower bound.
 */
#ifndef GOSPECT_REPORT_SUMMARY_H
#define GOSPECT_REPORT_SUMMARY_H

#include "base/buf.h"
#include "report/rows.h"

/* Each appends one sentence without newline, not cut to any width. */
/* The executable's path is fitted so that the sentence has `width` columns. */
void summary_target(const struct window *w, int width, struct buf *out);
void summary_agent(const struct window *w, struct buf *out);
void summary_coverage(const struct window *w, struct buf *out);
void summary_losses(const struct window *w, struct buf *out);
void summary_goroutines(const struct window *w, struct buf *out);
void summary_states(const struct window *w, struct buf *out);
void summary_alloc(const struct window *w, struct buf *out);
void summary_gc(const struct window *w, struct buf *out);
/* "" when no pauses are known. */
void summary_pauses(const struct window *w, struct buf *out);

/* n rows of the window by index, then what the rest adds up to (may be NULL). */
void summary_sites(const struct window *w, const int *show, int n, const struct site_rest *rest,
		   int width, struct buf *out);
void summary_allocs(const struct window *w, const int *show, int n, const struct alloc_rest *rest,
		    int width, struct buf *out);

/* What snapshots add (summary_snapshot.c). */
void summary_leaks(const struct window *w, struct buf *out);
void summary_heap(const struct window *w, struct buf *out);
/* At most max rows, then how many more there are. */
/* One line for each goroutine that ran when the process was frozen, with its line feed. */
void summary_running(const struct window *w, struct buf *out);
void summary_leak_rows(const struct window *w, int max, int width, struct buf *out);
void summary_heap_rows(const struct window *w, int max, int width, struct buf *out);
void summary_groups(const struct window *w, int max, int width, struct buf *out);
/* Every goroutine with its stack. */
void summary_all(const struct window *w, int width, struct buf *out);

#endif
