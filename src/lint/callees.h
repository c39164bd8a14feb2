/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What called functions do, as far as a caller wants to know it: those of the runtime by name,
 * others by walking them.  Everything is found out when it is asked for, and remembered.
 */
#ifndef GOSPECT_LINT_CALLEES_H
#define GOSPECT_LINT_CALLEES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"
#include "lint/walk.h"

enum callee_kind {
	CALLEE_PLAIN,
	CALLEE_ALLOCATES,     /* its first word is never nil */
	CALLEE_NEVER_RETURNS, /* panics, exits */
	CALLEE_BARRIER,       /* of the collector: it keeps all registers but one */
	CALLEE_AS,            /* errors.As: what its target points to is set, when it is true */
	CALLEE_FILLS          /* duffzero, duffcopy: memory at RDI, other registers stay */
};

enum { OUTCOME_FACTS = 8, MAX_OUTCOMES = 24 };

/* One way in which a function returns. */
struct outcome {
	uint8_t to_zero[ARCH_ABI_WORDS]; /* mask of WHEN_…: how the word may compare with 0 */
	bool is_number[ARCH_ABI_WORDS], is_nil[ARCH_ABI_WORDS]; /* nil: it is certain */
	int64_t number[ARCH_ABI_WORDS];
	struct {
		uint8_t word, size, when; /* an argument, and how it then compares … */
		int64_t with;             /* … with this */
	} fact[OUTCOME_FACTS];
	int nfact;
	bool vague; /* more is known than there is room for */
};

struct callee {
	enum callee_kind kind;
	int32_t args_size; /* bytes of the caller's frame that are its */
	enum { SUMMARY_NONE, SUMMARY_UNDER_WAY, SUMMARY_UNKNOWN, SUMMARY_KNOWN } summary;
	struct outcome *outcome; /* owned */
	int noutcome;
};

struct callees {
	struct gobin *gb;
	struct u64map by_addr;
	struct callee **callee; /* owned */
	size_t n, cap;
	int depth;
	size_t room;     /* outcomes that may still be remembered */
	uint64_t end_ns; /* as walk.h has it */
	uint64_t steps;  /* of all walks */
};

void callees_init(struct callees *c, struct gobin *gb, uint64_t end_ns);
void callees_deinit(struct callees *c);
/* The function that is called there; NULL: not known, as all are of code without a table. */
const struct callee *callees_get(struct callees *c, uint64_t addr);
/* Whether a value is none of a call's, or of one that is known to return nil. */
bool callees_known_nil(struct walk *w, struct value v);
bool callees_never_nil(struct callees *c, uint64_t addr, int word);
/*
 * Whether the call that word `word` of thing `call` came from can have returned nil there: with
 * these arguments, and with what the state knows of its other words.
 */
bool callees_can_be_nil(struct walk *w, struct state *s, size_t call, int word);

#endif
