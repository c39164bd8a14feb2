/* SPDX-License-Identifier: BSD-2-Clause */
#include "gort/goahead.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/effect.h"
#include "base/addr.h"
#include "base/cursor.h"
#include "gort/gostack.h"
#include "gort/goruntime_priv.h"

#define STACK_BYTES     (32u << 10) /* of one stack; above, word by word */
#define MAX_STEPS       20000       /* instructions of one goroutine */
#define MAX_STEPS_ALL   4000000     /* of all: half a second */
#define MAX_READS       4096        /* words of one goroutine that are not on its stack */
#define MAX_PATHS       192         /* not yet followed; beyond: left out */
#define MAX_VISITS      3           /* of one branch in one frame */
#define MAX_WORDS       96          /* written on the way; more: the path ends */
#define MAX_COUNTS      12          /* locks and groups used on the way */
#define MAX_DEPTH       6           /* calls that are followed */
#define MAX_CASES       64          /* of a select */
#define MAX_OPS         (1u << 17) /* instructions remembered; beyond: forgotten and learned anew */
#define MAX_FRAMES      24         /* from gopark down to who waits */
#define MAX_DEFERS      64         /* of one frame that lead nowhere, in a row */
#define MAX_RW          65536
#define NO_MEMORY       (1ull << 63) /* of the kernel: no process has anything there */
#define DEFER_ROOM      256          /* bytes */
#define RW_READER_COUNT 16 /* sync.RWMutex, 1.18 to 1.27: w, writerSem, readerSem, readerCount */
#define CASE_BYTES      16 /* runtime.scase: c, elem (since 1.16) */

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

/* One way through the code. */
struct path {
	uint64_t pc; /* run-time */
	uint64_t reg[EFFECT_REGS];
	uint32_t known; /* bit per register */
	bool flag_known, equal;
	int depth;           /* of calls followed */
	uint64_t next_defer; /* record; 0: none */
	uint64_t ndefer;     /* records made on the way */
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

/* ---- instructions ---- */

/* What sync's own functions are there for. */
static enum callee sync_call(const char *name)
{
	static const struct {
		const char *method;
		enum callee call;
	} known[] = {
		{ "(*Mutex).Lock", CALL_LOCK },        { "(*Mutex).TryLock", CALL_LOCK },
		{ "(*Mutex).Unlock", CALL_UNLOCK },    { "(*RWMutex).Lock", CALL_LOCK },
		{ "(*RWMutex).TryLock", CALL_LOCK },   { "(*RWMutex).Unlock", CALL_UNLOCK },
		{ "(*RWMutex).RLock", CALL_LOCK },     { "(*RWMutex).TryRLock", CALL_LOCK },
		{ "(*RWMutex).RUnlock", CALL_UNLOCK }, { "(*WaitGroup).Add", CALL_ADD },
		{ "(*WaitGroup).Done", CALL_DONE },
	};

	if (!strncmp(name, "internal/", 9)) /* where Mutex is since 1.24 */
		name += 9;
	if (strncmp(name, "sync.", 5))
		return 0;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(name + 5, known[i].method))
			return known[i].call;
	return 0;
}

static const struct effect *op_at(struct goahead *a, uint64_t pc)
{
	uint64_t link = pc - a->rt->bias, *at = u64map_find(&a->at, pc);
	const struct gobin *gb = a->rt->gb;
	uint8_t code[16];
	size_t len = gb->mod.etext - link < sizeof(code) ? gb->mod.etext - link : sizeof(code);
	struct effect op;

	if (at)
		return &a->op[*at];
	if (!go_in_text(a->rt, pc) || image_read_addr(&a->rt->gb->image, link, code, len) ||
	    gb->arch->effect(code, len, link, &op))
		return NULL;
	if (a->nop == MAX_OPS) {
		u64map_clear(&a->at);
		a->nop = 0;
	}
	if (a->nop == a->op_cap) {
		size_t cap = a->op_cap ? a->op_cap * 2 : 1024;
		struct effect *grown = realloc(a->op, cap * sizeof(*grown));

		if (!grown)
			return NULL;
		a->op = grown;
		a->op_cap = cap;
	}
	if (!u64map_put(&a->at, pc, a->nop, NULL))
		return NULL;
	a->op[a->nop] = op;
	return &a->op[a->nop++];
}

