/* SPDX-License-Identifier: BSD-2-Clause */
#include "memory/priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "trace/trace.h"

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
	uint64_t *at;

	if (array_room(&a->base, a->n, &a->cap, sizeof(*a->base)))
		return NULL;
	at = bytesmap_put(&a->index, ta->pcs, ta->npcs * sizeof(*ta->pcs), a->n, NULL);
	if (!at)
		return NULL;
	if (*at == a->n)
		a->base[a->n++] = (struct alloc_base){ 0 };
	return &a->base[*at];
}

/* The frames that are shown: none of the runtime's on top, none that the compiler made. */
static int shown_frames(struct allocs *a, const struct trace_alloc *ta, struct place *out)
{
	struct goframe f[WINDOW_MAX_STACK + 8];
	int n = goruntime_frames(a->rt, ta->pcs, (int)ta->npcs, f, WINDOW_MAX_STACK + 8), top = 0,
	    kept = 0;

	while (top < n - 1 && goframe_is_runtime(&f[top]))
		top++;
	for (int i = top; i < n; i++)
		if (!f[i].wrapper)
			out[kept++] = place_of_frame(&f[i]);
	return kept;
}

/* The row of the user's place; the stack from what it has called on. */
static struct alloc_row *row_of(struct allocs *a, const struct trace_alloc *ta,
				struct memory_window *m, struct bytesmap *places)
{
	struct place at[WINDOW_MAX_STACK + 8], place;
	const struct place *line[WINDOW_MAX_STACK + 8];
	int n = shown_frames(a, ta, at);
	struct place_key key;
	struct alloc_row *row;
	uint64_t *k;
	bool made;

	for (int i = 0; i < n; i++)
		line[i] = &at[i];
	if (!place_of_lines(line, n, true, &place) && n)
		place = at[0];
	key = place_key(&place);
	k = bytesmap_put(places, &key, sizeof(key), (uint64_t)m->nalloc, &made);
	if (!k)
		return NULL;
	row = &m->alloc[*k];
	if (!made)
		return row;
	m->nalloc++;
	row->place = place;
	row->nstack = n < WINDOW_MAX_STACK ? n : WINDOW_MAX_STACK;
	memcpy(row->stack, at, (size_t)row->nstack * sizeof(*at));
	return row;
}

static int by_bytes(const void *x, const void *y)
{
	const struct alloc_row *a = x, *b = y;

	return a->bytes < b->bytes ? 1 : a->bytes > b->bytes ? -1 : 0;
}

/* What one stack allocated since the start of the window. */
static bool take_one(struct allocs *a, const struct trace_alloc *ta, double scale,
		     struct memory_window *m, struct bytesmap *places)
{
	struct alloc_base *b = base_of(a, ta);
	struct alloc_row *row;
	uint64_t count, bytes;

	if (!b)
		return false;
	count = scale_count(ta->count - b->count, scale);
	bytes = scale_count(ta->bytes - b->bytes, scale);
	*b = (struct alloc_base){ ta->count, ta->bytes };
	if (!m || !count)
		return true;
	m->large_count += count;
	m->large_bytes += bytes;
	row = row_of(a, ta, m, places);
	if (!row)
		return false;
	row->count += count;
	row->bytes += bytes;
	if (ta->max_bytes > row->max_bytes)
		row->max_bytes = ta->max_bytes;
	return true;
}

int allocs_take(struct allocs *a, const struct trace_reading *r, double scale, struct window *w,
		struct losses *losses)
{
	struct memory_window *m = w ? w->memory : NULL;
	struct bytesmap places;

	if (m) {
		m->alloc = calloc(r->nalloc + 1, sizeof(*m->alloc));
		if (!m->alloc)
			return -ENOMEM;
	}
	bytesmap_init(&places, ALLOC_STACKS_MAX);
	for (size_t i = 0; i < r->nalloc; i++)
		if (!take_one(a, &r->alloc[i], scale, m, &places))
			lose(losses, LOSS_ALLOC_ROWS, 1);
	bytesmap_deinit(&places);
	if (m)
		qsort(m->alloc, (size_t)m->nalloc, sizeof(*m->alloc), by_bytes);
	return 0;
}
