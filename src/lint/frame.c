/* SPDX-License-Identifier: BSD-2-Clause */
/* Where variables are in a function's frame, and from where on nobody reads them any more. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "lint/code.h"

enum {
	REG_G = 14,  /* the goroutine (abi-internal.md) */
	ROUNDS = 64, /* until nothing changes, or nothing is known */
	MAX_TAKEN =
		1024, /* variables whose address is taken: a function with more is too complex */
	SMALL_OBJECT = 64 /* a variable that the compiler lists nowhere: no pointers in it */
};

/* Which bytes of a word are accessed: always the same, or not. */
struct access {
	int32_t off;
	uint8_t size;
	bool mixed;
};

struct stack_object code_object(const struct code *c, int64_t off)
{
	for (size_t i = 0; i < c->nobject; i++)
		if (off >= c->object[i].off && off < c->object[i].off + c->object[i].size)
			return c->object[i];
	return (struct stack_object){ (int32_t)off, SMALL_OBJECT };
}

/* ---- the stack pointer ---- */

static int32_t sp_after(const struct line *l)
{
	const struct effect *e = &l->e;
	bool to_sp = e->dst.kind == OPERAND_REG && e->dst.reg == EFFECT_SP;
	int64_t sp = l->sp;

	if (e->kind == EFFECT_PUSH)
		sp -= 8;
	else if (e->kind == EFFECT_POP)
		sp += 8;
	else if (to_sp && e->kind == EFFECT_ADD && e->src.kind == OPERAND_IMM)
		sp += e->src.value;
	else if (to_sp && e->kind == EFFECT_SUB && e->src.kind == OPERAND_IMM)
		sp -= e->src.value;
	else if (to_sp && e->kind == EFFECT_ADDRESS && e->src.reg == EFFECT_SP &&
		 e->src.index == EFFECT_NO_REG)
		sp += e->src.value;
	else if (to_sp && e->kind != EFFECT_COMPARE && e->kind != EFFECT_TEST)
		return CODE_NO_SP;
	return sp > -(1 << 30) && sp < 1 << 30 ? (int32_t)sp : CODE_NO_SP;
}

static bool set_sp(struct line *l, int32_t sp)
{
	if (l->sp != CODE_NO_SP || sp == CODE_NO_SP)
		return false;
	l->sp = sp;
	return true;
}

static void find_sp(struct code *c)
{
	bool changed = true;

	for (size_t i = 0; i < c->n; i++)
		c->line[i].sp = i ? CODE_NO_SP : 0;
	for (int round = 0; changed && round < ROUNDS; round++) {
		changed = false;
		for (size_t i = 0; i < c->n; i++) {
			struct line *l = &c->line[i];
			int32_t sp = l->sp == CODE_NO_SP ? CODE_NO_SP : sp_after(l);

			if (l->to >= 0)
				changed |= set_sp(&c->line[l->to], sp);
			if (i + 1 < c->n && code_goes_on(l))
				changed |= set_sp(l + 1, sp);
		}
	}
}

/* ---- accesses ---- */

static bool frame_operand(const struct line *l, const struct operand *o, int64_t *off)
{
	if (o->kind != OPERAND_MEM || o->reg != EFFECT_SP || l->sp == CODE_NO_SP)
		return false;
	*off = l->sp + o->value;
	return true;
}

static int take(struct code *c, int64_t off)
{
	int err;

	for (size_t i = 0; i < c->ntaken; i++)
		if (off >= c->taken[i].off && off < c->taken[i].off + c->taken[i].size)
			return 0;
	if (c->ntaken == MAX_TAKEN)
		return -E2BIG;
	err = array_room(&c->taken, c->ntaken, &c->taken_cap, sizeof(*c->taken));
	if (!err)
		c->taken[c->ntaken++] = code_object(c, off);
	return err;
}

/* The prologue of a large frame: a stack pointer, to be compared with the end of the stack. */
static bool is_stack_check(const struct code *c, size_t i)
{
	const struct effect *e = &c->line[i].e, *next = i + 1 < c->n ? &c->line[i + 1].e : NULL;

	return next && next->kind == EFFECT_COMPARE && next->dst.kind == OPERAND_REG &&
	       next->dst.reg == e->dst.reg && next->src.kind == OPERAND_MEM &&
	       next->src.reg == REG_G;
}

static int find_taken(struct code *c)
{
	int err = 0;

	for (size_t i = 0; i < c->n && !err; i++) {
		const struct line *l = &c->line[i];
		const struct effect *e = &l->e;
		int64_t off;

		if (frame_operand(l, &e->src, &off) &&
		    (e->src.index != EFFECT_NO_REG ||
		     (e->kind == EFFECT_ADDRESS && e->dst.reg != EFFECT_SP &&
		      e->dst.reg != EFFECT_FP && !is_stack_check(c, i))))
			err = take(c, off);
		if (!err && frame_operand(l, &e->dst, &off) && e->dst.index != EFFECT_NO_REG)
			err = take(c, off);
	}
	return err;
}

