/* SPDX-License-Identifier: BSD-2-Clause */
/* The last hour of each process in a few numbers, for the page: a bounded ring. */
#ifndef GOSPECT_EXPORT_HISTORY_H
#define GOSPECT_EXPORT_HISTORY_H

#include "agent/view.h"

#define HISTORY_POINTS    240 /* an hour, a point each 15 s */
#define HISTORY_EVERY_NS  (15ull * 1000000000)
#define HISTORY_PROCESSES 1000 /* 3.8 MB; the rest has none */

enum history_line { HISTORY_GOROUTINES, HISTORY_HEAP, HISTORY_REQUESTS, HISTORY_LINES };

struct history_of {
	uint64_t key, seen; /* of the process; the view that had it last */
	uint32_t n, next;   /* points, and where the next one goes */
	uint64_t mono_ns[HISTORY_POINTS];
	float point[HISTORY_LINES][HISTORY_POINTS]; /* NAN: not known */
};

struct history {
	struct history_of **of; /* owned, by key */
	size_t n, cap;
};

void history_deinit(struct history *h); /* a zeroed one is empty */
/* Adds a point for each process of the view, and forgets those that are not in it. */
void history_add(struct history *h, const struct view *v);
const struct history_of *history_find(const struct history *h, uint64_t key); /* NULL: none */
/* The i-th point, the oldest first. */
float history_point(const struct history_of *h, enum history_line line, uint32_t i);
/* When it was, as view.mono_ns. */
uint64_t history_time(const struct history_of *h, uint32_t i);

#endif
