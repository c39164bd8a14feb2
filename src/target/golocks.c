/* SPDX-License-Identifier: BSD-2-Clause */
#include "target/golocks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "target/gostack.h"
#include "target/goruntime_priv.h"

#define STACK_BYTES (32u << 10)
#define MAX_FRAMES 48
#define MAX_CODE (64u << 10)
#define MAX_SITES 64
#define MAX_ARGS 256		/* bytes */
#define MAX_CHAIN 24
#define MAX_SUDOG 256
#define NEAR 512		/* a lock lies that far into its object at most */
#define LEA_REACH 6		/* instructions from an address to the call it is for */
/* sync.Mutex: state int32, sema uint32; sync.RWMutex: w Mutex, writerSem, readerSem uint32
 * (the same in 1.18 to 1.27; since 1.24 the Mutex is internal/sync's, first in sync's) */
#define MUTEX_SEMA 4
#define RW_WRITER_SEMA 8
#define RW_READER_SEMA 12
#define RW_BYTES 24

struct frame {
	uint64_t pc, sp;	/* link-time pc; run-time address of the frame's first word */
	int32_t size;
	int32_t reach;		/* its words, with the arguments that its caller has room for */
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
	uint64_t global;	/* link-time address of the lock, where the code names it; 0 */
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
	struct stack stack;
	struct code code;	/* of the function looked at last */
	uint64_t *lock;		/* owned: those that somebody waits for, ascending */
	size_t nlock;
	uint8_t text[MAX_CODE];
};

void golocks_deinit(struct golocks *l)
{
	free(l->waiter);
	memset(l, 0, sizeof(*l));
}

bool golocks_stands_still(struct goruntime *rt, const struct goroutine *g)
{
	struct goroutine now;

	return !goread_one(rt, g->addr, &now) && now.goid == g->goid && now.sched_sp == g->sched_sp &&
	       now.tracking_seq == g->tracking_seq && now.status == g->status;
}

/* ---- the stack with its frames ---- */

static int read_stack(struct reading *r, const struct goroutine *g)
{
	struct stack *s = &r->stack;
	uint64_t pc, sp;
	struct gofunc fn;
	int err;

	s->n = 0;
	if (!gostack_start(g, &pc, &sp))
		return -EAGAIN;
	s->base = sp;
	s->len = g->stack_hi - sp < STACK_BYTES ? g->stack_hi - sp : STACK_BYTES;
	err = mem_read(r->rt->mem, sp, s->bytes, s->len);
	if (err)
		return err;
	if (!golocks_stands_still(r->rt, g))
		return -EAGAIN;
	while (s->n < MAX_FRAMES && !pclntab_find_pc(r->rt->gb->pcln, pc - r->rt->bias, &fn)) {
		struct frame *f = &s->frame[s->n];

		if (gostack_is_goexit(r->rt, &fn))
			break;
		*f = (struct frame){ .pc = pc - r->rt->bias, .sp = sp };
		if (pclntab_frame_size(r->rt->gb->pcln, f->pc, &f->size) || f->size < 0 ||
		    (uint64_t)f->size + 8 > s->len - (sp - s->base))
			break;
		/* register arguments are kept in the caller's frame too */
		f->reach = f->size + 8;
		if (fn.args_size > 0 && fn.args_size <= MAX_ARGS)
			f->reach += fn.args_size;
		if ((uint64_t)f->reach > s->len - (sp - s->base))
			f->reach = f->size;
		s->n++;
		pc = load_u64(s->bytes + (sp - s->base) + f->size);
		sp += (uint64_t)f->size + 8;
	}
	return s->n ? 0 : -EAGAIN;
}

static uint64_t stack_word(const struct stack *s, uint64_t addr)
{
	return load_u64(s->bytes + (addr - s->base));
}

/* ---- what it waits for ---- */

