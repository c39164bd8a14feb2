/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The walk of allgs.
 *
 * allgs only grows and its g's are never freed (runtime/proc.go, allgadd), so
 * the addresses are read once and kept sorted: each walk reads only the list's
 * new tail.  g's are ordinary heap objects and lie side by side: neighbours are
 * read as one block, which is ten times faster than one piece each.
 */
#include "gort/goruntime_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/cursor.h"
#include "base/vec.h"

#define RAW_BYTES    (1u << 20)   /* of one batch */
#define BLOCK_BYTES  (128u << 10) /* of one piece */
#define MAX_GAP      512          /* between g's read as one block: never a whole page */
#define BATCH_PIECES 512
#define MAX_REPEATS  3          /* of a g seen half made */
#define LEAST_GAP    1024       /* goroutines for which room is made at once */
#define HUGE_BYTES   (2u << 20) /* of a page, on x86-64 */
#define TELLS_FIRST  20         /* minor releases, goruntime_waitsince_tells() */
#define TELLS_LAST   27

int goread_list(struct goruntime *rt, uint64_t *array, uint64_t *len)
{
	const uint64_t *global = rt->gb->global;
	uint8_t slice[24], ptr[8], n[8];
	struct mem_piece p[3] = {
		/* allgs is written before allgptr before allglen: read backwards. */
		{ .addr = global[GLOBAL_ALLGLEN] + rt->bias, .dst = n, .len = sizeof(n) },
		{ .addr = global[GLOBAL_ALLGPTR] + rt->bias, .dst = ptr, .len = sizeof(ptr) },
		{ .addr = global[GLOBAL_ALLGS] + rt->bias, .dst = slice, .len = sizeof(slice) },
	};
	bool has_pair = global[GLOBAL_ALLGLEN] && global[GLOBAL_ALLGPTR];
	bool has_slice = global[GLOBAL_ALLGS];
	int failed;

	if (!has_pair && !has_slice)
		return -ENOENT;
	failed = mem_read_many(rt->mem, has_pair ? p : p + 2, has_pair ? (has_slice ? 3 : 2) : 1);
	if (failed)
		return failed < 0 ? failed : -EFAULT;
	if (!has_pair) {
		memcpy(ptr, slice, 8);
		memcpy(n, slice + 8, 8);
	}
	*array = load_u64(ptr);
	*len = load_u64(n);
	if (has_slice && (load_u64(slice) != *array || load_u64(slice + 8) != *len ||
			  load_u64(slice + 16) < *len))
		return -EAGAIN;
	return 0;
}

static inline uint64_t g_u64(const struct goruntime *rt, const uint8_t *raw, enum layout_field f)
{
	int32_t off = go_off(rt, f);

	return off < 0 ? 0 : load_u64(raw + off - rt->cache->g_from);
}

static inline uint8_t g_u8(const struct goruntime *rt, const uint8_t *raw, enum layout_field f)
{
	int32_t off = go_off(rt, f);

	return off < 0 ? 0 : raw[off - rt->cache->g_from];
}

static inline uint8_t g_status(const struct goruntime *rt, const uint8_t *raw)
{
	uint32_t status = (uint32_t)g_u64(rt, raw, LAYOUT_G_ATOMICSTATUS) & ~GO_STATUS_SCAN;

	return status > UINT8_MAX ? UINT8_MAX : (uint8_t)status;
}

/* All that is read of a g: the name in struct goroutine, its field. */
#define WORDS(X)                   \
	X(goid, GOID)              \
	X(sched_pc, SCHED_PC)      \
	X(sched_sp, SCHED_SP)      \
	X(sched_bp, SCHED_BP)      \
	X(gopc, GOPC)              \
	X(startpc, STARTPC)        \
	X(parent_goid, PARENTGOID) \
	X(syscall_pc, SYSCALLPC)   \
	X(syscall_sp, SYSCALLSP)   \
	X(stack_lo, STACK_LO)      \
	X(stack_hi, STACK_HI)      \
	X(m, M)                    \
	X(labels, LABELS)          \
	X(waiting, WAITING)        \
	X(lockedm, LOCKEDM)        \
	X(waitsince, WAITSINCE)
