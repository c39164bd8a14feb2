/* SPDX-License-Identifier: BSD-2-Clause */
/* What heap.c, spans.c and contents.c share. */
#ifndef GOSPECT_PROVE_HEAP_PRIV_H
#define GOSPECT_PROVE_HEAP_PRIV_H

#include "prove/heap.h"

#define OFF_PAGE 4096u
#define OFF_RUN  64 /* pages of one read */
#define OFF_MAX_PAGES \
	(1u << 18) /* 1 GiB of allocation bits, specials and queues; beyond: not readable */
#define OFF_MAX_COPY      (1u << 20)
#define BLOCK_TABLE_BYTES ((1ull << (HEAP_ADDR_BITS - HEAP_BLOCK_SHIFT)) * sizeof(uint32_t))

/* Reads the pages of these numbers (sorted in place) into the cache. */
int heap_prefetch(struct heap *h, uint64_t *number, size_t n);
void heap_forget_pages(struct heap *h);
/* The spans in use; only_new: adds those that came into use since. */
int heap_take_spans(struct heap *h, bool only_new);

#endif
