/* SPDX-License-Identifier: BSD-2-Clause */
#include "lint/state.h"

#include <string.h>

#include "base/map.h"
#include "lint/code.h"

#define WHEN_NOT_EQUAL (WHEN_ALL & ~WHEN_EQUAL)

void state_begin(struct state *s)
{
	memset(s, 0, sizeof(*s));
	for (int r = 0; r < EFFECT_REGS; r++)
		s->reg[r] = (struct value){ VALUE_THING, false, 0, GIVEN(r) };
	s->reg[EFFECT_SP] = (struct value){ VALUE_FRAME, false, 0, 0 };
	s->branch = -1;
}

void state_copy(struct state *to, const struct state *from)
{
	memcpy(to, from, offsetof(struct state, fact) + from->nfact * sizeof(from->fact[0]));
	memcpy(to->slot, from->slot, from->nslot * sizeof(from->slot[0]));
}

static inline uint64_t mix(uint64_t h, uint64_t x)
{
	h = (h ^ x) * 0x9e3779b97f4a7c15u;
	return h ^ h >> 29;
}

static inline uint64_t mix_value(uint64_t h, const struct value *v)
{
	return mix(h, (uint64_t)v->n << 4 ^ (uint64_t)v->n >> 60 ^ (uint64_t)v->kind << 1 ^
			      (uint64_t)v->shaky);
}

/* The order of slots and facts is no part of it. */
uint64_t state_hash(const struct state *s, uint16_t live, size_t at)
{
	uint64_t h = mix(at + 1, s->lost), sum = 0;

	for (int r = 0; r < EFFECT_REGS; r++)
		if (live >> r & 1)
			h = mix(mix_value(h + (uint64_t)r, &s->reg[r]), s->from[r]);
	for (int i = 0; i < s->nslot; i++) {
		const struct slot *l = &s->slot[i];

		sum += mix_value(mix_value(mix(7, (uint64_t)l->off << 8 | l->size), &l->base),
				 &l->v);
	}
	for (int i = 0; i < s->nfact; i++) {
		const struct fact *f = &s->fact[i];

		sum += mix_value(mix(mix(11, (uint64_t)f->thing), (uint64_t)f->size << 8 | f->when),
				 &f->with);
	}
	if (s->flags.size) {
		h = mix_value(h + s->flags.size, &s->flags.a);
		h = mix_value(h + s->flags.rough, &s->flags.b);
	}
	return hash_u64(h ^ sum);
}

/* ---- comparisons ---- */

static int64_t truncated(int64_t n, uint8_t size)
{
	return size == 1 ? (int8_t)n : size == 2 ? (int16_t)n : size == 4 ? (int32_t)n : n;
}

static uint8_t compare_numbers(int64_t a, int64_t b, uint8_t size)
{
	a = truncated(a, size);
	b = truncated(b, size);
	if (a == b)
		return WHEN_EQUAL;
	if (a < b)
		return (uint64_t)a < (uint64_t)b ? WHEN_LESS_BELOW : WHEN_LESS_ABOVE;
	return (uint64_t)a < (uint64_t)b ? WHEN_GREATER_BELOW : WHEN_GREATER_ABOVE;
}

static uint8_t mirrored(uint8_t when)
{
	return (uint8_t)((when & WHEN_EQUAL) | (when & WHEN_LESS_BELOW ? WHEN_GREATER_ABOVE : 0) |
			 (when & WHEN_LESS_ABOVE ? WHEN_GREATER_BELOW : 0) |
			 (when & WHEN_GREATER_BELOW ? WHEN_LESS_ABOVE : 0) |
			 (when & WHEN_GREATER_ABOVE ? WHEN_LESS_BELOW : 0));
}

