/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the code of an executable touches its variables, and what the pointers in them lead
 * to: one pass over the functions, following addresses through registers as far as jumps
 * forward.  Knows the file alone; private to src/race.
 *
 * All addresses are link-time.
 */
#ifndef GOSPECT_RACE_ACCESSES_H
#define GOSPECT_RACE_ACCESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gobin;

/* One instruction on at most 8 bytes, all in one aligned word. */
struct access {
	uint64_t addr; /* of the variable that is touched, or, with via, that holds the pointer */
	uint64_t text_addr; /* of the instruction */
	uint32_t off;       /* behind the pointer, with via */
	uint32_t func;      /* index in the function table */
	uint8_t size;       /* bytes */
	uint8_t does;       /* mask of ACCESS_… */
	bool via;
	bool init;    /* the function runs before main.main, once */
	bool barrier; /* not the program's: the old value is read for the collector */
};

/* A call that is given a variable's address, or a pointer out of one. */
struct handed {
	uint64_t target; /* the function */
	uint64_t addr;   /* of the variable */
	uint32_t off;    /* added to the pointer, with via; else 0 */
	uint8_t reg;     /* in which it is given */
	bool via;
	bool init; /* by a function that runs before main.main */
	uint8_t depth;
};

#define ACCESSES_MAX (1u << 20) /* more are counted as dropped */

struct accesses {
	struct access *a; /* owned */
	size_t n, cap;
	uint64_t *owned; /* owned: variables that point to a map or a channel, in order */
	size_t nowned, owned_cap;
	struct handed *handed; /* owned */
	size_t nhanded, handed_cap;
	uint64_t functions, instructions; /* decoded */
	uint64_t dropped;                 /* accesses, and functions that do not decode */
};

/* Adds to the accesses those of functions that variables are handed to, as receivers are.  0 or
 * -ENOMEM. */
int accesses_follow_handed(struct accesses *l, struct gobin *gb);
/* Puts one more in; 0 or -ENOMEM.  Those beyond a maximum are counted as dropped. */
int accesses_add(struct accesses *l, const struct access *a);
int accesses_add_handed(struct accesses *l, const struct handed *h);
int accesses_add_owned(struct accesses *l, uint64_t addr);
/* Whether the runtime takes a map or a channel there. */
bool accesses_is_owner(const char *function);
/* "main.init", "main.init.0", "main.map.init.0". */
bool accesses_is_init(const char *function);
/* 0, -EOPNOTSUPP: not an architecture that is decoded; -ENOMEM.  Deinit in any case. */
int accesses_find(struct accesses *l, struct gobin *gb);
void accesses_deinit(struct accesses *l);
/* Whether a function is not looked into: the runtime's, what orders accesses (sync), reflect, and
 * what compilers and linkers make. */
bool accesses_leave_out(const char *function);
/* Whether what the variable at addr points to is the runtime's. */
bool accesses_is_owned(const struct accesses *l, uint64_t addr);

#endif
