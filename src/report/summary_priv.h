/* SPDX-License-Identifier: BSD-2-Clause */
/* Words and cells that the summaries share; of this folder only. */
#ifndef GOSPECT_REPORT_SUMMARY_PRIV_H
#define GOSPECT_REPORT_SUMMARY_PRIV_H

#include "observe/window.h"
#include "report/table.h"

void summary_add_count(struct buf *out, const char *before, uint64_t n, const char *after);
void summary_add_bytes(struct buf *out, const char *before, double n, const char *after);
void summary_add_seconds(struct buf *out, const char *before, double s, const char *after);
/* Foreign text, at most so many columns. */
void summary_add_name(struct buf *out, const char *before, const char *name, int columns);

void summary_cell_count(struct table *t, bool known, enum exactness e, uint64_t n);
void summary_cell_bytes(struct table *t, enum exactness e, double bytes, const char *unit);
void summary_cell_age(struct table *t, enum age_kind age, double s);
void summary_cell_place(struct table *t, const struct place *p);

#endif
