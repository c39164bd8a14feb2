/* SPDX-License-Identifier: BSD-2-Clause */
/* One instruction of a path, and what calls do. */
#include "gort/goahead_priv.h"

#include <string.h>

#define MAX_UNKNOWN     4            /* locks taken that are not known and not given back */
#define MAX_TAKEN       4            /* times that a lock is taken and not given back */
#define MAX_MADE        24           /* objects, or records of deferred calls, on a path */
#define MAX_CASES       64           /* of a select */
#define MAX_DEFERS      64           /* of one frame that lead nowhere, in a row */
#define NO_MEMORY       (1ull << 63) /* of the kernel: no process has anything there */
#define DEFER_ROOM      256          /* bytes */
#define NEW_MEMORY      (3ull << 62) /* the same, of what is made on a path */
#define NEW_ROOM        65536
#define RW_READER_COUNT 16 /* sync.RWMutex, 1.18 to 1.27: w, writerSem, readerSem, readerCount */
#define CASE_BYTES      16 /* runtime.scase: c, elem (since 1.16) */
#define LOCK_RW         2  /* in goahead.lock */

/* ---- what is done along a path ---- */

/* Its number; -1: not noted. */
static int note(struct goahead *a, enum goact act, uint64_t object, uint64_t pc)
{
	for (size_t i = 0; i < a->nact; i++)
		if (a->act[i].act == act && a->act[i].object == object)
			return (int)i;
	if (!object || a->nact == GOAHEAD_MAX_ACTS)
		return -1;
	a->act[a->nact] = (struct goahead_act){ .act = act, .object = object, .pc = pc };
	return (int)a->nact++;
}

static void note_register(struct goahead *a, const struct path *p, enum goact act, uint8_t r)
{
	uint64_t object;

	if (path_get(a, p, r, &object))
		note(a, act, object, p->pc);
}

/* NULL: no room, or a lock that nobody waits for. */
static struct count *count_of(struct goahead *a, struct path *p, uint64_t object, bool lock)
{
	if (lock && !a->survey && a->lock.len && !u64map_find(&a->lock, object))
		return NULL;
	for (int i = 0; i < p->ncount; i++)
		if (p->count[i].object == object)
			return &p->count[i];
	if (p->ncount == MAX_COUNTS) {
		p->muddy = true;
		a->gives = true;
		return NULL;
	}
	p->count[p->ncount] = (struct count){ .object = object };
	return &p->count[p->ncount++];
}

void goahead_has(struct path *p, uint64_t lock)
{
	p->count[p->ncount++] = (struct count){ lock, 1, false };
}

/* It takes what it may not have given back: then it is not sure that it had it. */
static void note_taken(struct goahead *a, uint64_t object)
{
	for (int i = 0; i < a->ntaken; i++)
		if (a->taken[i] == object)
			return;
	if (a->ntaken < MAX_RETAKEN)
		a->taken[a->ntaken++] = object;
	else
		a->full = true;
}

/* Locks taken and given back, groups added to and done with: below zero, it was so before. */
static void add_count(struct goahead *a, struct path *p, uint64_t object, int n, enum goact below)
{
	struct count *c = count_of(a, p, object, below == GOACT_UNLOCK);
	int at;

	if (!c)
		return;
	if (n > 0 && below == GOACT_UNLOCK && !c->released)
		note_taken(a, object);
	c->n += n;
	if (c->n > MAX_TAKEN) { /* in a loop, or for reading: how often is not followed */
		c->n = MAX_TAKEN;
		p->muddy = true;
	}
	if (c->n >= 0)
		return;
	c->n = 0;
	a->gives = a->gives || below == GOACT_UNLOCK;
	at = note(a, below, object, p->pc);
	if (at < 0)
		return;
	c->released = true;
	p->gone |= 1ull << at;
	if (!p->muddy && !p->unknown)
		p->released |= 1ull << at;
}

