/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Objects on the heap that a function has made and nobody else knows yet: what is stored in
 * them is what this function stores.  For walks where paths become one (lint/merge.h).
 */
#ifndef GOSPECT_LINT_OWN_H
#define GOSPECT_LINT_OWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lint/state.h"

struct callee;
struct step;
struct walk;

struct own_rules {
	/* Before each instruction that stores to memory, and before each call. */
	void (*at_store)(struct walk *w, const struct state *s, size_t at);
	void (*at_call)(struct walk *w, const struct state *s, size_t at);
	/* Whether the first result of the call is such an object; it is zero but for what follows. */
	bool (*made)(struct walk *w, const struct state *s, size_t at);
	/* Whether the call changes nothing of an object that it is given, and keeps it from others. */
	bool (*leaves)(struct walk *w, size_t at);
};

/* NULL: it is none, or somebody may have it. */
const struct own *own_find(const struct state *s, struct value v);
/* Before an instruction that is no call. */
void own_step(struct step *t);
/* Before something is copied to RDI. */
void own_fill(struct step *t);
/* Before a call, after it: `made` is what own_made() said before. */
void own_call(struct step *t, const struct callee *callee);
bool own_made(struct step *t);
void own_called(struct step *t, bool made);
/* Of two states what is true of both; whether `to` has changed. */
bool own_merge(struct state *to, const struct state *s);

#endif
