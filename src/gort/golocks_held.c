/* SPDX-License-Identifier: BSD-2-Clause */
/* Which locks that somebody waits for a goroutine holds, as its stack and the code of its frames show. */
#include "gort/golocks_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "base/addr.h"
#include "base/vec.h"

#define NEAR      512 /* a lock lies that far into its object at most */
#define LEA_REACH 6   /* instructions from an address to the call it is for */
#define RW_BYTES  24

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
			*call = golocks_call_of(f[k].function);
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
	size_t len = fn->end - fn->entry;
	uint64_t global = 0;
	int since = 0;
	struct insn in;

	if (r->code.entry == fn->entry)
		return;
	r->code = (struct code){ .entry = fn->entry };
	if (!gb->arch || len > MAX_CODE ||
	    image_read_addr(&r->rt->gb->image, fn->entry, r->text, len))
		return;
	for (size_t pos = 0; pos < len; pos += in.len) {
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
			direct = golocks_call_of(callee.name);
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

int golocks_list(struct reading *r)
{
	size_t n = 0;

	r->lock = malloc((r->l->n + 1) * sizeof(*r->lock));
	if (!r->lock)
		return -ENOMEM;
	for (size_t i = 0; i < r->l->n; i++)
		if (r->l->waiter[i].lock)
			r->lock[n++] = r->l->waiter[i].lock;
	qsort(r->lock, n, sizeof(*r->lock), by_u64);
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
			uint64_t word = golocks_word(&r->stack, f->sp + (uint64_t)off), lock;

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

void golocks_find_held(struct reading *r, struct golock_waiter *w, int from)
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
