/* SPDX-License-Identifier: BSD-2-Clause */
#include "sql/libpools.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "gort/goslots.h"
#include "gort/gostacks.h"
#include "gort/gotypes.h"
#include "model/place.h"

#define MAX_FRAMES 64
#define MAX_ASKED  2000 /* goroutines whose frames are read at one look */

static size_t count_functions(const struct pool_library *lib)
{
	size_t n = 0;

	while (n < LIBPOOLS_FUNCTIONS && lib->functions[n])
		n++;
	return n;
}

bool libpools_linked(const struct pool_library *lib, const struct look *l)
{
	return look_linked(l, lib->functions, 1);
}

int libpools_new(struct libpools **out, const struct pool_library *lib, const struct look *l)
{
	struct libpools *p = calloc(1, sizeof(*p));
	struct gofunc fn[LIBPOOLS_FUNCTIONS];
	size_t n = count_functions(lib);

	*out = p;
	if (!p)
		return -ENOMEM;
	p->lib = lib;
	p->rt = l->rt;
	p->types = l->types;
	recall_init(&p->waits);
	recall_init(&p->waits_now);
	recall_init(&p->calls);
	recall_init(&p->calls_now);
	if (!pclntab_find_names(l->rt->gb->pcln, lib->functions, n, fn))
		for (size_t i = 0; i < n; i++)
			p->entry[i] = fn[i].entry;
	p->known = p->entry[0] && p->types && lib->open(p);
	if (!p->known)
		snprintf(p->why, sizeof(p->why),
			 "the pools of %s are not as known: they are not read", lib->of);
	return 0;
}

static void forget(struct libpools *p)
{
	for (int i = 0; i < p->n; i++)
		free(p->at[i].row.holder);
	p->n = 0;
}

void libpools_free(struct libpools *p)
{
	if (!p)
		return;
	forget(p);
	recall_deinit(&p->waits);
	recall_deinit(&p->waits_now);
	recall_deinit(&p->calls);
	recall_deinit(&p->calls_now);
	free(p);
}

/* ---- stacks ---- */

static unsigned char functions_in(struct libpools *p, const struct look *l, const struct gostack *s)
{
	unsigned int in = 0;

	for (uint32_t i = 0; i < s->n; i++) {
		struct gofunc fn;

		if (pclntab_find_pc(p->rt->gb->pcln, l->stacks->pc[s->first + i] - p->rt->bias,
				    &fn))
			continue;
		for (int k = 0; k < LIBPOOLS_FUNCTIONS; k++)
			if (p->entry[k] && p->entry[k] == fn.entry)
				in |= 1u << k;
	}
	return (unsigned char)in;
}

unsigned int libpools_in(const struct libpools *p, const struct look *l, size_t i)
{
	return l->stack_of[i] < l->stacks->n ? p->in[l->stack_of[i]] : 0;
}

bool libpools_receiver(struct libpools *p, const struct goroutine *g, int which, uint64_t *out)
{
	struct gostack_frame f[MAX_FRAMES];
	struct gofunc fn;
	int32_t slot;
	int n;

	if (p->asked++ >= MAX_ASKED)
		return false;
	n = goruntime_stack_frames(p->rt, g, f, MAX_FRAMES);
	for (int i = 0; i < n; i++)
		if (!pclntab_find_pc(p->rt->gb->pcln, f[i].pc - p->rt->bias, &fn) &&
		    fn.entry == p->entry[which])
			return f[i].argp && !goslot_arg(p->rt, f[i].pc, !i, 0, &slot) &&
			       !mem_read_u64(p->rt->mem, f[i].argp + (uint64_t)slot, out);
	return false;
}

/* Who called the library: what that calls itself is further in. */
static bool place_of(struct libpools *p, const struct look *l, size_t i, struct place *out)
{
	const struct gostack *s = &l->stacks->stack[l->stack_of[i]];
	const uint64_t *pc = l->stacks->pc + s->first;
	const char *module = p->lib->module;
	uint32_t from = 0;
	struct gofunc fn;

	for (uint32_t k = 0; k < s->n; k++)
		if (!pclntab_find_pc(p->rt->gb->pcln, pc[k] - p->rt->bias, &fn) &&
		    !strncmp(fn.name, module, strlen(module)))
			from = k;
	return place_of_pcs(p->rt, pc + from, (int)(s->n - from), false, out);
}

/* ---- rows ---- */

struct libpool *libpools_at(struct libpools *p, uint64_t addr)
{
	for (int i = 0; i < p->n; i++)
		if (p->at[i].addr == addr)
			return &p->at[i];
	return NULL;
}

struct libpool *libpools_add(struct libpools *p, uint64_t addr)
{
	struct libpool *q = &p->at[p->n];