/* A lock, not known which. */
static void add_unknown(struct goahead *a, struct path *p, int n)
{
	p->unknown += n;
	if (p->unknown < 0)
		a->gives = true;
	if (p->unknown > MAX_UNKNOWN) /* taken in a loop */
		p->muddy = true;
	if (p->muddy || p->unknown < 0)
		p->unknown = 0;
}

static void do_select(struct goahead *a, struct path *p)
{
	uint64_t cases, sends, receives, c;

	if (!path_get(a, p, ARG0, &cases) || !path_get(a, p, ARG3, &sends) ||
	    !path_get(a, p, ARG4, &receives) || sends > MAX_CASES || receives > MAX_CASES)
		return;
	for (uint64_t i = 0; i < sends + receives; i++)
		if (path_load(a, p, cases + CASE_BYTES * i, 8, &c))
			note(a, i < sends ? GOACT_SEND : GOACT_RECEIVE, c, p->pc);
}

static void do_add(struct goahead *a, struct path *p)
{
	uint64_t group, delta;

	if (path_get(a, p, ARG0, &group) && path_get(a, p, ARG1, &delta) &&
	    (int64_t)delta > -1000 && (int64_t)delta < 1000)
		add_count(a, p, group, (int)(int64_t)delta, GOACT_DONE);
}

/*
 * What the inlined fast paths of Lock, TryLock, Unlock, RLock and RUnlock do to the
 * first word of a Mutex or the reader count of an RWMutex.  Nobody else does so
 * to memory that somebody waits for as a lock; of other memory it means nothing.
 */
static void do_lock(struct goahead *a, struct path *p, const struct effect *e)
{
	bool takes = e->kind == EFFECT_COMPARE_EXCHANGE;
	const uint64_t *rw;
	uint64_t lock, n = 0;

	if (e->dst.kind != OPERAND_MEM || e->dst.size != 4 ||
	    (!takes && !path_value(a, p, &e->src, &n)))
		return;
	if (!path_address(a, p, &e->dst, &lock)) {
		add_unknown(a, p, takes || (int32_t)n > 0 ? 1 : -1);
		return;
	}
	rw = u64map_find(&a->lock, lock - RW_READER_COUNT);
	if (rw && *rw == LOCK_RW) {
		lock -= RW_READER_COUNT;
		takes = takes || (int32_t)n > 0;
	}
	if (takes || (int32_t)n < 0)
		add_count(a, p, lock, takes ? 1 : -1, GOACT_UNLOCK);
}

static void skip_call(struct goahead *a, struct path *p, uint64_t next)
{
	path_soften(a, p, false);
	p->known &= 1u << EFFECT_SP | 1u << EFFECT_FP;
	p->firm &= p->known;
	p->flag_known = false;
	p->pc = next;
}

static bool push(struct path *p, bool known, bool firm, uint64_t v)
{
	if (!(p->known >> EFFECT_SP & 1))
		return false;
	p->reg[EFFECT_SP] -= 8;
	return path_store_word(p, p->reg[EFFECT_SP], known, firm, v);
}

static bool pop(struct goahead *a, struct path *p, uint64_t *v)
{
	uint64_t sp = p->reg[EFFECT_SP];

	if (!(p->known >> EFFECT_SP & 1))
		return false;
	p->reg[EFFECT_SP] += 8;
	return path_load(a, p, sp, 8, v);
}

static bool enter(struct path *p, uint64_t to, uint64_t back)
{
	if (!push(p, true, true, back))
		return false;
	p->back[p->depth++] = back;
	p->pc = to;
	return true;
}

/*
 * runtime.deferproc and deferprocStack: a deferred call in a record, the caller's
 * or one of the heap, here at an address that no memory has.  Of a record sp, pc
 * and fn follow one another (runtime2.go, _defer, since 1.18).  False: no room.
 */
