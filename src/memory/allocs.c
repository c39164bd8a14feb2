/* SPDX-License-Identifier: BSD-2-Clause */
#include "memory/priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "trace/trace.h"

/* The frames that are shown: none of the runtime's on top, none that the compiler made. */
static int shown_frames(struct goruntime *rt, const struct trace_alloc *ta, struct place *out)
{
	struct goframe f[WINDOW_MAX_STACK + 8];
	int n = goruntime_frames(rt, ta->pcs, (int)ta->npcs, f, WINDOW_MAX_STACK + 8), top = 0,
	    kept = 0;

	while (top < n - 1 && goframe_is_runtime(&f[top]))
		top++;
	for (int i = top; i < n; i++)
		if (!f[i].wrapper)
			out[kept++] = place_of_frame(&f[i]);
	return kept;
}

/* The row of the user's place; the stack from what it has called on. */
static struct alloc_row *row_of(struct goruntime *rt, const struct trace_alloc *ta,
				struct memory_window *m, struct bytesmap *places)
{
	struct place at[WINDOW_MAX_STACK + 8], place;
	const struct place *line[WINDOW_MAX_STACK + 8];
	int n = shown_frames(rt, ta, at);
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

/* What is of one reading and the one before it. */
struct both {
	const struct trace_reading *base, *now;
	struct bytesmap at; /* stack pcs -> index in base->alloc */
	double scale;
};

static int index_base(struct both *b)
{
	bytesmap_init(&b->at, b->base->nalloc + 1);
	for (size_t i = 0; i < b->base->nalloc; i++) {
		const struct trace_alloc *a = &b->base->alloc[i];

		/* a row that went begins anew */
		if (!a->gone && !bytesmap_put(&b->at, a->pcs, a->npcs * sizeof(*a->pcs), i, NULL))
			return -ENOMEM;
	}
	return 0;
}

/* What one stack allocated since the start of the window. */
static bool take_one(const struct both *b, struct goruntime *rt, const struct trace_alloc *ta,
		     struct memory_window *m, struct bytesmap *places)
{
	const uint64_t *at = bytesmap_find(&b->at, ta->pcs, ta->npcs * sizeof(*ta->pcs));
	const struct trace_alloc *was =
		at && b->base->alloc[*at].count <= ta->count ? &b->base->alloc[*at] : NULL;
	uint64_t count = scale_count(ta->count - (was ? was->count : 0), b->scale);
	uint64_t bytes = scale_count(ta->bytes - (was ? was->bytes : 0), b->scale);
	struct alloc_row *row;

	if (!count)
		return true;
	m->large_count += count;
	m->large_bytes += bytes;
	row = row_of(rt, ta, m, places);
	if (!row)
		return false;
	row->count += count;
	row->bytes += bytes;
	if (ta->max_bytes > row->max_bytes)
		row->max_bytes = ta->max_bytes;
	return true;
}

/* What was counted without its stack: a row of its own, and the others may lack some. */
static void take_others(const struct both *b, struct memory_window *m)
{
	struct alloc_row *row = &m->alloc[m->nalloc];
	uint64_t count = b->now->allocs_other - b->base->allocs_other;

	if (!count)
		return;
	row->other = true;
	row->count = scale_count(count, b->scale);
	row->bytes =
		scale_count(b->now->allocs_other_bytes - b->base->allocs_other_bytes, b->scale);
	m->large_count += row->count;
	m->large_bytes += row->bytes;
	m->other_count += row->count;
	m->nalloc++;
}

int allocs_fill(struct goruntime *rt, const struct trace_reading *base,
		const struct trace_reading *now, double scale, struct memory_window *m,
		struct losses *losses)
{
	struct both b = { .base = base, .now = now, .scale = scale };
	struct bytesmap places;
	int err = 0;

	m->alloc = calloc(now->nalloc + 2, sizeof(*m->alloc));
	if (!m->alloc || index_base(&b))
		err = -ENOMEM;
	bytesmap_init(&places, now->nalloc + 1);
	for (size_t i = 0; !err && i < now->nalloc; i++)
		if (!take_one(&b, rt, &now->alloc[i], m, &places))
			lose(losses, LOSS_ALLOC_ROWS, 1);
	bytesmap_deinit(&places);
	bytesmap_deinit(&b.at);
	if (err)
		return err;
	take_others(&b, m);
	qsort(m->alloc, (size_t)m->nalloc, sizeof(*m->alloc), by_bytes);
	return 0;
}
