/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * goahead.c follows paths, goahead_code.c knows what an instruction and a called
 * function are, goahead_values.c what registers and memory hold on a path.
 */
#ifndef GOSPECT_GORT_GOAHEAD_PRIV_H
#define GOSPECT_GORT_GOAHEAD_PRIV_H

#include "arch/effect.h"
#include "base/map.h"
#include "gort/goahead.h"
#include "gort/goruntime_priv.h"

#define STACK_BYTES (32u << 10) /* of one stack; above, word by word */
#define MAX_PATHS   192         /* not yet followed; beyond: left out */
#define MAX_WORDS   96          /* written on a path; more: the path ends */
#define MAX_COUNTS  12          /* locks and groups used on a path */
#define MAX_OPS     (1u << 17)  /* instructions remembered; beyond: forgotten and learned anew */

/* amd64: arguments in rax, rbx, rcx, rdi, rsi (abi-internal.md); rdx: the closure */
enum { ARG0 = 0, ARG1 = 3, ARG3 = 7, ARG4 = 6, CLOSURE = 2 };

enum callee {
	CALL_SKIP = 1,
	CALL_END,
	CALL_STEP,
	CALL_SEND,
	CALL_RECEIVE,
	CALL_RECEIVE_2ND,
	CALL_CLOSE,
	CALL_SELECT,
	CALL_LOCK,
	CALL_UNLOCK,
	CALL_ADD,
	CALL_DONE,
	CALL_DEFER,
	CALL_DEFER_RECORD,
	CALL_DEFERRED
};

struct word {
	uint64_t addr, value;
	bool known;
};
struct count {
	uint64_t object;
	int n;
};

/* One path through the code. */
struct path {
	uint64_t pc; /* run-time */
	uint64_t reg[EFFECT_REGS];
	uint32_t known; /* bit per register */
	bool flag_known, equal;
	int depth;           /* of calls followed */
	uint64_t next_defer; /* record; 0: none */
	uint64_t ndefer;     /* records made on this path */
	struct word word[MAX_WORDS];
	int nword;
	struct count count[MAX_COUNTS];
	int ncount;
};

struct goahead {
	struct goruntime *rt;
	struct u64map at, callee, visits;
	struct u64map rw;  /* RWMutexes that somebody waits for */
	struct effect *op; /* owned */
	size_t nop, op_cap;
	/* of the goroutine looked at */
	uint64_t base; /* of stack[] */
	size_t len;
	uint8_t stack[STACK_BYTES];
	int steps, reads;
	uint64_t left_out;
	long steps_all;
	struct path path[MAX_PATHS];
	int npath;
	struct goahead_act act[GOAHEAD_MAX_ACTS];
	size_t nact;
};

/* ---- goahead_code.c ---- */

/* The instruction at a run-time pc; NULL: none that can be followed. */
const struct effect *goahead_op(struct goahead *a, uint64_t pc);
/* What the function at a run-time pc is there for. */
enum callee goahead_callee(struct goahead *a, uint64_t pc);

/* ---- goahead_values.c: false where a value is not known, or there is no room ---- */

uint64_t path_masked(uint64_t v, uint8_t size);
bool goahead_read_word(struct goahead *a, uint64_t addr, uint64_t *out);
bool path_load(struct goahead *a, struct path *p, uint64_t addr, uint8_t size, uint64_t *out);
bool path_store_word(struct path *p, uint64_t addr, bool known, uint64_t value);
bool path_get(const struct path *p, uint8_t r, uint64_t *out);
void path_set(struct path *p, uint8_t r, bool known, uint64_t v);
bool path_address(const struct goahead *a, const struct path *p, const struct operand *o,
		  uint64_t *out);
bool path_value(struct goahead *a, struct path *p, const struct operand *o, uint64_t *out);
bool path_assign(struct goahead *a, struct path *p, const struct operand *o, bool known,
		 uint64_t v);

#endif
