/* SPDX-License-Identifier: BSD-2-Clause */
#include "gort/golocks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/cursor.h"
#include "gort/gostack.h"
#include "gort/goruntime_priv.h"

#define STACK_BYTES (32u << 10)
#define MAX_FRAMES  48
#define MAX_CODE    (64u << 10)
#define MAX_SITES   64
#define MAX_ARGS    256 /* bytes */
#define MAX_CHAIN   24
#define MAX_SUDOG   256
#define NEAR        512 /* a lock lies that far into its object at most */
#define LEA_REACH   6   /* instructions from an address to the call it is for */
/* sync.Mutex: state int32, sema uint32; sync.RWMutex: w Mutex, writerSem, readerSem uint32
 * (the same in 1.18 to 1.27; since 1.24 the Mutex is internal/sync's, first in sync's) */
#define MUTEX_SEMA     4
#define RW_WRITER_SEMA 8
#define RW_READER_SEMA 12
#define RW_BYTES       24
#define GROUP_SEMA     8    /* sync.WaitGroup: state uint64, sema uint32 (1.18 to 1.27) */
#define MAX_CASES      1024 /* of a select that are looked at */
#define MAX_QUEUE      64 /* waiters of one channel, up to the first; beyond: the direction is unknown */

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

void golocks_deinit(struct golocks *l)
{
	free(l->waiter);
	memset(l, 0, sizeof(*l));
}

bool golocks_stands_still(struct goruntime *rt, const struct goroutine *g)
{
	struct goroutine now;

	return !goread_one(rt, g->addr, &now) && now.goid == g->goid &&
	       now.sched_sp == g->sched_sp && now.tracking_seq == g->tracking_seq &&
	       now.status == g->status;
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

			if (!addr_is_plausible(word, 8) ||
			    (word >= g->stack_lo && word < g->stack_hi) || go_in_text(r->rt, word))
				continue;
			if (mem_read(r->rt->mem, word, raw, (size_t)size))
				continue;
			if (load_u64(raw + off_g) == g->addr && load_u64(raw + off_elem))
				return load_u64(raw + off_elem);
		}
	return 0;
}

enum call { CALL_NONE, CALL_LOCK, CALL_RLOCK, CALL_WLOCK, CALL_UNLOCK, CALL_WAIT };

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
	if (!strcmp(function, "WaitGroup).Wait"))
		return CALL_WAIT;
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
	return (addr >= m->noptrdata && addr < m->enoptrdata) ||
	       (addr >= m->data && addr < m->edata) || (addr >= m->bss && addr < m->ebss) ||
	       (addr >= m->noptrbss && addr < m->enoptrbss);
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
	if (!gb->arch || len > MAX_CODE ||
	    image_read_addr(&r->rt->gb->image, fn->entry, r->text, len))
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
		if (in.flow == FLOW_CALL && !pclntab_find_pc(gb->pcln, in.target, &callee) &&
		    callee.entry == in.target)
			direct = call_of(callee.name);
		if (call == CALL_NONE)
			call = direct;
		if (call != CALL_NONE && call != CALL_WAIT && line > 0)
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
			if (c->site[i].line > at && c->site[i].line < line &&
			    (!next || c->site[i].line < next->line))
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
	size_t n = 0;

	r->lock = malloc((r->l->n + 1) * sizeof(*r->lock));
	if (!r->lock)
		return -ENOMEM;
	for (size_t i = 0; i < r->l->n; i++)
		if (r->l->waiter[i].lock)
			r->lock[n++] = r->l->waiter[i].lock;
	qsort(r->lock, n, sizeof(*r->lock), by_value);
	for (size_t i = 0; i < n; i++)
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
 * the lock itself, or, without one, the object that contains it. */
