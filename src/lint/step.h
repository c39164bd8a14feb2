/* SPDX-License-Identifier: BSD-2-Clause */
/* One instruction on a path: what step.c and flow.c share. */
#ifndef GOSPECT_LINT_STEP_H
#define GOSPECT_LINT_STEP_H

#include "lint/walk.h"

enum { REG_DI = 7 };

static const struct value any = { VALUE_ANY, false, 0, 0 };
static const uint8_t not_equal = WHEN_ALL & ~WHEN_EQUAL;

/* The step under way. */
struct step {
	struct walk *w;
	struct state *s;
	size_t at;
	const struct effect *e;
};

void step_set_reg(struct step *t, uint8_t r, struct value v);
/* Something new that is not known: word w of what this instruction brings. */
struct value step_thing(struct step *t, int w);
/* A number that this instruction makes. */
struct value step_number(struct step *t, int64_t n);
struct value step_value_of(struct step *t, const struct operand *o);
void step_assign(struct step *t, const struct operand *o, struct value v);
/* Something may have been written to so many bytes of the frame. */
void step_shake(struct state *s, int64_t off, int64_t size);
/* … to the variables whose address is taken. */
void step_shake_taken(struct step *t);
/* A register is read: an itab in it is not only returned. */
void step_use(struct step *t, uint8_t r);
/* Something is written to memory at RDI. */
void step_fill(struct step *t);

/* What these do; the next line, or -1. */
long step_conditional_value(struct step *t);
long step_branch(struct step *t);
long step_call(struct step *t);
long step_jump_by_table(struct step *t);

#endif
