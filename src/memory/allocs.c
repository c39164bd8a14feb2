/* SPDX-License-Identifier: BSD-2-Clause */
#include "memory/allocs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/place.h"
#include "trace/trace.h"
#include "memory/window.h"

#define ALLOC_STACKS_MAX 8192 /* the kernel's map holds fewer */

struct alloc_base {
	uint64_t count, bytes;
};

void allocs_init(struct allocs *a, struct goruntime *rt)
{
	memset(a, 0, sizeof(*a));
	a->rt = rt;
	bytesmap_init(&a->index, ALLOC_STACKS_MAX);
}

void allocs_deinit(struct allocs *a)
{
	bytesmap_deinit(&a->index);
	free(a->base);
	memset(a, 0, sizeof(*a));
}

static struct alloc_base *base_of(struct allocs *a, const struct trace_alloc *ta)
{
	uint64_t *at = bytesmap_put(&a->index, ta->pcs, ta->npcs * sizeof(*ta->pcs), a->n, NULL);

	if (!at)
		return NULL;
	if (*at == a->n) {
		if (a->n == a->cap) {
			size_t cap = a->cap ? a->cap * 2 : 64;
			struct alloc_base *p = realloc(a->base, cap * sizeof(*p));

			if (!p)
				return NULL;
			a->base = p;
			a->cap = cap;
		}
		a->base[a->n++] = (struct alloc_base){ 0 };
	}
	return &a->base[*at];
}

/* The row of the innermost frame outside the runtime; the stack from there on. */
static struct alloc_row *row_of(struct allocs *a, const struct trace_alloc *ta, struct window *w,
				struct bytesmap *places)
{
	struct goframe f[WINDOW_MAX_STACK + 8];
	int n = goruntime_frames(a->rt, ta->pcs, (int)ta->npcs, f, WINDOW_MAX_STACK + 8);
	struct {
		const char *function, *file;
		uint64_t line;
	} key = { 0 };
	struct alloc_row *row;
	uint64_t *at;
	int top = 0, i;

	while (top < n - 1 && goframe_is_runtime(&f[top]))
		top++;
	if (n > 0) {
		key.function = f[top].function;
		key.file = f[top].file;
		key.line = (uint64_t)f[top].line;
	}
	at = bytesmap_put(places, &key, sizeof(key), (uint64_t)w->memory->nalloc, NULL);
	if (!at)
		return NULL;
	row = &w->memory->alloc[*at];
	if (*at == (uint64_t)w->memory->nalloc) {
		w->memory->nalloc++;
		memset(row, 0, sizeof(*row));
		if (n > 0)
			row->place = place_of_frame(&f[top]);
		for (i = top; i < n && row->nstack < WINDOW_MAX_STACK; i++)
			row->stack[row->nstack++] = place_of_frame(&f[i]);
	}
	return row;
}

static int by_bytes(const void *x, const void *y)
{
	const struct alloc_row *a = x, *b = y;

	return a->bytes < b->bytes ? 1 : a->bytes > b->bytes ? -1 : 0;
}

int allocs_take(struct allocs *a, const struct trace_reading *r, double scale, struct window *w)
{
	struct bytesmap places;
	size_t i;
	int err = 0;

	bytesmap_init(&places, ALLOC_STACKS_MAX);
	if (w) {
		w->memory->alloc = calloc(r->nalloc + 1, sizeof(*w->memory->alloc));
		if (!w->memory->alloc)
			return -ENOMEM;
	}
	for (i = 0; i < r->nalloc; i++) {
		const struct trace_alloc *ta = &r->alloc[i];
		struct alloc_base *b = base_of(a, ta);
		struct alloc_row *row;

		if (!b) {
			err = -ENOMEM;
			break;
		}
		if (w && ta->count > b->count) {
			row = row_of(a, ta, w, &places);
			if (row) {
				row->count += scale_count(ta->count - b->count, scale);
				row->bytes += scale_count(ta->bytes - b->bytes, scale);
				if (ta->max_bytes > row->max_bytes)
					row->max_bytes = ta->max_bytes;
			}
			w->memory->large_count += scale_count(ta->count - b->count, scale);
			w->memory->large_bytes += scale_count(ta->bytes - b->bytes, scale);
		}
		b->count = ta->count;
		b->bytes = ta->bytes;
	}
	if (w)
		qsort(w->memory->alloc, (size_t)w->memory->nalloc, sizeof(*w->memory->alloc),
		      by_bytes);
	bytesmap_deinit(&places);
	return err;
}