static void add_named(struct reading *r, struct golock_waiter *w, const struct frame *f,
		      const struct goframe *at, int line)
{
	int before = w->nheld;

	for (uint64_t reach = 1; reach <= NEAR && w->nheld == before; reach += NEAR - 1)
		for (int32_t off = 0; off + 8 <= f->reach; off += 8) {
			uint64_t word = stack_word(&r->stack, f->sp + (uint64_t)off), lock;

			lock = !addr_is_plausible(word, 4) ? 0 : next_lock(r, word);
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
		if (r->l->waiter[i].rw && addr > r->l->waiter[i].lock &&
		    addr - r->l->waiter[i].lock < RW_BYTES)
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

		if (n <= 0 || goframe_is_runtime(&f[n - 1]) ||
		    pclntab_find_pc(r->rt->gb->pcln, at->pc, &fn))
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

static bool waits_for_lock(const char *words)
{
	/* up to 1.19: "semacquire" for all of them; up to 1.23 for wait groups */
	return !strcmp(words, "sync.Mutex.Lock") || !strncmp(words, "sync.RWMutex.", 13) ||
	       !strcmp(words, "semacquire") || !strcmp(words, "sync.WaitGroup.Wait");
}

/* The lock or wait group; false: not one, or not known. */
static bool take_lock(struct reading *r, const struct goroutine *g, struct golock_waiter *w,
		      int *outer)
{
	enum call call = waiting_call(r, &w->at, outer);
	uint64_t sema = call == CALL_NONE ? 0 : semaphore_of(r, g);

	if (!sema)
		return false;
	if (call == CALL_WAIT) {
		w->wait = GOWAIT_GROUP;
		w->group = sema - GROUP_SEMA;
		return true;
	}
	w->lock = lock_of(r, call, sema);
	w->rw = call != CALL_LOCK;
	w->reads = call == CALL_RLOCK;
	w->pending = call == CALL_WLOCK && w->lock == sema - RW_WRITER_SEMA;
	return true;
}

/* Of a select: the queue that a sudog is in says which way; false: not known. */
static bool is_sender(struct reading *r, uint64_t sudog, uint64_t channel, bool *send)
{
	int32_t off_prev = go_off(r->rt, LAYOUT_SUDOG_PREV);
	uint64_t first, prev = sudog;

	for (int n = 0; prev && n < MAX_QUEUE; n++) {
		sudog = prev;
		if (mem_read_u64(r->rt->mem, sudog + (uint64_t)off_prev, &prev))
			return false;
	}
	if (prev ||
	    mem_read_u64(r->rt->mem, channel + (uint64_t)go_off(r->rt, LAYOUT_HCHAN_SENDQ_FIRST),
			 &first))
		return false;
	*send = first == sudog;
	return *send || (!mem_read_u64(r->rt->mem,
				       channel + (uint64_t)go_off(r->rt, LAYOUT_HCHAN_RECVQ_FIRST),
				       &first) &&
			 first == sudog);
}

/* Where it stands: the innermost frame that is not the standard library's. */
static void take_place(struct reading *r, struct goframe *at, int *outer)
{
	struct goframe f[MAX_CHAIN];

	for (int i = 0; i < r->stack.n; i++) {
		int n = pclntab_frames(r->rt->gb->pcln, r->stack.frame[i].pc, true, f, MAX_CHAIN);

		for (int k = 0; k < n; k++) {
			*at = f[k];
			*outer = i;
			if (!goframe_is_std(&f[k]))
				return;
		}
	}
}

/* The channels that g.waiting leads to: one sudog a case. */
static bool take_channels(struct reading *r, const struct goroutine *g, const char *words,
			  struct golock_waiter *w, int *outer)
{
	int32_t off_g = go_off(r->rt, LAYOUT_SUDOG_G), off_c = go_off(r->rt, LAYOUT_SUDOG_C);
	int32_t off_link = go_off(r->rt, LAYOUT_SUDOG_WAITLINK),
		size = go_off(r->rt, LAYOUT_SUDOG_SIZE);
	bool select = !strcmp(words, "select");
	uint64_t at = g->waiting;
	uint8_t raw[MAX_SUDOG];

	w->wait = GOWAIT_CHANNELS;
	for (int n = 0; at && n < MAX_CASES && w->nchannel < GOLOCKS_MAX_CHANNELS; n++) {
		struct golock_channel c = { .send = !strcmp(words, "chan send") };

		if (mem_read(r->rt->mem, at, raw, (size_t)size) || load_u64(raw + off_g) != g->addr)
			return false;
		c.channel = load_u64(raw + off_c);
		if (!select || is_sender(r, at, c.channel, &c.send))
			w->channel[w->nchannel++] = c;
		at = load_u64(raw + off_link);
	}
	if (w->nchannel)
		take_place(r, &w->at, outer);
	return w->nchannel > 0;
}

static bool waits_for_channel(const char *words)
{
	return !strcmp(words, "chan receive") || !strcmp(words, "chan send") ||
	       !strcmp(words, "select");
}

void golocks_reasons(const struct goruntime *rt, uint8_t kind[256])
{
	for (unsigned int r = 0; r < 256; r++) {
		const char *words = goruntime_has(rt, FACT_REASONS)
					    ? layout_wait_reason(rt->gb->layout, r)
					    : NULL;

		kind[r] = !words                     ? GOREASON_OTHER
			  : waits_for_lock(words)    ? GOREASON_LOCK
			  : waits_for_channel(words) ? GOREASON_CHANNEL
						     : GOREASON_OTHER;
	}
}

/* One waiter into the list, when what it waits for is known; *outer is where its caller's frames begin. */
static int take_waiter(struct reading *r, size_t i, bool lock, int *outer)
{
	const struct goroutine *g = &r->w->g[i];
	struct golock_waiter *w = &r->l->waiter[r->l->n];
	int err;

	if (r->l->n == GOLOCKS_MAX_WAITERS) {
		r->l->left_out++;
		return 0;
	}
	err = read_stack(r, g);
	if (err)
		return err == -ESRCH || err == -EPERM ? err : 0;
	memset(w, 0, sizeof(*w));
	w->g = i;
	outer[r->l->n] = 0;
	r->l->n += lock ? take_lock(r, g, w, &outer[r->l->n])
			: take_channels(r, g, goroutine_state(r->rt, g), w, &outer[r->l->n]);
	return 0;
}

/* Who waits for what, of the goroutines [from, to) of the walk; at most `max`. */
static int find_waiters(struct reading *r, int *outer, size_t from, size_t to,
			enum golock_reason reason, size_t max)
{
	int err = 0;

	for (size_t i = from; i < to && max && !err; i++) {
		if (golocks_reason_of(r->kind, &r->w->g[i]) != reason)
			continue;
		max--;
		err = take_waiter(r, i, reason == GOREASON_LOCK, outer);
	}
	return err;
}

/* Those beyond `keep` that hold nothing are no concern. */
static void drop_idle(struct golocks *l, size_t keep)
{
	size_t n = keep;

	for (size_t i = keep; i < l->n; i++)
		if (l->waiter[i].nheld)
			l->waiter[n++] = l->waiter[i];
	l->n = n;
}

static int read_all(struct reading *r, int *outer, size_t channels)
{
	struct golocks *l = r->l;
	size_t keep;
	int err = find_waiters(r, outer, 0, r->w->n, GOREASON_LOCK, SIZE_MAX);

	if (!err)
		err = list_locks(r);
	if (!err)
		err = find_waiters(r, outer, 0, channels, GOREASON_CHANNEL, SIZE_MAX);
	keep = l->n;
	if (!err && r->nlock)
		err = find_waiters(r, outer, channels, r->w->n, GOREASON_CHANNEL,
				   GOLOCKS_MAX_CHANNEL_WAITERS);
	for (size_t i = 0; !err && r->nlock && i < l->n; i++)
		if (!read_stack(r, &r->w->g[l->waiter[i].g]))
			find_held(r, &l->waiter[i], outer[i]);
	drop_idle(l, keep);
	return err;
}

static bool has_fields(const struct goruntime *rt)
{
	static const enum layout_field need[] = {
		LAYOUT_SUDOG_G,           LAYOUT_SUDOG_ELEM,     LAYOUT_SUDOG_C,
		LAYOUT_SUDOG_PREV,        LAYOUT_SUDOG_WAITLINK, LAYOUT_HCHAN_SENDQ_FIRST,
		LAYOUT_HCHAN_RECVQ_FIRST,
	};
	int32_t size = go_off(rt, LAYOUT_SUDOG_SIZE);

	for (size_t i = 0; i < sizeof(need) / sizeof(need[0]); i++)
		if (go_off(rt, need[i]) < 0)
			return false;
	return size > 0 && size <= MAX_SUDOG;
}

int golocks_read_channels(struct golocks *l, struct goruntime *rt, const struct gowalk *w,
			  size_t channels)
{
	struct reading *r;
	int *outer, err;

	memset(l, 0, sizeof(*l));
	if (!goruntime_has(rt, FACT_STACKS) || !has_fields(rt))
		return -EOPNOTSUPP;
	l->waiter = calloc(GOLOCKS_MAX_WAITERS + 1, sizeof(*l->waiter));
	outer = calloc(GOLOCKS_MAX_WAITERS + 1, sizeof(*outer));
	r = calloc(1, sizeof(*r));
	err = l->waiter && outer && r ? 0 : -ENOMEM;
	if (!err) {
		r->rt = rt;
		r->w = w;
		r->l = l;
		golocks_reasons(rt, r->kind);
		err = read_all(r, outer, channels);
	}
	free(outer);
	if (r)
		free(r->lock);
	free(r);
	return err;
}

int golocks_read(struct golocks *l, struct goruntime *rt, const struct gowalk *w)
{
	return golocks_read_channels(l, rt, w, 0);
}
