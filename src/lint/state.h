/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is known of registers and memory at a point of a path through a function.
 *
 * A value is a number, an address in the function's own frame, or something unknown that has
 * an identity: what one instruction brought.  Facts say how such values compare.
 */
#ifndef GOSPECT_LINT_STATE_H
#define GOSPECT_LINT_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/effect.h"

enum value_kind {
	VALUE_ANY,    /* nothing is known */
	VALUE_SET,    /* not zero */
	VALUE_NUMBER, /* n; addresses of static data, as linked, too */
	VALUE_FRAME,  /* address n bytes above the return address's */
	VALUE_THING   /* unknown, but the same wherever the same n is */
};

struct value {
	uint8_t kind;
	/* It may have been changed through a pointer: believed where that leaves paths out,
	 * and nothing is concluded from it otherwise. */
	bool shaky;
	uint32_t origin; /* index + 1 of the instruction that made the number; 0: not known */
	int64_t n;
};

/* n of a THING: what instruction `at` brought, word `w` of it. */
#define THING(at, w) (((int64_t)(at) << 8) | (w))
#define THING_AT(n)  ((size_t)((n) >> 8))
#define THING_W(n)   ((int)((n)&0xff))
enum { WORD_CALL = 0, WORD_LOAD = 16, WORD_OTHER = 32 };
/* What the function was given, by register: instruction numbers are below. */
#define THING_GIVEN 0x10000000
#define GIVEN(r)    THING(THING_GIVEN, r)

struct slot {
	/* NUMBER: absolute; FRAME: in the frame; THING: behind what it points to */
	struct value base;
	int64_t off;
	uint8_t size;
	struct value v;
};

struct fact {
	int64_t thing;
	struct value with; /* a NUMBER or another THING */
	uint8_t size;      /* bytes that are compared */
	uint8_t when;      /* which of WHEN_… are possible */
};

/* An object that only this function has (lint/own.h). */
struct own {
	int64_t thing;   /* its address */
	uint64_t stored; /* one bit for each word: something that is not 0 may be there */
};

enum { STATE_SLOTS = 160, STATE_FACTS = 64, STATE_OWN = 8 };

struct state {
	struct value reg[EFFECT_REGS];
	uint32_t from[EFFECT_REGS]; /* index + 1 of what set it, where it is an itab of interest */
	uint16_t nslot, nfact, nown;
	struct own own[STATE_OWN];
	/* The last comparison: a with b; none: size 0. */
	struct {
		struct value a, b;
		uint8_t size;
		bool rough; /* of a sum with 0: only equality is right */
	} flags;
	int32_t branch; /* the last one that could have gone another way; -1: none */
	bool lost;      /* something had to be forgotten: the path may be impossible */
	/* The instruction under way may have been on this path before: what it brought then may be
	 * somewhere.  far: no instruction from this one on has been; no part of what is known. */
	bool again;
	uint32_t far;
	struct fact fact[STATE_FACTS]; /* of these two only those that are there are copied */
	struct slot slot[STATE_SLOTS]; /* last: of what waits the rest has no room */
};

void state_begin(struct state *s);
void state_copy(struct state *to, const struct state *from);
uint64_t state_hash(const struct state *s, uint16_t live, size_t at);

static inline struct value value_number(int64_t n)
{
	return (struct value){ VALUE_NUMBER, false, 0, n };
}
static inline struct value value_thing(size_t at, int w)
{
	return (struct value){ VALUE_THING, false, 0, THING(at, w) };
}
static inline bool value_same(const struct value *a, const struct value *b)
{
	return a->kind == b->kind && a->n == b->n;
}

/* Which of WHEN_… may hold between a and b, as far as the state knows; 0: it contradicts
 * itself, and the path cannot be taken. */
uint8_t state_compare(const struct state *s, struct value a, struct value b, uint8_t size);
/* From now on only these of them. */
void state_assume(struct state *s, struct value a, struct value b, uint8_t size, uint8_t when);
/* Whether it is known not to be nil. */
bool state_is_set(const struct state *s, struct value v);

/* Where a memory operand is: false, when its base is not known. */
bool state_place(const struct state *s, const struct operand *o, struct value *base, int64_t *off);
/* The slot with just this place; NULL. */
struct slot *state_slot(struct state *s, struct value base, int64_t off, uint8_t size);
/* What is there from now on. */
void state_store(struct state *s, struct value base, int64_t off, uint8_t size, struct value v);
/* Forgets what is there. */
void state_clobber(struct state *s, struct value base, int64_t off, int64_t size);
/* Forgets all memory that is not the frame's. */
void state_forget_heap(struct state *s);
/* Something that has no identity any more, because the instruction brings another. */
void state_renew(struct state *s, int64_t thing);
/* The same of all words that a call brings. */
void state_renew_call(struct state *s, size_t at);
/* Forgets what is not live at a line, and what is known of things that are nowhere any more;
 * keep_given: but not of what the function was given. */
struct code;
void state_trim(struct state *s, const struct code *c, size_t at, bool keep_given);
/* Forgets more than may be forgotten: all facts, and with much what is in memory, too. */
void state_widen(struct state *s, bool much);

#endif
