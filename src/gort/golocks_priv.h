/* SPDX-License-Identifier: BSD-2-Clause */
/* golocks.c finds who waits for what, golocks_held.c who holds it. */
#ifndef GOSPECT_GORT_GOLOCKS_PRIV_H
#define GOSPECT_GORT_GOLOCKS_PRIV_H

#include "gort/golocks.h"
#include "gort/goruntime_priv.h"

#define STACK_BYTES (32u << 10)
#define MAX_FRAMES  48
#define MAX_CODE    (64u << 10)
#define MAX_SITES   64
#define MAX_CHAIN   24

enum call { CALL_NONE, CALL_LOCK, CALL_RLOCK, CALL_WLOCK, CALL_UNLOCK, CALL_WAIT };

struct frame {
	uint64_t pc, sp; /* link-time pc; run-time address of the frame's first word */
	int32_t size;
	int32_t reach; /* its words, with the arguments that its caller has room for */
};

struct stack {
	struct frame frame[MAX_FRAMES];
	int n;
	uint64_t base;
	size_t len;
	uint8_t bytes[STACK_BYTES];
};

/* A call of Lock or Unlock in a function's code, by the line of the function. */
struct site {
	int line;
	bool unlock;
	uint64_t global; /* link-time address of the lock, where the code names it; 0 */
};

struct code {
	uint64_t entry;
	struct site site[MAX_SITES];
	int n;
};

struct reading {
	struct goruntime *rt;
	const struct gowalk *w;
	struct golocks *l;
	uint8_t kind[256]; /* of each wait reason */
	struct stack stack;
	struct code code; /* of the function looked at last */
	uint64_t *lock;   /* owned: those that somebody waits for, ascending */
	size_t nlock;
	uint8_t text[MAX_CODE];
};

/* The word at a run-time address that lies in the bytes of the stack. */
uint64_t golocks_word(const struct stack *s, uint64_t addr);
/* What a call of that function does. */
enum call golocks_call_of(const char *function);
/* Lists the locks that somebody waits for: 0 or -ENOMEM. */
int golocks_list(struct reading *r);
/* Fills w->held from its frames, from number `from` up. */
void golocks_find_held(struct reading *r, struct golock_waiter *w, int from);

#endif
