/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What functions do with variables that they are handed: a receiver's fields, most of all.  Each
 * function is walked for each variable once; from there on to those that it hands it to.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/effect.h"
#include "base/map.h"
#include "gobin/gobin.h"
#include "race/accesses.h"
#include "race/lock_walk.h"

enum { DEPTH_MAX = 3, OFFSET_MAX = 64 << 10, PAIRS_MAX = 1 << 16 };

struct follow {
	struct accesses *l;
	struct gobin *gb;
	struct lock_walk walk;
	struct handed of;
	struct gofunc f;
	int err;
};

/* Where a pointer of the function leads, by what it was handed: `via` a variable, or into one. */
static bool place_of(const struct follow *s, struct named n, struct handed *out)
{
	const struct token *t = &s->walk.token[n.token];

	*out = s->of;
	if (t->kind == TOKEN_ENTRY && t->off == s->of.reg) {
		if (s->of.via)
			out->off = (uint32_t)(s->of.off + n.off);
		else
			out->addr += (uint64_t)n.off;
		return n.off >= 0 && n.off < OFFSET_MAX && out->off < OFFSET_MAX;
	}
	if (t->kind != TOKEN_LOAD || s->of.via || n.off < 0 || n.off >= OFFSET_MAX ||
	    !place_of(s, (struct named){ t->parent, t->off }, out) || out->via)
		return false;
	out->via = true; /* a pointer in it */
	out->off = (uint32_t)n.off;
	return true;
}

/* Word by word. */
static void touched(void *arg, uint64_t text_addr, const struct insn_access *in, struct named at)
{
	struct follow *s = arg;
	struct handed place;
	uint64_t first, next;

	if (!at.token || !in->at.size || !place_of(s, at, &place))
		return;
	if (!place.via && !moduledata_has_variable(&s->gb->mod, place.addr))
		return;
	first = place.via ? place.off : place.addr;
	for (uint64_t from = first; from < first + in->at.size && !s->err; from = next) {
		next = (from | 7) + 1 < first + in->at.size ? (from | 7) + 1 : first + in->at.size;
		s->err = accesses_add(s->l, &(struct access){ .addr = place.via ? place.addr : from,
							      .off = place.via ? (uint32_t)from : 0,
							      .text_addr = text_addr,
							      .func = s->f.index,
							      .size = (uint8_t)(next - from),
							      .does = in->does,
							      .via = place.via,
							      .init = s->of.init });
	}
}

static void called(void *arg, uint64_t target, const struct lock_walk *w)
{
	struct follow *s = arg;
	struct gofunc f;

	if (pclntab_find_pc(s->gb->pcln, target, &f) || f.entry != target)
		return;
	for (int i = 0; i < ARCH_ABI_WORDS && !s->err; i++) {
		struct handed to;

		if (!w->arg[i].token || !place_of(s, w->arg[i], &to))
			continue;
		if (to.via && !to.off && accesses_is_owner(f.name))
			s->err = accesses_add_owned(s->l, to.addr);
		to.target = target;
		to.reg = s->gb->arch->abi[i];
		to.depth++;
		if (to.depth < DEPTH_MAX && !s->err)
			s->err = accesses_add_handed(s->l, &to);
	}
}

static bool is_new(struct u64map *done, const struct handed *h)
{
	uint64_t key = hash_u64(h->target ^ hash_u64(h->addr ^ hash_u64(h->off * 64u + h->reg * 4u +
									h->via * 2u + h->init)));
	bool made = false;

	return u64map_put(done, key, 1, &made) && made;
}

static void look(struct follow *s, const struct handed *h)
{
	const struct walk_listener listener = { touched, called, s };

	s->of = *h;
	if (pclntab_find_pc(s->gb->pcln, h->target, &s->f) || s->f.entry != h->target ||
	    accesses_leave_out(s->f.name))
		return;
	s->of.init |= accesses_is_init(s->f.name);
	if (lock_walk_all(&s->walk, s->gb, h->target, &listener) == -ENOMEM)
		s->err = -ENOMEM;
}

int accesses_follow_handed(struct accesses *l, struct gobin *gb)
{
	struct follow *s = calloc(1, sizeof(*s));
	struct u64map done;
	int err;

	if (!s)
		return -ENOMEM;
	s->l = l;
	s->gb = gb;
	u64map_init(&done, PAIRS_MAX);
	for (size_t i = 0; i < l->nhanded && !s->err; i++) {
		struct handed h = l->handed[i]; /* the list grows meanwhile */

		if (is_new(&done, &h))
			look(s, &h);
	}
	err = s->err;
	u64map_deinit(&done);
	free(s);
	return err;
}
