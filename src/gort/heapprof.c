/* SPDX-License-Identifier: BSD-2-Clause */
#include "gort/heapprof.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/cursor.h"
#include "base/vec.h"
#include "gort/goruntime_priv.h"

#define TYP_MEMORY 1 /* runtime: memProfile */
#define MAX_PCS    (32u << 20)
#define MAX_BUCKET (HEAPPROF_MAX_DEPTH * 8 + 512)
#define BEHIND     6144 /* older buckets lie before newer ones in persistentalloc's blocks */
#define AHEAD      2048
#define MIN_ADDR   (64u << 10) /* what no bucket's address is below, or above */
#define MAX_RATE   (1ull << 40)
#define MOST_BYTES (1ull << 56)

/* Where things are, as the release has them. */
struct shape {
	int32_t size, allnext, typ, bytes, nstk;        /* of the bucket */
	int32_t record, cycle;                          /* sizes */
	int32_t allocs, frees, alloc_bytes, free_bytes; /* the latter two -1 since 1.27 */
};

/* The memory around the latest bucket. */
struct near {
	uint64_t base;
	size_t len;
	int err; /* of the latest reading */
	uint8_t bytes[BEHIND + AHEAD];
	uint8_t one[MAX_BUCKET];
};

struct counts {
	uint64_t allocs, frees, alloc_bytes, free_bytes;
};

void heapprof_deinit(struct heapprof *h)
{
	free(h->bucket);
	free(h->pc);
	memset(h, 0, sizeof(*h));
}

static int shape_of(const struct goruntime *rt, struct shape *s)
{
	*s = (struct shape){
		.size = go_off(rt, LAYOUT_BUCKET_SIZE),
		.allnext = go_off(rt, LAYOUT_BUCKET_ALLNEXT),
		.typ = go_off(rt, LAYOUT_BUCKET_TYP),
		.bytes = go_off(rt, LAYOUT_BUCKET_BYTES),
		.nstk = go_off(rt, LAYOUT_BUCKET_NSTK),
		.record = go_off(rt, LAYOUT_MEMRECORD_SIZE),
		.cycle = go_off(rt, LAYOUT_MEMRECORDCYCLE_SIZE),
		.allocs = go_off(rt, LAYOUT_MEMRECORDCYCLE_ALLOCS),
		.frees = go_off(rt, LAYOUT_MEMRECORDCYCLE_FREES),
		.alloc_bytes = go_off(rt, LAYOUT_MEMRECORDCYCLE_ALLOC_BYTES),
		.free_bytes = go_off(rt, LAYOUT_MEMRECORDCYCLE_FREE_BYTES),
	};
	if (s->size < 0 || s->size > 256 || s->allnext < 0 || s->typ < 0 || s->bytes < 0 ||
	    s->nstk < 0 || s->allocs < 0 || s->frees < 0 || s->cycle <= 0 ||
	    s->record != s->cycle * (1 + HEAPPROF_FUTURES))
		return -ENOENT;
	return 0;
}

/* n bytes at addr, from the block around it when that can be read. */
static const uint8_t *near_bytes(struct near *w, struct goruntime *rt, uint64_t addr, size_t n)
{
	if (n > sizeof(w->one) || addr < MIN_ADDR || addr >= ADDR_END_MOST || addr % 8)
		return NULL;
	if (addr < w->base || addr + n > w->base + w->len) {
		w->base = addr - BEHIND;
		w->len = sizeof(w->bytes);
		if (mem_read(rt->mem, w->base, w->bytes, w->len))
			w->len = 0;
	}
	if (n <= AHEAD && w->len)
		return w->bytes + (addr - w->base);
	w->err = mem_read(rt->mem, addr, w->one, n);
	return w->err ? NULL : w->one;
}

static void add_cycle(const struct shape *s, const uint8_t *p, uint64_t object, struct counts *c)
{
	uint64_t allocs = load_u64(p + s->allocs), frees = load_u64(p + s->frees);

	c->allocs += allocs;
	c->frees += frees;
	c->alloc_bytes += s->alloc_bytes < 0 ? allocs * object : load_u64(p + s->alloc_bytes);
	c->free_bytes += s->free_bytes < 0 ? frees * object : load_u64(p + s->free_bytes);
}