static bool ends_it(const char *name)
{
	static const char *const ends[] = { "runtime.gopanic", "runtime.panic",
					    "runtime.goPanic", "runtime.throw",
					    "runtime.fatal",   "runtime.Goexit",
					    "runtime.goexit",  "runtime.morestack",
					    "os.Exit" };

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (!strncmp(name, ends[i], strlen(ends[i])))
			return true;
	return false;
}

static enum callee learn_callee(const struct gofunc *fn, uint64_t link)
{
	static const struct {
		const char *name;
		enum callee call;
	} known[] = {
		{ "runtime.chansend1", CALL_SEND },
		{ "runtime.selectnbsend", CALL_SEND },
		{ "runtime.chanrecv1", CALL_RECEIVE },
		{ "runtime.chanrecv2", CALL_RECEIVE },
		{ "runtime.selectnbrecv", CALL_RECEIVE_2ND },
		{ "runtime.closechan", CALL_CLOSE },
		{ "runtime.selectgo", CALL_SELECT },
		{ "runtime.deferreturn", CALL_DEFERRED },
		{ "runtime.deferproc", CALL_DEFER },
		{ "runtime.deferprocStack", CALL_DEFER_RECORD },
	};
	struct goframe f = { .function = fn->name };
	enum callee c;

	if (fn->entry != link) /* runtime.duffzero + n */
		return CALL_SKIP;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(fn->name, known[i].name))
			return known[i].call;
	c = sync_call(fn->name);
	if (c)
		return c;
	if (ends_it(fn->name))
		return CALL_END;
	return goframe_is_std(&f) ? CALL_SKIP : CALL_STEP;
}

static enum callee callee_of(struct goahead *a, uint64_t pc)
{
	uint64_t *known = u64map_find(&a->callee, pc);
	struct gofunc fn;
	enum callee c = CALL_SKIP;

	if (known)
		return (enum callee) * known;
	if (go_in_text(a->rt, pc) && !pclntab_find_pc(a->rt->gb->pcln, pc - a->rt->bias, &fn))
		c = learn_callee(&fn, pc - a->rt->bias);
	u64map_put(&a->callee, pc, c, NULL);
	return c;
}

/* ---- values ---- */

static uint64_t masked(uint64_t v, uint8_t size)
{
	return size >= 8 ? v : v & ((1ull << 8 * size) - 1);
}

static bool read_word(struct goahead *a, uint64_t addr, uint64_t *out)
{
	if (addr >= a->base && addr - a->base + 8 <= a->len) {
		*out = load_u64(a->stack + (addr - a->base));
		return true;
	}
	return addr >= ADDR_PAGE && a->reads++ < MAX_READS && !mem_read_u64(a->rt->mem, addr, out);
}

static struct word *written(struct path *p, uint64_t addr)
{
	for (int i = p->nword; i-- > 0;)
		if (p->word[i].addr == addr)
			return &p->word[i];
	return NULL;
}

static bool load(struct goahead *a, struct path *p, uint64_t addr, uint8_t size, uint64_t *out)
{
	const struct word *w = written(p, addr & ~7ull);
	uint64_t v;

	if (!size || size > 8 || addr % 8 + size > 8 || (w && !w->known))
		return false;
	if (w)
		v = w->value;
	else if (!read_word(a, addr & ~7ull, &v))
		return false;
	*out = masked(v >> 8 * (addr % 8), size);
	return true;
}

/* False: no room, the path has to end. */
static bool store_word(struct path *p, uint64_t addr, bool known, uint64_t value)
{
	struct word *w = written(p, addr);

	if (!w && p->nword == MAX_WORDS)
		return false;
	if (!w)
		w = &p->word[p->nword++];
	*w = (struct word){ addr, value, known };
	return true;
}

static bool store(struct goahead *a, struct path *p, uint64_t addr, uint8_t size, bool known,
		  uint64_t value)
{
	uint64_t whole = addr & ~7ull, old, mask;
	int shift = (int)(addr % 8) * 8;

	if (size >= 8 ||
	    addr % 8 + size > 8) { /* of more than one word: all the same, or not known */
		bool exact = known && addr % 8 == 0 && (size == 8 || !value);

		for (uint64_t at = whole; at < addr + size; at += 8)
			if (!store_word(p, at, exact, value))
				return false;
		return true;
	}
	known = known && load(a, p, whole, 8, &old);
	if (!known)
		return store_word(p, whole, false, 0);
	mask = masked(UINT64_MAX, size) << shift;
	return store_word(p, whole, true, (old & ~mask) | (value << shift & mask));
}