	if (p->n == LIBPOOLS_MAX) {
		p->unread++;
		return NULL;
	}
	*q = (struct libpool){ .addr = addr };
	q->row.library = p->lib->library;
	snprintf(q->row.driver, sizeof(q->row.driver), "%s", p->lib->name);
	p->n++;
	return q;
}

void libpools_waits(struct libpools *p, const struct look *l, size_t i, struct libpool *q)
{
	const struct goroutine *g = &l->walk->g[i];
	struct since since =
		since_parked(g, recall_keep_stop(&p->waits, &p->waits_now, g, q->addr, l->now_ns));

	struct place at;

	q->longest = since_earlier(q->longest, since);
	if (!place_of(p, l, i, &at))
		return;
	/* the place that has more than half of them stays, if there is one */
	if (!q->votes)
		q->row.waits_at = at;
	q->votes += q->votes && !place_equal(&q->row.waits_at, &at) ? -1 : 1;
}

int libpools_holds(struct libpools *p, const struct look *l, size_t i, struct libpool *q)
{
	const struct goroutine *g = &l->walk->g[i];
	struct since since =
		since_parked(g, recall_keep_stop(&p->calls, &p->calls_now, g, q->addr, l->now_ns));
	struct sql_holder *h;
	struct place at;
	enum age_kind kind;
	double age;
	int k = 0;

	if (!place_of(p, l, i, &at))
		return 0;
	while (k < q->row.nholder && !place_equal(&q->row.holder[k].place, &at))
		k++;
	if (k == LIBPOOLS_MAX_HOLDERS)
		return 0;
	if (k == q->row.nholder) {
		if (array_room(&q->row.holder, (size_t)k, &q->holder_cap, sizeof(*h)))
			return -ENOMEM;
		q->row.holder[q->row.nholder++] =
			(struct sql_holder){ .place = at, .what = SQL_CALL };
	}
	h = &q->row.holder[k];
	h->count++;
	age = since_age_s(since, l->now_ns, &kind);
	if (kind != AGE_UNKNOWN && (h->age == AGE_UNKNOWN || age > h->held_s))
		h->goroutine = g->goid;
	age_max(&h->held_s, &h->age, age, kind);
	return 0;
}

static int by_count(const void *a, const void *b)
{
	const struct sql_holder *x = a, *y = b;

	return (x->count < y->count) - (x->count > y->count);
}

static void finish(struct libpool *q, const struct look *l)
{
	q->row.longest_wait_s = since_age_s(q->longest, l->now_ns, &q->row.age);
	if (q->row.nholder)
		qsort(q->row.holder, (size_t)q->row.nholder, sizeof(*q->row.holder), by_count);
}

int libpools_look(struct libpools *p, const struct look *l)
{
	int err;

	if (!p->known)
		return 0;
	p->in = malloc(l->stacks->n + 1);
	if (!p->in)
		return -ENOMEM;
	forget(p);
	p->unread = p->asked = 0;
	p->why[0] = '\0';
	for (size_t i = 0; i < l->stacks->n; i++)
		p->in[i] = functions_in(p, l, &l->stacks->stack[i]);
	err = p->lib->look(p, l);
	free(p->in);
	p->in = NULL;
	recall_swap(&p->waits, &p->waits_now);
	recall_swap(&p->calls, &p->calls_now);
	for (int i = 0; i < p->n; i++)
		finish(&p->at[i], l);
	if (p->unread)
		snprintf(p->why, sizeof(p->why), "not all pools of %s could be read", p->lib->of);
	else if (!p->n && p->lib->by_use)
		snprintf(p->why, sizeof(p->why),
			 "a pool of %s is seen once somebody is in it: none was yet", p->lib->of);
	return err;
}

int libpools_fill(const struct libpools *p, struct sql_window *out)
{
	struct sql_pool *pool;

	if (!p->n)
		return 0;
	pool = realloc(out->pool, (size_t)(out->npool + p->n) * sizeof(*pool));
	if (!pool)
		return -ENOMEM;
	out->pool = pool;
	for (int i = 0; i < p->n; i++) {
		const struct sql_pool *from = &p->at[i].row;
		struct sql_pool *to = &pool[out->npool++];

		*to = *from;
		to->holder =
			from->nholder ? malloc((size_t)from->nholder * sizeof(*to->holder)) : NULL;
		to->nholder = 0;
		if (from->nholder && !to->holder)
			return -ENOMEM;
		if (from->nholder)
			memcpy(to->holder, from->holder,
			       (size_t)from->nholder * sizeof(*to->holder));
		to->nholder = from->nholder;
	}
	return 0;
}

const char *libpools_why(const struct libpools *p)
{
	return p->why;
}
