/* SPDX-License-Identifier: BSD-2-Clause */
/* Samples summed by goroutine, and what is in all stacks of one. */
#include "cpu/fill.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"

#define MAX_GOROUTINES 65536
#define MAX_LINES      128
#define MAIN_GOID      1

struct sums {
	struct cpu_goroutine *g; /* owned */
	size_t n;
};

/* The runtime's own are told apart by where they were created. */
static bool is_user(const struct cpu_sample *s)
{
	return s->goid && (s->goid == MAIN_GOID || !stack_line_is_runtime(&s->created));
}

static void add(struct cpu_goroutine *g, const struct cpu_sample *s)
{
	g->goid = s->goid;
	g->gopc = s->gopc;
	g->created = s->created;
	g->samples += s->count;
	g->forced += s->forced;
	g->parked += s->parked;
	g->left += s->left;
	g->exactness = SAMPLED;
}

static int by_samples(const void *x, const void *y)
{
	const struct cpu_goroutine *a = x, *b = y;

	return a->samples != b->samples ? (a->samples < b->samples ? 1 : -1)
					: (a->goid > b->goid) - (a->goid < b->goid);
}

static int sum(const struct cpu_window *c, struct sums *out)
{
	struct u64map at;
	int err = 0;

	out->g = calloc(c->nsample + 1, sizeof(*out->g));
	if (!out->g)
		return -ENOMEM;
	u64map_init(&at, MAX_GOROUTINES);
	for (size_t i = 0; i < c->nsample && !err; i++) {
		uint64_t *k = is_user(&c->sample[i])
				      ? u64map_put(&at, c->sample[i].goid, out->n, NULL)
				      : NULL;

		if (k && *k == out->n)
			out->n++;
		if (k)
			add(&out->g[*k], &c->sample[i]);
	}
	u64map_deinit(&at);
	if (out->n)
		qsort(out->g, out->n, sizeof(*out->g), by_samples);
	return err;
}

/* ---- what is in all of its stacks ---- */

static bool same_function(const struct place *a, const struct place *b)
{
	return a->function == b->function && a->path == b->path;
}

/* How many lines, from the outermost, are in both. */
static int in_both(const struct place *const *a, int na, const struct place *const *b, int nb)
{
	int n = 0;

	while (n < na && n < nb && same_function(a[na - 1 - n], b[nb - 1 - n]))
		n++;
	return n;
}

/* The lines of that depth, from the outermost, over all of its stacks. */
static void take_lines(const struct cpu_window *c, struct cpu_goroutine *g, int depth)
{
	const struct place *line[MAX_LINES];

	for (size_t i = 0; i < c->nsample; i++) {
		const struct place *p;
		int n;

		if (c->sample[i].goid != g->goid || !c->stacks.stack[c->sample[i].stack].whole)
			continue;
		n = stack_lines(&c->stacks, c->sample[i].stack, line, MAX_LINES);
		p = line[n - depth];
		if (!g->at.function) {
			g->at = *p;
			g->last_line = (uint64_t)p->line;
		}
		if (p->line < g->at.line)
			g->at.line = p->line;
		if ((uint64_t)p->line > g->last_line)
			g->last_line = (uint64_t)p->line;
	}
}

static void find_common(const struct cpu_window *c, struct cpu_goroutine *g)
{
	const struct place *first[MAX_LINES], *line[MAX_LINES];
	int nfirst = 0, depth = 0;

	for (size_t i = 0; i < c->nsample; i++) {
		int n;

		if (c->sample[i].goid != g->goid || !c->stacks.stack[c->sample[i].stack].whole)
			continue;
		n = stack_lines(&c->stacks, c->sample[i].stack, nfirst ? line : first, MAX_LINES);
		if (n == MAX_LINES)
			return; /* its root is not among them */
		if (!nfirst)
			nfirst = depth = n;
		else
			n = in_both(first, nfirst, line, n), depth = n < depth ? n : depth;
	}
	if (depth)
		take_lines(c, g, depth);
}

/* ---- who waits behind ---- */

static bool never_waits(const struct cpu_window *c, const struct cpu_goroutine *g)
{
	return g->ran * c->period_ns >= NS_PER_S && g->ran_forced * 2 >= g->ran &&
	       g->ran_left * 10 <= g->ran;
}

/* Since it was seen to wait last: what the windows before have of it is added. */
static void add_before(struct cpu_goroutine *g, const struct cpu_running *before)
{
	if (g->parked)
		return;
	g->ran = g->samples;
	g->ran_forced = g->forced;
	g->ran_left = g->left;
	for (int i = 0; i < before->n; i++)
		if (before->g[i].goid == g->goid) {
			g->ran += before->g[i].ran;
			g->ran_forced += before->g[i].ran_forced;
			g->ran_left += before->g[i].ran_left;
		}
}

static void find_behind(struct cpu_window *c, const struct cpu_queue *q)
{
	uint64_t own[CPU_MAX_GOROUTINES], sum = 0;
	int n = 0, looks = 0;

	for (int i = 0; i < c->ngoroutine; i++)
		if (c->goroutine[i].never_waits)
			own[n++] = c->goroutine[i].gopc;
	c->looks = q->looks;
	for (int i = 0; i < q->looks; i++) {
		uint64_t all = cpu_queue_at(q, i, NULL, 0), behind = cpu_queue_at(q, i, own, n);

		c->queued += all;
		c->queued_looks += all > 0;
		sum += behind;
		looks += behind > 0;
	}
	for (int i = 0; looks && i < c->ngoroutine; i++) {
		c->goroutine[i].behind = (sum + (uint64_t)looks / 2) / (uint64_t)looks;
		c->goroutine[i].behind_looks = looks;
	}
}

int cpu_goroutines_fill(struct cpu_window *c, const struct cpu_queue *q,
			struct cpu_running *running)
{
	struct sums s = { 0 };
	int err = sum(c, &s);

	for (size_t i = 0; !err && i < s.n && i < CPU_MAX_GOROUTINES; i++) {
		struct cpu_goroutine *g = &c->goroutine[c->ngoroutine++];

		*g = s.g[i];
		g->pct = c->placed ? 100 * (double)g->samples / (double)c->placed : 0;
		add_before(g, running);
		g->never_waits = never_waits(c, g);
		find_common(c, g);
	}
	free(s.g);
	if (err)
		return err;
	find_behind(c, q);
	memcpy(running->g, c->goroutine, sizeof(running->g));
	running->n = c->ngoroutine;
	return 0;
}
