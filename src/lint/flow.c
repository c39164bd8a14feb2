/* SPDX-License-Identifier: BSD-2-Clause */
/* Conditions, calls and jumps: where a path goes on, and with what. */
#include <errno.h>
#include <stdlib.h>

#include "base/cursor.h"
#include "gobin/gobin.h"
#include "lint/callees.h"
#include "lint/own.h"
#include "lint/step.h"

enum {
	REG_R11 = 11,
	REG_G = 14,      /* the goroutine (abi-internal.md) */
	MAX_ARGS = 4096, /* bytes */
	ITAB_TYPE = 8,   /* in a runtime.itab: of the type */
	MAX_CASES = 1024 /* of a switch */
};

/* How the flags' operands may compare so that the condition holds, and so that it does not. */
struct outlook {
	uint8_t yes, no;
	bool known; /* which of WHEN_… it is about is known: yes and no can be assumed */
};

static struct outlook look_ahead(struct step *t)
{
	const struct state *s = t->s;
	struct outlook o = { WHEN_ALL, WHEN_ALL, false };
	uint8_t when = t->e->when, may;

	if (!when || !s->flags.size ||
	    (s->flags.rough && when != WHEN_EQUAL && when != not_equal && !t->e->by_sign) ||
	    (t->e->by_sign && (s->flags.b.kind != VALUE_NUMBER || s->flags.b.n)))
		return o;
	if (s->flags.size == 8 && s->flags.b.kind == VALUE_NUMBER && !s->flags.b.n)
		may = walk_compare_zero(t->w, t->s, s->flags.a);
	else
		may = state_compare(s, s->flags.a, s->flags.b, s->flags.size);
	o.yes = may & when;
	o.no = may & (uint8_t)~when & WHEN_ALL;
	o.known = true;
	return o;
}

static void assume(struct state *s, const struct outlook *o, uint8_t when)
{
	if (o->known)
		state_assume(s, s->flags.a, s->flags.b, s->flags.size, when);
}

long step_conditional_value(struct step *t)
{
	struct outlook o = look_ahead(t);
	bool is_set = t->e->kind == EFFECT_SET;
	struct value yes = is_set ? step_number(t, 1) : step_value_of(t, &t->e->src);

	if (is_set && !o.known) {
		step_assign(t, &t->e->dst, step_thing(t, WORD_OTHER));
		return (long)t->at + 1;
	}
	if (o.yes && o.no) {
		struct value before = is_set ? step_number(t, 0) : step_value_of(t, &t->e->dst);
		struct state *other = walk_fork(t->w, t->s, t->at + 1);
		struct step not = { t->w, other, t->at, t->e };

		if (other) {
			assume(other, &o, o.no);
			step_assign(&not, &t->e->dst, before);
		}
		assume(t->s, &o, o.yes);
	}
	if (o.yes)
		step_assign(t, &t->e->dst, yes);
	else
		step_assign(t, &t->e->dst,
			    is_set ? step_number(t, 0) : step_value_of(t, &t->e->dst));
	return (long)t->at + 1;
}

long step_branch(struct step *t)
{
	struct outlook o = look_ahead(t);
	const struct line *l = &t->w->code->line[t->at];

	if (o.yes && o.no) {
		/* the check of the stack is no condition of the program's */
		if (t->s->flags.a.kind != VALUE_FRAME && t->s->flags.b.kind != VALUE_FRAME)
			t->s->branch = (int32_t)t->at;
		if (l->to >= 0) {
			struct state *other = walk_fork(t->w, t->s, (size_t)l->to);

			if (other)
				assume(other, &o, o.yes);
		}
		assume(t->s, &o, o.no);
	} else if (o.yes) {
		return l->to;
	}
	return o.no ? (long)t->at + 1 : -1;
}

/* ---- calls and jumps ---- */

/* The type of an interface, read from its itab to make it an `any`: never nil. */
static bool is_type_of_itab(const struct step *t, const struct value *v)
{
	const struct code *c = t->w->code;
	const struct operand *o;

	if (v->kind != VALUE_THING || THING_AT(v->n) >= c->n || THING_W(v->n) != WORD_LOAD)
		return false;
	o = &c->line[THING_AT(v->n)].e.src;
	return o->kind == OPERAND_MEM && o->value == ITAB_TYPE && o->index == EFFECT_NO_REG &&
	       o->reg != EFFECT_SP;
}

/*
 * How an argument may compare with 0 on this path.  That it is nil takes more than that nothing
 * is against it: what was forgotten may be, and that a called function has returned nil is what
 * a comparison assumes, which the compiler may have made.
 */
