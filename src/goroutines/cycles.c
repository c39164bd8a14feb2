/* SPDX-License-Identifier: BSD-2-Clause */
#include "goroutines/cycles.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "goroutines/window.h"

#define NOBODY UINT32_MAX

/* Who would wake those that want a key: the numbers of nodes, one list after the other. */
struct waker {
	uint32_t node, next; /* next: in waker[], NOBODY */
};

struct search {
	const struct cycle_graph *g;
	struct u64map first; /* key -> number in waker[] */
	struct waker *waker; /* owned, as all */
	size_t nwaker;
	uint32_t *from,
		*queue;       /* of each node: who wants of it, in this search; nodes to look at */
	struct cycle_key *by; /* what that one wants */
	bool *used;
	struct u64map asked; /* keys looked at in this search */
	struct cycle_step step[CYCLE_MAX_LENGTH];
};

static uint64_t hash_of(const struct cycle_key *k)
{
	/* addresses are below 2^48 */
	return k->object * CYCLE_KINDS + k->kind;
}

static bool wants_of(const struct cycle_node *n, const struct cycle_key *k)
{
	for (int i = 0; i < n->nwant; i++)
		if (n->want[i].object == k->object)
			return true;
	return false;
}

static int add_waker(struct search *s, uint32_t node, const struct cycle_key *k)
{
	uint64_t *first = u64map_put(&s->first, hash_of(k), NOBODY, NULL);

	if (!first)
		return -ENOMEM;
	s->waker[s->nwaker] = (struct waker){ node, (uint32_t)*first };
	*first = s->nwaker++;
	return 0;
}

static int prepare(struct search *s)
{
	const struct cycle_graph *g = s->g;
	int err = 0;

	u64map_init(&s->first, g->nwakes + 1);
	u64map_init(&s->asked, g->n * CYCLE_MAX_WANTS + 1);
	s->waker = calloc(g->nwakes + 1, sizeof(*s->waker));
	s->from = calloc(g->n + 1, sizeof(*s->from));
	s->queue = calloc(g->n + 1, sizeof(*s->queue));
	s->by = calloc(g->n + 1, sizeof(*s->by));
	s->used = calloc(g->n + 1, sizeof(*s->used));
	if (!s->waker || !s->from || !s->queue || !s->by || !s->used)
		return -ENOMEM;
	for (size_t i = g->nwakes;
	     i-- > 0 && !err;) { /* backwards: the lists begin with the first one */
		const struct cycle_key *key = &g->wakes[i].key;

		if (key->kind == CYCLE_LOCK || key->kind == CYCLE_WRITER_GONE ||
		    !wants_of(&g->node[g->wakes[i].node], key))
			err = add_waker(s, g->wakes[i].node, key);
	}
	return err;
}

static void finish(struct search *s)
{
	u64map_deinit(&s->first);
	u64map_deinit(&s->asked);
	free(s->waker);
	free(s->from);
	free(s->queue);
	free(s->by);
	free(s->used);
}

/* The path from `start` to `last`, whose wait for `key` the start would end: a cycle. */
static size_t collect(struct search *s, uint32_t start, uint32_t last, const struct cycle_key *key)
{
	size_t n = 1;

	for (uint32_t i = last; i != start; i = s->from[i])
		n++;
	if (n > CYCLE_MAX_LENGTH)
		return 0;
	s->step[n - 1] = (struct cycle_step){ last, *key };
	for (size_t at = n - 1; at > 0; at--) {
		uint32_t i = s->step[at].node;

		s->step[at - 1] = (struct cycle_step){ s->from[i], s->by[i] };
	}
	return n;
}

/* Everybody who would end a wait of node i; the length of a cycle when the start is among them. */
static size_t ask(struct search *s, uint32_t start, uint32_t i, size_t *tail)
{
	const struct cycle_node *n = &s->g->node[i];

	for (int w = 0; w < n->nwant; w++) {
		const struct cycle_key *key = &n->want[w];
		uint64_t *first = u64map_find(&s->first, hash_of(key));
		bool made = false;

		if (!first || !u64map_put(&s->asked, hash_of(key), 1, &made) || !made)
			continue;
		for (uint32_t k = (uint32_t)*first; k != NOBODY; k = s->waker[k].next) {
			uint32_t to = s->waker[k].node;

			if (s->used[to])
				continue;
			if (to == start)
				return collect(s, start, i, key);
			if (s->from[to] != NOBODY)
				continue;
			s->from[to] = i;
			s->by[to] = *key;
			s->queue[(*tail)++] = to;
		}
	}
	return 0;
}

/* Breadth first: the length of the shortest cycle through start, in step[]; 0: none. */
static size_t shortest(struct search *s, uint32_t start)
{
	size_t head = 0, tail = 0, found = 0;

	memset(s->from, 0xff, s->g->n * sizeof(*s->from));
	u64map_clear(&s->asked);
	s->queue[tail++] = start;
	while (head < tail && !found)
		found = ask(s, start, s->queue[head++], &tail);
	return found;
}

int cycles_find(const struct cycle_graph *g, cycle_fn fn, void *arg)
{
	struct search s = { .g = g };
	int err = prepare(&s);

	for (uint32_t i = 0; i < g->n && !err; i++) {
		size_t n = s.used[i] ? 0 : shortest(&s, i);

		for (size_t k = 0; k < n; k++)
			s.used[s.step[k].node] = true;
		if (n)
			err = fn(arg, s.step, n);
	}
	finish(&s);
	return err;
}

int cycles_edges(const struct cycle_graph *g, cycle_edge_fn fn, void *arg)
{
	struct search s = { .g = g };
	int err = prepare(&s);

	for (uint32_t i = 0; i < g->n && !err; i++)
		for (int w = 0; w < g->node[i].nwant && !err; w++) {
			const struct cycle_key *key = &g->node[i].want[w];
			const uint64_t *first = u64map_find(&s.first, hash_of(key));

			for (uint32_t k = first ? (uint32_t)*first : NOBODY; k != NOBODY && !err;
			     k = s.waker[k].next)
				err = fn(arg, i, key, s.waker[k].node);
		}
	finish(&s);
	return err;
}
