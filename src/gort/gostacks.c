/* SPDX-License-Identifier: BSD-2-Clause */
#include "gort/gostacks_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/map.h"
#include "base/vec.h"
#include "gort/gostack.h"
#include "gort/goruntime_priv.h"

#define BATCH 128 /* goroutines: their stacks stay in the cache */
#define TOP_BYTES \
	4096 /* of a stack that are read at first: in servers and clients of HTTP most are smaller */
#define MORE_BYTES 65536 /* of one that needs more: as much as ever */
#define MAX_TRIES  4
#define MAX_PCS    (16u << 20) /* of all distinct stacks; beyond: not read */
#define MAX_INFO   (1u << 20)  /* pcs remembered; beyond: forgotten and learned anew */
#define BLOCK_GAP  512

enum pc_kind { PC_UNSEEN, PC_FRAME, PC_LAST_UNLESS_FIRST, PC_LAST, PC_GOEXIT, PC_BAD };

struct pcinfo {
	uint64_t pc;
	int32_t size; /* bytes between SP and the return address */
	uint8_t kind;
};

struct stack_batch {
	struct mem_piece stack_piece[BATCH], g_piece[BATCH];
	size_t at[BATCH], n;     /* the goroutines, by their number in the walk */
	size_t first[BATCH + 1]; /* g piece k holds at[first[k]] … */
	int stack_of[BATCH];     /* goroutine -> its stack piece, or -1 */
	uint8_t stack[BATCH * TOP_BYTES];
	uint8_t more[MORE_BYTES];
	uint8_t *g;                   /* owned */
	const struct goroutine *walk; /* borrowed: the walk's first */
	uint64_t pcs[GOSTACKS_DEPTH];
};

int gostacks_init(struct gostacks *s)
{
	memset(s, 0, sizeof(*s));
	s->batch = malloc(sizeof(*s->batch));
	s->index_cap = 1024;
	s->index = calloc(s->index_cap, sizeof(*s->index));
	s->info_cap = 4096;
	s->info = calloc(s->info_cap, sizeof(*s->info));
	if (s->batch)
		s->batch->g = malloc(BATCH * (GO_MAX_G_BYTES + BLOCK_GAP));
	return s->batch && s->batch->g && s->index && s->info ? 0 : -ENOMEM;
}

void gostacks_deinit(struct gostacks *s)
{
	if (s->batch)
		free(s->batch->g);
	free(s->batch);
	free(s->index);
	free(s->info);
	free(s->pc);
	free(s->stack);
	gostacks_kept_deinit(&s->kept);
	memset(s, 0, sizeof(*s));
}

void gostacks_renew(struct gostacks *s)
{
	gostacks_kept_take(s);
	memset(s->index, 0, s->index_cap * sizeof(*s->index));
	s->unread = s->ended = s->running = s->again = s->known = 0;
	s->listener = NULL;
}

/* ---- what is known of a pc ---- */

static struct pcinfo learn(struct goruntime *rt, uint64_t pc)
{
	struct pcinfo info = { .pc = pc, .kind = PC_BAD };
	struct gofunc fn;

	if (pclntab_find_pc(rt->gb->pcln, pc - rt->bias, &fn))
		return info;
	info.kind = (uint8_t)(gostack_is_goexit(rt, &fn)   ? PC_GOEXIT
			      : gostack_is_end(&fn, true)  ? PC_LAST
			      : gostack_is_end(&fn, false) ? PC_LAST_UNLESS_FIRST
							   : PC_FRAME);
	if (pclntab_frame_size(rt->gb->pcln, pc - rt->bias, &info.size) || info.size < 0)
		info.size = -1;
	return info;
}

static struct pcinfo *slot_of(struct pcinfo *table, size_t cap, uint64_t pc)
{
	size_t i = hash_u64(pc) & (cap - 1);

	while (table[i].kind != PC_UNSEEN && table[i].pc != pc)
		i = (i + 1) & (cap - 1);
	return &table[i];
}

