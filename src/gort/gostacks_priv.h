/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by gostacks.c and gostacks_kept.c only. */
#ifndef GOSPECT_GORT_GOSTACKS_PRIV_H
#define GOSPECT_GORT_GOSTACKS_PRIV_H

#include "gort/gostacks.h"

/* The number of a stack, made when there is none; GOSTACK_UNREAD when there is no room. */
uint32_t gostacks_number(struct gostacks *s, const uint64_t *pcs, size_t n, bool whole);

/* The stacks read so far become those of the reading before. */
void gostacks_kept_take(struct gostacks *s);
void gostacks_kept_deinit(struct gostacks_kept *k);
/* Before goroutines are asked for.  Without memory for it nothing is known. */
void gostacks_kept_begin(struct gostacks_kept *k);
/* The stack of a goroutine that has not moved; GOSTACK_UNREAD: it is to be read.  *at: 0 at
 * first; they are asked for by address. */
uint32_t gostacks_kept_find(struct gostacks *s, const struct gowalk *w, const struct goroutine *g,
			    size_t *at);
/* What is known after the reading, for the next. */
void gostacks_kept_end(struct gostacks_kept *k, const struct gowalk *w, const uint32_t *stack);

#endif
