/* SPDX-License-Identifier: BSD-2-Clause */
#include "gort/goahead_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "gort/gostack.h"

#define MAX_STEPS       20000   /* instructions of one goroutine */
#define MAX_STEPS_ALL   4000000 /* of all: half a second */
#define MAX_VISITS      3       /* of one branch in one frame */
#define MAX_DEPTH       6       /* calls that are followed */
#define MAX_CASES       64      /* of a select */
#define MAX_FRAMES      24      /* from gopark down to who waits */
#define MAX_DEFERS      64      /* of one frame that lead nowhere, in a row */
#define MAX_RW          65536
#define NO_MEMORY       (1ull << 63) /* of the kernel: no process has anything there */
#define DEFER_ROOM      256          /* bytes */
#define RW_READER_COUNT 16 /* sync.RWMutex, 1.18 to 1.27: w, writerSem, readerSem, readerCount */
#define CASE_BYTES      16 /* runtime.scase: c, elem (since 1.16) */

struct goahead *goahead_new(struct goruntime *rt)
{
	struct goahead *a = rt->gb->arch && rt->gb->arch->effect ? calloc(1, sizeof(*a)) : NULL;

	if (!a)
		return NULL;
	a->rt = rt;
	u64map_init(&a->at, 2 * MAX_OPS);
	u64map_init(&a->callee, 1u << 16);
	u64map_init(&a->visits, 4 * MAX_STEPS);
	u64map_init(&a->rw, MAX_RW);
	return a;
}

void goahead_free(struct goahead *a)
{
	if (!a)
		return;
	u64map_deinit(&a->at);
	u64map_deinit(&a->callee);
	u64map_deinit(&a->visits);
	u64map_deinit(&a->rw);
	free(a->op);
	free(a);
}

int goahead_add_rw(struct goahead *a, uint64_t lock)
{
	return u64map_put(&a->rw, lock, 1, NULL) ? 0 : -ENOMEM;
}

uint64_t goahead_left_out(const struct goahead *a)
{
	return a->left_out;
}

/* ---- what is done along a path ---- */

static void note(struct goahead *a, enum goact act, uint64_t object, uint64_t pc)
{
	for (size_t i = 0; i < a->nact; i++)
		if (a->act[i].act == act && a->act[i].object == object)
			return;
	if (object && a->nact < GOAHEAD_MAX_ACTS)
		a->act[a->nact++] = (struct goahead_act){ act, object, pc };
}

static void note_register(struct goahead *a, const struct path *p, enum goact act, uint8_t r)
{
	uint64_t object;

	if (path_get(p, r, &object))
		note(a, act, object, p->pc);
}

/* Locks taken and given back, groups added to and done with: below zero, it was so before. */
static void add_count(struct goahead *a, struct path *p, uint64_t object, int n, enum goact below)
{
	struct count *c = NULL;

	for (int i = 0; i < p->ncount; i++)
		if (p->count[i].object == object)
			c = &p->count[i];
	if (!c && p->ncount == MAX_COUNTS)
		return;
	if (!c) {
		c = &p->count[p->ncount++];
		*c = (struct count){ object, 0 };
	}
	c->n += n;
	if (c->n >= 0)
		return;
	c->n = 0;
	note(a, below, object, p->pc);
}

static void do_select(struct goahead *a, struct path *p)
{
	uint64_t cases, sends, receives, c;

	if (!path_get(p, ARG0, &cases) || !path_get(p, ARG3, &sends) ||
	    !path_get(p, ARG4, &receives) || sends > MAX_CASES || receives > MAX_CASES)
		return;
	for (uint64_t i = 0; i < sends + receives; i++)
		if (path_load(a, p, cases + CASE_BYTES * i, 8, &c))
			note(a, i < sends ? GOACT_SEND : GOACT_RECEIVE, c, p->pc);
}

static void do_add(struct goahead *a, struct path *p)
{
	uint64_t group, delta;

	if (path_get(p, ARG0, &group) && path_get(p, ARG1, &delta) && (int64_t)delta > -1000 &&
	    (int64_t)delta < 1000)
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
	uint64_t lock, n;

	if (e->dst.kind != OPERAND_MEM || e->dst.size != 4 || !path_address(a, p, &e->dst, &lock))
		return;
	if (!takes && !path_value(a, p, &e->src, &n))
		return;
	if (u64map_find(&a->rw, lock - RW_READER_COUNT)) {
		lock -= RW_READER_COUNT;
		takes = takes || (int32_t)n > 0;
	}
	if (takes || (int32_t)n < 0)
		add_count(a, p, lock, takes ? 1 : -1, GOACT_UNLOCK);
}

static void skip_call(struct path *p, uint64_t next)
{
	p->known &= 1u << EFFECT_SP | 1u << EFFECT_FP;
	p->flag_known = false;
	p->pc = next;
}

