/* SPDX-License-Identifier: BSD-2-Clause */
#include "export/history.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"

void history_deinit(struct history *h)
{
	for (size_t i = 0; i < h->n; i++)
		free(h->of[i]);
	free(h->of);
	*h = (struct history){ 0 };
}

static int by_key(const void *a, const void *b)
{
	return by_u64(&(*(struct history_of *const *)a)->key,
		      &(*(struct history_of *const *)b)->key);
}

static struct history_of *find(const struct history *h, size_t n, uint64_t key)
{
	struct history_of wanted = { .key = key }, *of = &wanted, **found;

	found = n ? bsearch(&of, h->of, n, sizeof(struct history_of *), by_key) : NULL;
	return found ? *found : NULL;
}

const struct history_of *history_find(const struct history *h, uint64_t key)
{
	return find(h, h->n, key);
}

static uint32_t at(const struct history_of *h, uint32_t i)
{
	return h->n < HISTORY_POINTS ? i : (h->next + i) % HISTORY_POINTS;
}

float history_point(const struct history_of *h, enum history_line line, uint32_t i)
{
	return h->point[line][at(h, i)];
}

uint64_t history_time(const struct history_of *h, uint32_t i)
{
	return h->mono_ns[at(h, i)];
}

static float requests(const struct view_process *p)
{
	const struct net_window *n = p->walk ? p->walk->window.net : NULL;
	uint64_t sum;

	if (!n || !n->known)
		return NAN;
	sum = n->in_flight_total;
	for (int i = 0; i < n->nserver; i++)
		sum += n->server[i].in_flight;
	return (float)sum;
}

static void add(struct history_of *h, const struct view_process *p, const struct view *v)
{
	const struct view_totals *t = p->totals;
	uint32_t i = h->next;

	h->seen = v->seq;
	if (h->n &&
	    v->mono_ns < history_time(h, h->n - 1) + HISTORY_EVERY_NS - HISTORY_EVERY_NS / 30)
		return;
	h->mono_ns[i] = v->mono_ns;
	h->point[HISTORY_GOROUTINES][i] = t && t->has_live ? (float)t->live : NAN;
	h->point[HISTORY_HEAP][i] = t && t->has_heap ? (float)t->heap_live_bytes : NAN;
	h->point[HISTORY_REQUESTS][i] = requests(p);
	h->next = (i + 1) % HISTORY_POINTS;
	if (h->n < HISTORY_POINTS)
		h->n++;
}

static void forget(struct history *h, uint64_t seq)
{
	size_t kept = 0;

	for (size_t i = 0; i < h->n; i++)
		if (h->of[i]->seen == seq)
			h->of[kept++] = h->of[i];
		else
			free(h->of[i]);
	h->n = kept;
}

void history_add(struct history *h, const struct view *v)
{
	size_t sorted = h->n;

	for (size_t i = 0; i < v->nprocess; i++) {
		struct history_of *of = find(h, sorted, v->process[i].key);

		if (!v->process[i].totals)
			continue;
		if (!of && h->n < HISTORY_PROCESSES &&
		    !array_room(&h->of, h->n, &h->cap, sizeof(struct history_of *))) {
			of = calloc(1, sizeof(*of));
			if (of) {
				of->key = v->process[i].key;
				h->of[h->n++] = of;
			}
		}
		if (of)
			add(of, &v->process[i], v);
	}
	forget(h, v->seq);
	if (h->n)
		qsort(h->of, h->n, sizeof(struct history_of *), by_key);
}