static uint8_t argument_may_be(struct step *t, struct value v)
{
	uint8_t when = state_compare(t->s, v, value_number(0), 8);

	if (v.kind == VALUE_NUMBER)
		return when;
	if (t->s->lost || is_type_of_itab(t, &v) ||
	    (when == WHEN_EQUAL && !callees_known_nil(t->w, v)))
		when &= WHEN_ALL & ~WHEN_EQUAL;
	return when;
}

static void note_arguments(struct step *t)
{
	const struct arch *arch = t->w->gb->arch;
	struct call_args *a = t->w->args[t->at];
	bool first = !a;

	if (first) {
		a = calloc(1, sizeof(*a));
		t->w->args[t->at] = a;
	}
	if (!a) {
		t->w->err = -ENOMEM;
		return;
	}
	for (int i = 0; i < ARCH_ABI_WORDS; i++) {
		struct value v = t->s->reg[arch->abi[i]];

		a->to_zero[i] |= argument_may_be(t, v);
		if (first)
			a->v[i] = v;
		else if (!value_same(&a->v[i], &v))
			a->v[i] = any;
	}
}

/* errors.As(err, &v): the address of v is the second word of the second argument.  Whoever uses v
 * where it was false has it as it was before, which nobody does. */
static void set_target(struct step *t, struct value target)
{
	int64_t off = 0;

	if (target.kind == VALUE_FRAME) {
		off = target.n;
		target.n = 0;
	} else if (target.kind != VALUE_THING || THING_AT(target.n) == t->at) {
		return;
	}
	target.shaky = false;
	state_store(t->s, target, off, 8, (struct value){ VALUE_SET, false, 0, 0 });
}

static void after_call(struct step *t, const struct callee *callee)
{
	const struct arch *arch = t->w->gb->arch;
	struct state *s = t->s;
	struct value target = s->reg[arch->abi[3]];

	if (callee && callee->args_size > 0 && callee->args_size < MAX_ARGS &&
	    s->reg[EFFECT_SP].kind == VALUE_FRAME)
		step_shake(s, s->reg[EFFECT_SP].n, callee->args_size);
	step_shake_taken(t);
	state_forget_heap(s);
	for (uint8_t r = 0; r < EFFECT_REGS; r++)
		if (r != EFFECT_SP && r != EFFECT_FP && r != REG_G)
			step_set_reg(t, r, any);
	if (s->again)
		state_renew_call(s, t->at);
	for (int i = 0; i < ARCH_ABI_WORDS; i++)
		step_set_reg(t, arch->abi[i], value_thing(t->at, WORD_CALL + i));
	if (callee && callee->kind == CALLEE_ALLOCATES)
		state_assume(s, s->reg[arch->abi[0]], value_number(0), 8, not_equal);
	if (callee && callee->kind == CALLEE_AS)
		set_target(t, target);
	s->flags.size = 0;
}

long step_call(struct step *t)
{
	const struct callee *callee =
		t->e->flow == FLOW_CALL ? callees_get(t->w->callees, t->e->target) : NULL;
	bool made = false;

	if (callee && callee->kind == CALLEE_NEVER_RETURNS)
		return -1;
	if (callee && callee->kind == CALLEE_BARRIER) {
		step_set_reg(t, REG_R11, (struct value){ VALUE_SET, false, 0, 0 });
		t->s->flags.size = 0;
		return (long)t->at + 1;
	}
	if (callee && callee->kind == CALLEE_FILLS) {
		if (t->w->own)
			own_fill(t);
		step_fill(t);
		return (long)t->at + 1;
	}
	for (int i = 0; i < ARCH_ABI_WORDS; i++)
		step_use(t, t->w->gb->arch->abi[i]);
	if (!t->w->merged)
		note_arguments(t);
	if (t->w->own) {
		own_call(t, callee);
		made = own_made(t);
	}
	after_call(t, callee);
	if (t->w->own)
		own_called(t, made);
	return (long)t->at + 1;
}

/* A switch: a table of addresses in this function. */
long step_jump_by_table(struct step *t)
{
	const struct operand *o = &t->e->src;
	const struct code *c = t->w->code;
	uint64_t table;
	int n = 0;

	if (o->kind != OPERAND_MEM || o->reg >= EFFECT_REGS || o->index >= EFFECT_REGS ||
	    o->scale != 8 || t->s->reg[o->reg].kind != VALUE_NUMBER) {
		t->w->blind = true;
		return -1;
	}
	table = (uint64_t)(t->s->reg[o->reg].n + o->value);
	t->s->branch = (int32_t)t->at;
	for (; n < MAX_CASES; n++) {
		uint8_t raw[8];
		long to;

		if (image_read_addr(&t->w->gb->image, table + 8 * (uint64_t)n, raw, sizeof(raw)))
			break;
		to = code_index(c, load_u64(raw));
		if (to < 0)
			break;
		walk_fork(t->w, t->s, (size_t)to);
	}
	t->w->blind |= !n;
	return -1;
}
