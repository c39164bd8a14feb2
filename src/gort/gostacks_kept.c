/* SPDX-License-Identifier: BSD-2-Clause */
/* The stacks of goroutines that have not moved since they were read. */
#include "gort/gostacks_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/vec.h"

#define MAX_KEPT (1u << 20) /* goroutines, 16 MB; those beyond are read each time */

struct kept {
	uint64_t addr; /* of the g */
	int64_t waitsince;
	uint32_t stack : 24;
	uint32_t
		twice : 1; /* two walks found it so before the stack was read: of one it may be chance */
	uint8_t reason;
};

static bool stands(const struct goroutine *g)
{
	return g->status == GO_WAITING || g->status == GO_LEAKED;
}

/* Whether it has not moved since its stack was read, and three walks found it so. */
static bool has_stood(const struct gostacks_kept *k, const struct kept *was, const struct gowalk *w,
		      const struct goroutine *g)
{
	return stands(g) && g->moved <= k->walk && (was->twice || w->before > k->walk);
}

static const struct kept *find(const struct gostacks_kept *k, const struct gowalk *w,
			       const struct goroutine *g, size_t *at)
{
	while (*at < k->n && k->g[*at].addr < g->addr)
		++*at;
	return *at < k->n && k->g[*at].addr == g->addr && has_stood(k, &k->g[*at], w, g)
		       ? &k->g[*at]
		       : NULL;
}

static void forget_stacks(struct gostacks_kept *k)
{
	free(k->pc);
	free(k->stack);
	free(k->number);
	k->pc = NULL;
	k->stack = NULL;
	k->number = NULL;
	k->nstack = 0;
}

void gostacks_kept_deinit(struct gostacks_kept *k)
{
	forget_stacks(k);
	free(k->g);
	memset(k, 0, sizeof(*k));
}

void gostacks_kept_take(struct gostacks *s)
{
	struct gostacks_kept *k = &s->kept;

	forget_stacks(k);
	k->on = true;
	k->pc = s->pc;
	k->stack = s->stack;
	k->nstack = s->n;
	s->pc = NULL;
	s->stack = NULL;
	s->npc = s->pc_cap = s->n = s->cap = 0;
}

void gostacks_kept_begin(struct gostacks_kept *k)
{
	free(k->number);
	k->number = k->n ? calloc(k->nstack + 1, sizeof(*k->number)) : NULL;
	if (!k->number)
		k->n = 0;
}

uint32_t gostacks_kept_find(struct gostacks *s, const struct gowalk *w, const struct goroutine *g,
			    size_t *at)
{
	struct gostacks_kept *k = &s->kept;
	const struct kept *was = find(k, w, g, at);
	const struct gostack *stack;
	uint32_t number;

	if (!was || was->stack >= k->nstack)
		return GOSTACK_UNREAD;
	if (k->number[was->stack])
		return k->number[was->stack] - 1;
	stack = &k->stack[was->stack];
	number = gostacks_number(s, k->pc + stack->first, stack->n, stack->whole);
	if (number < GOSTACK_MAX)
		k->number[was->stack] = number + 1;
	return number;
}

void gostacks_kept_end(struct gostacks_kept *k, const struct gowalk *w, const uint32_t *stack)
{
	size_t room = w->n < MAX_KEPT ? w->n : MAX_KEPT, n = 0;

	if (array_grow(&k->g, room + 1, &k->cap, sizeof(*k->g)))
		room = 0;
	for (size_t i = 0; i < w->n && n < room; i++) {
		const struct goroutine *g = &w->g[i];

		if (stands(g) && stack[i] < GOSTACK_MAX)
			k->g[n++] = (struct kept){ .addr = g->addr,
						   .waitsince = g->waitsince,
						   .reason = g->wait_reason,
						   .stack = stack[i],
						   .twice = g->moved < w->number };
	}
	k->n = n;
	k->walk = w->number;
	forget_stacks(k);
}

static int by_addr(const void *key, const void *element)
{
	const uint64_t *addr = key;
	const struct kept *k = element;

	return (*addr > k->addr) - (*addr < k->addr);
}

uint32_t gostacks_take_stood(struct gostacks *to, const struct gostacks *from,
			     const struct goruntime *rt, const struct goroutine *g)
{
	const struct kept *k = NULL;
	const struct gostack *stack;

	/* the word of a coroutine says nothing: it waits for another reason */
	if (from->kept.n && stands(g) && g->waitsince && goruntime_waitsince_tells(rt))
		k = bsearch(&g->addr, from->kept.g, from->kept.n, sizeof(*k), by_addr);
	if (!k || k->waitsince != g->waitsince || k->reason != g->wait_reason ||
	    k->stack >= from->n)
		return GOSTACK_UNREAD;
	stack = &from->stack[k->stack];
	return gostacks_number(to, from->pc + stack->first, stack->n, stack->whole);
}
