/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/opens.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "trace/priv.h"

#define OPEN_TRIES 3

_Static_assert(GS_CALL_FRAMES == TRACE_CALL_FRAMES, "places");

#define NEARLY_FULL 0.5 /* of the table: what is there no more may have made room */

/* What the pass over the tables has read. */
struct pass {
	struct trace *t;
	struct trace_opens *o;
	struct u64map there; /* calls, over or not: they leave the table only to make room */
	size_t entries;
};

/* An address of the target has 47 bits. */
static uint64_t number_of(enum open_kind kind, uint64_t addr)
{
	return (uint64_t)(kind + 1) << 56 ^ addr;
}

/* Not ended, and of interest to others than the programs. */
static bool is_wanted(const struct gs_open_key *k, const struct gs_open *v)
{
	return v->start_ns && k->target == TARGET && k->kind != OPEN_POOL && k->kind != OPEN_LOCK &&
	       k->kind != OPEN_STATEMENT;
}

static void open_from(const struct trace *t, struct trace_open *o, const struct gs_open_key *k,
		      const struct gs_open *v)
{
	memset(o, 0, sizeof(*o)); /* padding too: they are compared */
	o->kind = (enum open_kind)k->kind;
	o->addr = k->addr;
	o->start_ns = v->start_ns;
	o->state_ns = v->state_ns;
	o->goid = v->goid;
	o->ptr = v->ptr;
	o->state = v->state;
	o->npcs = v->npcs < TRACE_CALL_FRAMES ? v->npcs : TRACE_CALL_FRAMES;
	memcpy(o->pcs, v->pcs, sizeof(o->pcs));
	if (v->host &&
	    (o->kind == OPEN_GRPC || (o->kind == OPEN_HANDLER && o->state == HANDLER_COUNTED)))
		o->text = hosts_name(t, v->host);
}

int trace_opens_add(struct trace_opens *o, const struct trace_open *open)
{
	if (array_room(&o->open, o->n, &o->cap, sizeof(*o->open)) ||
	    !u64map_put(&o->at, number_of(open->kind, open->addr), o->n, NULL))
		return -ENOMEM;
	o->open[o->n++] = *open;
	return 0;
}

static bool is_call(uint32_t kind)
{
	return kind == OPEN_REQUEST || kind == OPEN_HANDLER || kind == OPEN_GRPC;
}

/* Calls that were under way at the reading before, and whose entry is gone: how they
 * end is in no sum. */
static void count_pushed_out(struct pass *p)
{
	uint64_t key, *value;
	size_t pos = 0;

	if (p->entries >= NEARLY_FULL * p->t->sizes.opens)
		while (u64map_next(&p->t->calls_before, &pos, &key, &value))
			p->t->pushed_out += !u64map_find(&p->there, key);
	u64map_clear(&p->t->calls_before);
	for (size_t i = 0; i < p->o->n; i++)
		if (is_call(p->o->open[i].kind))
			u64map_put(&p->t->calls_before,
				   number_of(p->o->open[i].kind, p->o->open[i].addr), 0, NULL);
}

static int take_open(void *ctx, const void *key, const void *value)
{
	const struct gs_open_key *k = key;
	struct pass *p = ctx;
	struct trace_open open = { 0 };

	p->entries++;
	if (is_call(k->kind))
		u64map_put(&p->there, number_of((enum open_kind)k->kind, k->addr), 0, NULL);
	if (!is_wanted(key, value))
		return 0;
	open_from(p->t, &open, key, value);
	return trace_opens_add(p->o, &open);
}

static int each_open(struct trace *t, struct pass *p)
{
	int err = dump_each(trace_map_fd(t, TRACE_MAP_OPENS), sizeof(struct gs_open_key),
			    sizeof(struct gs_open), take_open, p);

	if (!err && trace_uses(t, SENSOR_BIT(SENSOR_SQL)))
		err = dump_each(trace_map_fd(t, TRACE_MAP_HOLDS), sizeof(struct gs_open_key),
				sizeof(struct gs_open), take_open, p);
	return err;
}

/*
 * Programs write over an entry while it is copied: what is read twice alike is whole.
 * False: it has ended, or is never still.  By itself it is read again: most entries of
 * the table are over, and asked no more.
 */
static bool is_whole(const struct trace *t, struct trace_open *o)
{
	struct gs_open_key k = { .addr = o->addr, .target = TARGET, .kind = o->kind };
	int fd = trace_map_fd(t, o->kind == OPEN_SQL_GRAB ? TRACE_MAP_HOLDS : TRACE_MAP_OPENS);
	struct trace_open was;
	struct gs_open v;

	for (int i = 0; i < OPEN_TRIES; i++) {
		was = *o;
		if (bpf_map_lookup_elem(fd, &k, &v))
			return false;
		open_from(t, o, &k, &v);
		if (!memcmp(o, &was, sizeof(was)))
			return o->start_ns;
	}
	return false;
}

int trace_opens_read(struct trace *t, struct trace_opens *o)
{
	struct pass p = { .t = t, .o = o };
	int err;

	*o = (struct trace_opens){ 0 };
	u64map_init(&o->at, GS_MAX_OPENS + GS_MAX_HOLDS);
	u64map_init(&p.there, GS_MAX_OPENS);
	if (!t->calls_before.max)
		u64map_init(&t->calls_before, GS_MAX_OPENS);
	if (!t->attached_ns || !trace_uses(t, NET_SENSORS))
		return 0;
	err = each_open(t, &p);
	if (!err)
		count_pushed_out(&p);
	u64map_deinit(&p.there);
	for (size_t i = 0; !err && i < o->n; i++)
		if (!is_whole(t, &o->open[i]))
			o->open[i].start_ns = 0;
	if (err)
		trace_opens_deinit(o);
	return err;
}

void trace_opens_deinit(struct trace_opens *o)
{
	free(o->open);
	u64map_deinit(&o->at);
	*o = (struct trace_opens){ 0 };
}

bool trace_opens_find(const struct trace_opens *o, enum open_kind kind, uint64_t addr,
		      struct trace_open *out)
{
	const uint64_t *at = o && o->n && addr ? u64map_find(&o->at, number_of(kind, addr)) : NULL;

	if (!at || !o->open[*at].start_ns)
		return false;
	*out = o->open[*at];
	return true;
}

int trace_births_read(const struct trace *t, struct trace_births *b)
{
	if (!t->births)
		return 0;
	if (!b->slot)
		b->slot = calloc(GS_BIRTH_SLOTS, sizeof(*b->slot));
	if (!b->slot)
		return -ENOMEM;
	b->n = GS_BIRTH_SLOTS;
	for (size_t i = 0; i < b->n; i++) {
		const volatile struct gs_birth *from = &t->births[i];
		uint64_t owner = from->owner, ns = from->ns;

		/* a slot's owner is 0 while it is written */
		b->slot[i] = (struct trace_birth){ 0 };
		if (owner && from->owner == owner)
			b->slot[i] = (struct trace_birth){ owner, ns };
	}
	return 0;
}

void trace_births_deinit(struct trace_births *b)
{
	free(b->slot);
	*b = (struct trace_births){ 0 };
}

uint64_t trace_births_find(const struct trace_births *b, uint64_t goid)
{
	const struct trace_birth *s;

	if (!b || !b->n || !goid)
		return 0;
	s = &b->slot[GS_BIRTH_SLOT(TARGET, goid) & (b->n - 1)];
	return s->goid == GS_BIRTH_OWNER(TARGET, goid) ? s->ns : 0;
}