static bool do_defer(struct goahead *a, struct path *p, bool made, uint64_t next)
{
	int32_t off_fn = go_off(a->rt, LAYOUT_DEFER_FN),
		off_link = go_off(a->rt, LAYOUT_DEFER_LINK);
	uint64_t fn = 0, d = NO_MEMORY + DEFER_ROOM * p->ndefer;
	bool known = path_get(a, p, ARG0, made ? &d : &fn);

	if ((made && !known) || off_fn < 16 || off_link < 0 || p->ndefer == MAX_MADE)
		return false;
	p->ndefer++;
	if ((!made && !path_store_word(p, d + (uint64_t)off_fn, known, true, fn)) ||
	    !path_store_word(p, d + (uint64_t)off_fn - 16, true, true, p->reg[EFFECT_SP]) ||
	    !path_store_word(p, d + (uint64_t)off_link, true, true, p->next_defer))
		return false;
	p->next_defer = d;
	path_set(p, ARG0, false, false, 0); /* the record may be on the stack: it stays as it is */
	skip_call(a, p, next);
	path_set(p, ARG0, true, true, 0); /* not 1: no panic has been recovered */
	return true;
}

/* The function in a record of a deferred call; false: it is not this frame's, or *lost is set. */
static bool next_deferred(struct goahead *a, struct path *p, uint64_t *fn, bool *lost)
{
	int32_t off_fn = go_off(a->rt, LAYOUT_DEFER_FN),
		off_link = go_off(a->rt, LAYOUT_DEFER_LINK);
	uint64_t d = p->next_defer, sp;

	if (!d)
		return false;
	*lost = off_fn < 16 || off_link < 0 || !path_load(a, p, d + (uint64_t)off_fn - 16, 8, &sp);
	if (*lost || sp != p->reg[EFFECT_SP])
		return false;
	*lost = !path_load(a, p, d + (uint64_t)off_link, 8, &p->next_defer) ||
		!path_load(a, p, d + (uint64_t)off_fn, 8, fn);
	return !*lost;
}

/* runtime.deferreturn: the deferred calls of this frame, one after the other; records of inner frames come first. */
static bool do_deferred(struct goahead *a, struct path *p, uint64_t next)
{
	uint64_t fn, code, back = p->pc;
	bool lost = false;

	for (int n = 0; n < MAX_DEFERS && next_deferred(a, p, &fn, &lost); n++) {
		if (!path_load(a, p, fn, 8, &code) || goahead_callee(a, code) == CALL_UNKNOWN ||
		    p->depth >= MAX_DEPTH) {
			p->muddy = true;
			continue;
		}
		if (goahead_callee(a, code) != CALL_STEP)
			continue;
		skip_call(a, p, back); /* it comes back here for the next one */
		path_set(p, CLOSURE, true, false, fn);
		return enter(p, code, back);
	}
	p->muddy = p->muddy || lost;
	skip_call(a, p, next);
	return true;
}

/* It takes the lock, or finds it taken. */
static void do_try_lock(struct goahead *a, struct path *p, uint64_t next)
{
	struct path *fails = a->npath < MAX_PATHS ? &a->path[a->npath] : NULL;
	uint64_t object;

	if (fails) {
		a->npath++;
		*fails = *p;
		skip_call(a, fails, next);
		path_set(fails, ARG0, true, true, 0);
	} else {
		a->full = true;
	}
	if (path_get(a, p, ARG0, &object))
		add_count(a, p, object, 1, GOACT_UNLOCK);
	else
		add_unknown(a, p, 1);
	skip_call(a, p, next);
	path_set(p, ARG0, true, true, 1);
}

static void do_sync(struct goahead *a, struct path *p, enum callee c)
{
	int n = c == CALL_LOCK ? 1 : -1;
	uint64_t object;

	if (path_get(a, p, ARG0, &object))
		add_count(a, p, object, n, c == CALL_DONE ? GOACT_DONE : GOACT_UNLOCK);
	else if (c != CALL_DONE)
		add_unknown(a, p, n);
}

