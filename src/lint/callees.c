/* SPDX-License-Identifier: BSD-2-Clause */
#include "lint/callees.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "gobin/gobin.h"

enum {
	MAX_CALLEES = 1 << 19,
	MAX_REMEMBERED = 100000, /* outcomes of all: some 40 MB */
	MAX_DEPTH = 4,           /* of callees in callees */
	MAX_STEPS = 20000,       /* in one */
	MAX_STATES = 24,         /* in one, where paths meet */
	MAX_BYTES = 16 << 10,    /* of one */
	FLAG_ASSEMBLY = 4
};

static bool begins(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

/* Allocators, by their names in 1.18 to 1.27. */
static bool allocates(const char *name)
{
	static const char *const names[] = { "newobject", "mallocgc", "makeslice", "makechan",
					     "makemap",   "convT",    "newarray" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (begins(name, names[i]))
			return true;
	return false;
}

/*
 * Those that end the program or the goroutine.  Fatal and Panic by their last word: loggers
 * have them, and what follows was not meant to be reached.
 */
static bool never_returns(const char *name)
{
	const char *last = strrchr(name, '.');

	last = last ? last + 1 : name;
	if (begins(name, "runtime."))
		return begins(last, "panic") || begins(last, "goPanic") ||
		       !strcmp(last, "gopanic") || !strcmp(last, "throw") ||
		       begins(last, "fatal") || begins(last, "morestack") ||
		       !strcmp(last, "Goexit") || !strcmp(last, "sigpanic") ||
		       !strcmp(last, "block");
	return begins(last, "Fatal") || begins(last, "Panic") || !strcmp(last, "Exit") ||
	       !strcmp(last, "FailNow") || !strcmp(last, "SkipNow");
}

static enum callee_kind kind_of(const char *name)
{
	static const char runtime[] = "runtime.";

	if (never_returns(name))
		return CALLEE_NEVER_RETURNS;
	if (begins(name, "gcWriteBarrier"))
		return CALLEE_BARRIER;
	if (!strcmp(name, "errors.As") || !strcmp(name, "golang.org/x/xerrors.As"))
		return CALLEE_AS;
	if (!begins(name, runtime))
		return CALLEE_PLAIN;
	name += sizeof(runtime) - 1;
	if (begins(name, "gcWriteBarrier"))
		return CALLEE_BARRIER;
	if (begins(name, "duff"))
		return CALLEE_FILLS;
	return allocates(name) ? CALLEE_ALLOCATES : CALLEE_PLAIN;
}

void callees_init(struct callees *c, struct gobin *gb, uint64_t end_ns)
{
	memset(c, 0, sizeof(*c));
	c->gb = gb;
	c->end_ns = end_ns;
	c->room = MAX_REMEMBERED;
	u64map_init(&c->by_addr, MAX_CALLEES);
}

void callees_deinit(struct callees *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->callee[i]->outcome);
		free(c->callee[i]);
	}
	free(c->callee);
	u64map_deinit(&c->by_addr);
}

static struct callee *get(struct callees *c, uint64_t addr)
{
	const uint64_t *i = u64map_find(&c->by_addr, addr);
	struct callee *callee;
	struct gofunc f;

	if (i)
		return c->callee[*i];
	if (!c->gb->pcln || pclntab_find_pc(c->gb->pcln, addr, &f) ||
	    array_room(&c->callee, c->n, &c->cap, sizeof(*c->callee)))
		return NULL;
	callee = calloc(1, sizeof(*callee));
	if (!callee || !u64map_put(&c->by_addr, addr, c->n, NULL)) {
		free(callee);
		return NULL;
	}
	callee->kind = kind_of(f.name);
	callee->args_size = f.args_size;
	if (f.entry != addr || f.flag & FLAG_ASSEMBLY || f.end - f.entry > MAX_BYTES)
		callee->summary = SUMMARY_UNKNOWN;
	return c->callee[c->n++] = callee;
}

