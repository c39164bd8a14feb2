/* SPDX-License-Identifier: BSD-2-Clause */
/* What one instruction does to what is known. */
#include "lint/step.h"

#include "lint/own.h"

enum {
	COUNTED = 2,  /* numbers that loops count up to are followed up to here */
	PAGE = 4096,  /* a nil pointer with such an offset faults */
	FILLED = 4096 /* what rep stos and the runtime's duffzero may fill */
};

void step_set_reg(struct step *t, uint8_t r, struct value v)
{
	if (r >= EFFECT_REGS)
		return;
	t->s->reg[r] = v;
	t->s->from[r] =
		v.kind == VALUE_NUMBER && t->w->itabs && itabs_at(t->w->itabs, (uint64_t)v.n)
			? (uint32_t)t->at + 1
			: 0;
}

/* Something new that is not known. */
struct value step_thing(struct step *t, int w)
{
	struct value v = value_thing(t->at, w);

	if (t->s->again)
		state_renew(t->s, v.n);
	return v;
}

struct value step_number(struct step *t, int64_t n)
{
	struct value v = value_number(n);

	v.origin = (uint32_t)t->at + 1;
	return v;
}

static int64_t zero_extended(int64_t n, uint8_t size)
{
	return size == 1 ? (uint8_t)n : size == 2 ? (uint16_t)n : size == 4 ? (uint32_t)n : n;
}

/* ---- variables whose address is taken ---- */

void step_shake(struct state *s, int64_t off, int64_t size)
{
	for (int i = 0; i < s->nslot; i++)
		if (s->slot[i].base.kind == VALUE_FRAME && s->slot[i].off < off + size &&
		    off < s->slot[i].off + s->slot[i].size)
			s->slot[i].v.shaky = true;
}

/* Somebody else may have written them. */
void step_shake_taken(struct step *t)
{
	struct state *s = t->s;

	for (int i = 0; i < s->nslot && t->w->code->ntaken; i++)
		if (s->slot[i].base.kind == VALUE_FRAME &&
		    code_is_taken(t->w->code, s->slot[i].off))
			s->slot[i].v.shaky = true;
}

/* ---- operands ---- */

static struct value load(struct step *t, const struct operand *o)
{
	struct state *s = t->s;
	struct value base, v;
	struct slot *l;
	int64_t off;

	if (!state_place(s, o, &base, &off) || !o->size || o->size > 8)
		return step_thing(t, WORD_LOAD);
	l = state_slot(s, base, off, o->size);
	if (l && l->v.kind != VALUE_ANY) {
		v = l->v;
		if (v.kind == VALUE_NUMBER)
			v.n = zero_extended(v.n, o->size);
		return v;
	}
	v = step_thing(t, WORD_LOAD);
	/* the same again, when it is loaded again; renewing may have taken the base away */
	if (s->nslot < STATE_SLOTS && state_place(s, o, &base, &off)) {
		state_clobber(s, base, off, o->size);
		s->slot[s->nslot++] = (struct slot){ base, off, o->size, v };
	}
	return v;
}

struct value step_value_of(struct step *t, const struct operand *o)
{
	struct value v;

	switch (o->kind) {
	case OPERAND_IMM:
		return step_number(t, o->value);
	case OPERAND_MEM:
		return load(t, o);
	case OPERAND_REG:
		if (o->reg == EFFECT_ZERO)
			return step_number(t, 0);
		if (o->reg >= EFFECT_REGS)
			return any;
		v = t->s->reg[o->reg];
		if (v.kind == VALUE_NUMBER)
			v.n = zero_extended(v.n, o->size);
		return v;
	default:
		return any;
	}
}

static void store(struct step *t, const struct operand *o, struct value v)
{
	struct value base;
	int64_t off;

	if (!state_place(t->s, o, &base, &off)) {
		uint8_t r = o->reg;

		if (r < EFFECT_REGS && t->s->reg[r].kind == VALUE_FRAME) { /* an array's element */
			struct stack_object ob = code_object(t->w->code, t->s->reg[r].n + o->value);

			state_clobber(t->s,
				      t->s->reg[EFFECT_SP].kind == VALUE_FRAME
					      ? (struct value){ VALUE_FRAME, false, 0, 0 }
					      : any,
				      ob.off, ob.size);
		}
		state_forget_heap(t->s);
		step_shake_taken(t);
		return;
	}
	if (base.kind == VALUE_THING)
		step_shake_taken(t);
	if (o->size == 16 && v.kind == VALUE_NUMBER) {
		state_store(t->s, base, off, 8, v);
		state_store(t->s, base, off + 8, 8, v);
	} else if (o->size > 8) {
		state_clobber(t->s, base, off, o->size);
	} else {
		state_store(t->s, base, off, o->size, v);
	}
}

