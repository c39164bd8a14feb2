/* SPDX-License-Identifier: BSD-2-Clause */
#include "race/locks.h"

#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "gort/goruntime.h"
#include "proc/mem.h"
#include "race/lock_walk.h"

#define ENOUGH    8 /* samples, before anything is said */
#define FRAMES    8
#define DEPTH_MAX 4 /* pointers that lead to a lock */

/* ---- which ---- */

/* A function on the stack of an access, and what is known of its pointers. */
struct frame {
	struct lock_walk walk;
	uint16_t token; /* of which the value is known; 0: of none */
	uint64_t value;
};

static bool value_of(struct race *r, const struct frame *f, uint16_t token, int depth,
		     uint64_t *out)
{
	const struct token *t = &f->walk.token[token];

	if (!token || depth == DEPTH_MAX)
		return false;
	if (token == f->token) {
		*out = f->value;
		return true;
	}
	*out = r->rt->bias;
	if (t->kind == TOKEN_ADDRESS)
		return true;
	return t->kind == TOKEN_LOAD && value_of(r, f, t->parent, depth + 1, out) &&
	       !mem_read_u64(r->rt->mem, *out + (uint64_t)t->off, out);
}

static bool overlaps(const struct word_watch *w, uint64_t addr)
{
	return addr < w->address + (uint64_t)w->size && w->address < addr + 8;
}

/* The line that takes a lock, not what of package sync is inlined there. */
static struct place place_of(struct race *r, uint64_t text_addr)
{
	struct goframe f[FRAMES];
	int n = pclntab_frames(r->rt->gb->pcln, text_addr, false, f, FRAMES);

	for (int i = 0; i < n; i++)
		if (f[i].of >= FRAME_PLUMBING)
			return place_of_frame(&f[i]);
	return (struct place){ 0 };
}

static void add_lock(struct race *r, struct word_watch *w, uint64_t addr, const struct lock_op *op)
{
	for (int i = 0; i < w->nlock; i++)
		if (w->lock[i].addr == addr)
			return;
	if (w->nlock == WORD_LOCKS || overlaps(w, addr)) {
		w->more_locks = true;
		return;
	}
	w->lock[w->nlock++] = (struct word_lock){ addr, op->rw, place_of(r, op->text_addr) };
}

static void take_ops(struct race *r, struct word_watch *w, struct shared_access *a,
		     const struct frame *f)
{
	a->orders |= f->walk.orders;
	for (int i = 0; i < f->walk.nop; i++) {
		const struct lock_op *op = &f->walk.op[i];
		uint64_t addr;

		if (!value_of(r, f, op->at.token, 0, &addr))
			a->orders = true; /* by a lock that is not known */
		else if (addr_is_plausible(addr + (uint64_t)op->at.off, 4))
			add_lock(r, w, addr + (uint64_t)op->at.off, op);
	}
}

/* What the caller gave it, by the walk up to the call. */
static void know_argument(const struct arch *arch, const struct frame *callee, struct frame *f)
{
	const struct token *t = &callee->walk.token[callee->token];

	f->token = 0;
	if (!callee->token || t->kind != TOKEN_ENTRY)
		return;
	for (int i = 0; i < ARCH_ABI_WORDS; i++)
		if (arch->abi[i] == t->off && f->walk.arg[i].token) {
			f->token = f->walk.arg[i].token;
			f->value = callee->value - (uint64_t)f->walk.arg[i].off;
		}
}

static void know_access(struct race *r, const struct hit_site *site, const struct gs_watch_hit *h,
			struct frame *f)
{
	uint64_t at;

	f->token = 0;
	if (site->caller || !f->walk.at.token || !hit_site_address(site, h, r->rt->bias, &at))
		return;
	f->token = f->walk.at.token;
	f->value = at - (uint64_t)f->walk.at.off;
}

/* The library's own functions know what they do, and goroutines begin in the runtime. */
static bool is_users(struct race *r, uint64_t pc)
{
	struct goframe f;

	return pclntab_frames(r->rt->gb->pcln, pc - r->rt->bias - 1, false, &f, 1) > 0 &&
	       f.of >= FRAME_PLUMBING;
}

/* Return addresses, innermost first, behind the function that the access is counted to. */
static int callers_of(struct race *r, const struct hit_site *site, const struct gs_watch_hit *h,
		      uint64_t *out)
{
	int n = 0, i = hit_sites_first_caller(r->sites, h);

	for (bool there = !site->caller; i < GS_WATCH_FRAMES && h->frame[i]; i++) {
		if (there)
			out[n++] = h->frame[i];
		there |= h->frame[i] == site->caller;
	}
	return n;
}

