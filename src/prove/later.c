/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stacks that are copied only when their goroutine turns out to be reached.
 *
 * What a goroutine waits for is said by its g and its sudogs; what its stack holds counts once
 * it may run.  So of a million that are leaked no stack is needed, neither before the freeze nor in
 * it, whatever they did in between: whoever is reached in the frozen copy and has no stack there
 * makes for another freeze, in which all are copied.  Where they are few they are copied before
 * it all the same, so that there is none.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "prove/snap.h"

#define AT_ONCE 4096

/* Up to 1.25 the stack tells which condition it waits on, and up to 1.23 that it is a wait group. */
bool snap_may_be_later(const struct snap *s, const struct pgo *g)
{
	if (!g->live || !g->goid || g->lo >= g->hi || g->whole_stack || g->stack_unread ||
	    g->status != GO_WAITING || g->reason == s->reason_semacquire)
		return false;
	switch (s->kind_of_reason[g->reason]) {
	case SNAP_NO_KIND:
		return false;
	case LEAK_COND:
		return s->rt->gb->release.minor >= 26;
	default:
		return !goruntime_is_system(s->rt, g->startpc);
	}
}

bool snap_stays_later(const struct snap *s, const struct pgo *before, const struct pgo *now)
{
	return s->keeping && before->later && snap_may_be_later(s, now);
}

/* Those on top of the queue. */
static size_t choose(struct snap *s)
{
	size_t n = 0;

	for (size_t k = s->nlive; k-- && n < AT_ONCE && s->nlive - k <= AT_ONCE;)
		if (s->g[s->live_queue[k]].later)
			s->reached[n++] = s->live_queue[k];
	return n;
}

/* It runs, or has run: all of its stack counts, as far as there is one. */
static void take_moved(const struct pgo *now, struct pgo *g)
{
	g->status = now->status;
	g->pc = now->pc;
	g->sp = now->sp;
	g->lo = now->lo;
	g->hi = now->hi;
	g->whole_stack = true;
	g->stack_unread = false;
	g->from = g->hi;
	g->stack_len = 0;
}

/* Moves those to the front that do not stand as they did. */
static int check(struct snap *s, size_t n, size_t *moved)
{
	struct readbatch *b = &s->reached_g;
	int err;

	*moved = 0;
	readbatch_reset(b);
	for (size_t k = 0; k < n; k++)
		if (readbatch_add(b, s->g[s->reached[k]].addr, s->g_size) != k)
			return -ENOMEM;
	err = readbatch_read(b, s->rt->mem);
	for (size_t k = 0; k < n && !err; k++) {
		struct pgo *g = &s->g[s->reached[k]], now = *g;
		const uint8_t *raw = readbatch_get(b, (uint32_t)k);

		if (raw)
			snap_decode_g(s, g->addr, raw, &now);
		if (raw && !g->stack_unread && snap_is_same(&now, g))
			continue;
		take_moved(&now, g);
		if (raw && now.goid == g->goid && now.live)
			s->reached[(*moved)++] = s->reached[k];
	}
	return err;
}

/* No verdict comes of this judgement: of whom nothing is to be had, nothing counts. */
static void forgive(struct snap *s, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		struct pgo *g = &s->g[s->reached[k]];

		if (g->stack_unread) {
			g->stack_unread = false;
			g->from = g->hi;
			g->stack_len = 0;
		}
	}
}

static int copy_batch(struct snap *s, size_t n)
{
	uint64_t began = clock_mono_ns(), fresh = s->heap.fresh_ns;
	size_t moved = 0;
	int err = snap_copy_stacks(s, s->reached, n);

	for (size_t k = 0; k < n; k++)
		s->g[s->reached[k]].later = false;
	if (!err)
		err = check(s, n, &moved);
	if (!err && moved)
		err = snap_copy_stacks(s, s->reached, moved);
	forgive(s, moved);
	s->later_ns += clock_mono_ns() - began - (s->heap.fresh_ns - fresh);
	s->heap.fresh_ns = fresh; /* that is of the copy before */
	return err;
}

static int make_reached(struct snap *s)
{
	if (!s->reached)
		s->reached = malloc(AT_ONCE * sizeof(*s->reached));
	return s->reached ? 0 : -ENOMEM;
}

int snap_copy_reached(struct snap *s)
{
	if (!s->nlive || !s->g[s->live_queue[s->nlive - 1]].later)
		return 0;
	if (s->frozen)
		return -EAGAIN;
	return make_reached(s) ? -ENOMEM : copy_batch(s, choose(s));
}

int snap_copy_few(struct snap *s, size_t most)
{
	size_t n = 0;
	int err = make_reached(s);

	for (size_t i = 0; i < s->ng; i++)
		n += s->g[i].later;
	if (n > most)
		return err;
	n = 0;
	for (size_t i = 0; i < s->ng && !err; i++) {
		if (s->g[i].later)
			s->reached[n++] = (uint32_t)i;
		if (n == AT_ONCE) {
			err = copy_batch(s, n);
			n = 0;
		}
	}
	return err || !n ? err : copy_batch(s, n);
}
