/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The formats are those of the compiler (cmd/compile/internal/ssagen,
 * EmitArgInfo; liveness/arg.go) and of the runtime's printArgs, the same in
 * 1.18 to 1.27.
 */
#include "target/goslots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "target/goruntime_priv.h"

/* internal/abi/symtab.go */
#define PCDATA_ARG_LIVE_INDEX 3
#define FUNCDATA_ARG_INFO 5
#define FUNCDATA_ARG_LIVE_INFO 6
#define ARGS_END_SEQ 0xff
#define ARGS_START_AGG 0xfe
#define ARGS_END_AGG 0xfd
#define ARGS_DOTDOTDOT 0xfc
#define ARGS_OFFSET_TOO_LARGE 0xfb
#define ARGS_SPECIAL 0xf0
/* TraceArgsMaxLen: (maxDepth * 3 + 2) * limit + 1 */
#define ARGS_MAX_BYTES 171

#define MAX_PCS 16384		/* remembered; beyond: forgotten and learned anew */
#define SLOT_NONE INT16_MIN

/* Offsets from argp of the words that are in memory at one pc. */
struct goslots {
	int16_t off[GOSLOT_WORDS];
	int err;		/* why there are none at all: 0, -ENOENT, -EBADMSG */
};

struct goslot_cache {
	struct u64map by_pc;	/* link-time pc << 1 | innermost -> number in slots */
	struct goslots *slots;	/* owned */
	size_t n, cap;
};

/* Which spill slots are filled. */
struct liveness {
	bool known;		/* false: all of them */
	uint8_t start;		/* smaller offsets are always filled */
	uint8_t bits[2];	/* at most 10 slots are told of */
};

/* Up to max bytes at a link-time address: as many as the file has there. */
static size_t read_some(struct gobin *gb, uint64_t addr, uint8_t *out, size_t max)
{
	size_t n = max;

	while (n && image_read_addr(&gb->image, addr, out, n))
		n--;
	return n;
}

/*
 * -1 stands for "all" and, at first, for the function's first instructions,
 * which have not stored anything yet: whoever stands there has not been called
 * through them, but for morestack, around which they are all stored.
 */
static int read_liveness(struct gobin *gb, uint64_t pc, bool is_probe, struct liveness *l)
{
	uint64_t addr, since;
	struct gofunc fn;
	int32_t index;
	int err = pclntab_funcdata(gb->pcln, pc, FUNCDATA_ARG_LIVE_INFO, &addr);

	*l = (struct liveness){ .known = false };
	if (err)
		return err == -ENOENT ? 0 : err;
	err = pclntab_pcdata_since(gb->pcln, pc, PCDATA_ARG_LIVE_INDEX, &index, &since);
	if (!err)
		err = pclntab_find_pc(gb->pcln, pc, &fn);
	if (err)
		return err;
	if (index <= 0)
		return is_probe && since == fn.entry ? -ENOENT : 0;
	l->known = true;
	if (image_read_addr(&gb->image, addr, &l->start, 1) ||
	    !read_some(gb, addr + (uint32_t)index, l->bits, sizeof(l->bits)))
		return -EBADMSG;
	return 0;
}

static bool is_filled(const struct liveness *l, uint8_t off, unsigned int slot)
{
	if (!l->known || off < l->start)
		return true;
	return slot < 8 * sizeof(l->bits) && l->bits[slot / 8] & 1u << slot % 8;
}

/* As printArgs() walks it. */
static int read_words(const uint8_t *info, size_t len, const struct liveness *l, struct goslots *s)
{
	unsigned int word = 0, slot = 0;
	struct cursor c;

	cursor_init(&c, info, len);
	for (;;) {
		uint8_t op = cursor_u8(&c), size;

		if (c.bad)
			return -EBADMSG;
		if (op == ARGS_END_SEQ || op == ARGS_DOTDOTDOT) /* behind it words cannot be counted */
			return 0;
		if (op == ARGS_START_AGG || op == ARGS_END_AGG)
			continue;
		if (op == ARGS_OFFSET_TOO_LARGE) {
			word++;
			continue;
		}
		size = cursor_u8(&c);
		if (op >= ARGS_SPECIAL || c.bad || word >= GOSLOT_WORDS)
			return -EBADMSG;
		if (size <= 8 && is_filled(l, op, slot))
			s->off[word] = op;
		if (!l->known || op >= l->start)
			slot++;
		word++;
	}
}

