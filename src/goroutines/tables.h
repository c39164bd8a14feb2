/* SPDX-License-Identifier: BSD-2-Clause */
/* The tables about goroutines, described (model/schema.h). */
#ifndef GOSPECT_GOROUTINES_TABLES_H
#define GOSPECT_GOROUTINES_TABLES_H

#include "model/schema.h"

/* struct goroutines_window: member `goroutines`; struct leaks_window: `leaks` */
struct goroutine_dump;

extern const struct table goroutines_object, leaks_object;
extern const struct table goroutine_sites, goroutine_groups, leak_sites;
/* struct leaked_goroutine, one by one: what `gospect leaks` prints */
extern const struct table leaked_goroutines;
/* "proven", "leaked in 6 of 6 passes": static, until the next call. */
struct leaks_window;
const char *leaks_says(const struct leaks_window *l);

void goroutines_sentence(const struct window *w, struct buf *out);
void states_sentence(const struct window *w, struct buf *out);
/* "user=ann shard=3" */
void goroutine_labels(const struct goroutine_dump *d, uint32_t set, struct buf *out);

#endif
