/* SPDX-License-Identifier: BSD-2-Clause */
/* Panics that were recovered, by the place that panicked. */
#include "crash/fill.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/text.h"
#include "trace/trace.h"

#define MAX_INLINED 16

struct counting {
	const struct look *l;
	struct crash_window *out;
	struct crash_types types;
	struct u64map base; /* hash -> recovered at the window's start */
	double scale;
};

static int take_pcs(const struct gs_panics *p, uint64_t *pcs)
{
	int n = 0;

	for (; n < GS_PANIC_FRAMES && p->pcs[n]; n++)
		pcs[n] = p->pcs[n];
	return n;
}

/* The first frame that is not the runtime's. */
static bool std_place(struct goruntime *rt, const uint64_t *pcs, int n, struct place *out)
{
	struct goframe f[MAX_INLINED];
	bool injected = false;

	for (int i = 0; i < n; i++) {
		int k = goruntime_frames_at(rt, pcs[i], &injected, f, MAX_INLINED);

		for (int j = 0; j < k; j++)
			if (!goframe_is_runtime(&f[j])) {
				*out = place_of_frame(&f[j]);
				return true;
			}
	}
	return false;
}

/* The user's innermost; where all that is known is the standard library's, its own. */
static struct place place_of(const struct counting *c, const struct gs_panics *p)
{
	uint64_t pcs[GS_PANIC_FRAMES];
	int n = take_pcs(p, pcs);
	struct place at = { 0 };

	if (!place_of_pcs(c->l->rt, pcs, n, false, &at))
		std_place(c->l->rt, pcs, n, &at);
	return at;
}

static void take_first(struct counting *c, struct gs_panics *p, struct panic_row *r)
{
	const char *type = crash_type_name(&c->types, p->first.type);

	r->first_ns = p->ns;
	r->type[0] = r->message[0] = '\0';
	if (type)
		words_fit(type, CRASH_MAX_TYPE / 4, r->type, sizeof(r->type));
	if (c->l->redact_messages)
		return;
	crash_read_constants(&c->types, &p->first);
	crash_given(&c->types, &p->first, r->message);
}

static struct panic_row *row_at(struct crash_window *out, const struct place *at)
{
	struct panic_row *r;

	for (int i = 0; i < out->nrecovered; i++)
		if (place_equal(&out->recovered[i].place, at))
			return &out->recovered[i];
	r = &out->recovered[out->nrecovered++];
	r->place = *at;
	return r;
}

static void add(struct counting *c, const struct trace_panic *p)
{
	const uint64_t *was = u64map_find(&c->base, p->hash);
	uint64_t n = p->recovered - (was ? *was : 0);
	struct place at;
	struct panic_row *r;

	if (!n)
		return;
	at = place_of(c, p->row);
	r = row_at(c->out, &at);
	r->recovered += scale_count(n, c->scale);
	if (!r->first_ns || p->row->ns < r->first_ns)
		take_first(c, p->row, r);
}

static int by_count(const void *x, const void *y)
{
	const struct panic_row *a = x, *b = y;

	if (a->other != b->other)
		return a->other - b->other;
	if (a->recovered != b->recovered)
		return a->recovered < b->recovered ? 1 : -1;
	return a->place.function && b->place.function ? strcmp(a->place.function, b->place.function)
						      : 0;
}

static void finish(struct counting *c, uint64_t others)
{
	struct crash_window *out = c->out;

	if (others) {
		out->recovered[out->nrecovered].other = true;
		out->recovered[out->nrecovered++].recovered = scale_count(others, c->scale);
	}
	for (int i = 0; i < out->nrecovered; i++) {
		struct panic_row *r = &out->recovered[i];

		r->exactness = look_exactness(c->l, SENSOR_CRASH, c->l->rates.panics_sliced);
		if (others && !r->other && r->exactness == EXACT)
			r->exactness = PARTIAL;
		r->rate = c->l->rates.panics;
	}
	if (out->nrecovered)
		qsort(out->recovered, (size_t)out->nrecovered, sizeof(*out->recovered), by_count);
	out->recovered_known = true;
}

int panics_fill(const struct look *l, struct crash_window *out)
{
	const struct trace_reading *b = l->rbase, *n = l->rnow;
	struct counting c = { .l = l, .out = out };
	int err = 0;

	c.scale = l->rates.panics_sliced && l->rates.panics > 0 ? 1 / l->rates.panics : 1;
	out->recovered = calloc(n->npanic + 1, sizeof(*out->recovered));
	if (!out->recovered)
		return -ENOMEM;
	u64map_init(&c.base, GS_MAX_PANICS);
	for (size_t i = 0; i < b->npanic && !err; i++)
		err = u64map_put(&c.base, b->panic[i].hash, b->panic[i].recovered, NULL) ? 0
											 : -ENOMEM;
	crash_types_init(&c.types, l->rt);
	for (size_t i = 0; i < n->npanic && !err; i++)
		add(&c, &n->panic[i]);
	crash_types_deinit(&c.types);
	u64map_deinit(&c.base);
	if (!err)
		finish(&c, n->panics_other - b->panics_other);
	return err;
}