static int learn(struct gobin *gb, uint64_t pc, bool is_probe, struct goslots *s)
{
	uint8_t info[ARGS_MAX_BYTES];
	struct liveness l;
	uint64_t addr;
	int err;

	for (int i = 0; i < GOSLOT_WORDS; i++)
		s->off[i] = SLOT_NONE;
	err = pclntab_funcdata(gb->pcln, pc, FUNCDATA_ARG_INFO, &addr);
	if (!err)
		err = read_liveness(gb, pc, is_probe, &l);
	if (err)
		return err;
	return read_words(info, read_some(gb, addr, info, sizeof(info)), &l, s);
}

/* Filled at the instruction before, and at this one. */
static void learn_innermost(struct gobin *gb, uint64_t pc, struct goslots *s)
{
	struct gofunc fn;
	struct goslots before;

	s->err = pclntab_find_pc(gb->pcln, pc, &fn);
	if (!s->err)
		s->err = learn(gb, pc, false, s);
	if (s->err || pc == fn.entry)
		return;
	s->err = learn(gb, pc - 1, false, &before);
	for (int i = 0; i < GOSLOT_WORDS; i++)
		if (before.off[i] == SLOT_NONE)
			s->off[i] = SLOT_NONE;
}

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
	free(c->slots);
	free(c);
}

static void remember(struct goslot_cache *c, uint64_t key, const struct goslots *s)
{
	if (c->n == MAX_PCS) {
		u64map_clear(&c->by_pc);
		c->n = 0;
	}
	if (c->n == c->cap) {
		size_t cap = c->cap ? 2 * c->cap : 64;
		struct goslots *grown = realloc(c->slots, cap * sizeof(*grown));

		if (!grown)
			return;
		c->slots = grown;
		c->cap = cap;
	}
	if (u64map_put(&c->by_pc, key, c->n, NULL))
		c->slots[c->n++] = *s;
}

static int word_of(const struct goslots *s, unsigned int n, int32_t *off)
{
	if (s->err)
		return s->err;
	if (n >= GOSLOT_WORDS || s->off[n] == SLOT_NONE)
		return -ENOENT;
	*off = s->off[n];
	return 0;
}

int goslot_arg(struct goruntime *rt, uint64_t pc, bool innermost, unsigned int n, int32_t *off)
{
	struct goslot_cache *c = cache_of(rt);
	uint64_t link = pc - rt->bias, key = link << 1 | innermost, *at;
	struct goslots s;

	at = c ? u64map_find(&c->by_pc, key) : NULL;
	if (at)
		return word_of(&c->slots[*at], n, off);
	if (innermost)
		learn_innermost(rt->gb, link, &s);
	else
		s.err = learn(rt->gb, link - 1, false, &s);
	if (c)
		remember(c, key, &s);
	return word_of(&s, n, off);
}

int goslot_from_sp(struct goruntime *rt, uint64_t pc, unsigned int n, int32_t *off)
{
	struct goslots s;
	int32_t size;
	int err;

	pc -= rt->bias;
	s.err = learn(rt->gb, pc, true, &s);
	err = word_of(&s, n, off);
	if (!err)
		err = pclntab_frame_size(rt->gb->pcln, pc, &size);
	if (!err && !size)	/* the frame is not made yet, or not any more */
		err = -ENOENT;
	if (!err)
		*off += size + 8;
	return err;
}

int goslot_arg_link(struct gobin *gb, uint64_t pc, bool is_return, unsigned int n, int32_t *off)
{
	struct goslots s;

	if (is_return)
		s.err = learn(gb, pc - 1, false, &s);
	else
		learn_innermost(gb, pc, &s);
	return word_of(&s, n, off);
}
