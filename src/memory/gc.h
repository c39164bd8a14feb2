/* SPDX-License-Identifier: BSD-2-Clause */
/* The garbage collector in a window: cycles, heap and goal, pauses. */
#ifndef GOSPECT_MEMORY_GC_H
#define GOSPECT_MEMORY_GC_H

#include "memory/window.h"
#include "model/look.h"

void gc_fill(const struct look *l, struct gc_window *g);
void gc_cover(const struct look *l, const struct gc_window *g, struct window *w);

#endif