static void grow_info(struct gostacks *s)
{
	size_t cap = s->info_cap * 2;
	struct pcinfo *t;

	t = s->info_n >= MAX_INFO ? NULL : calloc(cap, sizeof(*t));
	if (!t) {
		memset(s->info, 0, s->info_cap * sizeof(*s->info));
		s->info_n = 0;
		return;
	}
	for (size_t i = 0; i < s->info_cap; i++)
		if (s->info[i].kind != PC_UNSEEN)
			*slot_of(t, cap, s->info[i].pc) = s->info[i];
	free(s->info);
	s->info = t;
	s->info_cap = cap;
}

static const struct pcinfo *info_of(struct gostacks *s, struct goruntime *rt, uint64_t pc)
{
	struct pcinfo *at = slot_of(s->info, s->info_cap, pc);

	if (at->kind != PC_UNSEEN)
		return at;
	if (s->info_n * 2 >= s->info_cap) {
		grow_info(s);
		at = slot_of(s->info, s->info_cap, pc);
	}
	*at = learn(rt, pc);
	s->info_n++;
	return at;
}

/* ---- unwinding in memory that was read ---- */

/* Pcs into batch->pcs.  *more: the bytes ended before the stack did. */
static int unwind(struct gostacks *s, struct goruntime *rt, const uint8_t *bytes, size_t len,
		  uint64_t pc, bool *whole, bool *more)
{
	size_t at = 0;
	int n = 0;

	*whole = *more = false;
	while (n < GOSTACKS_DEPTH) {
		const struct pcinfo *info = info_of(s, rt, pc);

		if (info->kind == PC_BAD)
			break;
		*whole = info->kind == PC_GOEXIT;
		if (*whole)
			break;
		s->batch->pcs[n++] = pc;
		*whole = info->kind == PC_LAST || (info->kind == PC_LAST_UNLESS_FIRST && n > 1);
		if (*whole || info->size < 0)
			break;
		if ((uint64_t)info->size + 8 > len - at) {
			*more = true;
			break;
		}
		pc = load_u64(bytes + at + info->size);
		at += (size_t)info->size + 8;
	}
	return n;
}

/* ---- distinct stacks ---- */

static uint64_t hash_pcs(const uint64_t *pcs, size_t n)
{
	uint64_t h = n;

	for (size_t i = 0; i < n; i++)
		h = ((h << 5 | h >> 59) ^ pcs[i]) * 0x9e3779b97f4a7c15ull;
	return hash_u64(h);
}

static int grow_index(struct gostacks *s)
{
	size_t cap = s->index_cap * 2;
	uint32_t *t = calloc(cap, sizeof(*t));

	if (!t)
		return -ENOMEM;
	for (size_t i = 0; i < s->n; i++) {
		const struct gostack *k = &s->stack[i];
		size_t at = hash_pcs(s->pc + k->first, k->n) & (cap - 1);

		while (t[at])
			at = (at + 1) & (cap - 1);
		t[at] = (uint32_t)i + 1;
	}
	free(s->index);
	s->index = t;
	s->index_cap = cap;
	return 0;
}

static int make_room(struct gostacks *s, size_t npc)
{
	if (s->npc + npc > MAX_PCS || s->n + 1 >= GOSTACK_MAX)
		return -ENOSPC;
	if (array_grow(&s->pc, s->npc + npc, &s->pc_cap, sizeof(*s->pc)) ||
	    array_room(&s->stack, s->n, &s->cap, sizeof(*s->stack)))
		return -ENOMEM;
	return s->n * 2 >= s->index_cap ? grow_index(s) : 0;
}

uint32_t gostacks_number(struct gostacks *s, const uint64_t *pcs, size_t n, bool whole)
{
	size_t bytes = n * sizeof(*pcs), at;
	uint64_t hash = hash_pcs(pcs, n);

	for (at = hash & (s->index_cap - 1); s->index[at]; at = (at + 1) & (s->index_cap - 1)) {
		const struct gostack *k = &s->stack[s->index[at] - 1];

		if (k->n == (uint32_t)n && k->whole == whole &&
		    !memcmp(s->pc + k->first, pcs, bytes))
			return s->index[at] - 1;
	}
	if (make_room(s, n))
		return GOSTACK_UNREAD;
	memcpy(s->pc + s->npc, pcs, bytes);
	s->stack[s->n] =
		(struct gostack){ .first = (uint32_t)s->npc, .n = (uint32_t)n, .whole = whole };
	s->npc += n;
	for (at = hash & (s->index_cap - 1); s->index[at]; at = (at + 1) & (s->index_cap - 1))
		;
	s->index[at] = (uint32_t)s->n + 1;
	return (uint32_t)s->n++;
}