void step_assign(struct step *t, const struct operand *o, struct value v)
{
	if (o->kind == OPERAND_REG)
		step_set_reg(t, o->reg, v);
	else if (o->kind == OPERAND_MEM)
		store(t, o, v);
}

/* What is read through a pointer was not nil; false: it was, and the program panics. */
static bool dereference(struct step *t, const struct operand *o)
{
	struct value v;

	if (o->kind != OPERAND_MEM || t->e->kind == EFFECT_ADDRESS || o->reg >= EFFECT_REGS ||
	    o->index != EFFECT_NO_REG || o->value < 0 || o->value >= PAGE)
		return true;
	v = t->s->reg[o->reg];
	if (state_compare(t->s, v, value_number(0), 8) == WHEN_EQUAL)
		return false;
	state_assume(t->s, v, value_number(0), 8, not_equal);
	return true;
}

/* ---- sums and comparisons ---- */

static bool is_positive(const struct state *s, struct value v)
{
	return !(state_compare(s, v, value_number(0), 8) & (WHEN_EQUAL | WHEN_LESS));
}

static struct value sum(struct step *t, struct value a, struct value b)
{
	int64_t by = t->e->kind == EFFECT_SUB ? -b.n : b.n;
	bool up = b.kind == VALUE_NUMBER && by > 0 && by < PAGE, positive;
	struct value v;

	if (a.kind == VALUE_FRAME && b.kind == VALUE_NUMBER)
		return (struct value){ VALUE_FRAME, false, 0, a.n + by };
	if (a.kind == VALUE_NUMBER && b.kind == VALUE_NUMBER && a.n + by <= COUNTED &&
	    a.n + by >= -COUNTED)
		return step_number(t, a.n + by);
	positive = up && ((a.kind == VALUE_NUMBER && a.n >= 0) || is_positive(t->s, a));
	v = step_thing(t, WORD_OTHER);
	if (positive) /* as far as nobody counts to 2^63 */
		state_assume(t->s, v, value_number(0), 8, WHEN_GREATER_BELOW | WHEN_GREATER_ABOVE);
	return v;
}

static struct value bits(struct step *t, struct value a, struct value b)
{
	if (a.kind == VALUE_NUMBER && b.kind == VALUE_NUMBER)
		return step_number(t, t->e->kind == EFFECT_OR ? (a.n | b.n) : (a.n & b.n));
	return step_thing(t, WORD_OTHER);
}

static void set_flags(struct step *t, struct value a, struct value b, bool rough)
{
	t->s->flags.a = a;
	t->s->flags.b = b;
	t->s->flags.size = t->e->dst.size ? t->e->dst.size : 8;
	t->s->flags.rough = rough;
}

static void arithmetic(struct step *t)
{
	struct value a = step_value_of(t, &t->e->dst), b = step_value_of(t, &t->e->src), v;
	bool is_sum = t->e->kind == EFFECT_ADD || t->e->kind == EFFECT_SUB;

	v = is_sum ? sum(t, a, b) : bits(t, a, b);
	if (t->e->kind == EFFECT_SUB && t->e->dst.reg != EFFECT_SP)
		set_flags(t, a, b, false);
	else
		set_flags(t, v, value_number(0), is_sum);
	/* the operand as it was may be what is renewed */
	if (t->e->kind == EFFECT_SUB && a.kind == VALUE_THING && THING_AT(a.n) == t->at)
		t->s->flags.size = 0;
	step_assign(t, &t->e->dst, v);
}

static void test(struct step *t)
{
	const struct operand *a = &t->e->dst, *b = &t->e->src;
	struct value v = step_value_of(t, a), u = step_value_of(t, b);

	if (a->kind == OPERAND_REG && b->kind == OPERAND_REG && a->reg == b->reg)
		set_flags(t, v, value_number(0), false);
	else if (v.kind == VALUE_NUMBER && u.kind == VALUE_NUMBER)
		set_flags(t, value_number(v.n & u.n), value_number(0), false);
	else
		t->s->flags.size = 0;
}

/* ---- all of them ---- */

void step_use(struct step *t, uint8_t r)
{
	if (t->s->from[r])
		t->w->used[t->s->from[r] - 1] = true;
}