/* runtime/pprof's scaleHeapSample. */
static void scale(uint64_t count, uint64_t bytes, uint64_t rate, uint64_t *out_count,
		  uint64_t *out_bytes)
{
	double factor = 1;

	*out_count = *out_bytes = 0;
	if (!count || !bytes)
		return;
	if (rate > 1)
		factor = 1 / (1 - exp(-((double)bytes / (double)count) / (double)rate));
	*out_count = (uint64_t)((double)count * factor);
	*out_bytes = (uint64_t)((double)bytes * factor);
}

static int add_pcs(struct heapprof *h, const uint8_t *raw, size_t n)
{
	if (h->npc + n > MAX_PCS)
		return -ENOSPC;
	if (array_grow(&h->pc, h->npc + n, &h->pc_cap, sizeof(*h->pc)))
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		h->pc[h->npc++] = load_u64(raw + 8 * i);
	return 0;
}

static int add_bucket(struct heapprof *h, const struct heap_bucket *b)
{
	if (array_room(&h->bucket, h->n, &h->cap, sizeof(*h->bucket)))
		return -ENOMEM;
	h->bucket[h->n++] = *b;
	return 0;
}

/* Whether the counts contradict each other: damaged, or of another release. */
static bool is_odd(const struct counts *c)
{
	return c->frees > c->allocs || c->free_bytes > c->alloc_bytes ||
	       (c->allocs == 0) != (c->alloc_bytes == 0) || c->alloc_bytes > MOST_BYTES;
}

/* Of hostile counts and rates: what an int64_t holds. */
static double bounded(double v)
{
	const double most = 4e18;

	return v > most ? most : v < -most ? -most : v;
}

/* What a bucket has in memRecord.future. */
static bool take_later(struct heapprof *h, const struct shape *s, const uint8_t *future,
		       struct heap_bucket *b)
{
	double factor = 1;
	bool any = false;

	if (h->rate > 1 && b->object_bytes)
		factor = 1 / (1 - exp(-(double)b->object_bytes / (double)h->rate));
	for (int i = 0; i < HEAPPROF_FUTURES; i++) {
		struct counts c = { 0 };

		add_cycle(s, future + i * s->cycle, b->object_bytes, &c);
		if (!(c.allocs | c.frees) || c.alloc_bytes > MOST_BYTES ||
		    c.free_bytes > MOST_BYTES)
			continue;
		any = h->later[i] = true;
		b->later_alloc_bytes[i] = (uint64_t)bounded(factor * (double)c.alloc_bytes);
		b->later_in_use_bytes[i] =
			(int64_t)bounded(factor * ((double)c.alloc_bytes - (double)c.free_bytes));
	}
	return any;
}

/* One bucket; with `futures`, what no collection has confirmed yet too. */
static int take(struct heapprof *h, const struct goruntime *rt, const struct shape *s,
		uint64_t addr, const uint8_t *raw, bool futures)
{
	size_t n = load_u64(raw + s->nstk);
	struct heap_bucket b = { .addr = addr,
				 .first = (uint32_t)h->npc,
				 .n = (uint32_t)n,
				 .object_bytes = load_u64(raw + s->bytes) };
	const uint8_t *stk = raw + s->size, *record = stk + 8 * n;
	struct counts c = { 0 };
	bool later;
	int err;

	for (int i = 0; i <= (futures ? HEAPPROF_FUTURES : 0); i++)
		add_cycle(s, record + i * s->cycle, b.object_bytes, &c);
	/* the innermost is malloc's; further out there may be pcs of C */
	if ((n && !go_in_text(rt, load_u64(stk) - 1)) || is_odd(&c)) {
		h->bad++;
		return 0;
	}
	later = take_later(h, s, record + s->cycle, &b);
	if (!c.allocs && !later)
		return 0;
	h->published |= c.allocs != 0;
	scale(c.allocs, c.alloc_bytes, h->rate, &b.alloc_count, &b.alloc_bytes);
	scale(c.allocs - c.frees, c.alloc_bytes - c.free_bytes, h->rate, &b.in_use_count,
	      &b.in_use_bytes);
	err = add_pcs(h, stk, n);
	return err ? err : add_bucket(h, &b);
}