/* The semaphore: a word of the stack below Lock's caller that points to a sudog of this goroutine. */
static uint64_t semaphore_of(struct reading *r, const struct goroutine *g)
{
	int32_t off_g = go_off(r->rt, LAYOUT_SUDOG_G), off_elem = go_off(r->rt, LAYOUT_SUDOG_ELEM);
	int32_t size = go_off(r->rt, LAYOUT_SUDOG_SIZE);
	const struct stack *s = &r->stack;
	uint8_t raw[MAX_SUDOG];

	/* gopark, goparkunlock, semacquire1 */
	for (int i = 0; i < s->n && i < 4; i++)
		for (int32_t at = 0; at + 8 <= s->frame[i].size; at += 8) {
			uint64_t word = stack_word(s, s->frame[i].sp + (uint64_t)at);

			if (word < 4096 || word % 8 || (word >= g->stack_lo && word < g->stack_hi) || go_in_text(r->rt, word))
				continue;
			if (mem_read(r->rt->mem, word, raw, (size_t)size))
				continue;
			if (load_u64(raw + off_g) == g->addr && load_u64(raw + off_elem))
				return load_u64(raw + off_elem);
		}
	return 0;
}

enum call { CALL_NONE, CALL_LOCK, CALL_RLOCK, CALL_WLOCK, CALL_UNLOCK };

static enum call call_of(const char *function)
{
	if (strncmp(function, "sync.(*", 7))
		return CALL_NONE;
	function += 7;
	if (!strcmp(function, "Mutex).Lock"))
		return CALL_LOCK;
	if (!strcmp(function, "RWMutex).RLock"))
		return CALL_RLOCK;
	if (!strcmp(function, "RWMutex).Lock"))
		return CALL_WLOCK;
	if (!strcmp(function, "Mutex).Unlock") || !strcmp(function, "RWMutex).RUnlock") ||
	    !strcmp(function, "RWMutex).Unlock"))
		return CALL_UNLOCK;
	return CALL_NONE;
}

/*
 * Which method it is in, and what is outside of it: *at the caller, *outer the
 * number of the physical frame the caller is in.
 */
static enum call waiting_call(struct reading *r, struct goframe *at, int *outer)
{
	struct goframe f[MAX_CHAIN];
	enum call found = CALL_NONE, c;
	const struct stack *s = &r->stack;

	for (int i = 0; i < s->n && i < 10; i++) {
		int n = pclntab_frames(r->rt->gb->pcln, s->frame[i].pc, true, f, MAX_CHAIN);

		for (int k = 0; k < n; k++) {
			c = call_of(f[k].function);
			if (c != CALL_NONE) {
				found = c;
				continue;
			}
			if (found != CALL_NONE && strncmp(f[k].function, "sync.", 5)) {
				*at = f[k];
				*outer = i;
				return found == CALL_UNLOCK ? CALL_NONE : found;
			}
		}
	}
	return CALL_NONE;
}

/* RWMutex.Lock waits for its inner Mutex first, then for the readers. */
static uint64_t lock_of(struct reading *r, enum call call, uint64_t sema)
{
	struct goframe f[MAX_CHAIN];

	if (call == CALL_LOCK)
		return sema - MUTEX_SEMA;
	if (call == CALL_RLOCK)
		return sema - RW_READER_SEMA;
	for (int i = 0; i < r->stack.n && i < 8; i++) {
		int n = pclntab_frames(r->rt->gb->pcln, r->stack.frame[i].pc, true, f, MAX_CHAIN);

		for (int k = 0; k < n; k++)
			if (call_of(f[k].function) == CALL_LOCK)
				return sema - MUTEX_SEMA;
	}
	return sema - RW_WRITER_SEMA;
}

/* ---- what it holds ---- */

static void add_site(struct code *c, int line, bool unlock, uint64_t global)
{
	for (int i = 0; i < c->n; i++)
		if (c->site[i].line == line && c->site[i].unlock == unlock) {
			if (global)
				c->site[i].global = global;
			return;
		}
	if (c->n < MAX_SITES)
		c->site[c->n++] = (struct site){ line, unlock, global };
}

/* The call that an instruction belongs to by inlining: -1 when it is a wrapper's (a deferred call). */
static int inlined_call(struct reading *r, uint64_t pc, enum call *call, int *line)
{
	struct goframe f[MAX_CHAIN];
	int n = pclntab_frames(r->rt->gb->pcln, pc, false, f, MAX_CHAIN);

	*call = CALL_NONE;
	*line = n > 0 ? f[n - 1].line : 0;
	for (int k = 0; k < n; k++) {
		if (f[k].wrapper && k < n - 1)
			return -1;
		if (*call == CALL_NONE)
			*call = call_of(f[k].function);
	}
	return 0;
}