/* A call of who knows what: the user's may take any lock. */
static void do_unknown(struct goahead *a, struct path *p)
{
	struct gofunc fn;
	struct goframe f;

	path_soften(a, p, true);
	if (!pclntab_find_pc(a->rt->gb->pcln, p->pc - a->rt->bias, &fn)) {
		f = (struct goframe){ .function = fn.name };
		p->muddy = p->muddy || !goframe_is_std(&f);
	}
}

static bool call(struct goahead *a, struct path *p, bool known, uint64_t to, uint64_t next)
{
	enum callee c = known ? goahead_callee(a, to) : CALL_UNKNOWN;

	switch (c) {
	case CALL_END:
		p->end = PATH_PANICS;
		return false;
	case CALL_STEP:
		if (p->depth < MAX_DEPTH)
			return enter(p, to, next);
		do_unknown(a, p);
		break;
	case CALL_UNKNOWN:
		do_unknown(a, p);
		break;
	case CALL_SEND:
		note_register(a, p, GOACT_SEND, ARG0);
		break;
	case CALL_RECEIVE:
		note_register(a, p, GOACT_RECEIVE, ARG0);
		break;
	case CALL_RECEIVE_2ND:
		note_register(a, p, GOACT_RECEIVE, ARG1);
		break;
	case CALL_CLOSE:
		note_register(a, p, GOACT_CLOSE, ARG0);
		break;
	case CALL_SELECT:
		do_select(a, p);
		break;
	case CALL_ADD:
		do_add(a, p);
		break;
	case CALL_DEFER:
	case CALL_DEFER_RECORD:
		return do_defer(a, p, c == CALL_DEFER_RECORD, next);
	case CALL_DEFERRED:
		return do_deferred(a, p, next);
	case CALL_TRY_LOCK:
		do_try_lock(a, p, next);
		return true;
	case CALL_LOCK:
	case CALL_UNLOCK:
	case CALL_DONE:
		do_sync(a, p, c);
		break;
	case CALL_NEW:
		skip_call(a, p, next);
		if (p->nnew < MAX_MADE)
			path_set(p, ARG0, true, true, NEW_MEMORY + NEW_ROOM * p->nnew++);
		return true;
	case CALL_SKIP:
		break;
	}
	skip_call(a, p, next);
	return true;
}

/* ---- one instruction ---- */

static void set_equal(const struct goahead *a, struct path *p, bool known, uint64_t v, uint8_t size)
{
	p->flag_known = known;
	p->flag_firm = !a->soft;
	p->equal = known && !path_masked(v, size);
}

static bool compute(struct goahead *a, struct path *p, const struct effect *e)
{
	uint64_t x = 0, y = 0, v;
	bool known = path_value(a, p, &e->dst, &x), src = path_value(a, p, &e->src, &y);

	known = known && src;
	v = e->kind == EFFECT_ADD                             ? x + y
	    : e->kind == EFFECT_AND || e->kind == EFFECT_TEST ? (x & y)
	    : e->kind == EFFECT_OR                            ? (x | y)
							      : x - y;
	set_equal(a, p, known, v, e->dst.size);
	if (e->kind == EFFECT_COMPARE || e->kind == EFFECT_TEST)
		return true;
	return path_assign(a, p, &e->dst, known, v);
}

static bool other(struct goahead *a, struct path *p, const struct effect *e)
{
	for (uint8_t r = 0; r < EFFECT_REGS; r++)
		if (e->written >> r & 1)
			path_set(p, r, false, false, 0);
	if (e->flags)
		p->flag_known = false;
	return e->dst.kind != OPERAND_MEM || path_assign(a, p, &e->dst, false, 0);
}

