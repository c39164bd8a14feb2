/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What locks a function takes, and where they lie beside what it touches: one walk over its
 * code, that gives each pointer a name and follows it through registers and the stack.  Good
 * enough to know where to look, and for no more: whether a lock is held is seen in memory.
 * Knows the file alone; private to src/race.
 */
#ifndef GOSPECT_RACE_LOCK_WALK_H
#define GOSPECT_RACE_LOCK_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/decode.h"

struct gobin;

#define LOCK_TOKENS 256 /* pointers that are told apart; of more nothing is known */
#define LOCK_OPS    16  /* of a function */

enum token_kind {
	TOKEN_ADDRESS /* nothing but an address: of a variable */,
	TOKEN_ENTRY,
	TOKEN_LOAD
};

struct token {
	uint8_t kind;
	uint16_t parent; /* LOAD: loaded from what it points to, + off */
	int64_t off;     /* ADDRESS: 0; ENTRY: of a register, its number */
};

/* A pointer plus some bytes; token 0: unknown. */
struct named {
	uint16_t token;
	int64_t off;
};

struct lock_op {
	struct named at; /* the lock itself: a Mutex's state, an RWMutex's readerCount */
	bool rw;
	bool sure;          /* a function of package sync is called, or inlined */
	uint64_t text_addr; /* of the instruction */
};

struct lock_walk {
	struct token token[LOCK_TOKENS];
	uint16_t ntoken;
	struct lock_op op[LOCK_OPS];
	int nop;
	bool orders;  /* it has other means of order: channels, wait groups, a compare-and-swap of
		       * its own, locks beyond LOCK_OPS */
	bool atomics; /* … or stores and adds atomically, which most often only counts */
	struct named at;                  /* what the instruction that ends at text_end touches */
	struct named arg[ARCH_ABI_WORDS]; /* what a call that ends there is given */
};

struct insn_access;

/* Who wants to hear of all that the function touches through a pointer, and whom it calls. */
struct walk_listener {
	void (*touched)(void *arg, uint64_t text_addr, const struct insn_access *a,
			struct named at);
	void (*called)(void *arg, uint64_t target, const struct lock_walk *w); /* with w->arg */
	void *arg;
};

/* The function around text_end: behind the access, or behind the call, that is asked for.
 * 0 or -errno: nothing of it is known. */
int lock_walk(struct lock_walk *w, struct gobin *gb, uint64_t text_end);
/* All of the function at a link-time address. */
int lock_walk_all(struct lock_walk *w, struct gobin *gb, uint64_t entry,
		  const struct walk_listener *listener);

#endif