static bool get_register(const struct path *p, uint8_t r, uint64_t *out)
{
	if (r >= EFFECT_REGS || !(p->known >> r & 1))
		return false;
	*out = p->reg[r];
	return true;
}

static void set_register(struct path *p, uint8_t r, bool known, uint64_t v)
{
	if (r >= EFFECT_REGS)
		return;
	p->reg[r] = v;
	p->known = known ? p->known | 1u << r : p->known & ~(1u << r);
}

static bool address_of(const struct goahead *a, const struct path *p, const struct operand *o,
		       uint64_t *out)
{
	uint64_t base = a->rt->bias, index = 0;

	if (o->reg != EFFECT_PC && !get_register(p, o->reg, &base))
		return false;
	if (o->index != EFFECT_NO_REG && !get_register(p, o->index, &index))
		return false;
	*out = base + index * o->scale + (uint64_t)o->value;
	return true;
}

static bool value_of(struct goahead *a, struct path *p, const struct operand *o, uint64_t *out)
{
	uint64_t addr;

	switch (o->kind) {
	case OPERAND_IMM:
		*out = (uint64_t)o->value;
		return true;
	case OPERAND_REG:
		*out = 0;
		if (o->reg != EFFECT_ZERO && !get_register(p, o->reg, out))
			return false;
		*out = masked(*out, o->size);
		return true;
	case OPERAND_MEM:
		return address_of(a, p, o, &addr) && load(a, p, addr, o->size, out);
	}
	return false;
}

/* False: the path has to end. */
static bool assign(struct goahead *a, struct path *p, const struct operand *o, bool known,
		   uint64_t v)
{
	uint64_t addr;

	if (o->kind == OPERAND_REG) /* of one or two bytes: the others stay */
		set_register(p, o->reg, known && o->size >= 4, masked(v, o->size));
	else if (o->kind == OPERAND_MEM && address_of(a, p, o, &addr))
		return store(a, p, addr, o->size, known, masked(v, o->size));
	return true;
}

/* ---- what is done on the way ---- */

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

	if (get_register(p, r, &object))
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

	if (!get_register(p, ARG0, &cases) || !get_register(p, ARG3, &sends) ||
	    !get_register(p, ARG4, &receives) || sends > MAX_CASES || receives > MAX_CASES)
		return;
	for (uint64_t i = 0; i < sends + receives; i++)
		if (load(a, p, cases + CASE_BYTES * i, 8, &c))
			note(a, i < sends ? GOACT_SEND : GOACT_RECEIVE, c, p->pc);
}

static void do_add(struct goahead *a, struct path *p)
{
	uint64_t group, delta;

	if (get_register(p, ARG0, &group) && get_register(p, ARG1, &delta) &&
	    (int64_t)delta > -1000 && (int64_t)delta < 1000)
		add_count(a, p, group, (int)(int64_t)delta, GOACT_DONE);
}

/*
 * What the inlined ways of Lock, TryLock, Unlock, RLock and RUnlock do to the
 * first word of a Mutex or the reader count of an RWMutex.  Nobody else does so
 * to memory that somebody waits for as a lock; of other memory it means nothing.
 */
static void do_lock(struct goahead *a, struct path *p, const struct effect *e)
{
	bool takes = e->kind == EFFECT_COMPARE_EXCHANGE;
	uint64_t lock, n;

	if (e->dst.kind != OPERAND_MEM || e->dst.size != 4 || !address_of(a, p, &e->dst, &lock))
		return;
	if (!takes && !value_of(a, p, &e->src, &n))
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
	return store_word(p, p->reg[EFFECT_SP], known, v);
}

