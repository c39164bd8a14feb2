/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * goahead.c finds where to begin and follows paths, goahead_step.c takes one
 * step of one, goahead_states.c brings paths together and says what is sure,
 * goahead_code.c knows what an instruction and a called function are,
 * goahead_values.c what registers and memory hold on a path.
 *
 * A value is firm when nobody but this goroutine can change it: what its own
 * stack holds, and what follows from that.  Only firm values decide branches;
 * others may be different by the time it goes on, and only say which lock,
 * channel or function is meant.
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
#define MAX_DEPTH   8           /* calls that are followed */
#define MAX_OPS     (1u << 17)  /* instructions remembered; beyond: forgotten and learned anew */
#define MAX_NODES   4096        /* branches in different states, of one goroutine */
#define MAX_EDGES   16384
#define MAX_RETAKEN 32
#define MAX_STD     8

/* amd64: arguments in rax, rbx, rcx, rdi, rsi (abi-internal.md); rdx: the closure */
enum { ARG0 = 0, ARG1 = 3, ARG3 = 7, ARG4 = 6, CLOSURE = 2 };

enum callee {
	CALL_UNKNOWN = 1,
	CALL_SKIP, /* the standard library's: takes no lock that it does not give back */
	CALL_END,
	CALL_STEP,
	CALL_SEND,
	CALL_RECEIVE,
	CALL_RECEIVE_2ND,
	CALL_CLOSE,
	CALL_SELECT,
	CALL_LOCK,
	CALL_TRY_LOCK,
	CALL_UNLOCK,
	CALL_ADD,
	CALL_DONE,
	CALL_DEFER,
	CALL_DEFER_RECORD,
	CALL_DEFERRED,
	CALL_NEW
};

struct word {
	uint64_t addr, value;
	bool known, firm;
};
struct count {
	uint64_t object;
	int n;
	bool released; /* below zero: what it had before has been given back */
};

enum path_end {
	PATH_GOES_ON,
	PATH_ENDS,   /* the goroutine does, or what can be known of it */
	PATH_PANICS, /* nothing follows from that */
	PATH_JOINS   /* another path that has been here in this state */
};

/* One path through the code. */
struct path {
	uint64_t pc; /* run-time */
	uint64_t reg[EFFECT_REGS];
	uint32_t known, firm; /* bit per register */
	bool flag_known, flag_firm, equal;
	bool soft_stack; /* its stack may have been changed by a function that is not followed */
	bool muddy;      /* what it has called may have taken any lock */
	int unknown;     /* locks taken of which it is not known which, and not given back */
	enum path_end end;
	int depth; /* of calls followed */
	uint64_t back[MAX_DEPTH];
	uint64_t next_defer;   /* record; 0: none */
	uint64_t ndefer, nnew; /* records and objects made on this path */
	uint64_t released;     /* bit per act: for sure, */
	uint64_t gone;         /* or if no function that is not followed has taken it before */
	int node;              /* where it was last */
	struct count count[MAX_COUNTS];
	int ncount;
	struct word word[MAX_WORDS];
	int nword;
};

/* A branch in a state, or an end. */
struct node {
	uint64_t released, gone;
	enum path_end end;
	int state; /* in state[]; of an end none */
};
struct edge {
	uint16_t from, to;
};

struct goahead {
	struct goruntime *rt;
	struct u64map at, callee;
	struct u64map lock; /* that somebody waits for: 1, of an RWMutex 2 */
	struct {
		const char *path; /* with the dot behind it; of pclntab */
		size_t len;
	} std[MAX_STD]; /* packages of the standard library that wait for one of their own */
	int nstd;
	bool all_std;      /* too many */
	bool survey;       /* which locks does not matter, and no value decides */
	bool gives;        /* of a survey: it gives back a lock, perhaps */
	struct effect *op; /* owned */
	size_t nop, op_cap;
	/* of the goroutine looked at */
	uint64_t base, top; /* of stack[]; its highest address */
	size_t len;
	uint8_t stack[STACK_BYTES];
	uint64_t preempt_pc; /* run-time; 0: not looked for yet */
	bool torn;           /* its stack has no end */
	uint64_t user_top;   /* above the outermost frame that is looked at */
	bool soft;           /* a value that the instruction uses is not firm */
	int steps, reads;
	uint64_t left_out;
	long steps_all, max_all;
	struct path path[MAX_PATHS];
	int npath;
	struct u64map node_at; /* state -> number in node[] */
	struct node node[MAX_NODES];
	int nnode;
	struct edge edge[MAX_EDGES];
	int nedge;
	struct path *state; /* owned */
	size_t nstate, state_cap;
	uint64_t taken[MAX_RETAKEN]; /* locks that a path takes that has not given them back */
	int ntaken;
	bool full; /* no room for nodes, edges, locks taken: nothing is sure */
	struct goahead_act act[GOAHEAD_MAX_ACTS];
	size_t nact;
};

/* ---- goahead_code.c ---- */

/* The instruction at a run-time pc; NULL: none that can be followed. */
const struct effect *goahead_op(struct goahead *a, uint64_t pc);
/* What the function at a run-time pc is there for. */
enum callee goahead_callee(struct goahead *a, uint64_t pc);
/* Whether what begins there only tells the collector of a pointer that is written. */
bool goahead_is_barrier(struct goahead *a, uint64_t pc);

/* ---- goahead_values.c: false where a value is not known, or there is no room ---- */

uint64_t path_masked(uint64_t v, uint8_t size);
bool goahead_read_word(struct goahead *a, uint64_t addr, uint64_t *out);
bool path_load(struct goahead *a, struct path *p, uint64_t addr, uint8_t size, uint64_t *out);
bool path_store_word(struct path *p, uint64_t addr, bool known, bool firm, uint64_t value);
bool path_get(struct goahead *a, const struct path *p, uint8_t r, uint64_t *out);
void path_set(struct path *p, uint8_t r, bool known, bool firm, uint64_t v);
bool path_address(struct goahead *a, const struct path *p, const struct operand *o, uint64_t *out);
bool path_value(struct goahead *a, struct path *p, const struct operand *o, uint64_t *out);
/* As firm as what a->soft says. */
bool path_assign(struct goahead *a, struct path *p, const struct operand *o, bool known,
		 uint64_t v);
/* A function that is not followed has been given an address in the stack, perhaps. */
void path_soften(struct goahead *a, struct path *p, bool closure);

/* ---- goahead_step.c ---- */

/* The next instruction; false: the path has ended, p->end says how. */
bool goahead_step(struct goahead *a, struct path *p);
/* It has that lock without having taken it. */
void goahead_has(struct path *p, uint64_t lock);

/* ---- goahead_states.c ---- */

void goahead_clear(struct goahead *a);
/* At a branch; false: another path has been here in the same state. */
bool goahead_arrive(struct goahead *a, struct path *p);
void goahead_ends(struct goahead *a, const struct path *p);
/* Marks the acts that are sure, once all paths are followed. */
void goahead_judge(struct goahead *a);

#endif
