/* SPDX-License-Identifier: BSD-2-Clause */
/* The sampled heap profile as a window's table, and what grew since its start. */
#ifndef GOSPECT_MEMORY_HEAP_H
#define GOSPECT_MEMORY_HEAP_H

#include "base/map.h"
#include "memory/window.h"
#include "gort/goruntime.h"

struct heap_base {
	bool known;
	struct u64map in_use; /* bucket -> bytes in use at the start */
};

void heap_base_init(struct heap_base *b);
void heap_base_deinit(struct heap_base *b);
/* Reads the profile: it becomes the start of the window. */
void heap_base_take(struct heap_base *b, struct goruntime *rt);
/* Fills the window's table; growth against the base where it is known.  0, or
 * an error: then h->why has the reason. */
int heap_take(struct heap_window *h, const struct heap_base *b, struct goruntime *rt);
void heap_window_deinit(struct heap_window *h);

#endif