static int walk(struct heapprof *h, struct goruntime *rt, const struct shape *s, struct near *w,
		bool futures)
{
	uint64_t at, seen = 0, mark = 0;
	int err = mem_read_u64(rt->mem, rt->gb->global[GLOBAL_MBUCKETS] + rt->bias, &at);

	while (!err && at) {
		const uint8_t *raw = near_bytes(w, rt, at, (size_t)s->size);
		uint64_t n = raw ? load_u64(raw + s->nstk) : 0, next;

		if (!raw || load_u64(raw + s->typ) != TYP_MEMORY || n > HEAPPROF_MAX_DEPTH) {
			h->cut = true;
			h->bad++;
			err = raw || w->err != -ESRCH ? 0 : -ESRCH;
			break;
		}
		raw = near_bytes(w, rt, at, (size_t)s->size + 8 * n + (size_t)s->record);
		if (!raw) {
			h->cut = true;
			err = w->err == -ESRCH ? -ESRCH : 0;
			break;
		}
		next = load_u64(raw + s->allnext);
		err = take(h, rt, s, at, raw, futures);
		/* a cycle is met again at one of the marks, which move ever further apart */
		if (++seen == HEAPPROF_MAX_BUCKETS || next == mark) {
			h->cut = next != 0;
			break;
		}
		if (!(seen & (seen - 1)))
			mark = at;
		at = next;
	}
	return err;
}

/* Why there is nothing: the linker left it out, or the program switched it off. */
static int no_profile(struct goruntime *rt, char *why, size_t size)
{
	struct gofunc fn;
	bool linked = !pclntab_find_name(rt->gb->pcln, "runtime.MemProfile", &fn) ||
		      !pclntab_find_name(rt->gb->pcln, "runtime.memProfileInternal", &fn);

	snprintf(
		why, size,
		linked ? "the program has set runtime.MemProfileRate to 0: it keeps no heap profile"
		       : "the linker left the heap profile out: nothing in the program uses "
			 "runtime.MemProfile (runtime/pprof)");
	return -EOPNOTSUPP;
}

static int find_all(struct goruntime *rt, struct shape *s, uint64_t *rate, char *why, size_t size)
{
	const struct gobin *gb = rt->gb;
	int err;

	if (!gb->global[GLOBAL_MBUCKETS] || !gb->global[GLOBAL_MEMPROFILERATE]) {
		snprintf(why, size, "the heap profile was not found: %s",
			 gb->global_why[gb->global[GLOBAL_MBUCKETS] ? GLOBAL_MEMPROFILERATE
								    : GLOBAL_MBUCKETS]);
		return -EOPNOTSUPP;
	}
	if (shape_of(rt, s)) {
		snprintf(why, size, "the layout of the heap profile is not known for this release");
		return -EOPNOTSUPP;
	}
	err = mem_read_u64(rt->mem, gb->global[GLOBAL_MEMPROFILERATE] + rt->bias, rate);
	if (err)
		return err;
	if (!*rate)
		return no_profile(rt, why, size);
	if (*rate > MAX_RATE) {
		snprintf(why, size, "the heap profile's sampling rate is impossible");
		return -EBADMSG;
	}
	return 0;
}

int heapprof_read(struct heapprof *h, struct goruntime *rt, char *why, size_t size)
{
	struct near *w = calloc(1, sizeof(*w));
	struct shape s;
	int err;

	memset(h, 0, sizeof(*h));
	snprintf(why, size, "the heap profile cannot be read");
	err = w ? find_all(rt, &s, &h->rate, why, size) : -ENOMEM;
	if (!err)
		err = walk(h, rt, &s, w, false);
	if (!err && !h->published &&
	    !h->bad) { /* as runtime.MemProfile before the first collection */
		h->before_first_gc = true;
		h->n = h->npc = 0;
		w->len = 0;
		err = walk(h, rt, &s, w, true);
	}
	if (!err && h->bad > 16 + h->n / 8) {
		snprintf(why, size,
			 "%llu of %llu entries of the heap profile contradict themselves",
			 (unsigned long long)h->bad, (unsigned long long)(h->bad + h->n));
		err = -EBADMSG;
	}
	free(w);
	return err;
}

bool heapprof_as_of(const struct heapprof *h, uint32_t numgc, uint32_t *published, int *next)
{
	uint32_t i = (numgc + 1) % HEAPPROF_FUTURES;

	/* its own cycle and that of numgc go in step: both count mark terminations */
	if (h->before_first_gc || !numgc || h->later[numgc % HEAPPROF_FUTURES])
		return false;
	*published = h->later[i] ? numgc - 1 : numgc;
	*next = h->later[i] ? (int)i : -1;
	return true;
}
