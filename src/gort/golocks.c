/* SPDX-License-Identifier: BSD-2-Clause */
#include "gort/golocks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/cursor.h"
#include "base/vec.h"
#include "gort/gostack.h"
#include "gort/goruntime_priv.h"

#define STACK_BYTES (32u << 10)
#define MAX_FRAMES  48
#define MAX_CHAIN   24
#define MAX_SUDOG   256
/* sync.Mutex: state int32, sema uint32; sync.RWMutex: w Mutex, writerSem, readerSem uint32
 * (the same in 1.18 to 1.27; since 1.24 the Mutex is internal/sync's, first in sync's) */
#define MUTEX_SEMA     4
#define RW_WRITER_SEMA 8
#define RW_READER_SEMA 12
#define GROUP_SEMA     8    /* sync.WaitGroup: state uint64, sema uint32 (1.18 to 1.27) */
#define MAX_CASES      1024 /* of a select that are looked at */
#define MAX_QUEUE      64 /* waiters of one channel, up to the first; beyond: the direction is unknown */

#define MUTEX_LOCKED 1  /* in state */
#define RW_READERS   16 /* readerCount int32, less RW_PENDING while a writer waits or writes */
#define RW_PENDING   (1 << 30)

enum call { CALL_NONE, CALL_LOCK, CALL_RLOCK, CALL_WLOCK, CALL_UNLOCK, CALL_WAIT };

struct frame {
	uint64_t pc, sp; /* link-time pc; run-time address of the frame's first word */
	int32_t size;
};

struct stack {
	struct frame frame[MAX_FRAMES];
	int n;
	uint64_t base;
	size_t len;
	uint8_t bytes[STACK_BYTES];
};

struct reading {
	struct goruntime *rt;
	const struct gowalk *w;
	struct golocks *l;
	uint8_t kind[256]; /* of each wait reason */
	struct stack stack;
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

bool golocks_is_taken(struct goruntime *rt, uint64_t lock, bool rw)
{
	uint64_t first, second;
	int32_t readers = 0;

	if (mem_read_u64(rt->mem, lock, &first) ||
	    (rw && mem_read_u64(rt->mem, lock + RW_READERS, &second)))
		return false;
	if (rw)
		readers = (int32_t)second < 0 ? (int32_t)second + RW_PENDING : (int32_t)second;
	return first & MUTEX_LOCKED || readers > 0;
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
		s->n++;
		pc = load_u64(s->bytes + (sp - s->base) + f->size);
		sp += (uint64_t)f->size + 8;
	}
	return s->n ? 0 : -EAGAIN;
}

static uint64_t word_at(const struct stack *s, uint64_t addr)
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
			uint64_t word = word_at(s, s->frame[i].sp + (uint64_t)at);

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
 * Which method it is in, where its caller is, and whether that is the standard
 * library's.
 */
static enum call waiting_call(struct reading *r, struct golock_waiter *w)
{
	struct goframe f[MAX_CHAIN];
	enum call found = CALL_NONE;
	const struct stack *s = &r->stack;

	for (int i = 0; i < s->n && i < 10; i++) {
		int n = pclntab_frames(r->rt->gb->pcln, s->frame[i].pc, true, f, MAX_CHAIN);

		for (int k = 0; k < n; k++) {
			enum call c = call_of(f[k].function);

			if (c != CALL_NONE) {
				found = c;
				continue;
			}
			if (found == CALL_NONE)
				continue;
			if (!w->std && !f[k].wrapper && goframe_is_std(&f[k]))
				w->std = f[k].function;
			/* a wrapper: of an embedded lock's method */
			if (!f[k].wrapper && strncmp(f[k].function, "sync.", 5)) {
				w->at = f[k];
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

/* ---- all of them ---- */

static bool waits_for_lock(const char *words)
{
	/* up to 1.19: "semacquire" for all of them; up to 1.23 for wait groups */
	return !strcmp(words, "sync.Mutex.Lock") || !strncmp(words, "sync.RWMutex.", 13) ||
	       !strcmp(words, "semacquire") || !strcmp(words, "sync.WaitGroup.Wait");
}

/* The lock or wait group; false: not one, or not known. */
static bool take_lock(struct reading *r, const struct goroutine *g, struct golock_waiter *w)
{
	enum call call = waiting_call(r, w);
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

/* Of a select: the queue that a sudog is in says the direction; false: not known. */
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
static void take_place(struct reading *r, struct goframe *at)
{
	struct goframe f[MAX_CHAIN];

	for (int i = 0; i < r->stack.n; i++) {
		int n = pclntab_frames(r->rt->gb->pcln, r->stack.frame[i].pc, true, f, MAX_CHAIN);

		for (int k = 0; k < n; k++) {
			*at = f[k];
			if (!goframe_is_std(&f[k]))
				return;
		}
	}
}

/* The channels that g.waiting leads to: one sudog a case. */
static bool take_channels(struct reading *r, const struct goroutine *g, const char *words,
			  struct golock_waiter *w)
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
		take_place(r, &w->at);
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

/* One waiter into the list, when what it waits for is known. */
static int take_waiter(struct reading *r, size_t i, bool lock)
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
	r->l->n += lock ? take_lock(r, g, w) : take_channels(r, g, goroutine_state(r->rt, g), w);
	return 0;
}

/* Who waits for what, of the first n goroutines of the walk. */
static int find_waiters(struct reading *r, size_t n, enum golock_reason reason)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++)
		if (golocks_reason_of(r->kind, &r->w->g[i]) == reason)
			err = take_waiter(r, i, reason == GOREASON_LOCK);
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

	return layout_has(rt->gb->layout, need, ARRAY_SIZE(need)) && size > 0 && size <= MAX_SUDOG;
}

bool golocks_add(struct golocks *l, struct goruntime *rt, const struct gowalk *w, size_t g)
{
	struct reading *r = calloc(1, sizeof(*r));
	size_t before = l->n;

	if (!r)
		return false;
	r->rt = rt;
	r->w = w;
	r->l = l;
	golocks_reasons(rt, r->kind);
	if (golocks_reason_of(r->kind, &w->g[g]) != GOREASON_OTHER)
		take_waiter(r, g, golocks_reason_of(r->kind, &w->g[g]) == GOREASON_LOCK);
	free(r);
	return l->n > before;
}

bool golocks_waits_for(struct goruntime *rt, const struct goroutine *g, uint64_t *lock)
{
	struct reading *r = calloc(1, sizeof(*r));
	struct golock_waiter w = { 0 };
	bool known;

	if (!r)
		return false;
	r->rt = rt;
	known = !read_stack(r, g) && take_lock(r, g, &w);
	free(r);
	*lock = w.lock;
	return known;
}

int golocks_read(struct golocks *l, struct goruntime *rt, const struct gowalk *w, size_t channels)
{
	struct reading *r;
	int err;

	memset(l, 0, sizeof(*l));
	if (!goruntime_has(rt, FACT_STACKS) || !has_fields(rt))
		return -EOPNOTSUPP;
	l->waiter = calloc(GOLOCKS_MAX_WAITERS + 1, sizeof(*l->waiter));
	r = calloc(1, sizeof(*r));
	err = l->waiter && r ? 0 : -ENOMEM;
	if (!err) {
		r->rt = rt;
		r->w = w;
		r->l = l;
		golocks_reasons(rt, r->kind);
		err = find_waiters(r, w->n, GOREASON_LOCK);
	}
	if (!err)
		err = find_waiters(r, channels, GOREASON_CHANNEL);
	free(r);
	if (err)
		golocks_deinit(l);
	return err;
}
