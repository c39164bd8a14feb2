/* SPDX-License-Identifier: BSD-2-Clause */
#include "lint/merge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gobin/gobin.h"
#include "lint/callees.h"
#include "lint/own.h"

enum {
	STEPS_PER_LINE = 32, /* more: the long way */
	MAX_VARIANTS = 8     /* likewise; of one line */
};

/* Paths that have the same itabs at the same places. */
struct variant {
	struct variant *next;
	struct state s; /* last: what has no use has no room */
};

static const struct value unknown = { VALUE_ANY, false, 0, 0 };

/* Of two values what is true of both. */
static struct value both(const struct state *a, struct value x, const struct state *b,
			 struct value y)
{
	if (value_same(&x, &y))
		return x;
	x.shaky = y.shaky = false;
	if (x.kind != VALUE_ANY && y.kind != VALUE_ANY && state_is_set(a, x) && state_is_set(b, y))
		return (struct value){ VALUE_SET, false, 0, 0 };
	return unknown;
}

static bool set_value(struct value *to, struct value v)
{
	bool changed = !value_same(to, &v);

	*to = v;
	return changed;
}

static bool is_itab(const struct walk *w, const struct value *v)
{
	return w->itabs && v->kind == VALUE_NUMBER && itabs_at(w->itabs, (uint64_t)v->n);
}

static bool merge_regs(struct state *to, const struct state *s)
{
	bool changed = false;

	for (int r = 0; r < EFFECT_REGS; r++)
		changed |= set_value(&to->reg[r], both(to, to->reg[r], s, s->reg[r]));
	return changed;
}

static const struct slot *same_place(const struct state *s, const struct slot *l)
{
	for (int i = 0; i < s->nslot; i++)
		if (s->slot[i].off == l->off && s->slot[i].size == l->size &&
		    value_same(&s->slot[i].base, &l->base))
			return &s->slot[i];
	return NULL;
}

/* Each itab of a slot of x is in y, too. */
static bool has_slots(const struct walk *w, const struct state *x, const struct state *y)
{
	for (int i = 0; i < x->nslot; i++) {
		const struct slot *l = &x->slot[i], *k;

		if (!is_itab(w, &l->v))
			continue;
		k = same_place(y, l);
		if (!k || !value_same(&k->v, &l->v))
			return false;
	}
	return true;
}

static bool same_itabs(const struct walk *w, const struct state *x, const struct state *y)
{
	for (int r = 0; r < EFFECT_REGS; r++)
		if (!x->from[r] != !y->from[r] ||
		    (x->from[r] && !value_same(&x->reg[r], &y->reg[r])))
			return false;
	return has_slots(w, x, y) && has_slots(w, y, x);
}

static bool merge_slots(struct state *to, const struct state *s)
{
	bool changed = false;

	for (int i = 0; i < to->nslot; i++) {
		struct slot *l = &to->slot[i];
		const struct slot *k = same_place(s, l);
		struct value v = k ? both(to, l->v, s, k->v) : unknown;

		changed |= set_value(&l->v, v);
		if (v.kind == VALUE_ANY)
			to->slot[i--] = to->slot[--to->nslot];
	}
	return changed;
}

static bool merge_facts(struct state *to, const struct state *s)
{
	bool changed = false;

	for (int i = 0; i < to->nfact; i++) {
		struct fact *f = &to->fact[i];
		uint8_t when = f->when;

		f->when |= state_compare(s, (struct value){ VALUE_THING, false, 0, f->thing },
					 f->with, f->size);
		changed |= f->when != when;
		if (f->when == WHEN_ALL)
			to->fact[i--] = to->fact[--to->nfact];
	}
	return changed;
}

static bool merge_flags(struct state *to, const struct state *s)
{
	if (!to->flags.size ||
	    (to->flags.size == s->flags.size && to->flags.rough == s->flags.rough &&
	     value_same(&to->flags.a, &s->flags.a) && value_same(&to->flags.b, &s->flags.b)))
		return false;
	to->flags.size = 0;
	return true;
}

static bool merge(struct state *to, const struct state *s)
{
	/* values first: what is set on both sides is so by the facts of each */
	bool changed = merge_regs(to, s);

	changed |= merge_slots(to, s);
	changed |= merge_flags(to, s);
	changed |= merge_facts(to, s);
	changed |= own_merge(to, s);
	return changed;
}

bool merge_meets(struct walk *w, struct state *s, size_t at)
{
	struct variant *v;
	int n = 0;

	for (v = w->merged[at]; v; v = v->next, n++)
		if (same_itabs(w, &v->s, s)) {
			if (!merge(&v->s, s))
				return false;
			state_copy(s, &v->s);
			return true;
		}
	w->mixed |= n == MAX_VARIANTS;
	/* merging adds nothing: there is room for what is there now */
	v = malloc(offsetof(struct variant, s.slot) + s->nslot * sizeof(s->slot[0]));
	if (!v) {
		w->err = -ENOMEM;
		return false;
	}
	state_copy(&v->s, s);
	v->next = w->merged[at];
	w->merged[at] = v;
	return true;
}

/* A pointer that may be nil, beside an itab. */
static void on_return(struct walk *w, struct state *s, size_t at)
{
	(void)at;
	for (int i = 0; i + 1 < ARCH_ABI_WORDS; i++)
		if (s->from[w->gb->arch->abi[i]])
			w->mixed |= !state_is_set(s, s->reg[w->gb->arch->abi[i + 1]]);
}

int merge_run(struct walk *w)
{
	size_t n = w->code->n;
	int err;

	w->max_steps = STEPS_PER_LINE * n;
	w->merged = calloc(n, sizeof(struct variant *));
	if (!w->merged)
		return -ENOMEM;
	err = walk_run(w);
	walk_deinit(w);
	for (size_t i = 0; i < n; i++)
		for (struct variant *v = w->merged[i], *next; v; v = next) {
			next = v->next;
			free(v);
		}
	free(w->merged);
	w->merged = NULL;
	return err;
}

int merge_look(struct gobin *gb, const struct code *c, const struct itabs *t,
	       struct callees *callees, bool *may)
{
	struct walk w = { .gb = gb,
			  .code = c,
			  .itabs = t,
			  .callees = callees,
			  .end_ns = callees->end_ns,
			  .on_return = on_return };
	int err = merge_run(&w);

	*may = w.mixed || w.blind || w.complex;
	callees->steps += w.steps;
	return err;
}