static bool is_variable_of(const struct moduledata *m, uint64_t addr)
{
	return (addr >= m->noptrdata && addr < m->enoptrdata) || (addr >= m->data && addr < m->edata) ||
	       (addr >= m->bss && addr < m->ebss) || (addr >= m->noptrbss && addr < m->enoptrbss);
}

/* The calls of Lock and Unlock in a function, inlined or not, in the order of its code. */
static void learn_code(struct reading *r, const struct gofunc *fn)
{
	const struct gobin *gb = r->rt->gb;
	size_t len = fn->end - fn->entry, pos;
	uint64_t global = 0;
	int since = 0;
	struct insn in;

	if (r->code.entry == fn->entry)
		return;
	r->code = (struct code){ .entry = fn->entry };
	if (!gb->arch || len > MAX_CODE || image_read_addr(&r->rt->gb->image, fn->entry, r->text, len))
		return;
	for (pos = 0; pos < len; pos += in.len) {
		enum call call, direct = CALL_NONE;
		struct gofunc callee;
		int line;

		if (gb->arch->decode(r->text + pos, len - pos, fn->entry + pos, false, &in))
			return;
		if (in.data != DATA_NONE && is_variable_of(&gb->mod, in.data_addr)) {
			global = in.data_addr;
			since = 0;
		} else if (++since > LEA_REACH) {
			global = 0;
		}
		if (inlined_call(r, fn->entry + pos, &call, &line))
			continue;
		if (in.flow == FLOW_CALL && !pclntab_find_pc(gb->pcln, in.target, &callee) && callee.entry == in.target)
			direct = call_of(callee.name);
		if (call == CALL_NONE)
			call = direct;
		if (call != CALL_NONE && line > 0)
			add_site(&r->code, line, call == CALL_UNLOCK, global);
	}
}

/* The Lock behind which the frame stands, without an Unlock in between; NULL. */
static const struct site *held_site(const struct code *c, int line)
{
	const struct site *open[MAX_SITES];
	int n = 0, at = 0;

	/* by line: the compiler moves blocks about, people write from top to bottom */
	for (;;) {
		const struct site *next = NULL;

		for (int i = 0; i < c->n; i++)
			if (c->site[i].line > at && c->site[i].line < line && (!next || c->site[i].line < next->line))
				next = &c->site[i];
		if (!next)
			break;
		at = next->line;
		if (!next->unlock)
			open[n++] = next;
		else if (n)
			n--;
	}
	return n ? open[n - 1] : NULL;
}