static void look_at(struct race *r, struct word_watch *w, struct shared_access *a,
		    const struct hit_site *site, const struct gs_watch_hit *h)
{
	struct frame *f = calloc(2, sizeof(*f)), *callee = f;
	uint64_t caller[GS_WATCH_FRAMES], pc = site->caller ? site->caller : h->pc;
	int n = callers_of(r, site, h, caller);

	a->orders |= !f || lock_walk(&f->walk, r->rt->gb, pc - r->rt->bias);
	if (f && !a->orders)
		know_access(r, site, h, f);
	for (int i = 0; f; i++) {
		struct frame *next = callee == f ? f + 1 : f;

		take_ops(r, w, a, callee);
		a->orders |= i == 0 && callee->walk.atomics;
		if (i == n || !is_users(r, caller[i]) ||
		    lock_walk(&next->walk, r->rt->gb, caller[i] - r->rt->bias))
			break;
		know_argument(r->rt->gb->arch, callee, next);
		callee = next;
	}
	free(f);
}

void locks_learn(struct race *r, struct word_watch *w, struct shared_access *a,
		 const struct hit_site *site, const struct gs_watch_hit *h)
{
	uint64_t key = hash_u64(h->pc ^ hash_u64(w->address ^ h->gopc));
	bool made;

	for (int i = 0; i < GS_WATCH_FRAMES; i++)
		key = hash_u64(key ^ h->frame[i]);
	if (!u64map_put(&r->ways, key, 1, &made)) {
		w->more_locks = true;
		return;
	}
	if (made)
		look_at(r, w, a, site, h);
}

void locks_forget(struct word_watch *w)
{
	w->nlock = 0;
	w->more_locks = false;
	for (int i = 0; i < w->naccess; i++)
		memset(w->access[i].lock, 0, sizeof(w->access[i].lock));
}

/* ---- whether they are held ---- */

void locks_ask(const struct word_watch *w, int word, struct watch_slice *s)
{
	for (int i = 0; i < w->nlock && s->nlock < GS_WATCH_LOCKS; i++) {
		bool watched = false;

		for (int k = 0; k < s->nword; k++)
			watched |= w->lock[i].addr < s->word[k].addr + s->word[k].len &&
				   s->word[k].addr < w->lock[i].addr + 8;
		if (!watched) /* reading it would trap */
			s->lock[s->nlock++] =
				(struct watch_lock){ w->lock[i].addr, word, i, w->lock[i].rw };
	}
}

void locks_take(struct shared_access *a, const struct watch_slice *s, const struct gs_watch_hit *h)
{
	for (int i = 0; i < s->nlock; i++) {
		struct lock_seen *l = &a->lock[s->lock[i].of];

		if (s->lock[i].word != h->word)
			continue;
		l->sampled++;
		l->held += h->flags >> (GS_WATCH_HELD + i) & 1;
	}
}

/* ---- what that says ---- */

static bool always(const struct shared_access *a, int lock)
{
	return a->lock[lock].sampled && a->lock[lock].held == a->lock[lock].sampled;
}

/* The store that was seen most, where all of them were with the lock; NULL. */
static int storer_with(const struct word_watch *w, int lock)
{
	int most = -1;

	for (int i = 0; i < w->naccess; i++) {
		const struct shared_access *a = &w->access[i];

		if (!a->stores)
			continue;
		if (a->atomic || !always(a, lock))
			return -1;
		if (most < 0 || a->count > w->access[most].count)
			most = i;
	}
	return most < 0 || w->access[most].lock[lock].sampled < ENOUGH ? -1 : most;
}

static bool have_common(const struct word_watch *w, const struct shared_access *a,
			const struct shared_access *b)
{
	for (int i = 0; i < w->nlock; i++)
		if (always(a, i) && always(b, i))
			return true;
	return false;
}

static bool forgets(const struct word_watch *w, const struct shared_access *store,
		    const struct shared_access *a, int lock)
{
	return a->lock[lock].sampled >= ENOUGH && !always(a, lock) && !a->orders && !a->atomic &&
	       (a->many || store->many || a->goid != store->goid) && !have_common(w, store, a);
}

void locks_judge(struct word_watch *w)
{
	for (int k = 0; k < w->nlock && w->verdict == RACE_UNPROVEN && !w->more_locks; k++) {
		int store = storer_with(w, k);

		for (int i = 0; i < w->naccess && store >= 0; i++)
			if (forgets(w, &w->access[store], &w->access[i], k)) {
				w->verdict = RACE_NO_LOCK;
				w->pair[0] = store;
				w->pair[1] = i;
				w->forgot = k;
				break;
			}
	}
}