#define BYTES(X)                   \
	X(wait_reason, WAITREASON) \
	X(tracking_seq, TRACKINGSEQ)

/* Whether it is, in all that is read of it, what it was. */
static inline bool is_same(const struct goruntime *rt, const uint8_t *raw,
			   const struct goroutine *g)
{
	uint64_t other = g_status(rt, raw) ^ g->status;

#define X(name, field) other |= g_u64(rt, raw, LAYOUT_G_##field) ^ (uint64_t)g->name;
	WORDS(X)
#undef X
#define X(name, field) other |= (uint64_t)(g_u8(rt, raw, LAYOUT_G_##field) ^ g->name);
	BYTES(X)
#undef X
	return !other;
}

bool goread_stands(const struct goruntime *rt, const uint8_t *raw, const struct goroutine *g)
{
	return g_u64(rt, raw, LAYOUT_G_GOID) == g->goid && g_status(rt, raw) == g->status &&
	       g_u8(rt, raw, LAYOUT_G_TRACKINGSEQ) == g->tracking_seq &&
	       g_u64(rt, raw, LAYOUT_G_SCHED_PC) == g->sched_pc &&
	       g_u64(rt, raw, LAYOUT_G_SCHED_SP) == g->sched_sp &&
	       g_u64(rt, raw, LAYOUT_G_SYSCALLPC) == g->syscall_pc &&
	       g_u64(rt, raw, LAYOUT_G_SYSCALLSP) == g->syscall_sp &&
	       g_u64(rt, raw, LAYOUT_G_STACK_HI) == g->stack_hi;
}

static uint64_t proven_parked(struct goruntime *rt, const struct goroutine *g)
{
	if (!g->waitsince ||
	    (g->status != GO_WAITING && g->status != GO_SYSCALL && g->status != GO_LEAKED))
		return 0;
	return gocycles_proven_ns(&rt->cache->cycles, g->waitsince - rt->mono_offset_ns);
}

void goread_decode(struct goruntime *rt, uint64_t addr, const uint8_t *raw, struct goroutine *g)
{
	memset(g, 0, sizeof(*g));
	g->addr = addr;
	g->moved = rt->cache->walks;
	g->status = g_status(rt, raw);
#define X(name, field) g->name = (typeof(g->name))g_u64(rt, raw, LAYOUT_G_##field);
	WORDS(X)
#undef X
#define X(name, field) g->name = g_u8(rt, raw, LAYOUT_G_##field);
	BYTES(X)
#undef X
	g->parked_ns = proven_parked(rt, g);
}

bool goruntime_waitsince_tells(const struct goruntime *rt)
{
	int minor = rt->gb->release.minor;

	return minor >= TELLS_FIRST && minor <= TELLS_LAST && go_off(rt, LAYOUT_G_WAITSINCE) >= 0;
}

bool gostatus_is_live(uint8_t status, bool *known)
{
	*known = true;
	switch (status) {
	case GO_RUNNABLE:
	case GO_RUNNING:
	case GO_SYSCALL:
	case GO_WAITING:
	case GO_COPYSTACK:
	case GO_PREEMPTED:
	case GO_LEAKED:
		return true;
	case GO_IDLE:
	case GO_DEAD:
	case GO_DEADEXTRA:
		return false;
	default:
		*known = false;
		return false;
	}
}

bool goroutine_is_sound(const struct goroutine *g)
{
	/* maxstacksize is 1 GB on 64 bit, its ceiling twice that (runtime/proc.go) */
	return g->goid && g->stack_lo && g->stack_lo < g->stack_hi &&
	       g->stack_hi - g->stack_lo <= (2ull << 30);
}