void step_fill(struct step *t)
{
	struct value to = t->s->reg[REG_DI];

	if (to.kind == VALUE_FRAME) {
		int64_t off = to.n;

		to.n = 0;
		state_clobber(t->s, to, off, FILLED);
	}
	step_set_reg(t, REG_DI, any);
}

static void other(struct step *t)
{
	const struct effect *e = t->e;

	if (e->dst.kind == OPERAND_MEM && e->kind != EFFECT_COMPARE) {
		if (e->written >> REG_DI & 1)
			step_fill(t); /* rep stos, rep movs */
		else
			store(t, &e->dst, any);
	}
	for (uint8_t r = 0; r < EFFECT_REGS; r++)
		if (e->written >> r & 1)
			step_set_reg(t, r, r == EFFECT_SP ? any : step_thing(t, WORD_OTHER + r));
	if (e->flags)
		t->s->flags.size = 0;
}

static struct value address(struct step *t)
{
	const struct operand *o = &t->e->src;
	struct value base = any, v;
	bool set;

	if (o->reg == EFFECT_PC)
		return step_number(t, o->value);
	if (o->reg < EFFECT_REGS && o->index == EFFECT_NO_REG)
		base = t->s->reg[o->reg];
	if (base.kind == VALUE_FRAME)
		return (struct value){ VALUE_FRAME, false, 0, base.n + o->value };
	if (base.kind == VALUE_NUMBER)
		return step_number(t, base.n + o->value);
	set = base.kind != VALUE_ANY && state_is_set(t->s, base) && o->value >= 0;
	v = step_thing(t, WORD_OTHER);
	if (set)
		state_assume(t->s, v, value_number(0), 8, not_equal);
	return v;
}

static void push(struct step *t)
{
	struct value v = step_value_of(t, &t->e->src), *sp = &t->s->reg[EFFECT_SP];

	sp->n -= 8;
	if (sp->kind == VALUE_FRAME)
		state_store(t->s, (struct value){ VALUE_FRAME, false, 0, 0 }, sp->n, 8, v);
}

static void pop(struct step *t)
{
	struct value *sp = &t->s->reg[EFFECT_SP], v = any;
	struct slot *l =
		sp->kind == VALUE_FRAME
			? state_slot(t->s, (struct value){ VALUE_FRAME, false, 0, 0 }, sp->n, 8)
			: NULL;

	if (l)
		v = l->v;
	sp->n += 8;
	step_assign(t, &t->e->dst, v);
}

static void apply(struct step *t)
{
	const struct effect *e = t->e;

	switch (e->kind) {
	case EFFECT_MOVE:
		step_assign(t, &e->dst, step_value_of(t, &e->src));
		break;
	case EFFECT_ADDRESS:
		step_assign(t, &e->dst, address(t));
		break;
	case EFFECT_ADD:
	case EFFECT_SUB:
	case EFFECT_AND:
	case EFFECT_OR:
		arithmetic(t);
		break;
	case EFFECT_COMPARE: {
		struct value a = step_value_of(t, &e->dst), b = step_value_of(t, &e->src);

		set_flags(t, a, b, false);
		break;
	}
	case EFFECT_TEST:
		test(t);
		break;
	case EFFECT_PUSH:
		push(t);
		break;
	case EFFECT_POP:
		pop(t);
		break;
	default:
		other(t);
		break;
	}
}

long walk_step(struct walk *w, struct state *s, size_t at)
{
	const struct line *l = &w->code->line[at];
	struct step t = { w, s, at, &l->e };

	switch (l->e.flow) {
	case FLOW_RET:
		w->on_return(w, s, at);
		return -1;
	case FLOW_TRAP:
		return -1;
	case FLOW_JMP:
		w->blind |= l->to < 0;
		return l->to;
	default:
		break;
	}
	for (uint8_t r = 0; r < EFFECT_REGS; r++)
		if (l->e.read >> r & 1)
			step_use(&t, r);
	if (l->e.flow == FLOW_CALL || l->e.flow == FLOW_CALL_INDIRECT)
		return step_call(&t);
	if (l->e.flow == FLOW_JMP_INDIRECT)
		return step_jump_by_table(&t);
	if (l->e.flow == FLOW_JCC)
		return step_branch(&t);
	if (w->own)
		own_step(&t);
	if (l->e.kind == EFFECT_SET || l->e.kind == EFFECT_MOVE_IF)
		return step_conditional_value(&t);
	if (!dereference(&t, &l->e.dst) || !dereference(&t, &l->e.src))
		return -1;
	apply(&t);
	return (long)at + 1;
}