static bool push(struct path *p, bool known, uint64_t v)
{
	if (!(p->known >> EFFECT_SP & 1))
		return false;
	p->reg[EFFECT_SP] -= 8;
	return path_store_word(p, p->reg[EFFECT_SP], known, v);
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
	if (!push(p, true, back))
		return false;
	p->depth++;
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
	bool known = path_get(p, ARG0, made ? &d : &fn);

	if ((made && !known) || off_fn < 16 || off_link < 0)
		return false;
	p->ndefer += !made;
	if ((!made && !path_store_word(p, d + (uint64_t)off_fn, known, fn)) ||
	    !path_store_word(p, d + (uint64_t)off_fn - 16, true, p->reg[EFFECT_SP]) ||
	    !path_store_word(p, d + (uint64_t)off_link, true, p->next_defer))
		return false;
	p->next_defer = d;
	skip_call(p, next);
	path_set(p, ARG0, true, 0); /* not 1: no panic has been recovered */
	return true;
}

/* runtime.deferreturn: the deferred calls of this frame, one after the other; records of inner frames come first. */
static bool do_deferred(struct goahead *a, struct path *p, uint64_t next)
{
	int32_t off_fn = go_off(a->rt, LAYOUT_DEFER_FN),
		off_link = go_off(a->rt, LAYOUT_DEFER_LINK);
	uint64_t sp, fn, code, back = p->pc;

	for (int n = 0; p->next_defer && n < MAX_DEFERS && off_fn >= 16 && off_link >= 0; n++) {
		uint64_t d = p->next_defer;

		if (!path_load(a, p, d + (uint64_t)off_fn - 16, 8, &sp) ||
		    sp != p->reg[EFFECT_SP] ||
		    !path_load(a, p, d + (uint64_t)off_link, 8, &p->next_defer))
			break;
		if (!path_load(a, p, d + (uint64_t)off_fn, 8, &fn) ||
		    !path_load(a, p, fn, 8, &code) || goahead_callee(a, code) != CALL_STEP ||
		    p->depth >= MAX_DEPTH)
			continue;
		skip_call(p, back); /* it comes back here for the next one */
		path_set(p, CLOSURE, true, fn);
		return enter(p, code, back);
	}
	skip_call(p, next);
	return true;
}

static bool call(struct goahead *a, struct path *p, bool known, uint64_t to, uint64_t next)
{
	enum callee c = known ? goahead_callee(a, to) : CALL_SKIP;
	uint64_t object;

	switch (c) {
	case CALL_END:
		return false;
	case CALL_STEP:
		if (p->depth < MAX_DEPTH)
			return enter(p, to, next);
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
	case CALL_LOCK:
	case CALL_UNLOCK:
	case CALL_DONE:
		if (path_get(p, ARG0, &object))
			add_count(a, p, object, c == CALL_LOCK ? 1 : -1,
				  c == CALL_DONE ? GOACT_DONE : GOACT_UNLOCK);
		break;
	case CALL_SKIP:
		break;
	}
	skip_call(p, next);
	return true;
}

/* ---- one instruction ---- */

static void set_equal(struct path *p, bool known, uint64_t v, uint8_t size)
{
	p->flag_known = known;
	p->equal = known && !path_masked(v, size);
}

static bool compute(struct goahead *a, struct path *p, const struct effect *e)
{
	uint64_t x = 0, y = 0, v;
	bool known = path_value(a, p, &e->dst, &x), src = path_value(a, p, &e->src, &y);

	known = known && src;
	v = e->kind == EFFECT_ADD                             ? x + y
	    : e->kind == EFFECT_AND || e->kind == EFFECT_TEST ? (x & y)
							      : x - y;
	set_equal(p, known, v, e->dst.size);
	if (e->kind == EFFECT_COMPARE || e->kind == EFFECT_TEST)
		return true;
	return path_assign(a, p, &e->dst, known, v);
}

static bool other(struct goahead *a, struct path *p, const struct effect *e)
{
	for (uint8_t r = 0; r < EFFECT_REGS; r++)
		if (e->written >> r & 1)
			path_set(p, r, false, 0);
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
		return push(p, known, v);
	case EFFECT_POP:
		known = pop(a, p, &v);
		return path_assign(a, p, &e->dst, known, v);
	case EFFECT_ADD:
	case EFFECT_SUB:
	case EFFECT_AND:
	case EFFECT_COMPARE:
	case EFFECT_TEST:
		return compute(a, p, e);
	case EFFECT_EXCHANGE_ADD:
	case EFFECT_COMPARE_EXCHANGE:
		do_lock(a, p, e);
		break;
	case EFFECT_OTHER:
		break;
	}
	return other(a, p, e);
}

/* Whether this branch has been taken often enough, in this frame. */
static bool is_worn(struct goahead *a, const struct path *p)
{
	uint64_t *n = u64map_put(&a->visits, hash_u64(p->pc) ^ p->reg[EFFECT_SP], 0, NULL);

	return !n || (*n)++ >= MAX_VISITS;
}

static void branch_to(struct goahead *a, const struct path *p, uint64_t pc)
{
	if (a->npath == MAX_PATHS)
		return;
	a->path[a->npath] = *p;
	a->path[a->npath++].pc = pc;
}