int goread_one(struct goruntime *rt, uint64_t addr, struct goroutine *out)
{
	uint8_t raw[GO_MAX_G_BYTES];
	int err = mem_read(rt->mem, addr + rt->cache->g_from, raw, rt->cache->g_len);

	if (!err)
		goread_decode(rt, addr, raw, out);
	return err;
}

bool goruntime_is_system(struct goruntime *rt, uint64_t startpc)
{
	uint64_t *known = u64map_find(&rt->cache->system, startpc);
	bool is;

	if (known)
		return *known;
	is = startpc && gobin_is_uncounted_start(rt->gb, startpc - rt->bias);
	u64map_put(&rt->cache->system, startpc, is, NULL); /* full: asked anew each time */
	return is;
}

int goruntime_read_g(struct goruntime *rt, uint64_t addr, struct goroutine *out)
{
	int err = goread_one(rt, addr, out);

	if (!err)
		out->system = goruntime_is_system(rt, out->startpc);
	return err;
}

int goruntime_read_gs(struct goruntime *rt, struct readbatch *b, const uint64_t *addr, size_t n,
		      struct goroutine *out, bool *read)
{
	uint32_t first = 0;
	int err;

	readbatch_reset(b);
	for (size_t i = 0; i < n; i++) {
		uint32_t piece =
			readbatch_add(b, addr[i] + rt->cache->g_from, (uint32_t)rt->cache->g_len);

		read[i] = piece != READBATCH_NONE;
	}
	err = readbatch_read(b, rt->mem);
	for (size_t i = 0; i < n && !err; i++) {
		const uint8_t *raw = read[i] ? readbatch_get(b, first++) : NULL;

		read[i] = raw != NULL;
		if (!raw)
			continue;
		goread_decode(rt, addr[i], raw, &out[i]);
		out[i].system = goruntime_is_system(rt, out[i].startpc);
	}
	return err;
}

/* Sorts the tail in and drops what is there twice (a list that lies). */
static int merge_tail(struct gowalk_cache *c, uint64_t *tail, size_t n)
{
	size_t total = c->naddr + n, i = 0, j = 0, k = 0;
	uint64_t *merged;

	qsort(tail, n, sizeof(*tail), by_u64);
	merged = malloc((total ? total : 1) * sizeof(*merged));
	if (!merged)
		return -ENOMEM;
	while (i < c->naddr || j < n) {
		uint64_t next;

		if (j >= n || (i < c->naddr && c->addr[i] <= tail[j]))
			next = c->addr[i++];
		else
			next = tail[j++];
		if (k && merged[k - 1] == next)
			c->list_odd++;
		else
			merged[k++] = next;
	}
	free(c->addr);
	c->addr = merged;
	c->naddr = k;
	c->addr_cap = total;
	return 0;
}

static size_t usable_addresses(struct gowalk_cache *c, const uint8_t *raw, size_t n, uint64_t *out)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t a = load_u64(raw + 8 * i);

		if (!addr_is_plausible(a, 8))
			c->list_odd++;
		else
			out[k++] = a;
	}
	return k;
}

/* Brings the sorted addresses up to the list's length. */
static int update_addresses(struct goruntime *rt, uint64_t array, size_t len)
{
	struct gowalk_cache *c = rt->cache;
	size_t n;
	uint64_t *tail;
	uint8_t *raw;
	int err;

	if (len < c->list_seen) { /* it never shrinks: another list */
		c->naddr = c->list_seen = 0;
		c->list_odd = 0;
	}
	n = len - c->list_seen;
	if (!n)
		return 0;
	raw = malloc(n * 8);
	tail = malloc(n * 8);
	err = raw && tail ? mem_read(rt->mem, array + 8 * (uint64_t)c->list_seen, raw, n * 8)
			  : -ENOMEM;
	if (!err) {
		size_t usable = usable_addresses(c, raw, n, tail);

		err = merge_tail(c, tail, usable);
	}
	if (!err)
		c->list_seen = len;
	free(raw);
	free(tail);
	return err;
}

/* The array of many is in huge pages where there are any: a page fault for each
 * 27 goroutines would take longer than to read them. */
