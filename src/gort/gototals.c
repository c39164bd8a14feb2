/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The runtime's own counters.
 *
 * They are read while the program runs, so no two are of the same moment.
 * What is summed (ids handed out and not used, free g's) is guarded: the
 * global words are read before and after the per-P ones in one call, and when
 * they moved in between the reading is repeated.
 */
#include "gort/goruntime_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/cursor.h"
#include "base/vec.h"

#define MAX_TRIES      8
#define P_PIECES       4 /* id and status; goid cache; free g's; created */
#define P_BYTES        40
#define SCHED_WORDS    6
#define MSTATS_MAX     (16u << 10)
#define CONTROLLER_MAX 1024
#define MIB            (1ull << 20)

/* sched's words, in this order; absent ones are 0 */
static const enum layout_field sched_field[SCHED_WORDS] = {
	LAYOUT_SCHED_GOIDGEN,
	LAYOUT_SCHED_NGSYS,
	LAYOUT_SCHED_GFREE_N,
	LAYOUT_SCHED_GFREE_STACK_SIZE,
	LAYOUT_SCHED_GFREE_NOSTACK_SIZE,
	LAYOUT_SCHED_GOROUTINESCREATED,
};
enum { SCHED_IDGEN, SCHED_NSYS, SCHED_FREE, SCHED_FREE_STACK, SCHED_FREE_NOSTACK, SCHED_CREATED };
static const uint8_t sched_size[SCHED_WORDS] = { 8, 4, 4, 4, 4, 8 };

struct sched_words {
	uint8_t word[SCHED_WORDS][8];
	uint8_t allglen[8];
};

/* Run-time address of a global plus offset; 0 when either is not known. */
static uint64_t go_global(const struct goruntime *rt, enum goglobal g, enum layout_field f)
{
	int32_t off = go_off(rt, f);

	if (!rt->gb->global[g] || off < 0)
		return 0;
	return rt->gb->global[g] + rt->bias + (uint64_t)off;
}

static size_t sched_pieces(struct goruntime *rt, struct sched_words *s, struct mem_piece *p)
{
	size_t n = 0;

	memset(s, 0, sizeof(*s));
	for (int i = 0; i < SCHED_WORDS; i++) {
		uint64_t addr = go_global(rt, GLOBAL_SCHED, sched_field[i]);

		if (addr)
			p[n++] = (struct mem_piece){ .addr = addr,
						     .dst = s->word[i],
						     .len = sched_size[i] };
	}
	if (rt->gb->global[GLOBAL_ALLGLEN])
		p[n++] = (struct mem_piece){ .addr = rt->gb->global[GLOBAL_ALLGLEN] + rt->bias,
					     .dst = s->allglen,
					     .len = 8 };
	return n;
}

static bool absent(const struct goruntime *rt, enum layout_field f)
{
	return go_off(rt, f) < 0;
}

/* Where the fields of P number i go in praw. */
static uint8_t *p_raw(struct gowalk_cache *c, size_t i)
{
	return c->praw + i * P_BYTES;
}

static size_t p_pieces(struct goruntime *rt, uint64_t addr, uint8_t *raw, struct mem_piece *out)
{
	size_t n = 0;

	memset(raw, 0, P_BYTES);
	if (addr < ADDR_PAGE)
		return 0; /* allp is filled up to its length only, until procresize grew it */
	out[n++] = (struct mem_piece){ .addr = addr + (uint64_t)go_off(rt, LAYOUT_P_ID),
				       .dst = raw,
				       .len = 8 };
	out[n++] = (struct mem_piece){ .addr = addr + (uint64_t)go_off(rt, LAYOUT_P_GOIDCACHE),
				       .dst = raw + 8,
				       .len = 16 };
	if (!absent(rt, LAYOUT_P_GFREE_N))
		out[n++] =
			(struct mem_piece){ .addr = addr + (uint64_t)go_off(rt, LAYOUT_P_GFREE_N),
					    .dst = raw + 24,
					    .len = 4 };
	if (!absent(rt, LAYOUT_P_GOROUTINESCREATED))
		out[n++] = (struct mem_piece){
			.addr = addr + (uint64_t)go_off(rt, LAYOUT_P_GOROUTINESCREATED),
			.dst = raw + 32,
			.len = 8
		};
	return n;
}

static int p_room(struct gowalk_cache *c, size_t np)
{
	if (np <= c->p_cap && c->praw)
		return 0;
	free(c->praw);
	free(c->ppiece);
	c->praw = malloc((np + 1) * P_BYTES);
	c->ppiece = malloc((np * P_PIECES + 4 * SCHED_WORDS) * sizeof(*c->ppiece));
	c->p_cap = c->praw && c->ppiece ? np : 0;
	return c->p_cap || !np ? 0 : -ENOMEM;
}

/*
 * allp up to its capacity: Ps beyond the length are kept when GOMAXPROCS
 * falls, with the ids they hold (procresize).
 */
static int read_allp(struct goruntime *rt, uint64_t **ptr, uint64_t *len, uint64_t *cap)
{
	uint8_t slice[24], *raw;
	int err;

	*ptr = NULL;
	if (!rt->gb->global[GLOBAL_ALLP] || absent(rt, LAYOUT_P_ID) ||
	    absent(rt, LAYOUT_P_GOIDCACHE) ||
	    go_off(rt, LAYOUT_P_GOIDCACHEEND) != go_off(rt, LAYOUT_P_GOIDCACHE) + 8 ||
	    go_off(rt, LAYOUT_P_STATUS) != go_off(rt, LAYOUT_P_ID) + 4)
		return -ENOENT;
	err = mem_read(rt->mem, rt->gb->global[GLOBAL_ALLP] + rt->bias, slice, sizeof(slice));
	if (err)
		return err;
	*len = load_u64(slice + 8);
	*cap = load_u64(slice + 16);
	if (!*len || *len > *cap || *cap > GO_MAX_PS)
		return -EBADMSG;
	raw = malloc(*cap * 8);
	if (!raw)
		return -ENOMEM;
	err = mem_read(rt->mem, load_u64(slice), raw, *cap * 8);
	if (err) {
		free(raw);
		return err;
	}
	*ptr = (uint64_t *)(void *)raw;
	for (uint64_t i = 0; i < *cap; i++)
		(*ptr)[i] = load_u64(raw + 8 * i);
	return 0;
}

/* newproc1 takes ids in batches of 16: a P that holds more, or less than none,
 * is just taking one. */
static bool id_caches_whole(struct gowalk_cache *c, size_t np)
{
	for (size_t i = 0; i < np; i++) {
		uint64_t from = load_u64(p_raw(c, i) + 8), to = load_u64(p_raw(c, i) + 16);

		if (to < from || to - from > 16)
			return false;
	}
	return true;
}

/* One reading: sched, every P, sched again.  -EAGAIN when sched moved. */
static int read_once(struct goruntime *rt, const uint64_t *p, size_t np, struct sched_words *before,
		     struct sched_words *after)
{
	struct gowalk_cache *c = rt->cache;
	int failed;
	size_t n = sched_pieces(rt, before, c->ppiece);

	for (size_t i = 0; i < np; i++)
		n += p_pieces(rt, p[i], p_raw(c, i), c->ppiece + n);
	n += sched_pieces(rt, after, c->ppiece + n);
	failed = n ? mem_read_many(rt->mem, c->ppiece, n) : -ENOENT;
	if (failed)
		return failed < 0 ? failed : -EFAULT;
	if (memcmp(before, after, sizeof(*before)) || !id_caches_whole(c, np))
		return -EAGAIN;
	return 0;
}

static void sum_ps(struct goruntime *rt, const uint64_t *p, size_t len, size_t cap,
		   struct goraw *raw)
{
	raw->has_created_counter = !absent(rt, LAYOUT_P_GOROUTINESCREATED) &&
				   !absent(rt, LAYOUT_SCHED_GOROUTINESCREATED);
	raw->p_ids_fit = true;
	for (size_t i = 0; i < cap; i++) {
		const uint8_t *r = p_raw(rt->cache, i);
		uint64_t from = load_u64(r + 8), to = load_u64(r + 16);

		if (i < len && (!p[i] || load_u32(r) != i || load_u32(r + 4) > 4 || to < from ||
				to - from > 16))
			raw->p_ids_fit = false;
		if (to >= from && to - from <= 16)
			raw->unspent_ids += to - from;
		/* gcount() sums over len(allp); beyond, a P gave its g's back */
		if (i < len)
			raw->gfree += load_u32(r + 24);
		raw->created_counter += load_u64(r + 32);
	}
}

static void take_sched(struct goruntime *rt, const struct sched_words *s, struct goraw *raw)
{
	raw->has_sched =
		rt->gb->global[GLOBAL_SCHED] && rt->gb->global[GLOBAL_ALLGLEN] &&
		!absent(rt, LAYOUT_SCHED_GOIDGEN) && !absent(rt, LAYOUT_SCHED_NGSYS) &&
		(!absent(rt, LAYOUT_SCHED_GFREE_N) || !absent(rt, LAYOUT_SCHED_GFREE_STACK_SIZE));
	raw->goidgen = load_u64(s->word[SCHED_IDGEN]);
	raw->ngsys = load_u32(s->word[SCHED_NSYS]);
	/* one number for both lists until 1.24, a size each from 1.25 */
	raw->gfree += load_u32(s->word[SCHED_FREE]);
	raw->gfree += load_u32(s->word[SCHED_FREE_STACK]);
	raw->gfree += load_u32(s->word[SCHED_FREE_NOSTACK]);
	raw->created_counter += load_u64(s->word[SCHED_CREATED]);
	raw->allglen = load_u64(s->allglen);
}

static int read_scheduler(struct goruntime *rt, struct goraw *raw)
{
	struct sched_words before, after;
	uint64_t *p, len = 0, cap = 0;
	int err = read_allp(rt, &p, &len, &cap);

	if (err == -ESRCH || err == -EPERM || err == -ENOMEM)
		return err;
	raw->has_p = !err && !absent(rt, LAYOUT_P_GFREE_N);
	if (err)
		len = cap = 0;
	err = p_room(rt->cache, (size_t)cap);
	for (int i = 0; i < MAX_TRIES && !err; i++) {
		err = read_once(rt, p, (size_t)cap, &before, &after);
		raw->torn = err == -EAGAIN;
		if (!raw->torn)
			break;
		err = 0; /* the last one stands: off by a batch at most */
	}
	if (!err) {
		raw->np = len;
		sum_ps(rt, p, (size_t)len, (size_t)cap, raw);
		take_sched(rt, &after, raw);
	}
	free(p);
	return err;
}

/* ---- memstats ---- */

struct mstats_view {
	uint8_t raw[MSTATS_MAX];
	int32_t from, len;
};

static bool mstats_bounds(const struct goruntime *rt, struct mstats_view *v)
{
	static const struct {
		enum layout_field f;
		int32_t size;
	} need[] = {
		{ LAYOUT_MSTATS_LAST_GC_UNIX, 8 },    { LAYOUT_MSTATS_PAUSE_TOTAL_NS, 8 },
		{ LAYOUT_MSTATS_PAUSE_NS, 2048 },     { LAYOUT_MSTATS_PAUSE_END, 2048 },
		{ LAYOUT_MSTATS_NUMGC, 4 },           { LAYOUT_MSTATS_NUMFORCEDGC, 4 },
		{ LAYOUT_MSTATS_GC_CPU_FRACTION, 8 },
	};
	int32_t lo = INT32_MAX, hi = 0;

	for (size_t i = 0; i < ARRAY_SIZE(need); i++) {
		int32_t off = go_off(rt, need[i].f);

		if (off < 0)
			return false;
		lo = off < lo ? off : lo;
		hi = off + need[i].size > hi ? off + need[i].size : hi;
	}
	v->from = lo;
	v->len = hi - lo;
	return v->len <= (int32_t)sizeof(v->raw);
}

static const uint8_t *mstats_at(const struct goruntime *rt, const struct mstats_view *v,
				enum layout_field f)
{
	return v->raw + go_off(rt, f) - v->from;
}

static void take_memstats(const struct goruntime *rt, const struct mstats_view *v,
			  struct goraw *raw, struct gototals *t)
{
	const uint8_t *ns = mstats_at(rt, v, LAYOUT_MSTATS_PAUSE_NS);
	const uint8_t *end = mstats_at(rt, v, LAYOUT_MSTATS_PAUSE_END);
	uint64_t bits = load_u64(mstats_at(rt, v, LAYOUT_MSTATS_GC_CPU_FRACTION));

	t->numgc = load_u32(mstats_at(rt, v, LAYOUT_MSTATS_NUMGC));
	t->numforcedgc = load_u32(mstats_at(rt, v, LAYOUT_MSTATS_NUMFORCEDGC));
	t->pause_total_ns = load_u64(mstats_at(rt, v, LAYOUT_MSTATS_PAUSE_TOTAL_NS));
	t->last_gc_unix_ns = load_u64(mstats_at(rt, v, LAYOUT_MSTATS_LAST_GC_UNIX));
	memcpy(&t->gc_cpu_fraction, &bits, sizeof(bits));
	for (int i = 0; i < 256; i++) {
		t->pause_ns[i] = load_u64(ns + 8 * i);
		t->pause_end_unix_ns[i] = load_u64(end + 8 * i);
	}
	/* gcMarkTermination sets last_gc_unix and the ring's entry to one value,
	 * then counts: in between, the entry is the next one's. */
	raw->gc_ring_fits =
		t->numgc ? t->pause_end_unix_ns[(t->numgc + 255) % 256] == t->last_gc_unix_ns
			 : !t->last_gc_unix_ns;
}

int goread_memstats(struct goruntime *rt, struct goraw *raw, struct gototals *t)
{
	struct mstats_view v;
	uint64_t base = rt->gb->global[GLOBAL_MEMSTATS];
	uint64_t cycles = go_global(rt, GLOBAL_WORK, LAYOUT_WORK_CYCLES);
	int err = 0;

	if (!base || !mstats_bounds(rt, &v))
		return 0;
	for (int i = 0; i < MAX_TRIES; i++) {
		err = mem_read(rt->mem, base + rt->bias + (uint64_t)v.from, v.raw, (size_t)v.len);
		if (err)
			return err == -EFAULT ? 0 : err;
		take_memstats(rt, &v, raw, t);
		raw->has_memstats = true;
		if (raw->gc_ring_fits)
			break;
	}
	if (cycles)
		raw->has_cycles = !mem_read_u32(rt->mem, cycles, &raw->work_cycles);
	return 0;
}

/* ---- the pacer ---- */

static uint64_t ctl_u64(const struct goruntime *rt, const uint8_t *raw, enum layout_field f)
{
	int32_t off = go_off(rt, f);

	return off < 0 ? 0 : load_u64(raw + off);
}

/*
 * memoryLimitHeapGoal() of mgcpacer.go, Go 1.19 on.  heapFree is the word
 * before totalAlloc: heapInUse, heapReleased, heapFree, totalAlloc, totalFree,
 * mappedReady stand in a row in every release.  The headroom is 1 MiB in 1.19
 * and 1.20, from 1.21 3 % and at least that.
 */
static uint64_t limit_goal(const struct goruntime *rt, const uint8_t *raw, uint64_t limit,
			   uint64_t marked)
{
	int32_t alloc_off = go_off(rt, LAYOUT_GCCONTROLLER_TOTALALLOC);
	uint64_t ready, in_use, nonheap, overage, goal, headroom = MIB;

	if (limit >= INT64_MAX || alloc_off < 8 ||
	    go_off(rt, LAYOUT_GCCONTROLLER_MAPPEDREADY) != alloc_off + 16)
		return UINT64_MAX;
	ready = ctl_u64(rt, raw, LAYOUT_GCCONTROLLER_MAPPEDREADY);
	in_use = load_u64(raw + alloc_off - 8) + ctl_u64(rt, raw, LAYOUT_GCCONTROLLER_TOTALALLOC) -
		 ctl_u64(rt, raw, LAYOUT_GCCONTROLLER_TOTALFREE);
	nonheap = in_use <= ready ? ready - in_use : 0;
	overage = ready > limit ? ready - limit : 0;
	if (nonheap + overage >= limit)
		return marked;
	goal = limit - (nonheap + overage);
	if (rt->gb->release.minor >= 21 && goal / 100 * 3 > headroom)
		headroom = goal / 100 * 3;
	goal = goal < headroom || goal - headroom < headroom ? headroom : goal - headroom;
	return goal < marked ? marked : goal;
}

/*
 * heapGoalInternal() of mgcpacer.go.  1.18 keeps the goal itself.  From 1.19 it
 * is the least of GOGC's goal and the limit's, and in the first case not below
 * sweepDistMinTrigger nor 64 KiB above the point where the cycle was triggered;
 * these two words stand behind gcPercentHeapGoal, before lastHeapGoal and
 * heapLive, in every release.
 */
static uint64_t heap_goal(const struct goruntime *rt, const uint8_t *raw, const struct gototals *t)
{
	uint64_t goal = ctl_u64(rt, raw, LAYOUT_GCCONTROLLER_GCPERCENTHEAPGOAL);
	int32_t off = go_off(rt, LAYOUT_GCCONTROLLER_GCPERCENTHEAPGOAL);
	uint64_t limit = UINT64_MAX, trigger;

	if (t->memory_limit >= 0)
		limit = limit_goal(rt, raw, (uint64_t)t->memory_limit, t->heap_marked);
	if (limit < goal)
		return limit;
	if (t->memory_limit >= 0 && go_off(rt, LAYOUT_GCCONTROLLER_HEAPLIVE) == off + 32) {
		if (load_u64(raw + off + 8) > goal)
			goal = load_u64(raw + off + 8);
		trigger = load_u64(raw + off + 16);
		if (trigger != UINT64_MAX && goal < trigger + (64u << 10))
			goal = trigger + (64u << 10);
	}
	return goal == UINT64_MAX ? 0 : goal;
}

static int32_t controller_size(const struct goruntime *rt)
{
	static const enum layout_field need[] = {
		LAYOUT_GCCONTROLLER_GCPERCENT,         LAYOUT_GCCONTROLLER_HEAPMINIMUM,
		LAYOUT_GCCONTROLLER_GCPERCENTHEAPGOAL, LAYOUT_GCCONTROLLER_HEAPLIVE,
		LAYOUT_GCCONTROLLER_HEAPMARKED,
	};
	static const enum layout_field more[] = {
		LAYOUT_GCCONTROLLER_MEMORYLIMIT,
		LAYOUT_GCCONTROLLER_TOTALALLOC,
		LAYOUT_GCCONTROLLER_TOTALFREE,
		LAYOUT_GCCONTROLLER_MAPPEDREADY,
	};
	int32_t hi = 0;

	for (size_t i = 0; i < ARRAY_SIZE(need); i++) {
		if (go_off(rt, need[i]) < 0)
			return -1;
		if (go_off(rt, need[i]) + 8 > hi)
			hi = go_off(rt, need[i]) + 8;
	}
	for (size_t i = 0; i < ARRAY_SIZE(more); i++)
		if (go_off(rt, more[i]) + 8 > hi)
			hi = go_off(rt, more[i]) + 8;
	return hi;
}

/* Of the row of counters that limit_goal() knows. */
static void take_mapped(const struct goruntime *rt, const uint8_t *raw, struct gototals *t)
{
	int32_t off = go_off(rt, LAYOUT_GCCONTROLLER_TOTALALLOC);

	if (off < 24 || go_off(rt, LAYOUT_GCCONTROLLER_MAPPEDREADY) != off + 16)
		return;
	t->heap_in_use = load_u64(raw + off - 24);
	t->heap_released = load_u64(raw + off - 16);
	t->heap_free = load_u64(raw + off - 8);
	t->mapped_ready = load_u64(raw + off + 16);
	/* they are not of one moment */
	t->has_mapped = t->heap_in_use + t->heap_free <= t->mapped_ready + 64 * MIB &&
			t->mapped_ready <= ADDR_END_MOST && t->heap_released <= ADDR_END_MOST;
}

uint64_t goruntime_total_alloc_at(const struct goruntime *rt)
{
	return goruntime_has(rt, FACT_HEAP)
		       ? go_global(rt, GLOBAL_GCCONTROLLER, LAYOUT_GCCONTROLLER_TOTALALLOC)
		       : 0;
}

static int read_controller(struct goruntime *rt, struct goraw *raw, struct gototals *t)
{
	uint64_t base = rt->gb->global[GLOBAL_GCCONTROLLER];
	uint8_t ctl[CONTROLLER_MAX];
	int32_t size = controller_size(rt);
	int err;

	if (!base || size < 0 || size > CONTROLLER_MAX)
		return 0;
	err = mem_read(rt->mem, base + rt->bias, ctl, (size_t)size);
	if (err)
		return err == -EFAULT ? 0 : err;
	raw->has_controller = true;
	raw->heap_minimum = ctl_u64(rt, ctl, LAYOUT_GCCONTROLLER_HEAPMINIMUM);
	t->gogc = (int32_t)load_u32(ctl + go_off(rt, LAYOUT_GCCONTROLLER_GCPERCENT));
	t->memory_limit = absent(rt, LAYOUT_GCCONTROLLER_MEMORYLIMIT)
				  ? -1
				  : (int64_t)ctl_u64(rt, ctl, LAYOUT_GCCONTROLLER_MEMORYLIMIT);
	t->heap_live = ctl_u64(rt, ctl, LAYOUT_GCCONTROLLER_HEAPLIVE);
	t->heap_marked = ctl_u64(rt, ctl, LAYOUT_GCCONTROLLER_HEAPMARKED);
	t->heap_goal = heap_goal(rt, ctl, t);
	t->has_total_alloc = !absent(rt, LAYOUT_GCCONTROLLER_TOTALALLOC);
	t->total_alloc = ctl_u64(rt, ctl, LAYOUT_GCCONTROLLER_TOTALALLOC);
	t->total_free = ctl_u64(rt, ctl, LAYOUT_GCCONTROLLER_TOTALFREE);
	take_mapped(rt, ctl, t);
	return 0;
}

static void count_goroutines(const struct goraw *raw, struct gototals *t)
{
	uint64_t out = raw->gfree + raw->ngsys;

	/* gcount(): one at least, the reading is not of one moment */
	t->live = raw->allglen > out ? raw->allglen - out : 1;
	t->system = raw->ngsys;
	/* The runtime's counter from 1.26; before, the ids handed out. */
	if (raw->has_created_counter)
		t->created = raw->created_counter;
	else
		t->created = raw->goidgen > raw->unspent_ids ? raw->goidgen - raw->unspent_ids : 0;
}

static void read_max_threads(struct goruntime *rt, struct gototals *t)
{
	uint64_t at = go_global(rt, GLOBAL_SCHED, LAYOUT_SCHED_MAXMCOUNT);

	if (!at || mem_read_u32(rt->mem, at, &t->max_threads) || t->max_threads > INT32_MAX)
		t->max_threads = 0;
}

int goread_counters(struct goruntime *rt, struct goraw *raw, struct gototals *t)
{
	int err;

	memset(raw, 0, sizeof(*raw));
	memset(t, 0, sizeof(*t));
	t->mono_ns = clock_mono_ns();
	t->real_ns = clock_real_ns();
	err = read_scheduler(rt, raw);
	if (err == -EFAULT || err == -ENOENT) {
		raw->has_sched = raw->has_p = false;
		err = 0;
	}
	if (!err)
		err = goread_memstats(rt, raw, t);
	if (!err)
		err = read_controller(rt, raw, t);
	if (err)
		return err;
	t->has_live = t->has_created = raw->has_sched && raw->has_p;
	t->has_gc = raw->has_memstats;
	t->has_heap = raw->has_controller;
	read_max_threads(rt, t);
	t->procs = raw->has_p ? (uint32_t)raw->np : 0;
	count_goroutines(raw, t);
	return 0;
}

int goruntime_created(struct goruntime *rt, uint64_t *created)
{
	struct goraw raw = { 0 };
	struct gototals t;
	int err;

	if (!goruntime_has(rt, FACT_CREATED))
		return -ENOENT;
	err = read_scheduler(rt, &raw);
	if (err)
		return err;
	if (!raw.has_sched || !raw.has_p)
		return -EFAULT;
	count_goroutines(&raw, &t);
	*created = t.created;
	return 0;
}

int goruntime_totals(struct goruntime *rt, struct gototals *t)
{
	struct goraw raw;
	int err = goread_counters(rt, &raw, t);
	struct {
		enum gofact fact;
		bool *has;
	} part[] = {
		{ FACT_LIVE, &t->has_live },
		{ FACT_CREATED, &t->has_created },
		{ FACT_GC, &t->has_gc },
		{ FACT_HEAP, &t->has_heap },
	};

	if (err)
		return err;
	for (size_t i = 0; i < ARRAY_SIZE(part); i++) {
		if (!goruntime_has(rt, part[i].fact))
			*part[i].has = false;
		else if (!*part[i].has)
			rt->read_failures++;
	}
	t->has_total_alloc = t->has_total_alloc && t->has_heap;
	t->has_mapped = t->has_mapped && t->has_heap;
	return 0;
}