static void add_held(struct golock_waiter *w, uint64_t lock, const struct goframe *at, int line)
{
	for (int i = 0; i < w->nheld; i++)
		if (w->held[i].lock == lock)
			return;
	if (lock == w->lock || w->nheld == GOLOCKS_MAX_HELD)
		return;
	w->held[w->nheld] = (struct golock_held){ .lock = lock, .at = *at };
	w->held[w->nheld++].at.line = line;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int list_locks(struct reading *r)
{
	r->lock = malloc((r->l->n + 1) * sizeof(*r->lock));
	if (!r->lock)
		return -ENOMEM;
	for (size_t i = 0; i < r->l->n; i++)
		r->lock[i] = r->l->waiter[i].lock;
	qsort(r->lock, r->l->n, sizeof(*r->lock), by_value);
	for (size_t i = 0; i < r->l->n; i++)
		if (!r->nlock || r->lock[r->nlock - 1] != r->lock[i])
			r->lock[r->nlock++] = r->lock[i];
	return 0;
}

/* The first lock that somebody waits for, at addr or behind it; 0. */
static uint64_t next_lock(const struct reading *r, uint64_t addr)
{
	size_t lo = 0, hi = r->nlock;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (r->lock[mid] < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < r->nlock ? r->lock[lo] : 0;
}

/* Of the locks that somebody waits for, those that the frame's words name:
 * the lock itself, or, where there is none, the object that it lies in. */
static void add_named(struct reading *r, struct golock_waiter *w, const struct frame *f, const struct goframe *at,
		      int line)
{
	int before = w->nheld;

	for (uint64_t reach = 1; reach <= NEAR && w->nheld == before; reach += NEAR - 1)
		for (int32_t off = 0; off + 8 <= f->reach; off += 8) {
			uint64_t word = stack_word(&r->stack, f->sp + (uint64_t)off), lock;

			lock = word < 4096 || word % 4 ? 0 : next_lock(r, word);
			if (lock && lock - word < reach)
				add_held(w, lock, at, line);
		}
}

/* The lock that an address in code is of: its first word, or the counters of an RWMutex. */
static uint64_t lock_at(const struct reading *r, uint64_t addr)
{
	if (next_lock(r, addr) == addr)
		return addr;
	for (size_t i = 0; i < r->l->n; i++)
		if (r->l->waiter[i].rw && addr > r->l->waiter[i].lock && addr - r->l->waiter[i].lock < RW_BYTES)
			return r->l->waiter[i].lock;
	return 0;
}

static void find_held(struct reading *r, struct golock_waiter *w, int from)
{
	struct goframe f[MAX_CHAIN];
	const struct site *site;
	struct gofunc fn;

	for (int i = from; i < r->stack.n; i++) {
		const struct frame *at = &r->stack.frame[i];
		int n = pclntab_frames(r->rt->gb->pcln, at->pc, true, f, MAX_CHAIN);

		if (n <= 0 || goframe_is_runtime(&f[n - 1]) || pclntab_find_pc(r->rt->gb->pcln, at->pc, &fn))
			continue;
		learn_code(r, &fn);
		site = held_site(&r->code, f[n - 1].line);
		if (!site)
			continue;
		if (!site->global)
			add_named(r, w, at, &f[n - 1], site->line);
		else if (lock_at(r, site->global + r->rt->bias))
			add_held(w, lock_at(r, site->global + r->rt->bias), &f[n - 1], site->line);
	}
}

/* ---- all of them ---- */

static bool waits_for_lock(const struct goruntime *rt, const struct goroutine *g)
{
	const char *words = g->status == GO_WAITING ? goroutine_state(rt, g) : "";

	/* up to 1.19: "semacquire" for all of them */
	return !strcmp(words, "sync.Mutex.Lock") || !strncmp(words, "sync.RWMutex.", 13) || !strcmp(words, "semacquire");
}

/* Who waits for what; outer[i] is where the caller's frames begin. */
static int find_waiters(struct reading *r, int *outer)
{
	struct golocks *l = r->l;

	for (size_t i = 0; i < r->w->n; i++) {
		const struct goroutine *g = &r->w->g[i];
		struct golock_waiter *w = &l->waiter[l->n];
		enum call call;
		uint64_t sema;
		int err;

		if (g->system || !waits_for_lock(r->rt, g))
			continue;
		if (l->n == GOLOCKS_MAX_WAITERS) {
			l->left_out++;
			continue;
		}
		err = read_stack(r, g);
		if (err == -ESRCH || err == -EPERM)
			return err;
		if (err)
			continue;
		memset(w, 0, sizeof(*w));
		call = waiting_call(r, &w->at, &outer[l->n]);
		sema = call == CALL_NONE ? 0 : semaphore_of(r, g);
		if (!sema)
			continue;
		w->g = i;
		w->lock = lock_of(r, call, sema);
		w->rw = call != CALL_LOCK;
		l->n++;
	}
	return 0;
}

int golocks_read(struct golocks *l, struct goruntime *rt, const struct gowalk *w)
{
	int32_t size = go_off(rt, LAYOUT_SUDOG_SIZE);
	struct reading *r;
	int *outer, err;

	memset(l, 0, sizeof(*l));
	if (!goruntime_has(rt, FACT_STACKS) || size <= 0 || size > MAX_SUDOG || go_off(rt, LAYOUT_SUDOG_G) < 0 ||
	    go_off(rt, LAYOUT_SUDOG_ELEM) < 0)
		return -EOPNOTSUPP;
	l->waiter = calloc(GOLOCKS_MAX_WAITERS + 1, sizeof(*l->waiter));
	outer = calloc(GOLOCKS_MAX_WAITERS + 1, sizeof(*outer));
	r = calloc(1, sizeof(*r));
	err = l->waiter && outer && r ? 0 : -ENOMEM;
	if (!err) {
		r->rt = rt;
		r->w = w;
		r->l = l;
		err = find_waiters(r, outer);
	}
	if (!err)
		err = list_locks(r);
	/* one lock alone is no circle */
	for (size_t i = 0; !err && r->nlock > 1 && i < l->n; i++)
		if (!read_stack(r, &w->g[l->waiter[i].g]))
			find_held(r, &l->waiter[i], outer[i]);
	free(outer);
	if (r)
		free(r->lock);
	free(r);
	return err;
}
