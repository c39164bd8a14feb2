/* SPDX-License-Identifier: BSD-2-Clause */
#include "lint/own.h"

#include "gobin/gobin.h"
#include "lint/callees.h"
#include "lint/step.h"

enum {
	REG_DX = 2, /* a closure is called with its variables there */
	REG_SI = 6,
	REG_R11 = 11,        /* where the collector's barrier wants pointers written */
	MAX_STACK_ARGS = 64, /* bytes, of a function that is not known */
	BARRIER_LINES = 8    /* from the address that a barrier is given to its call */
};

const struct own *own_find(const struct state *s, struct value v)
{
	for (int i = 0; i < s->nown && v.kind == VALUE_THING && !v.shaky; i++)
		if (s->own[i].thing == v.n)
			return &s->own[i];
	return NULL;
}

static struct own *find(struct state *s, const struct value *v)
{
	for (int i = 0; i < s->nown && v->kind == VALUE_THING; i++)
		if (s->own[i].thing == v->n)
			return &s->own[i];
	return NULL;
}

/* Somebody else may have it from now on. */
static void lose(struct state *s, const struct value *v)
{
	struct own *o = find(s, v);

	if (o)
		*o = s->own[--s->nown];
}

static void lose_reg(struct state *s, uint8_t r)
{
	if (r < EFFECT_REGS)
		lose(s, &s->reg[r]);
}

/* Those of the slots in some bytes of the frame. */
static void lose_slots(struct state *s, int64_t off, int64_t size)
{
	for (int i = 0; i < s->nslot; i++)
		if (s->slot[i].base.kind == VALUE_FRAME && s->slot[i].off < off + size &&
		    off < s->slot[i].off + s->slot[i].size)
			lose(s, &s->slot[i].v);
}

/* ---- stores ---- */

static uint64_t words_of(int64_t off, int64_t size)
{
	uint64_t mask = 0;

	if (off < 0 || size <= 0 || off + size > 512)
		return ~0ull;
	for (int64_t w = off / 8; w <= (off + size - 1) / 8; w++)
		mask |= 1ull << w;
	return mask;
}

static bool stores_zero(const struct step *t)
{
	const struct operand *o = &t->e->src;

	if (t->e->kind != EFFECT_MOVE)
		return false;
	if (o->kind == OPERAND_IMM)
		return !o->value;
	if (o->kind != OPERAND_REG)
		return false;
	return o->reg == EFFECT_ZERO ||
	       (o->reg < EFFECT_REGS && t->s->reg[o->reg].kind == VALUE_NUMBER &&
		!t->s->reg[o->reg].n);
}

static void note_store(struct step *t)
{
	const struct operand *o = &t->e->dst;
	struct own *own;

	if (o->index < EFFECT_REGS)
		lose_reg(t->s, o->index);
	own = o->reg < EFFECT_REGS ? find(t->s, &t->s->reg[o->reg]) : NULL;
	if (!own || stores_zero(t))
		return;
	own->stored |= o->index == EFFECT_NO_REG ? words_of(o->value, o->size) : ~0ull;
}

/* A word of the frame whose address is taken nowhere, or the barrier's, which comes with a store
 * that is seen, too. */
static bool stays(const struct step *t)
{
	struct value base;
	int64_t off;

	if (t->e->dst.reg == REG_R11)
		return t->s->reg[REG_R11].kind == VALUE_SET;
	return state_place(t->s, &t->e->dst, &base, &off) && base.kind == VALUE_FRAME &&
	       !code_is_taken(t->w->code, off);
}

/* ---- addresses ---- */

static bool sets(const struct effect *e, uint8_t r)
{
	return (e->dst.kind == OPERAND_REG && e->dst.reg == r) || e->written >> r & 1;
}

/* Up to 1.20: the address of a field goes to the collector's barrier, which stores there, and
 * nowhere else. */
static bool is_for_barrier(const struct step *t)
{
	const struct code *c = t->w->code;
	uint8_t r = t->e->dst.reg;

	for (size_t i = t->at + 1; i < c->n && i <= t->at + BARRIER_LINES && r < EFFECT_REGS; i++) {
		const struct effect *e = &c->line[i].e;
		const struct callee *callee;

		if (e->flow == FLOW_CALL) {
			callee = callees_get(t->w->callees, e->target);
			return callee && callee->kind == CALLEE_BARRIER && r == REG_DI;
		}
		if (e->flow != FLOW_NEXT)
			break;
		if (e->kind == EFFECT_MOVE && e->dst.kind == OPERAND_REG &&
		    e->src.kind == OPERAND_REG && e->src.reg == r)
			r = e->dst.reg;
		else if (e->read >> r & 1 || sets(e, r))
			break;
	}
	return false;
}

