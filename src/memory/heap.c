/* SPDX-License-Identifier: BSD-2-Clause */
#include "memory/priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "gort/heapprof.h"

void heap_base_init(struct heap_base *b)
{
	b->known = false;
	u64map_init(&b->in_use, HEAPPROF_MAX_BUCKETS);
}

void heap_base_deinit(struct heap_base *b)
{
	u64map_deinit(&b->in_use);
}

void heap_window_deinit(struct heap_window *h)
{
	free(h->row);
	free(h->sample);
	stack_table_deinit(&h->stacks);
	memset(h, 0, sizeof(*h));
}

void heap_base_take(struct heap_base *b, struct goruntime *rt)
{
	struct heapprof h;
	char why[200];

	u64map_clear(&b->in_use);
	b->known = !heapprof_read(&h, rt, why, sizeof(why));
	/* with some of it missing they would seem to have grown */
	for (size_t i = 0; b->known && i < h.n; i++)
		b->known = u64map_put(&b->in_use, h.bucket[i].addr, h.bucket[i].in_use_bytes, NULL);
	heapprof_deinit(&h);
}

/* runtime/pprof shows no runtime frames on top, unless there are no others. */
static size_t runtime_frames(struct goruntime *rt, const uint64_t *pcs, size_t n)
{
	struct goframe f;
	for (size_t i = 0; i < n; i++) {
		bool injected = false;

		if (goruntime_frames_at(rt, pcs[i], &injected, &f, 1) <= 0 ||
		    !goframe_is_runtime(&f))
			return i;
	}
	return 0;
}

/* As runtime/pprof: the frame that every goroutine begins with is not shown. */
static size_t without_goexit(struct goruntime *rt, const uint64_t *pcs, size_t n)
{
	struct goframe f;
	bool injected = false;

	if (n && goruntime_frames_at(rt, pcs[n - 1], &injected, &f, 1) > 0 &&
	    !strcmp(f.function, "runtime.goexit"))
		n--;
	return n;
}

static int fill_samples(struct heap_window *w, const struct heap_base *b, struct goruntime *rt,
			const struct heapprof *h, struct stack_builder *sb)
{
	w->sample = calloc(h->n + 1, sizeof(*w->sample));
	if (!w->sample)
		return -ENOMEM;
	for (size_t i = 0; i < h->n; i++) {
		const struct heap_bucket *k = &h->bucket[i];
		size_t n = without_goexit(rt, h->pc + k->first, k->n);
		size_t skip = runtime_frames(rt, h->pc + k->first, n);
		const uint64_t *base = u64map_find(&b->in_use, k->addr);
		struct heap_sample *s = &w->sample[w->nsample];

		if (!k->alloc_count)
			continue;
		if (stack_builder_add(sb, h->pc + k->first + skip, n - skip, true, true))
			return -ENOMEM;
		*s = (struct heap_sample){
			.stack = (uint32_t)(w->stacks.nstack - 1),
			.object_bytes = k->object_bytes,
			.in_use_bytes = k->in_use_bytes,
			.in_use_count = k->in_use_count,
			.alloc_bytes = k->alloc_bytes,
			.alloc_count = k->alloc_count,
		};
		if (b->known)
			s->grown_bytes = (int64_t)k->in_use_bytes - (int64_t)(base ? *base : 0);
		w->nsample++;
		w->in_use_bytes += s->in_use_bytes;
		w->in_use_count += s->in_use_count;
		w->alloc_bytes += s->alloc_bytes;
		w->alloc_count += s->alloc_count;
		w->grown_bytes += s->grown_bytes;
	}
	return 0;
}

