/* SPDX-License-Identifier: BSD-2-Clause */
#include "gort/goslots.h"

#include <errno.h>
#include <stdlib.h>

#include "base/vec.h"
#include "gobin/argslots.h"
#include "gort/goruntime_priv.h"

#define MAX_PCS 16384 /* remembered; beyond: forgotten and learned anew */

struct known_slots {
	struct argslots slots;
	int err; /* of gobin_arg_slots() */
};

struct goslot_cache {
	struct u64map by_pc;       /* link-time pc << 1 | innermost -> number in known */
	struct known_slots *known; /* owned */
	size_t n, cap;
};

static struct goslot_cache *cache_of(struct goruntime *rt)
{
	struct goslot_cache *c = rt->cache->slots;

	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	u64map_init(&c->by_pc, MAX_PCS);
	rt->cache->slots = c;
	return c;
}

void goslot_cache_free(struct goslot_cache *c)
{
	if (!c)
		return;
	u64map_deinit(&c->by_pc);
	free(c->known);
	free(c);
}

static void remember(struct goslot_cache *c, uint64_t key, const struct known_slots *s)
{
	if (c->n == MAX_PCS) {
		u64map_clear(&c->by_pc);
		c->n = 0;
	}
	if (array_room(&c->known, c->n, &c->cap, sizeof(*c->known)))
		return;
	if (u64map_put(&c->by_pc, key, c->n, NULL))
		c->known[c->n++] = *s;
}

static int word_of(const struct known_slots *s, unsigned int n, int32_t *off)
{
	if (s->err)
		return s->err;
	if (n >= ARGSLOT_WORDS || s->slots.off[n] == ARGSLOT_NONE)
		return -ENOENT;
	*off = s->slots.off[n];
	return 0;
}

int goslot_arg(struct goruntime *rt, uint64_t pc, bool innermost, unsigned int n, int32_t *off)
{
	struct goslot_cache *c = cache_of(rt);
	uint64_t link = pc - rt->bias, key = link << 1 | innermost;
	struct known_slots s;
	uint64_t *at = c ? u64map_find(&c->by_pc, key) : NULL;

	if (at)
		return word_of(&c->known[*at], n, off);
	s.err = gobin_arg_slots(rt->gb, link, !innermost, &s.slots);
	if (c)
		remember(c, key, &s);
	return word_of(&s, n, off);
}