/* Changes registers and memory; false: the path ends. */
static bool apply(struct goahead *a, struct path *p, const struct effect *e)
{
	uint64_t v = 0;
	bool known;

	switch (e->kind) {
	case EFFECT_MOVE:
		known = path_value(a, p, &e->src, &v);
		return path_assign(a, p, &e->dst, known, v);
	case EFFECT_ADDRESS:
		known = path_address(a, p, &e->src, &v);
		return path_assign(a, p, &e->dst, known, v);
	case EFFECT_PUSH:
		known = path_value(a, p, &e->src, &v);
		return push(p, known, !a->soft, v);
	case EFFECT_POP:
		known = pop(a, p, &v);
		return path_assign(a, p, &e->dst, known, v);
	case EFFECT_ADD:
	case EFFECT_SUB:
	case EFFECT_AND:
	case EFFECT_OR:
	case EFFECT_COMPARE:
	case EFFECT_TEST:
		return compute(a, p, e);
	case EFFECT_EXCHANGE_ADD:
	case EFFECT_COMPARE_EXCHANGE:
		do_lock(a, p, e);
		break;
	case EFFECT_SET:
	case EFFECT_MOVE_IF:
	case EFFECT_OTHER:
		break;
	}
	return other(a, p, e);
}

static void branch_to(struct goahead *a, const struct path *p, uint64_t pc)
{
	if (a->npath == MAX_PATHS) {
		a->full = true;
		return;
	}
	a->path[a->npath] = *p;
	a->path[a->npath++].pc = pc;
}

/* Both ways, unless one of them is out of the question. */
static void take_branch(struct goahead *a, struct path *p, const struct effect *e, uint64_t next)
{
	uint64_t target = e->target + a->rt->bias;

	if (!a->survey && p->flag_known && p->flag_firm && (e->if_equal || e->if_unequal)) {
		p->pc = p->equal == e->if_equal ? target : next;
	} else if (goahead_is_barrier(a, target)) {
		p->pc = next;
	} else if (goahead_is_barrier(a, next)) {
		p->pc = target;
	} else {
		branch_to(a, p, target);
		p->pc = next;
	}
}

/* Into the caller; false: that was the last one that is of interest. */
static bool leave(struct goahead *a, struct path *p)
{
	struct gofunc fn;

	if (!pop(a, p, &p->pc))
		return false;
	if (p->depth) {
		p->depth--;
		return true;
	}
	/* the runtime's own frames are those of a panic, or the end */
	return p->reg[EFFECT_SP] < a->user_top && go_in_text(a->rt, p->pc) &&
	       !pclntab_find_pc(a->rt->gb->pcln, p->pc - a->rt->bias, &fn) &&
	       strncmp(fn.name, "runtime.", sizeof("runtime.") - 1) != 0;
}

bool goahead_step(struct goahead *a, struct path *p)
{
	const struct effect *e = goahead_op(a, p->pc);
	uint64_t next, v;
	bool known;

	p->end = PATH_ENDS;
	a->soft = false;
	if (!e)
		return false;
	next = p->pc + e->len;
	switch (e->flow) {
	case FLOW_NEXT:
		if (!apply(a, p, e))
			return false;
		p->pc = next;
		return true;
	case FLOW_JMP:
		if (!goahead_arrive(a, p))
			return false;
		p->pc = e->target + a->rt->bias;
		return true;
	case FLOW_JCC:
		if (!goahead_arrive(a, p))
			return false;
		take_branch(a, p, e, next);
		return true;
	case FLOW_CALL:
		return call(a, p, true, e->target + a->rt->bias, next);
	case FLOW_CALL_INDIRECT:
		known = path_value(a, p, &e->src, &v);
		return call(a, p, known, v, next);
	case FLOW_JMP_INDIRECT:
		return path_value(a, p, &e->src, &p->pc);
	case FLOW_RET:
		return leave(a, p);
	case FLOW_TRAP:
		p->end = PATH_PANICS;
		break;
	}
	return false;
}