static void use_huge_pages(void *array, size_t bytes)
{
	uintptr_t from = ((uintptr_t)array + HUGE_BYTES - 1) & ~(uintptr_t)(HUGE_BYTES - 1);
	uintptr_t to = ((uintptr_t)array + bytes) & ~(uintptr_t)(HUGE_BYTES - 1);

	if (from < to)
		madvise((void *)from, to - from, MADV_HUGEPAGE);
}

static int make_room(struct gowalk *w, size_t cap)
{
	struct goroutine *g;

	if (cap <= w->cap)
		return 0;
	g = realloc(w->g, cap * sizeof(*g));
	if (!g)
		return -ENOMEM;
	use_huge_pages(g, cap * sizeof(*g));
	w->g = g;
	w->cap = cap;
	return 0;
}

/* ---- those of the walk before, in place ---- */

/* Room for one more in front of those that are still to come. */
static int make_gap(struct gowalk *w)
{
	size_t left = w->end - w->next, gap = LEAST_GAP + left / 8;
	int err = make_room(w, w->n + gap + left);

	if (err)
		return err;
	memmove(&w->g[w->n + gap], &w->g[w->next], left * sizeof(*w->g));
	w->next = w->n + gap;
	w->end = w->next + left;
	return 0;
}

/* What the walk before found at that address; NULL: nothing.  Asked for in order. */
static struct goroutine *before(struct gowalk *w, uint64_t addr)
{
	while (w->next < w->end && w->g[w->next].addr < addr)
		w->next++;
	if (w->next < w->end)
		return w->g[w->next].addr == addr ? &w->g[w->next++] : NULL;
	w->next = w->end = w->cap;
	return NULL;
}

static void count(struct gowalk *w, const struct goroutine *g)
{
	if (g->system)
		w->system++;
	else
		w->user++;
}

/* It stands where it stood: nothing of it is written, but what collections that have ended since prove. */
static void keep(struct goruntime *rt, struct gowalk *w, const struct goroutine *was)
{
	struct goroutine *g = &w->g[w->n++];

	if (g != was)
		*g = *was;
	if (w->proves)
		g->parked_ns = proven_parked(rt, g);
	count(w, g);
}

static int add_goroutine(struct goruntime *rt, struct gowalk *w, uint64_t addr, const uint8_t *raw)
{
	const struct goroutine *was = before(w, addr);
	struct goroutine g;
	bool known, live;

	if (was && is_same(rt, raw, was)) {
		keep(rt, w, was);
		return 0;
	}
	goread_decode(rt, addr, raw, &g);
	live = gostatus_is_live(g.status, &known);
	/* newproc1 makes it runnable before it has an id (<= 1.22): look again. */
	for (int i = 0; live && !goroutine_is_sound(&g) && i < MAX_REPEATS; i++) {
		if (goread_one(rt, addr, &g))
			break;
		live = gostatus_is_live(g.status, &known);
	}
	if (!known || (live && !goroutine_is_sound(&g))) {
		w->failures++;
		return 0;
	}
	if (!live)
		return 0;
	if (w->n == w->next) {
		int err = make_gap(w);

		if (err)
			return err;
	}
	g.system = goruntime_is_system(rt, g.startpc);
	count(w, &g);
	w->g[w->n++] = g;
	return 0;
}

/* A block that could not be read: each of its g's alone. */
static int add_one_by_one(struct goruntime *rt, struct gowalk *w, size_t from, size_t to)
{
	struct gowalk_cache *c = rt->cache;
	uint8_t raw[GO_MAX_G_BYTES];

	for (size_t i = from; i < to; i++) {
		int err = mem_read(rt->mem, c->addr[i] + c->g_from, raw, c->g_len);

		if (err == -ESRCH || err == -EPERM)
			return err;
		if (err) {
			w->failures++;
			continue;
		}
		err = add_goroutine(rt, w, c->addr[i], raw);
		if (err)
			return err;
	}
	return 0;
}