bool code_is_taken_far(const struct code *c, int64_t off)
{
	for (size_t i = 0; i < c->ntaken; i++)
		if (off + 8 > c->taken[i].off && off < c->taken[i].off + c->taken[i].size)
			return true;
	return false;
}

static void mark_taken(struct code *c)
{
	for (size_t i = 0; i < c->ntaken; i++)
		for (int64_t off = c->taken[i].off; off < c->taken[i].off + c->taken[i].size;
		     off += 8 - (off & 7)) {
			int w = code_word(off);

			if (w >= 0)
				c->word[w] = -1;
		}
}

static void note_access(struct code *c, struct access *a, int *nbit, const struct line *l,
			const struct operand *o)
{
	int64_t off;

	if (!frame_operand(l, o, &off))
		return;
	for (int64_t at = off; at < off + (o->size ? o->size : 8); at += 8 - (at & 7)) {
		int w = code_word(at);

		if (w < 0 || c->word[w] < 0)
			continue;
		if (!c->word[w]) {
			if (*nbit == CODE_WORDS)
				continue;
			c->word[w] = (int16_t)++ * nbit;
			a[*nbit - 1] = (struct access){ (int32_t)off, o->size, false };
		} else if (a[c->word[w] - 1].off != off || a[c->word[w] - 1].size != o->size) {
			a[c->word[w] - 1].mixed = true;
		}
	}
}

/* ---- what is live ---- */

static void mark(const struct code *c, struct frame_words *live, const struct line *l,
		 const struct operand *o)
{
	int64_t off;

	if (!frame_operand(l, o, &off))
		return;
	for (int64_t at = off; at < off + (o->size ? o->size : 8); at += 8 - (at & 7)) {
		int bit = code_bit(c, at);

		if (bit >= 0)
			live->bit[bit / 64] |= 1ull << bit % 64;
	}
}

/* Only what is written whole. */
static void unmark(const struct code *c, const struct access *a, struct frame_words *live,
		   const struct line *l, const struct operand *o)
{
	int64_t off;

	if (!frame_operand(l, o, &off) || o->index != EFFECT_NO_REG)
		return;
	for (int64_t at = off; at < off + o->size; at += 8 - (at & 7)) {
		int bit = code_bit(c, at);

		if (bit >= 0 && (!a[bit].mixed || (!(at & 7) && at + 8 <= off + o->size)))
			live->bit[bit / 64] &= ~(1ull << bit % 64);
	}
}

static void transfer(const struct code *c, const struct access *a, struct frame_words *live,
		     const struct line *l)
{
	const struct effect *e = &l->e;

	if (e->kind == EFFECT_MOVE || e->kind == EFFECT_SET || e->kind == EFFECT_POP)
		unmark(c, a, live, l, &e->dst);
	else
		mark(c, live, l, &e->dst);
	if (e->kind != EFFECT_ADDRESS)
		mark(c, live, l, &e->src);
	if (e->kind == EFFECT_POP) {
		struct operand top = {
			.kind = OPERAND_MEM, .reg = EFFECT_SP, .index = EFFECT_NO_REG, .size = 8
		};

		mark(c, live, l, &top);
	}
}

static bool add(struct frame_words *to, const struct frame_words *from)
{
	bool changed = false;

	for (size_t i = 0; i < ARRAY_SIZE(to->bit); i++) {
		changed |= (from->bit[i] & ~to->bit[i]) != 0;
		to->bit[i] |= from->bit[i];
	}
	return changed;
}

static void find_live(struct code *c, const struct access *a)
{
	bool changed = true;

	for (int round = 0; changed && round < ROUNDS; round++) {
		struct frame_words live = { { 0 } };

		changed = false;
		for (size_t i = c->n; i-- > 0;) {
			const struct line *l = &c->line[i];

			if (!code_goes_on(l))
				memset(&live, 0, sizeof(live));
			if (l->to >= 0)
				add(&live, &c->live[l->to]);
			if (l->e.flow == FLOW_JMP_INDIRECT)
				memset(&live, 0xff, sizeof(live));
			transfer(c, a, &live, l);
			changed |= add(&c->live[i], &live);
		}
	}
	if (changed)
		memset(c->live, 0xff, c->n * sizeof(*c->live));
}

int code_find_frame(struct code *c)
{
	struct access *a = calloc(CODE_WORDS, sizeof(*a));
	int err, nbit = 0;

	find_sp(c);
	err = find_taken(c);
	c->word = calloc(CODE_FRAME / 8, sizeof(*c->word));
	c->live = calloc(c->n, sizeof(*c->live));
	if (!a || !c->word || !c->live)
		err = -ENOMEM;
	if (!err)
		mark_taken(c);
	for (size_t i = 0; i < c->n && !err; i++) {
		note_access(c, a, &nbit, &c->line[i], &c->line[i].e.dst);
		note_access(c, a, &nbit, &c->line[i], &c->line[i].e.src);
	}
	if (!err)
		find_live(c, a);
	free(a);
	return err;
}