/* Of the stack in batch->pcs. */
static uint32_t number_of(struct gostacks *s, int n, bool whole)
{
	uint32_t number = gostacks_number(s, s->batch->pcs, (size_t)n, whole);

	s->unread += number == GOSTACK_UNREAD;
	return number;
}

/* The stack in batch->pcs got a number.  0, 1 (the listener needs more of it), -errno. */
static int deliver(struct gostacks *s, const struct goroutine *g, uint32_t stack,
		   const uint8_t *bytes, size_t len, bool all)
{
	struct gostack_bytes b = {
		.walk = (uint32_t)(g - s->batch->walk),
		.stack = stack,
		.bytes = bytes,
		.len = len,
		.all = all,
	};

	return s->listener && stack < GOSTACK_MAX ? s->listener(s->listens, s, &b) : 0;
}

/* ---- one goroutine alone ---- */

static uint32_t gone(struct gostacks *s, const struct goroutine *now, uint64_t goid)
{
	bool known;

	if (gostatus_is_live(now->status, &known) && now->goid == goid)
		return 0;
	s->ended++;
	return GOSTACK_ENDED;
}

/* As much of the stack of g, which is now as said, as one buffer holds, the g again, and the frames. */
static int read_one(struct gostacks *s, struct goruntime *rt, const struct goroutine *g,
		    const struct goroutine *now, uint32_t *out)
{
	uint8_t after[GO_MAX_G_BYTES];
	uint64_t pc, sp;
	bool whole, more;
	size_t len;
	int err, n;

	if (!gostack_start(now, &pc, &sp)) {
		*out = GOSTACK_RUNNING;
		return 0;
	}
	len = now->stack_hi - sp < MORE_BYTES ? now->stack_hi - sp : MORE_BYTES;
	err = mem_read(rt->mem, sp, s->batch->more, len);
	if (!err)
		err = mem_read(rt->mem, now->addr + rt->cache->g_from, after, rt->cache->g_len);
	if (err)
		return err == -ESRCH || err == -EPERM ? err : -EAGAIN;
	if (!goread_stands(rt, after, now))
		return -EAGAIN;
	n = unwind(s, rt, s->batch->more, len, pc, &whole, &more);
	*out = number_of(s, n, whole);
	err = deliver(s, g, *out, s->batch->more, len, true);
	return err < 0 ? err : 0;
}

static int read_again(struct gostacks *s, struct goruntime *rt, struct goroutine *g, uint32_t *out)
{
	struct goroutine now;

	s->again++;
	for (int i = 0; i < MAX_TRIES; i++) {
		int err = goread_one(rt, g->addr, &now);

		if (err == -ESRCH || err == -EPERM)
			return err;
		if (err)
			break;
		*out = gone(s, &now, g->goid);
		if (*out)
			return 0;
		now.system = g->system;
		err = read_one(s, rt, g, &now, out);
		if (!err) {
			*g = now;
			s->running += *out == GOSTACK_RUNNING;
			return 0;
		}
		if (err != -EAGAIN)
			return err;
	}
	s->unread++;
	*out = GOSTACK_UNREAD;
	return 0;
}

/* ---- a batch ---- */

static size_t gather_stacks(struct gostacks *s)
{
	struct stack_batch *b = s->batch;
	size_t used = 0, np = 0;
	uint64_t pc, sp;

	for (size_t i = 0; i < b->n; i++) {
		const struct goroutine *g = &b->walk[b->at[i]];
		uint32_t len;

		b->stack_of[i] = -1;
		if (!gostack_start(g, &pc, &sp))
			continue;
		len = g->stack_hi - sp < TOP_BYTES ? (uint32_t)(g->stack_hi - sp) : TOP_BYTES;
		b->stack_of[i] = (int)np;
		b->stack_piece[np++] =
			(struct mem_piece){ .addr = sp, .dst = b->stack + used, .len = len };
		used += len;
	}
	return np;
}