/* x compares with c as `when` says: how it may compare with b. */
static uint8_t implied(uint8_t when, int64_t c, int64_t b, uint8_t size)
{
	uint8_t cb = compare_numbers(c, b, size), out = 0;

	if (cb == WHEN_EQUAL)
		return when;
	for (int i = 0; i < 5; i++) {
		uint8_t one = (uint8_t)(when & 1u << i), s = WHEN_ALL, u = WHEN_ALL;

		if (!one)
			continue;
		if (one == WHEN_EQUAL) {
			out |= cb;
			continue;
		}
		if (one & WHEN_LESS && cb & WHEN_LESS)
			s = WHEN_LESS;
		else if (!(one & WHEN_LESS) && !(cb & WHEN_LESS))
			s = WHEN_GREATER_BELOW | WHEN_GREATER_ABOVE;
		if (one & WHEN_BELOW && cb & WHEN_BELOW)
			u = WHEN_BELOW;
		else if (!(one & WHEN_BELOW) && !(cb & WHEN_BELOW))
			u = WHEN_ABOVE;
		out |= s & u;
	}
	return out;
}

static bool is_swapped(const struct value *a, const struct value *b)
{
	return b->kind == VALUE_THING && (a->kind != VALUE_THING || a->n > b->n);
}

static uint8_t compare_thing(const struct state *s, const struct value *a, const struct value *b,
			     uint8_t size)
{
	uint8_t when = WHEN_ALL;

	/* nothing is below 0 */
	if (b->kind == VALUE_NUMBER && !truncated(b->n, size))
		when = WHEN_EQUAL | WHEN_ABOVE;
	for (int i = 0; i < s->nfact; i++) {
		const struct fact *f = &s->fact[i];

		if (f->thing != a->n || f->size != size)
			continue;
		if (value_same(&f->with, b))
			when &= f->when;
		else if (f->with.kind == VALUE_NUMBER && b->kind == VALUE_NUMBER)
			when &= implied(f->when, f->with.n, b->n, size);
	}
	return when;
}

uint8_t state_compare(const struct state *s, struct value a, struct value b, uint8_t size)
{
	if (a.kind == VALUE_ANY || b.kind == VALUE_ANY)
		return WHEN_ALL;
	if (value_same(&a, &b) && a.kind != VALUE_SET)
		return WHEN_EQUAL;
	if (a.kind == VALUE_NUMBER && b.kind == VALUE_NUMBER)
		return compare_numbers(a.n, b.n, size);
	if (is_swapped(&a, &b))
		return mirrored(state_compare(s, b, a, size));
	if (a.kind == VALUE_THING)
		return compare_thing(s, &a, &b, size);
	if (b.kind == VALUE_NUMBER && !b.n && size == 8)
		return WHEN_ABOVE; /* an address, or SET */
	if (a.kind == VALUE_NUMBER && !a.n && size == 8)
		return mirrored(WHEN_ABOVE);
	return WHEN_ALL;
}

void state_assume(struct state *s, struct value a, struct value b, uint8_t size, uint8_t when)
{
	if (is_swapped(&a, &b)) {
		state_assume(s, b, a, size, mirrored(when));
		return;
	}
	if (a.kind != VALUE_THING || (b.kind != VALUE_NUMBER && b.kind != VALUE_THING))
		return;
	a.shaky = b.shaky = false;
	when &= compare_thing(s, &a, &b, size);
	for (int i = 0; i < s->nfact; i++) {
		struct fact *f = &s->fact[i];

		if (f->thing == a.n && f->size == size && value_same(&f->with, &b)) {
			f->when = when;
			return;
		}
	}
	if (when == WHEN_ALL)
		return;
	if (s->nfact == STATE_FACTS) {
		s->lost = true;
		return;
	}
	s->fact[s->nfact++] = (struct fact){ a.n, b, size, when };
}

bool state_is_set(const struct state *s, struct value v)
{
	return !(state_compare(s, v, value_number(0), 8) & WHEN_EQUAL);
}

/* ---- memory ---- */