/* Pieces for a batch from addr[*pos] on; returns how many, *pos moves behind them. */
static size_t gather_batch(struct gowalk_cache *c, size_t *pos)
{
	size_t n = 0, used = 0, i = *pos;

	while (i < c->naddr && n < BATCH_PIECES && used + c->g_len <= RAW_BYTES) {
		uint64_t from = c->addr[i] + c->g_from, to = from + c->g_len;
		size_t room = RAW_BYTES - used < BLOCK_BYTES ? RAW_BYTES - used : BLOCK_BYTES;

		c->first[n] = i;
		for (i++; i < c->naddr; i++) {
			uint64_t next = c->addr[i] + c->g_from;

			if (next > to + MAX_GAP || next + c->g_len - from > room)
				break;
			to = next + c->g_len;
		}
		c->piece[n] = (struct mem_piece){ .addr = from,
						  .dst = c->raw + used,
						  .len = (uint32_t)(to - from) };
		used += to - from;
		n++;
	}
	*pos = i;
	return n;
}

static int take_batch(struct goruntime *rt, struct gowalk *w, size_t n, size_t end)
{
	struct gowalk_cache *c = rt->cache;
	int err = 0;

	for (size_t k = 0; k < n && !err; k++) {
		const struct mem_piece *p = &c->piece[k];
		size_t to = k + 1 < n ? c->first[k + 1] : end;

		if (p->status) {
			err = add_one_by_one(rt, w, c->first[k], to);
			continue;
		}
		for (size_t i = c->first[k]; i < to && !err; i++)
			err = add_goroutine(rt, w, c->addr[i],
					    (uint8_t *)p->dst + (c->addr[i] + c->g_from - p->addr));
	}
	return err;
}

static int walk_all(struct goruntime *rt, struct gowalk *w)
{
	struct gowalk_cache *c = rt->cache;
	int err = make_room(w, c->naddr);
	size_t pos = 0;

	w->next = 0;
	w->end = w->n;
	w->n = 0;

	while (pos < c->naddr && !err) {
		size_t n = gather_batch(c, &pos);

		err = mem_read_many(rt->mem, c->piece, n);
		if (err >= 0)
			err = take_batch(rt, w, n, pos);
	}
	return err;
}

static int read_list(struct goruntime *rt, struct gowalk *w)
{
	uint64_t array = 0, len = 0;
	int err;

	for (int i = 0; i < 10; i++) {
		err = goread_list(rt, &array, &len);
		if (err != -EAGAIN)
			break;
	}
	if (err)
		return err == -EAGAIN ? -EFAULT : err;
	if (len > GO_MAX_GOROUTINES) {
		w->failures += len - GO_MAX_GOROUTINES;
		len = GO_MAX_GOROUTINES;
	}
	err = update_addresses(rt, array, (size_t)len);
	w->failures += rt->cache->list_odd;
	return err;
}

int goruntime_walk(struct goruntime *rt, struct gowalk *w, struct err *err)
{
	uint64_t start = clock_mono_ns();
	int code;

	w->user = w->system = w->failures = 0;
	w->before = w->number;
	w->number = ++rt->cache->walks;
	gocycles_read(rt);
	w->proves =
		w->has_cycles != rt->cache->cycles.known || w->cycles != rt->cache->cycles.ended;
	w->has_cycles = rt->cache->cycles.known;
	w->cycles = rt->cache->cycles.ended;
	code = read_list(rt, w);
	if (code)
		w->n = 0;
	else
		code = walk_all(rt, w);
	w->read_ns = clock_mono_ns() - start;
	w->mono_ns = start + w->read_ns / 2;
	rt->read_failures += w->failures;
	if (code == -ESRCH)
		return err_set(err, code, "the process has ended");
	if (code)
		return err_set(err, code, "cannot read the list of goroutines: %s",
			       strerror(-code));
	return 0;
}

void gowalk_deinit(struct gowalk *w)
{
	free(w->g);
	memset(w, 0, sizeof(*w));
}