static bool pop(struct goahead *a, struct path *p, uint64_t *v)
{
	uint64_t sp = p->reg[EFFECT_SP];

	if (!(p->known >> EFFECT_SP & 1))
		return false;
	p->reg[EFFECT_SP] += 8;
	return load(a, p, sp, 8, v);
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
	bool known = get_register(p, ARG0, made ? &d : &fn);

	if ((made && !known) || off_fn < 16 || off_link < 0)
		return false;
	p->ndefer += !made;
	if ((!made && !store_word(p, d + (uint64_t)off_fn, known, fn)) ||
	    !store_word(p, d + (uint64_t)off_fn - 16, true, p->reg[EFFECT_SP]) ||
	    !store_word(p, d + (uint64_t)off_link, true, p->next_defer))
		return false;
	p->next_defer = d;
	skip_call(p, next);
	set_register(p, ARG0, true, 0); /* not 1: no panic has been recovered */
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

		if (!load(a, p, d + (uint64_t)off_fn - 16, 8, &sp) || sp != p->reg[EFFECT_SP] ||
		    !load(a, p, d + (uint64_t)off_link, 8, &p->next_defer))
			break;
		if (!load(a, p, d + (uint64_t)off_fn, 8, &fn) || !load(a, p, fn, 8, &code) ||
		    callee_of(a, code) != CALL_STEP || p->depth >= MAX_DEPTH)
			continue;
		skip_call(p, back); /* it comes back here for the next one */
		set_register(p, CLOSURE, true, fn);
		return enter(p, code, back);
	}
	skip_call(p, next);
	return true;
}

static bool call(struct goahead *a, struct path *p, bool known, uint64_t to, uint64_t next)
{
	enum callee c = known ? callee_of(a, to) : CALL_SKIP;
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
		if (get_register(p, ARG0, &object))
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
	p->equal = known && !masked(v, size);
}

static bool compute(struct goahead *a, struct path *p, const struct effect *e)
{
	uint64_t x = 0, y = 0, v;
	bool known = value_of(a, p, &e->dst, &x), src = value_of(a, p, &e->src, &y);

	known = known && src;
	v = e->kind == EFFECT_ADD                             ? x + y
	    : e->kind == EFFECT_AND || e->kind == EFFECT_TEST ? (x & y)
							      : x - y;
	set_equal(p, known, v, e->dst.size);
	if (e->kind == EFFECT_COMPARE || e->kind == EFFECT_TEST)
		return true;
	return assign(a, p, &e->dst, known, v);
}

static bool other(struct goahead *a, struct path *p, const struct effect *e)
{
	for (uint8_t r = 0; r < EFFECT_REGS; r++)
		if (e->written >> r & 1)
			set_register(p, r, false, 0);
	if (e->flags)
		p->flag_known = false;
	return e->dst.kind != OPERAND_MEM || assign(a, p, &e->dst, false, 0);
}

/* Changes registers and memory; false: the path ends. */
static bool apply(struct goahead *a, struct path *p, const struct effect *e)
{
	uint64_t v = 0;
	bool known;

	switch (e->kind) {
	case EFFECT_MOVE:
		known = value_of(a, p, &e->src, &v);
		return assign(a, p, &e->dst, known, v);
	case EFFECT_ADDRESS:
		known = address_of(a, p, &e->src, &v);
		return assign(a, p, &e->dst, known, v);
	case EFFECT_PUSH:
		known = value_of(a, p, &e->src, &v);
		return push(p, known, v);
	case EFFECT_POP:
		known = pop(a, p, &v);
		return assign(a, p, &e->dst, known, v);
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
	const struct effect *e = op_at(a, p->pc);
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
		known = value_of(a, p, &e->src, &v);
		return call(a, p, known, v, next);
	case FLOW_JMP_INDIRECT:
		return value_of(a, p, &e->src, &p->pc);
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
	struct path p;

	while (a->npath && a->steps < MAX_STEPS) {
		p = a->path[--a->npath];
		while (a->steps++ < MAX_STEPS && step(a, &p))
			;
	}
	a->steps_all += a->steps;
}

/* ---- one goroutine ---- */

/* What a goroutine waits in, on behalf of the code that is to be followed. */
static bool is_waiting_itself(const char *name)
{
	static const char *const ways[] = { "runtime.",         "internal/runtime/",
					    "sync.runtime_",    "internal/sync.runtime_",
					    "sync.(*Mutex).",   "internal/sync.(*Mutex).",
					    "sync.(*RWMutex).", "sync.(*WaitGroup).Wait" };

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (!strncmp(name, ways[i], strlen(ways[i])))
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
			set_register(p, EFFECT_SP, true, sp);
			return i > 0; /* else it was interrupted anywhere */
		}
		if (pclntab_frame_size(pcln, pc - a->rt->bias, &size) || size < 0 ||
		    !read_word(a, sp + (uint64_t)size, &pc))
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