/* The g's again; neighbours as one piece. */
static size_t gather_gs(struct gostacks *s, const struct gowalk_cache *c)
{
	struct stack_batch *b = s->batch;
	size_t np = 0, used = 0, i = 0;

	while (i < b->n) {
		uint64_t from = b->walk[b->at[i]].addr + c->g_from, to = from + c->g_len;

		b->first[np] = i;
		for (i++; i < b->n; i++) {
			uint64_t next = b->walk[b->at[i]].addr + c->g_from;

			if (next < to || next > to + BLOCK_GAP)
				break;
			to = next + c->g_len;
		}
		b->g_piece[np++] = (struct mem_piece){ .addr = from,
						       .dst = b->g + used,
						       .len = (uint32_t)(to - from) };
		used += to - from;
	}
	b->first[np] = b->n;
	return np;
}

static int take_one(struct gostacks *s, struct goruntime *rt, struct goroutine *g, int piece,
		    const uint8_t *now, uint32_t *out)
{
	const struct mem_piece *p = piece < 0 ? NULL : &s->batch->stack_piece[piece];
	uint64_t pc, sp;
	bool whole, more;
	int err, n;

	if (!goread_stands(rt, now, g) || (p && p->status))
		return read_again(s, rt, g, out);
	if (!p) {
		s->running++;
		*out = GOSTACK_RUNNING;
		return 0;
	}
	gostack_start(g, &pc, &sp);
	n = unwind(s, rt, p->dst, p->len, pc, &whole, &more);
	if (more && g->stack_hi - sp > p->len)
		return read_again(s, rt, g, out);
	*out = number_of(s, n, whole);
	err = deliver(s, g, *out, p->dst, p->len, p->len == g->stack_hi - sp);
	return err > 0 ? read_again(s, rt, g, out) : err;
}

static int take_batch(struct gostacks *s, struct goruntime *rt, struct goroutine *walk, size_t ng,
		      uint32_t *out)
{
	const struct gowalk_cache *c = rt->cache;
	struct stack_batch *b = s->batch;
	int err = 0;

	for (size_t k = 0; k < ng && !err; k++) {
		const struct mem_piece *p = &b->g_piece[k];

		for (size_t i = b->first[k]; i < b->first[k + 1] && !err; i++) {
			struct goroutine *g = &walk[b->at[i]];
			const uint8_t *now = (uint8_t *)p->dst + (g->addr + c->g_from - p->addr);

			if (p->status)
				err = read_again(s, rt, g, &out[b->at[i]]);
			else
				err = take_one(s, rt, g, b->stack_of[i], now, &out[b->at[i]]);
		}
	}
	return err;
}

static int read_batch(struct gostacks *s, struct goruntime *rt, struct gowalk *w, uint32_t *stack)
{
	struct stack_batch *b = s->batch;
	int err = mem_read_many(rt->mem, b->stack_piece, gather_stacks(s));
	size_t ng;

	if (err < 0)
		return err;
	ng = gather_gs(s, rt->cache);
	err = mem_read_many(rt->mem, b->g_piece, ng);
	if (err >= 0)
		err = take_batch(s, rt, w->g, ng, stack);
	b->n = 0;
	return err;
}

/* 1: its stack is what it was; 0: it is to be read. */
static int is_known(struct gostacks *s, const struct goroutine *g, uint32_t stack)
{
	int err = stack < GOSTACK_MAX ? deliver(s, g, stack, NULL, 0, false) : 1;

	s->known += !err;
	return err < 0 ? err : !err;
}

int gostacks_read(struct gostacks *s, struct goruntime *rt, struct gowalk *w, uint32_t *stack)
{
	struct stack_batch *b = s->batch;
	size_t at = 0;
	int err = 0;

	if (!goruntime_has(rt, FACT_STACKS))
		return -EOPNOTSUPP;
	b->walk = w->g;
	b->n = 0;
	gostacks_kept_begin(&s->kept);
	for (size_t i = 0; i < w->n && err >= 0; i++) {
		stack[i] = gostacks_kept_find(s, w, &w->g[i], &at);
		err = is_known(s, &w->g[i], stack[i]);
		if (!err)
			b->at[b->n++] = i;
		if (b->n == BATCH)
			err = read_batch(s, rt, w, stack);
	}
	if (err >= 0 && b->n)
		err = read_batch(s, rt, w, stack);
	if (err >= 0 && s->kept.on)
		gostacks_kept_end(&s->kept, w, stack);
	return err < 0 ? err : 0;
}