bool state_place(const struct state *s, const struct operand *o, struct value *base, int64_t *off)
{
	if (o->kind != OPERAND_MEM || o->index != EFFECT_NO_REG)
		return false;
	*off = o->value;
	if (o->reg == EFFECT_PC) {
		*base = value_number(0);
		return true;
	}
	if (o->reg >= EFFECT_REGS)
		return false;
	*base = s->reg[o->reg];
	base->shaky = false;
	if (base->kind != VALUE_FRAME && base->kind != VALUE_NUMBER && base->kind != VALUE_THING)
		return false;
	if (base->kind != VALUE_THING) {
		*off += base->n;
		base->n = 0;
	}
	return true;
}

struct slot *state_slot(struct state *s, struct value base, int64_t off, uint8_t size)
{
	for (int i = 0; i < s->nslot; i++) {
		struct slot *l = &s->slot[i];

		if (l->off == off && value_same(&l->base, &base) &&
		    (l->size == size || (l->size > size && l->v.kind == VALUE_NUMBER)))
			return l;
	}
	return NULL;
}

static void drop_slot(struct state *s, int i)
{
	s->slot[i] = s->slot[--s->nslot];
}

void state_clobber(struct state *s, struct value base, int64_t off, int64_t size)
{
	for (int i = 0; i < s->nslot; i++) {
		const struct slot *l = &s->slot[i];

		if (value_same(&l->base, &base) && l->off < off + size && off < l->off + l->size)
			drop_slot(s, i--);
	}
}

static void forget_others(struct state *s, const struct value *base)
{
	for (int i = 0; i < s->nslot; i++) {
		const struct slot *l = &s->slot[i];

		if (l->base.kind == VALUE_FRAME || value_same(&l->base, base))
			continue;
		/* two statics, or a static and the heap, are never one */
		if (l->base.kind == VALUE_THING && base->kind == VALUE_THING)
			drop_slot(s, i--);
	}
}

void state_store(struct state *s, struct value base, int64_t off, uint8_t size, struct value v)
{
	if (base.kind == VALUE_THING)
		forget_others(s, &base);
	state_clobber(s, base, off, size);
	if (v.kind == VALUE_ANY)
		return;
	if (s->nslot == STATE_SLOTS) {
		s->lost = true;
		return;
	}
	s->slot[s->nslot++] = (struct slot){ base, off, size, v };
}

void state_forget_heap(struct state *s)
{
	for (int i = 0; i < s->nslot; i++)
		if (s->slot[i].base.kind != VALUE_FRAME)
			drop_slot(s, i--);
}

static void renew_value(struct value *v, int64_t thing, bool is_set)
{
	if (v->kind == VALUE_THING && v->n == thing)
		*v = (struct value){ is_set ? VALUE_SET : VALUE_ANY, false, 0, 0 };
}

void state_renew(struct state *s, int64_t thing)
{
	bool is_set = state_is_set(s, (struct value){ VALUE_THING, false, 0, thing });

	for (int r = 0; r < EFFECT_REGS; r++)
		renew_value(&s->reg[r], thing, is_set);
	for (int i = 0; i < s->nslot; i++) {
		struct slot *l = &s->slot[i];

		renew_value(&l->v, thing, is_set);
		if (l->v.kind == VALUE_ANY || (l->base.kind == VALUE_THING && l->base.n == thing))
			drop_slot(s, i--);
	}
	for (int i = 0; i < s->nfact; i++)
		if (s->fact[i].thing == thing ||
		    (s->fact[i].with.kind == VALUE_THING && s->fact[i].with.n == thing))
			s->fact[i--] = s->fact[--s->nfact];
	renew_value(&s->flags.a, thing, is_set);
	renew_value(&s->flags.b, thing, is_set);
}

static bool is_of_call(const struct value *v, size_t at)
{
	return v->kind == VALUE_THING && THING_AT(v->n) == at && THING_W(v->n) < WORD_LOAD;
}

