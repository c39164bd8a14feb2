/* SPDX-License-Identifier: BSD-2-Clause */
#include "slices/rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "gobin/gobin.h"
#include "proc/mem.h"
#include "trace/trace.h"

#define MAX_ELEMENT (1u << 30) /* bytes: larger is no size of a type */

struct fill {
	const struct look *l;
	struct gotypes *types;
	struct slices_window *out;
	struct bytesmap base, at; /* growth -> number in rbase; row -> number in out */
	struct slice_row other;
	double scale;
};

struct growth_key {
	uint64_t pc, type;
};

struct row_key {
	struct place_key place;
	uint64_t element;
};

/* nextslicecap of the runtime's, the same from 1.18 to 1.27. */
static uint64_t next_capacity(uint64_t length, uint64_t capacity)
{
	enum { THRESHOLD = 256 };

	if (length > 2 * capacity || capacity > UINT32_MAX)
		return length;
	if (capacity < THRESHOLD)
		return 2 * capacity;
	while (capacity < length)
		capacity += (capacity + 3 * THRESHOLD) >> 2;
	return capacity;
}

/* Of a type: its first word, in the file; of one made at run time, in memory.  0: not known. */
static uint64_t size_of(const struct look *l, uint64_t type)
{
	uint64_t size = 0;

	if (image_read_addr(&l->rt->gb->image, type - l->rt->bias, &size, sizeof(size)) &&
	    (l->gone || mem_read_u64(l->rt->mem, type, &size)))
		return 0;
	return size <= MAX_ELEMENT ? size : 0;
}

static struct slice_row *row_at(struct fill *f, const struct trace_growth *g)
{
	struct place place;
	const char *element = gotypes_name(f->types, g->type);
	struct row_key key;
	struct slice_row *r;
	uint64_t *at;
	bool made;

	if (!place_of_pcs(f->l->rt, &g->pc, 1, false, &place))
		return &f->other;
	key = (struct row_key){ place_key(&place), (uintptr_t)element };
	at = bytesmap_put(&f->at, &key, sizeof(key), (uint64_t)f->out->nrow, &made);
	if (!at)
		return NULL;
	r = &f->out->row[*at];
	if (made) {
		f->out->nrow++;
		r->place = place;
		r->element = element;
	}
	return r;
}

static int add(struct fill *f, const struct trace_growth *g)
{
	static const struct trace_growth none;
	struct growth_key key = { g->pc, g->type };
	uint64_t *at = bytesmap_find(&f->base, &key, sizeof(key)), size;
	const struct trace_growth *b = at ? &f->l->rbase->growth[*at] : &none;
	struct slice_row *r;

	if (g->count == b->count)
		return 0;
	r = row_at(f, g);
	if (!r)
		return -ENOMEM;
	size = size_of(f->l, g->type);
	r->growths += scale_count(g->count - b->count, f->scale);
	r->begun += scale_count(g->begun - b->begun, f->scale);
	r->bytes += scale_count((g->elements - b->elements) * size, f->scale);
	if (g->max_length > r->max_length)
		r->max_length = g->max_length;
	if (next_capacity(g->max_length, g->max_capacity) > r->capacity)
		r->capacity = next_capacity(g->max_length, g->max_capacity);
	return 0;
}

static int index_base(struct fill *f)
{
	const struct trace_reading *b = f->l->rbase;

	for (size_t i = 0; i < b->ngrowth; i++) {
		struct growth_key key = { b->growth[i].pc, b->growth[i].type };

		if (!bytesmap_put(&f->base, &key, sizeof(key), i, NULL))
			return -ENOMEM;
	}
	return 0;
}

static int by_bytes(const void *x, const void *y)
{
	const struct slice_row *a = x, *b = y;

	if (a->other != b->other)
		return a->other - b->other;
	if (a->bytes != b->bytes)
		return a->bytes < b->bytes ? 1 : -1;
	return (a->growths < b->growths) - (a->growths > b->growths);
}

static void finish(struct fill *f)
{
	struct slices_window *out = f->out;
	uint64_t lost = f->l->rnow->growths_other - f->l->rbase->growths_other;

	f->other.growths += scale_count(lost, f->scale);
	f->other.other = true;
	if (f->other.growths)
		out->row[out->nrow++] = f->other;
	for (int i = 0; i < out->nrow; i++) {
		struct slice_row *r = &out->row[i];

		out->growths += r->growths;
		out->bytes += r->bytes;
		r->rate = f->l->rates.requests_sliced ? f->l->rnow->growths_share : 1;
		r->exactness = lost && out->exactness == EXACT ? PARTIAL : out->exactness;
	}
	qsort(out->row, (size_t)out->nrow, sizeof(*out->row), by_bytes);
}

int slice_rows_fill(const struct look *l, struct gotypes *types, struct slices_window *out)
{
	const struct trace_reading *now = l->rnow;
	struct fill f = { .l = l, .types = types, .out = out };
	int err = 0;

	f.scale = l->rates.requests_sliced && now->growths_share > 0 ? 1 / now->growths_share : 1;
	out->exactness = look_exactness(l, SENSOR_SLICES, l->rates.requests_sliced);
	out->row = calloc(now->ngrowth + 1, sizeof(*out->row));
	bytesmap_init(&f.base, 1u << 16);
	bytesmap_init(&f.at, 1u << 16);
	err = out->row ? index_base(&f) : -ENOMEM;
	for (size_t i = 0; i < now->ngrowth && !err; i++)
		err = add(&f, &now->growth[i]);
	if (!err)
		finish(&f);
	bytesmap_deinit(&f.base);
	bytesmap_deinit(&f.at);
	return err;
}
