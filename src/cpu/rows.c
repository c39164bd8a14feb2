/* SPDX-License-Identifier: BSD-2-Clause */
/* Samples summed by function and by place of creation. */
#include "cpu/fill.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/vec.h"

#define MAX_ROWS  65536
#define MAX_LINES 512

struct rows_of {
	struct cpu_window *c;
	struct bytesmap function_at, site_at;
	size_t function_cap, site_cap;
	size_t nfunction, nsite;
};

static struct cpu_function *function_of(struct rows_of *r, const struct place *line)
{
	struct cpu_window *c = r->c;
	struct place_key key = { (uintptr_t)line->function, (uintptr_t)line->path, 0 };
	bool made;
	uint64_t *at;

	if (array_room(&c->function, r->nfunction, &r->function_cap, sizeof(*c->function)))
		return NULL;
	at = bytesmap_put(&r->function_at, &key, sizeof(key), r->nfunction, &made);
	if (!at)
		return NULL;
	if (made)
		c->function[r->nfunction++] =
			(struct cpu_function){ .place = *line, .exactness = SAMPLED };
	return &c->function[*at];
}

/* Each function of a stack once, however often it stands in it. */
static int add_functions(struct rows_of *r, const struct cpu_sample *s)
{
	const struct place *line[MAX_LINES];
	int n = stack_lines(&r->c->stacks, s->stack, line, MAX_LINES);

	for (int i = 0; i < n; i++) {
		struct cpu_function *f;
		bool met = false;

		for (int k = 0; k < i && !met; k++)
			met = line[k]->function == line[i]->function &&
			      line[k]->path == line[i]->path;
		if (met)
			continue;
		f = function_of(r, line[i]);
		if (!f)
			return -ENOMEM;
		f->cum += s->count;
		if (!i)
			f->flat += s->count;
	}
	return 0;
}

static int add_site(struct rows_of *r, const struct cpu_sample *s)
{
	struct cpu_window *c = r->c;
	struct place_key key = place_key(&s->created);
	bool made;
	uint64_t *at;

	if (array_room(&c->site, r->nsite, &r->site_cap, sizeof(*c->site)))
		return -ENOMEM;
	at = bytesmap_put(&r->site_at, &key, sizeof(key), r->nsite, &made);
	if (!at)
		return -ENOMEM;
	if (made)
		c->site[r->nsite++] =
			(struct cpu_site){ .place = s->created, .exactness = SAMPLED };
	c->site[*at].samples += s->count;
	return 0;
}

static int by_flat(const void *x, const void *y)
{
	const struct cpu_function *a = x, *b = y;

	if (a->flat != b->flat)
		return a->flat < b->flat ? 1 : -1;
	if (a->cum != b->cum)
		return a->cum < b->cum ? 1 : -1;
	return strcmp(a->place.function, b->place.function);
}

static int by_samples(const void *x, const void *y)
{
	const struct cpu_site *a = x, *b = y;

	return (a->samples < b->samples) - (a->samples > b->samples);
}

static double share(uint64_t n, uint64_t of)
{
	return of ? 100 * (double)n / (double)of : 0;
}

int cpu_rows_fill(struct cpu_window *c)
{
	struct rows_of r = { .c = c };
	int err = 0;

	bytesmap_init(&r.function_at, MAX_ROWS);
	bytesmap_init(&r.site_at, MAX_ROWS);
	for (size_t i = 0; i < c->nsample && !err; i++) {
		err = add_functions(&r, &c->sample[i]);
		if (!err)
			err = add_site(&r, &c->sample[i]);
	}
	bytesmap_deinit(&r.function_at);
	bytesmap_deinit(&r.site_at);
	c->nfunction = (int)r.nfunction;
	c->nsite = (int)r.nsite;
	for (size_t i = 0; i < r.nfunction; i++) {
		c->function[i].flat_pct = share(c->function[i].flat, c->placed);
		c->function[i].cum_pct = share(c->function[i].cum, c->placed);
	}
	for (size_t i = 0; i < r.nsite; i++)
		c->site[i].pct = share(c->site[i].samples, c->placed);
	if (c->nfunction)
		qsort(c->function, r.nfunction, sizeof(*c->function), by_flat);
	if (c->nsite)
		qsort(c->site, r.nsite, sizeof(*c->site), by_samples);
	return err;
}