void state_renew_call(struct state *s, size_t at)
{
	uint32_t words = 0; /* that are somewhere */

	for (int i = 0; i < s->nslot; i++) {
		if (is_of_call(&s->slot[i].v, at))
			words |= 1u << THING_W(s->slot[i].v.n);
		if (is_of_call(&s->slot[i].base, at))
			words |= 1u << THING_W(s->slot[i].base.n);
	}
	for (int r = 0; r < EFFECT_REGS; r++)
		if (is_of_call(&s->reg[r], at))
			words |= 1u << THING_W(s->reg[r].n);
	for (int i = 0; i < s->nfact; i++) {
		const struct fact *f = &s->fact[i];
		struct value v = { VALUE_THING, false, 0, f->thing };

		if (is_of_call(&v, at))
			words |= 1u << THING_W(f->thing);
		if (is_of_call(&f->with, at))
			words |= 1u << THING_W(f->with.n);
	}
	for (int w = 0; words >> w; w++)
		if (words >> w & 1)
			state_renew(s, THING(at, w));
}

/* ---- what is nowhere any more ---- */

/* Words of one call belong together: what is known of one says something of the others. */
static int64_t kin(int64_t thing)
{
	return THING_AT(thing) != THING_GIVEN && THING_W(thing) < WORD_LOAD
		       ? THING(THING_AT(thing), 0)
		       : thing;
}

/* The things that are somewhere, as a filter of 256 bits: what it lacks is nowhere. */
struct filter {
	uint64_t bit[4];
};

static void add_to(struct filter *f, const struct value *v)
{
	uint64_t h;

	if (v->kind != VALUE_THING)
		return;
	h = mix(0, (uint64_t)kin(v->n));
	f->bit[h >> 62] |= 1ull << (h >> 56 & 63);
}

static bool is_in(const struct filter *f, int64_t thing)
{
	uint64_t h = mix(0, (uint64_t)kin(thing));

	return f->bit[h >> 62] >> (h >> 56 & 63) & 1;
}

static struct filter things_of(const struct state *s)
{
	struct filter f = { { 0 } };

	for (int r = 0; r < EFFECT_REGS; r++)
		add_to(&f, &s->reg[r]);
	for (int i = 0; i < s->nslot; i++)
		add_to(&f, &s->slot[i].v);
	if (s->flags.size) {
		add_to(&f, &s->flags.a);
		add_to(&f, &s->flags.b);
	}
	return f;
}

void state_trim(struct state *s, const struct code *c, size_t at, bool keep_given)
{
	const struct line *l = &c->line[at];
	struct filter there;
	int nslot;

	if (!l->flags)
		s->flags.size = 0;
	for (int r = 0; r < EFFECT_REGS; r++)
		if (!(l->live >> r & 1) && r != EFFECT_SP) {
			s->reg[r] = (struct value){ VALUE_ANY, false, 0, 0 };
			s->from[r] = 0;
		}
	for (int i = 0; i < s->nslot; i++)
		if (s->slot[i].base.kind == VALUE_FRAME && !code_is_live(c, at, s->slot[i].off))
			drop_slot(s, i--);
	there = things_of(s);
	nslot = s->nslot;
	for (int i = 0; i < s->nslot; i++)
		if (s->slot[i].base.kind == VALUE_THING && !is_in(&there, s->slot[i].base.n))
			drop_slot(s, i--);
	if (s->nslot < nslot)
		there = things_of(s);
	for (int i = 0; i < s->nfact; i++) {
		const struct fact *f = &s->fact[i];

		if (keep_given && THING_AT(f->thing) == THING_GIVEN)
			continue;
		if (!is_in(&there, f->thing) ||
		    (f->with.kind == VALUE_THING && !is_in(&there, f->with.n)))
			s->fact[i--] = s->fact[--s->nfact];
	}
}

void state_widen(struct state *s, bool much)
{
	s->lost = true;
	s->nfact = 0;
	state_forget_heap(s);
	if (!much)
		return;
	s->nslot = 0;
	for (int r = 0; r < EFFECT_REGS; r++)
		if (r != EFFECT_SP && !s->from[r])
			s->reg[r] = (struct value){ VALUE_ANY, false, 0, 0 };
	s->flags.size = 0;
}
