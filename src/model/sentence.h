/* SPDX-License-Identifier: BSD-2-Clause */
/* Parts of sentences about a window: `before` and `after` stand around a number as people read it. */
#ifndef GOSPECT_MODEL_SENTENCE_H
#define GOSPECT_MODEL_SENTENCE_H

#include "base/buf.h"
#include "model/window.h"

void sentence_count(struct buf *out, const char *before, uint64_t n, const char *after);
/* "3 requests", as human_counted() */
void sentence_counted(struct buf *out, const char *before, uint64_t n, const char *one);
void sentence_bytes(struct buf *out, const char *before, double n, const char *after);
void sentence_seconds(struct buf *out, const char *before, double s, const char *after);
void sentence_ns(struct buf *out, const char *before, uint64_t ns);
/* ", p50 1ms, p99 2ms, max 3ms" of so many durations; what so few do not have is left out. */
void sentence_percentiles(struct buf *out, uint64_t n, uint64_t p50_ns, uint64_t p99_ns,
			  uint64_t max_ns);
void sentence_percent(struct buf *out, const char *before, double pct, int decimals,
		      const char *after);
/* A rate that is not zero is never "0.0". */
void sentence_rate(struct buf *out, const char *before, double per_s, const char *after);
/* Foreign text, at most so many columns. */
void sentence_name(struct buf *out, const char *before, const char *name, int columns);
/* As in a table; "?" or what is given where it is not known. */
void sentence_place(struct buf *out, const struct place *p, const char *none);

/* "~" where it was not counted one by one; static. */
const char *exactness_mark(enum exactness e);
/* In this window, per second. */
double window_per_s(const struct window *w, uint64_t n);

#endif