/* The runtime's own allocations have no user's place: what asked malloc. */
static const struct place *runtime_place(const struct stack_table *t, uint32_t stack)
{
	static const char *const inside[] = {
		"runtime.profilealloc", "runtime.malloc",    "runtime.newobject",
		"runtime.makeslice",    "runtime.growslice", "runtime.newarray",
		"runtime.systemstack",  "runtime.mProf",
	};
	const struct stack_entry *e = &t->stack[stack];
	const struct place *p = NULL;
	size_t k;

	for (uint32_t i = 0; i < e->n; i++) {
		const struct stack_location *loc = &t->location[t->at[e->first + i]];

		if (!loc->n)
			continue;
		p = &t->line[loc->first];
		for (k = 0; k < ARRAY_SIZE(inside); k++)
			if (p->function && !strncmp(p->function, inside[k], strlen(inside[k])))
				break;
		if (k == ARRAY_SIZE(inside))
			return p;
	}
	return p;
}

static int by_in_use(const void *x, const void *y)
{
	const struct heap_row *a = x, *b = y;

	if (a->in_use_bytes != b->in_use_bytes)
		return a->in_use_bytes < b->in_use_bytes ? 1 : -1;
	return a->alloc_bytes < b->alloc_bytes ? 1 : a->alloc_bytes > b->alloc_bytes ? -1 : 0;
}

static void add_sample(struct heap_row *row, const struct heap_sample *s, uint64_t *most)
{
	row->in_use_bytes += s->in_use_bytes;
	row->in_use_count += s->in_use_count;
	row->alloc_bytes += s->alloc_bytes;
	row->alloc_count += s->alloc_count;
	row->grown_bytes += s->grown_bytes;
	if (s->in_use_bytes > *most) {
		*most = s->in_use_bytes;
		row->stack = s->stack;
	}
}

/* The number of the row of a place, made when there is no such row; NULL: no memory. */
static uint64_t *row_of(struct heap_window *w, struct bytesmap *places, uint32_t stack)
{
	const struct place *inside;
	struct place p;
	struct place_key key;
	uint64_t *at;
	bool made;

	if (!stack_table_place(&w->stacks, stack, &p) &&
	    (inside = runtime_place(&w->stacks, stack)))
		p = *inside;
	key = place_key(&p);
	at = bytesmap_put(places, &key, sizeof(key), (uint64_t)w->nrow, &made);
	if (at && made)
		w->row[w->nrow++] = (struct heap_row){ .stack = stack, .place = p };
	return at;
}

static int fill_rows(struct heap_window *w)
{
	uint64_t *most = calloc(w->nsample + 1, sizeof(*most)), *at;
	struct bytesmap places;
	int err = 0;

	w->row = calloc(w->nsample + 1, sizeof(*w->row));
	bytesmap_init(&places, HEAPPROF_MAX_BUCKETS);
	if (!w->row || !most)
		err = -ENOMEM;
	for (size_t i = 0; i < w->nsample && !err; i++) {
		at = row_of(w, &places, w->sample[i].stack);
		if (at)
			add_sample(&w->row[*at], &w->sample[i], &most[*at]);
		else
			err = -ENOMEM;
	}
	bytesmap_deinit(&places);
	free(most);
	if (!err)
		qsort(w->row, (size_t)w->nrow, sizeof(*w->row), by_in_use);
	return err;
}

int heap_take(struct heap_window *w, const struct heap_base *b, struct goruntime *rt)
{
	struct stack_builder sb;
	struct heapprof h;
	int err;

	memset(w, 0, sizeof(*w));
	stack_builder_init(&sb, &w->stacks, rt);
	err = heapprof_read(&h, rt, w->why, sizeof(w->why));
	if (!err) {
		w->why[0] = '\0';
		w->rate = h.rate;
		err = fill_samples(w, b, rt, &h, &sb);
	}
	if (!err)
		err = fill_rows(w);
	w->known = !err;
	if (err == -ENOMEM)
		snprintf(w->why, sizeof(w->why), "no memory for the heap profile");
	else if (!err && h.cut)
		snprintf(w->why, sizeof(w->why),
			 "the heap profile was read in part: its list is damaged or too long");
	else if (!err && h.before_first_gc)
		snprintf(w->why, sizeof(w->why),
			 "no collection has ended yet: everything allocated so far counts as in "
			 "use");
	heapprof_deinit(&h);
	stack_builder_deinit(&sb);
	return err;
}
