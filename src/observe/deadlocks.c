/* SPDX-License-Identifier: BSD-2-Clause */
#include "observe/deadlocks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "target/golocks.h"

#define NOBODY (-1)
#define STILL_NS 50000000	/* a circle has to be there after that time too */

/* Whom each waiter waits for: the only one that seems to hold its lock. */
static void link_holders(const struct golocks *l, int *next)
{
	struct u64map holder;	/* lock -> waiter + 1 that holds it; 0: several */
	size_t i;

	u64map_init(&holder, GOLOCKS_MAX_WAITERS * GOLOCKS_MAX_HELD);
	for (i = 0; i < l->n; i++)
		for (int k = 0; k < l->waiter[i].nheld; k++) {
			bool made;
			uint64_t *at = u64map_put(&holder, l->waiter[i].held[k].lock, i + 1, &made);

			if (at && !made && *at != i + 1)
				*at = 0;
		}
	for (i = 0; i < l->n; i++) {
		uint64_t *at = u64map_find(&holder, l->waiter[i].lock);

		next[i] = at && *at ? (int)(*at - 1) : NOBODY;
	}
	u64map_deinit(&holder);
}

static const struct golock_held *held(const struct golock_waiter *w, uint64_t lock)
{
	for (int k = 0; k < w->nheld; k++)
		if (w->held[k].lock == lock)
			return &w->held[k];
	return NULL;
}

/* None of them has run meanwhile. */
static bool stands_still(struct goruntime *rt, const struct golocks *l, const struct gowalk *walk, const int *next, int from)
{
	int i = from;

	do {
		if (!golocks_stands_still(rt, &walk->g[l->waiter[i].g]))
			return false;
		i = next[i];
	} while (i != from);
	return true;
}

static uint64_t waiting_for(const struct golocks *l, const int *next, int from)
{
	uint64_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		int k = from;

		do {
			if (l->waiter[k].lock == l->waiter[i].lock) {
				n++;
				break;
			}
			k = next[k];
		} while (k != from);
	}
	return n;
}

static int add_circle(struct locks_window *out, struct sites *s, const struct golocks *l, const struct gowalk *walk,
		      const int *next, int from, size_t len)
{
	struct deadlock_member *m = realloc(out->member, (out->nmember + len) * sizeof(*m));
	struct deadlock *d = &out->deadlock[out->ndeadlock];
	uint64_t before = 0;
	int i = from;

	if (!m)
		return -ENOMEM;
	out->member = m;
	*d = (struct deadlock){ .first = (uint32_t)out->nmember, .n = (uint32_t)len,
				.waiting = waiting_for(l, next, from) };
	for (int k = from; next[k] != from; k = next[k])
		before = l->waiter[next[k]].lock;
	before = before ? before : l->waiter[from].lock;
	do {
		const struct golock_waiter *w = &l->waiter[i];
		const struct goroutine *g = &walk->g[w->g];
		const struct golock_held *h = held(w, before);

		out->member[out->nmember++] = (struct deadlock_member){
			.goid = g->goid, .lock = w->lock, .at = place_of_frame(&w->at),
			.held_at = h ? place_of_frame(&h->at) : (struct place){ 0 },
			.created = sites_of(s, g->gopc, g->startpc)->place,
		};
		before = w->lock;
		i = next[i];
	} while (i != from);
	out->ndeadlock++;
	return 0;
}

/* Follows the links from each waiter; a circle is met where a way meets itself. */
static int find_circles(struct locks_window *out, struct sites *s, const struct golocks *l, const struct gowalk *walk,
			const int *next)
{
	const struct timespec still = { .tv_nsec = STILL_NS };
	int *way = calloc(l->n + 1, sizeof(*way)), err = 0;
	bool waited = false;

	if (!way)
		return -ENOMEM;
	for (int i = 0; i < (int)l->n && !err; i++) {
		int k = i;
		size_t len = 0;

		while (k != NOBODY && !way[k]) {
			way[k] = i + 1;
			k = next[k];
		}
		if (k == NOBODY || way[k] != i + 1 || next[k] == k)
			continue;
		for (int c = next[k]; c != k; c = next[c])
			len++;
		if (!waited)
			nanosleep(&still, NULL);
		waited = true;
		if (stands_still(s->rt, l, walk, next, k) && out->ndeadlock < WINDOW_MAX_DEADLOCKS)
			err = add_circle(out, s, l, walk, next, k, len + 1);
	}
	free(way);
	return err;
}

int deadlocks_find(struct window *w, struct sites *s, const struct gowalk *walk)
{
	struct golocks l;
	int *next, err = golocks_read(&l, s->rt, walk);

	next = err ? NULL : calloc(l.n + 1, sizeof(*next));
	if (!err && !next)
		err = -ENOMEM;
	if (!err) {
		link_holders(&l, next);
		err = find_circles(&w->locks, s, &l, walk, next);
	}
	w->locks.known = !err;
	free(next);
	golocks_deinit(&l);
	return err;
}

void deadlocks_mark_leaked(struct window *w)
{
	for (size_t i = 0; i < w->locks.nmember; i++)
		for (size_t k = 0; k < w->leaks.ngoroutine; k++)
			if (w->leaks.goroutine[k].goid == w->locks.member[i].goid)
				w->locks.member[i].leaked = true;
}