static void take_address(struct step *t)
{
	const struct operand *o = &t->e->src;
	struct own *own = o->reg < EFFECT_REGS ? find(t->s, &t->s->reg[o->reg]) : NULL;

	if (own && o->index == EFFECT_NO_REG && is_for_barrier(t)) {
		own->stored |= words_of(o->value, 8);
		return;
	}
	lose_reg(t->s, o->reg);
	lose_reg(t->s, o->index);
}

/* What reads registers in ways that are not followed. */
static void lose_read(struct step *t)
{
	const struct effect *e = t->e;
	uint16_t bases = 0;

	if (e->dst.kind == OPERAND_MEM && e->dst.reg < EFFECT_REGS)
		bases |= (uint16_t)(1u << e->dst.reg);
	if (e->src.kind == OPERAND_MEM && e->src.reg < EFFECT_REGS)
		bases |= (uint16_t)(1u << e->src.reg);
	if (e->written >> REG_DI & 1)
		bases = 0; /* rep stos, rep movs */
	for (uint8_t r = 0; r < EFFECT_REGS; r++)
		if (e->read >> r & 1 && !(bases >> r & 1))
			lose_reg(t->s, r);
}

/* More than one word is read of the frame at once: what is done with it is not followed. */
static void read_wide(struct step *t)
{
	const struct operand *o = &t->e->src;
	struct value base;
	int64_t off;

	if (o->kind != OPERAND_MEM || o->size <= 8 || t->e->kind == EFFECT_ADDRESS)
		return;
	if (state_place(t->s, o, &base, &off) && base.kind == VALUE_FRAME)
		lose_slots(t->s, off, o->size);
}

void own_step(struct step *t)
{
	const struct effect *e = t->e;
	bool writes =
		e->dst.kind == OPERAND_MEM && e->kind != EFFECT_COMPARE && e->kind != EFFECT_TEST;

	if (writes)
		t->w->own->at_store(t->w, t->s, t->at);
	if (!t->s->nown)
		return;
	if (writes)
		note_store(t);
	read_wide(t);
	switch (e->kind) {
	case EFFECT_MOVE:
		/* into memory, or into a register that is not followed */
		if (e->src.kind == OPERAND_REG && (writes ? !stays(t) : e->dst.reg >= EFFECT_REGS))
			lose_reg(t->s, e->src.reg);
		break;
	case EFFECT_COMPARE:
	case EFFECT_TEST:
	case EFFECT_POP:
	case EFFECT_SET:
	case EFFECT_MOVE_IF:
		break;
	case EFFECT_ADDRESS:
		take_address(t);
		break;
	default:
		lose_read(t);
		break;
	}
}

void own_fill(struct step *t)
{
	lose_reg(t->s, REG_DI);
	lose_reg(t->s, REG_SI);
}

/* ---- calls ---- */

void own_call(struct step *t, const struct callee *callee)
{
	const struct arch *arch = t->w->gb->arch;
	struct state *s = t->s;
	int64_t args = MAX_STACK_ARGS;

	t->w->own->at_call(t->w, s, t->at);
	if (!s->nown || (callee && callee->kind == CALLEE_ALLOCATES) ||
	    t->w->own->leaves(t->w, t->at))
		return;
	for (int i = 0; i < ARCH_ABI_WORDS; i++)
		lose_reg(s, arch->abi[i]);
	if (t->e->flow == FLOW_CALL_INDIRECT)
		lose_reg(s, REG_DX);
	if (callee && callee->args_size >= 0 && callee->args_size < MAX_STACK_ARGS)
		args = callee->args_size;
	if (s->reg[EFFECT_SP].kind == VALUE_FRAME)
		lose_slots(s, s->reg[EFFECT_SP].n, args);
	else
		s->nown = 0;
}

bool own_made(struct step *t)
{
	return t->w->own->made(t->w, t->s, t->at);
}

void own_called(struct step *t, bool made)
{
	struct value v = value_thing(t->at, WORD_CALL);
	struct state *s = t->s;

	lose(s, &v); /* of another round */
	if (made && s->nown < STATE_OWN)
		s->own[s->nown++] = (struct own){ v.n, 0 };
}

/* ---- paths that meet ---- */

bool own_merge(struct state *to, const struct state *s)
{
	bool changed = false;

	for (int i = 0; i < to->nown; i++) {
		struct own *o = &to->own[i];
		const struct own *k =
			own_find(s, (struct value){ VALUE_THING, false, 0, o->thing });

		if (!k) {
			*o = to->own[--to->nown];
			i--;
			changed = true;
			continue;
		}
		changed |= (k->stored & ~o->stored) != 0;
		o->stored |= k->stored;
	}
	return changed;
}
