/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What people read beside the tables: sentences about the target, the cost and
 * the coverage, and the dump of all goroutines.
 */
#ifndef GOSPECT_REPORT_SUMMARY_H
#define GOSPECT_REPORT_SUMMARY_H

#include "base/buf.h"
#include "observe/window.h"

typedef void (*summary_fn)(const struct window *w, struct buf *out);

/* Each appends one sentence without newline, not cut to any width. */
/* The executable's path is fitted so that the sentence has `width` columns, but to no
 * fewer than `least`. */
void summary_target(const struct window *w, int width, int least, struct buf *out);
void summary_agent(const struct window *w, struct buf *out);
void summary_coverage(const struct window *w, struct buf *out);
void summary_losses(const struct window *w, struct buf *out);

/* Every goroutine with its stack. */
void summary_all(const struct window *w, int width, struct buf *out);

/* What limits or endangers the process: threads, GOMAXPROCS, stopped; whether there is any. */
bool summary_process_any(const struct window *w);
void summary_process(const struct window *w, struct buf *out);

#endif
