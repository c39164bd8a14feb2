/* SPDX-License-Identifier: BSD-2-Clause */
/* The tables about memory, described (model/schema.h). */
#ifndef GOSPECT_MEMORY_TABLES_H
#define GOSPECT_MEMORY_TABLES_H

#include "model/schema.h"

/* struct memory_window: member `alloc`; gc_window: `gc`; heap_window: `heap` */
extern const struct table alloc_object, gc_object, heap_profile;
extern const struct table alloc_sites, heap_sites, gc_summary;

void alloc_sentence(const struct window *w, struct buf *out);
void gc_sentence(const struct window *w, struct buf *out);
/* "" when no pauses are known. */
void pauses_sentence(const struct window *w, struct buf *out);

#endif