static bool step(struct goahead *a, struct path *p)
{
	const struct effect *e = goahead_op(a, p->pc);
	uint64_t next, v;
	bool known;

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
		if (is_worn(a, p))
			return false;
		p->pc = e->target + a->rt->bias;
		return true;
	case FLOW_JCC:
		if (is_worn(a, p))
			return false;
		if (p->flag_known && (e->if_equal || e->if_unequal)) {
			p->pc = p->equal == e->if_equal ? e->target + a->rt->bias : next;
			return true;
		}
		branch_to(a, p, e->target + a->rt->bias);
		p->pc = next;
		return true;
	case FLOW_CALL:
		return call(a, p, true, e->target + a->rt->bias, next);
	case FLOW_CALL_INDIRECT:
		known = path_value(a, p, &e->src, &v);
		return call(a, p, known, v, next);
	case FLOW_JMP_INDIRECT:
		return path_value(a, p, &e->src, &p->pc);
	case FLOW_RET:
		p->depth -= p->depth > 0;
		return pop(a, p, &p->pc);
	case FLOW_TRAP:
		break;
	}
	return false;
}

static void follow_all(struct goahead *a)
{
	while (a->npath && a->steps < MAX_STEPS) {
		struct path p = a->path[--a->npath];

		while (a->steps++ < MAX_STEPS && step(a, &p))
			;
	}
	a->steps_all += a->steps;
}

/* ---- one goroutine ---- */

/* What a goroutine waits in, on behalf of the code that is to be followed. */
static bool is_waiting_itself(const char *name)
{
	static const char *const prefixes[] = { "runtime.",         "internal/runtime/",
						"sync.runtime_",    "internal/sync.runtime_",
						"sync.(*Mutex).",   "internal/sync.(*Mutex).",
						"sync.(*RWMutex).", "sync.(*WaitGroup).Wait" };

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (!strncmp(name, prefixes[i], strlen(prefixes[i])))
			return true;
	return false;
}

/* Where its code continues; false: not known. */
static bool find_start(struct goahead *a, uint64_t pc, uint64_t sp, struct path *p)
{
	struct pclntab *pcln = a->rt->gb->pcln;
	struct gofunc fn;
	int32_t size;

	for (int i = 0; i < MAX_FRAMES; i++) {
		if (pclntab_find_pc(pcln, pc - a->rt->bias, &fn) || gostack_is_goexit(a->rt, &fn))
			return false;
		if (!is_waiting_itself(fn.name)) {
			memset(p, 0, sizeof(*p));
			p->pc = pc;
			path_set(p, EFFECT_SP, true, sp);
			return i > 0; /* else it was interrupted anywhere */
		}
		if (pclntab_frame_size(pcln, pc - a->rt->bias, &size) || size < 0 ||
		    !goahead_read_word(a, sp + (uint64_t)size, &pc))
			return false;
		sp += (uint64_t)size + 8;
	}
	return false;
}

static bool read_stack(struct goahead *a, const struct goroutine *g, uint64_t sp)
{
	struct goroutine now;

	a->base = sp;
	a->len = g->stack_hi - sp < STACK_BYTES ? g->stack_hi - sp : STACK_BYTES;
	return !mem_read(a->rt->mem, sp, a->stack, a->len) && !goread_one(a->rt, g->addr, &now) &&
	       now.goid == g->goid && now.sched_sp == g->sched_sp &&
	       now.tracking_seq == g->tracking_seq;
}

size_t goahead_look(struct goahead *a, const struct goroutine *g, uint64_t lock,
		    const struct goahead_act **acts)
{
	int32_t off = go_off(a->rt, LAYOUT_G_DEFER);
	struct path *p = &a->path[0];
	uint64_t pc, sp;

	*acts = a->act;
	a->nact = 0;
	a->npath = a->steps = a->reads = 0;
	if (a->steps_all >= MAX_STEPS_ALL) {
		a->left_out++;
		return 0;
	}
	if (!gostack_start(g, &pc, &sp) || !read_stack(a, g, sp) || !find_start(a, pc, sp, p))
		return 0;
	if (off >= 0 && mem_read_u64(a->rt->mem, g->addr + (uint64_t)off, &p->next_defer))
		p->next_defer = 0;
	if (lock)
		add_count(a, p, lock, 1, GOACT_UNLOCK);
	u64map_clear(&a->visits);
	a->npath = 1;
	follow_all(a);
	return a->nact;
}

int goahead_place(struct goahead *a, uint64_t pc, struct goframe *out)
{
	struct goframe f[MAX_FRAMES];
	int n = pclntab_frames(a->rt->gb->pcln, pc - a->rt->bias, false, f, MAX_FRAMES);

	for (int i = 0; i < n; i++) {
		*out = f[i];
		if (!goframe_is_std(&f[i]))
			return 0;
	}
	return n > 0 ? 0 : -ENOENT;
}
