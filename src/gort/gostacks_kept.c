/* SPDX-License-Identifier: BSD-2-Clause */
/* The stacks of goroutines that have not moved since they were read. */
#include "gort/gostacks_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/vec.h"

#define MAX_KEPT (1u << 20) /* goroutines, 16 MB; those beyond are read each time */
#define KEY_BITS 39

struct kept {
	uint64_t addr;           /* of the g */
	uint64_t key : KEY_BITS; /* of all that says where it stands */
	uint64_t twice : 1;      /* two readings found the same: of one it may be chance */
	uint64_t stack : 24;
};

static uint64_t key_of(const struct goroutine *g)
{
	uint64_t what[] = { g->goid,        g->sched_pc,    g->sched_sp,       g->stack_lo,
			    g->stack_hi,    g->waiting,     g->parked_ns != 0, g->status,
			    g->wait_reason, g->tracking_seq };
	uint64_t h = 0;

	for (size_t i = 0; i < ARRAY_SIZE(what); i++)
		h = ((h << 5 | h >> 59) ^ what[i]) * 0x9e3779b97f4a7c15ull;
	return hash_u64(h) >> (64 - KEY_BITS);
}

static bool stands(const struct goroutine *g)
{
	return g->status == GO_WAITING || g->status == GO_LEAKED;
}

static const struct kept *find(const struct gostacks_kept *k, const struct goroutine *g, size_t *at)
{
	while (*at < k->n && k->g[*at].addr < g->addr)
		++*at;
	return *at < k->n && k->g[*at].addr == g->addr && stands(g) && k->g[*at].key == key_of(g)
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

uint32_t gostacks_kept_find(struct gostacks *s, const struct goroutine *g, size_t *at)
{
	struct gostacks_kept *k = &s->kept;
	const struct kept *was = find(k, g, at);
	const struct gostack *stack;
	uint32_t number;

	if (!was || !was->twice || was->stack >= k->nstack)
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
	size_t room = w->n < MAX_KEPT ? w->n : MAX_KEPT, n = 0, at = 0;
	struct kept *now = malloc((room + 1) * sizeof(*now));

	for (size_t i = 0; now && i < w->n && n < room; i++) {
		const struct goroutine *g = &w->g[i];

		if (!stands(g) || stack[i] >= GOSTACK_MAX)
			continue;
		now[n++] = (struct kept){ .addr = g->addr,
					  .key = key_of(g),
					  .twice = find(k, g, &at) != NULL,
					  .stack = stack[i] };
	}
	free(k->g);
	k->g = now;
	k->n = now ? n : 0;
	forget_stacks(k);
}