const struct callee *callees_get(struct callees *c, uint64_t addr)
{
	return get(c, addr);
}

/* ---- how a function returns ---- */

static int word_of(const struct arch *arch, int reg)
{
	for (int i = 0; i < ARCH_ABI_WORDS; i++)
		if (arch->abi[i] == reg)
			return i;
	return -1;
}

static void take_facts(struct outcome *o, const struct walk *w, const struct state *s)
{
	for (int i = 0; i < s->nfact; i++) {
		const struct fact *f = &s->fact[i];
		int word = word_of(w->gb->arch, THING_W(f->thing));

		if (THING_AT(f->thing) != THING_GIVEN || word < 0 || f->with.kind != VALUE_NUMBER)
			continue;
		if (o->nfact == OUTCOME_FACTS) {
			o->vague = true;
			return;
		}
		o->fact[o->nfact].word = (uint8_t)word;
		o->fact[o->nfact].size = f->size;
		o->fact[o->nfact].when = f->when;
		o->fact[o->nfact++].with = f->with.n;
	}
}

static void add_outcome(struct walk *w, struct state *s, size_t at)
{
	struct callee *c = w->arg;
	struct outcome o;

	(void)at;
	memset(&o, 0, sizeof(o)); /* padding too: outcomes are compared as bytes */
	for (int i = 0; i < ARCH_ABI_WORDS; i++) {
		struct value v = s->reg[w->gb->arch->abi[i]];

		o.to_zero[i] = walk_compare_zero(w, s, v);
		o.is_number[i] = v.kind == VALUE_NUMBER && !v.shaky;
		o.number[i] = o.is_number[i] ? v.n : 0;
		o.is_nil[i] = o.is_number[i] && !v.n && !s->lost;
	}
	take_facts(&o, w, s);
	o.vague |= s->lost;
	for (int i = 0; i < c->noutcome; i++)
		if (!memcmp(&c->outcome[i], &o, sizeof(o)))
			return;
	if (c->noutcome == MAX_OUTCOMES) {
		w->complex = true;
		return;
	}
	c->outcome[c->noutcome++] = o;
}

static void summarize(struct callees *c, struct callee *callee, uint64_t addr)
{
	struct walk w = { .gb = c->gb,
			  .callees = c,
			  .max_steps = MAX_STEPS,
			  .max_states = MAX_STATES,
			  .end_ns = c->end_ns };
	struct gofunc f;
	struct code code;

	callee->summary = SUMMARY_UNKNOWN;
	if (pclntab_find_pc(c->gb->pcln, addr, &f) || code_read(&code, c->gb, &f, NULL))
		return;
	callee->summary = SUMMARY_UNDER_WAY;
	callee->outcome = calloc(MAX_OUTCOMES, sizeof(*callee->outcome));
	w.code = &code;
	w.on_return = add_outcome;
	w.arg = callee;
	c->depth++;
	if (callee->outcome && !walk_run(&w) && !w.complex && !w.blind &&
	    (size_t)callee->noutcome <= c->room)
		callee->summary = SUMMARY_KNOWN;
	c->depth--;
	c->steps += w.steps;
	walk_deinit(&w);
	code_deinit(&code);
	if (callee->summary == SUMMARY_KNOWN) {
		struct outcome *less = realloc(callee->outcome, ((size_t)callee->noutcome + 1) *
									sizeof(*callee->outcome));

		callee->outcome = less ? less : callee->outcome;
		c->room -= (size_t)callee->noutcome;
	} else {
		free(callee->outcome);
		callee->outcome = NULL;
		callee->noutcome = 0;
		callee->summary = SUMMARY_UNKNOWN;
	}
}

