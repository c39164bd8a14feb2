/* SPDX-License-Identifier: BSD-2-Clause */
#include "lint/returns.h"

#include <string.h>

#include "gobin/gobin.h"
#include "lint/merge.h"

enum { MAX_STEPS = 200000, MAX_STATES = 40 }; /* in one function; where paths meet */

static void note_healthy(struct returns *r, uint32_t origin)
{
	for (int i = 0; i < r->nhealthy; i++)
		if (r->healthy[i] == origin)
			return;
	if (r->nhealthy < MAX_RETURNS)
		r->healthy[r->nhealthy++] = origin;
}

static void note(struct returns *r, const struct nil_return *c)
{
	for (int i = 0; i < r->n; i++)
		if (r->nil[i].from == c->from && r->nil[i].origin == c->origin &&
		    (r->nil[i].call < 0) == (c->call < 0))
			return;
	if (r->n == MAX_RETURNS)
		r->complex = true;
	else
		r->nil[r->n++] = *c;
}

static void on_return(struct walk *w, struct state *st, size_t at)
{
	struct returns *r = w->arg;

	for (int i = 0; i + 1 < ARCH_ABI_WORDS; i++) {
		uint8_t reg = w->gb->arch->abi[i];
		struct value type = st->reg[reg], data = st->reg[w->gb->arch->abi[i + 1]];
		struct nil_return c = { .branch = st->branch, .call = -1, .itab = type.n };

		if (!st->from[reg] || !type.origin)
			continue;
		c.from = st->from[reg] - 1;
		c.origin = type.origin - 1;
		c.at = (uint32_t)at;
		if (data.kind == VALUE_NUMBER && !data.n && !data.shaky) {
			if (st->lost)
				r->complex = true;
			else
				note(r, &c);
			continue;
		}
		note_healthy(r, c.origin);
		if (data.kind != VALUE_THING || data.shaky || THING_AT(data.n) >= w->code->n ||
		    THING_W(data.n) >= WORD_LOAD ||
		    !(state_compare(st, data, value_number(0), 8) & WHEN_EQUAL) ||
		    !callees_can_be_nil(w, st, THING_AT(data.n), THING_W(data.n)))
			continue;
		c.call = (int32_t)THING_AT(data.n);
		if (st->lost) /* what would rule it out may be what was forgotten */
			r->complex = true;
		else
			note(r, &c);
	}
}

/* What is left once it is known what else is done with each itab. */
static void judge(struct returns *r, const struct walk *w)
{
	int n = 0;

	for (int i = 0; i < r->n; i++) {
		struct nil_return k = r->nil[i];

		if (w->used[k.from])
			continue;
		k.always = true;
		for (int h = 0; h < r->nhealthy; h++)
			k.always &= r->healthy[h] != k.origin;
		r->nil[n++] = k;
	}
	r->n = n;
}

int returns_find(struct returns *r, struct gobin *gb, const struct code *c, const struct itabs *t,
		 struct callees *callees)
{
	struct walk w = { .gb = gb,
			  .code = c,
			  .itabs = t,
			  .callees = callees,
			  .max_steps = MAX_STEPS,
			  .max_states = MAX_STATES,
			  .end_ns = callees->end_ns,
			  .on_return = on_return,
			  .arg = r };
	bool may;
	int err;

	memset(r, 0, sizeof(*r));
	err = merge_look(gb, c, t, callees, &may);
	if (err || !may)
		return err;
	err = walk_run(&w);
	r->complex |= w.complex;
	r->blind = w.blind;
	r->steps = w.steps;
	if (r->complex || err)
		r->n = 0;
	else
		judge(r, &w);
	walk_deinit(&w);
	return err;
}
