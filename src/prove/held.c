/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A judgement under an assumption: that some goroutines which wait for a lock
 * can only run again when others, who hold it, can.  Reachability alone cannot
 * know it: whoever reaches a lock might give it back, for all it knows.  Where
 * several hold it, one that lives is taken to be enough.
 *
 * Marking only ever adds, so the judgement under the assumption comes first, and
 * goes on to the one without when the assumption is dropped.
 */
#include "prove/snap.h"

#include <errno.h>
#include <stdlib.h>

#define MAX_HELD (1u << 20)

void snap_forget_held(struct snap *s)
{
	free(s->held_next);
	free(s->held_waiter);
	s->held_next = s->held_waiter = NULL;
	u64map_deinit(&s->held_by);
}

/* The numbers of the goroutines that the pairs name, 0 for an unknown one: ids -> index + 1. */
static int find_named(struct snap *s, struct u64map *index)
{
	for (size_t k = 0; k < s->nheld; k++)
		if (!u64map_put(index, s->held[k].waiter, 0, NULL) ||
		    !u64map_put(index, s->held[k].holder, 0, NULL))
			return -ENOMEM;
	for (size_t i = 0; i < s->ng; i++) {
		uint64_t *at = s->g[i].live ? u64map_find(index, s->g[i].goid) : NULL;

		if (at)
			*at = i + 1;
	}
	return 0;
}

/* A waiter that is held: it lives when one of those who hold it does. */
static int hold(struct snap *s, size_t k, size_t waiter, size_t holder)
{
	uint64_t *first = u64map_put(&s->held_by, holder, 0, NULL);

	if (!first)
		return -ENOMEM;
	s->held_waiter[k] = (uint32_t)waiter;
	s->held_next[k] = (uint32_t)*first;
	*first = k + 1;
	s->g[waiter].held = true;
	return 0;
}

int snap_take_held(struct snap *s)
{
	struct u64map index;
	int err;

	snap_forget_held(s);
	s->assuming = s->nheld > 0;
	s->held_void = false;
	if (!s->nheld)
		return 0;
	if (s->nheld > MAX_HELD)
		return -ENOMEM;
	u64map_init(&s->held_by, s->nheld + 1);
	u64map_init(&index, 2 * s->nheld + 1);
	s->held_next = calloc(s->nheld, sizeof(*s->held_next));
	s->held_waiter = calloc(s->nheld, sizeof(*s->held_waiter));
	err = s->held_next && s->held_waiter ? find_named(s, &index) : -ENOMEM;
	for (size_t k = 0; k < s->nheld && !err; k++) {
		const uint64_t *waiter = u64map_find(&index, s->held[k].waiter);
		const uint64_t *holder = u64map_find(&index, s->held[k].holder);

		if (waiter && *waiter && holder && *holder)
			err = hold(s, k, (size_t)*waiter - 1, (size_t)*holder - 1);
	}
	u64map_deinit(&index);
	return err;
}

void snap_revive_held(struct snap *s, size_t holder)
{
	const uint64_t *first = s->assuming ? u64map_find(&s->held_by, holder) : NULL;

	for (uint32_t k = first ? (uint32_t)*first : 0; k; k = s->held_next[k - 1])
		snap_revive(s, s->held_waiter[k - 1]);
}

/* What a held waiter waits for is reachable after all, as far as marking knows. */
static bool is_reached(const struct snap *s, const struct pgo *g)
{
	for (uint32_t w = g->first_waiter; w < g->first_waiter + g->nwaiter; w++) {
		uint64_t bit;

		if (!heap_find(&s->heap, s->waiter[w].primitive, &bit, NULL) ||
		    heap_is_marked(&s->heap, bit))
			return true;
	}
	return false;
}

void snap_take_back(struct snap *s, size_t i)
{
	if (!snap_is_leaked(
		    s, i)) /* stuck by the assumption only: that has gone on, so others may have */
		s->held_void = true;
	else
		snap_revive(s, i);
}

int snap_drop_held(struct snap *s)
{
	int err = 0;

	for (size_t i = 0; i < s->ng; i++)
		s->g[i].stuck = snap_is_leaked(s, i);
	if (!s->assuming)
		return 0;
	s->assuming = false;
	for (size_t i = 0; i < s->ng && !err; i++) {
		const struct pgo *g = &s->g[i];

		if (!g->held || !snap_is_leaked(s, i))
			continue;
		if (is_reached(s, g))
			snap_revive(s, i);
		for (uint32_t w = g->first_waiter;
		     w < g->first_waiter + g->nwaiter && !g->reached && !err; w++)
			err = snap_watch(s, w) < 0 ? -ENOMEM : 0;
	}
	return err ? err : snap_continue(s);
}