static const struct callee *known(struct callees *c, uint64_t addr)
{
	struct callee *callee = get(c, addr);

	if (!callee || callee->kind != CALLEE_PLAIN)
		return NULL;
	if (callee->summary == SUMMARY_NONE && c->depth < MAX_DEPTH)
		summarize(c, callee, addr);
	return callee->summary == SUMMARY_KNOWN ? callee : NULL;
}

static bool never_nil(const struct callee *callee, int word)
{
	for (int i = 0; i < callee->noutcome; i++)
		if (callee->outcome[i].to_zero[word] & WHEN_EQUAL)
			return false;
	return callee->noutcome > 0;
}

/* Whether nothing had to be forgotten to say that it may be nil. */
static bool is_known_nil(const struct callee *callee, int word)
{
	for (int i = 0; i < callee->noutcome; i++)
		if (!callee->outcome[i].vague && callee->outcome[i].to_zero[word] & WHEN_EQUAL)
			return true;
	return false;
}

bool callees_never_nil(struct callees *c, uint64_t addr, int word)
{
	const struct callee *callee = known(c, addr);

	return callee && never_nil(callee, word);
}

/* Whether the state at the return has nothing against it. */
static bool agrees(const struct state *s, size_t call, int word, const struct outcome *o)
{
	static const uint8_t sizes[] = { 1, 4, 8 };

	for (int i = 0; i < ARCH_ABI_WORDS; i++) {
		struct value v = value_thing(call, WORD_CALL + i);

		if (i == word)
			continue;
		if (!(state_compare(s, v, value_number(0), 8) & o->to_zero[i]))
			return false;
		for (size_t k = 0; o->is_number[i] && k < ARRAY_SIZE(sizes); k++)
			if (!(state_compare(s, v, value_number(o->number[i]), sizes[k]) &
			      WHEN_EQUAL))
				return false;
	}
	return true;
}

bool callees_known_nil(struct walk *w, struct value v)
{
	const struct line *l;
	const struct callee *callee;

	if (v.kind != VALUE_THING || THING_AT(v.n) >= w->code->n || THING_W(v.n) >= WORD_LOAD)
		return true;
	l = &w->code->line[THING_AT(v.n)];
	callee = l->e.flow == FLOW_CALL ? known(w->callees, l->e.target) : NULL;
	return callee && is_known_nil(callee, THING_W(v.n));
}

/* How an argument may compare with 0.  What a called function returns that is not known to
 * return nil is taken for something. */
static uint8_t argument_to_zero(struct walk *w, const struct call_args *a, int word)
{
	const struct value *v = &a->v[word];
	uint8_t when = a->to_zero[word];

	if (!callees_known_nil(w, *v))
		when &= WHEN_ALL & ~WHEN_EQUAL;
	return when;
}

/* Whether the arguments have nothing against it. */
static bool is_allowed(struct walk *w, const struct call_args *a, const struct outcome *o)
{
	static const struct state nothing;

	for (int i = 0; i < o->nfact; i++) {
		const struct value *v = &a->v[o->fact[i].word];
		uint8_t when = WHEN_ALL;

		if (v->kind == VALUE_NUMBER)
			when = state_compare(&nothing, *v, value_number(o->fact[i].with),
					     o->fact[i].size);
		else if (!o->fact[i].with && o->fact[i].size == 8)
			when = argument_to_zero(w, a, o->fact[i].word);
		if (!(when & o->fact[i].when))
			return false;
	}
	return true;
}

bool callees_can_be_nil(struct walk *w, struct state *s, size_t call, int word)
{
	const struct line *l = &w->code->line[call];
	const struct callee *callee =
		l->e.flow == FLOW_CALL ? known(w->callees, l->e.target) : NULL;

	if (!callee || !w->args[call])
		return false;
	for (int i = 0; i < callee->noutcome; i++) {
		const struct outcome *o = &callee->outcome[i];

		if (o->is_nil[word] && !o->vague && agrees(s, call, word, o) &&
		    is_allowed(w, w->args[call], o))
			return true;
	}
	return false;
}
