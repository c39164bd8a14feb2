/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * allgs and the stacks.  g's are objects of the heap, so what was copied of it
 * has them too; while the process runs they are also read directly before and
 * after the stacks, and one that differs counts with its whole stack.
 */
#include "prove/snap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/vec.h"

#define MAX_GOROUTINES (1u << 24)
#define BATCH          (1u << 20)
#define BLOCK          (128u << 10)
#define MAX_GAP        512
#define BATCH_PIECES   512
#define MAX_STACK      (2ull << 30) /* twice maxstacksize (proc.go) */
#define STACK_PIECE    (16u << 20)
#define PIECES_AT_ONCE 16384      /* stacks read in one go */
#define ROOM           (1u << 20) /* for stacks that grow from one reading to the next */
#define HEAP_PER_STACK \
	(512u << 10)        /* bytes: to mark them takes longer than to copy a stack, by far */
#define FLAG_ASM    4       /* abi.FuncFlagAsm */
#define RED_ZONE    128     /* below SP: of C code */
#define STATUS_SCAN 0x1000u /* runtime2.go, _Gscan */

static uint64_t g_word(const struct snap *s, const uint8_t *raw, enum layout_field f)
{
	int32_t off = go_off(s->rt, f);

	return off < 0 ? 0 : heap_word(raw + off);
}

static bool is_live(uint8_t status)
{
	return status != GO_IDLE && status != GO_DEAD && status != GO_DEADEXTRA;
}

void snap_decode_g(const struct snap *s, uint64_t addr, const uint8_t *raw, struct pgo *g)
{
	uint32_t status = (uint32_t)g_word(s, raw, LAYOUT_G_ATOMICSTATUS) & ~STATUS_SCAN;

	memset(g, 0, sizeof(*g));
	g->addr = addr;
	g->kind = SNAP_NO_KIND;
	g->status = status > UINT8_MAX ? UINT8_MAX : (uint8_t)status;
	g->live = is_live(g->status);
	g->goid = g_word(s, raw, LAYOUT_G_GOID);
	g->pc = g_word(s, raw, LAYOUT_G_SCHED_PC);
	g->sp = g_word(s, raw, LAYOUT_G_SCHED_SP);
	if (g_word(s, raw, LAYOUT_G_SYSCALLSP)) { /* as mgcmark.go, scanstack */
		g->pc = g_word(s, raw, LAYOUT_G_SYSCALLPC);
		g->sp = g_word(s, raw, LAYOUT_G_SYSCALLSP);
	}
	g->lo = g_word(s, raw, LAYOUT_G_STACK_LO);
	g->hi = g_word(s, raw, LAYOUT_G_STACK_HI);
	g->waiting = g_word(s, raw, LAYOUT_G_WAITING);
	g->startpc = g_word(s, raw, LAYOUT_G_STARTPC);
	g->wait_since = g_word(s, raw, LAYOUT_G_WAITSINCE);
	g->reason = raw[go_off(s->rt, LAYOUT_G_WAITREASON)];
	g->seq = raw[go_off(s->rt, LAYOUT_G_TRACKINGSEQ)];
}

bool snap_is_same(const struct pgo *a, const struct pgo *b)
{
	return a->goid == b->goid && a->status == b->status && a->seq == b->seq && a->sp == b->sp &&
	       a->pc == b->pc && a->lo == b->lo && a->hi == b->hi && a->waiting == b->waiting &&
	       a->reason == b->reason;
}

/* ---- the list ---- */

static int too_much(struct snap *s, size_t ng)
{
	s->wanted_bytes = snap_bytes(s, ng);
	return -ENOSPC;
}

static int grow_list(struct snap *s, size_t want)
{
	int err = array_grow(&s->gaddr, want, &s->gaddr_cap, sizeof(*s->gaddr));

	return err ? err : array_grow(&s->g, want, &s->g_cap, sizeof(*s->g));
}

/*
 * The list only grows, and what is in it stays: the order here is ours.  What
 * is new is sorted by itself; the goroutines before keep their places.
 */
static int read_list(struct snap *s)
{
	const uint64_t *global = s->rt->gb->global;
	uint64_t array, len;
	size_t n;
	int err = mem_read_u64(s->rt->mem, global[GLOBAL_ALLGLEN] + s->rt->bias, &len);

	if (!err)
		err = mem_read_u64(s->rt->mem, global[GLOBAL_ALLGPTR] + s->rt->bias, &array);
	if (err)
		return snap_fail(s, err, "the list of goroutines cannot be read");
	if (!len || len > MAX_GOROUTINES || len < s->list_seen || array % 8)
		return snap_fail(s, -EBADMSG, "the list of goroutines has an impossible length");
	n = (size_t)len - s->list_seen;
	if (snap_bytes(s, (size_t)len) > s->max_bytes)
		return too_much(s, (size_t)len);
	err = grow_list(s, (size_t)len);
	if (!err && n)
		err = mem_read(s->rt->mem, array + 8 * s->list_seen, s->gaddr + s->list_seen,
			       n * 8);
	if (err)
		return err == -ENOMEM ? err
				      : snap_fail(s, err, "the list of goroutines cannot be read");
	for (size_t i = s->list_seen; i < len; i++) {
		uint64_t a = heap_word(&s->gaddr[i]);

		s->gaddr[i] = a;
		if (a % 8 || a < ADDR_PAGE || a >= ADDR_END)
			return snap_fail(s, -EBADMSG,
					 "the list of goroutines holds something else");
	}
	if (n)
		qsort(s->gaddr + s->nsorted, (size_t)len - s->nsorted, sizeof(*s->gaddr), by_u64);
	s->list_seen = s->ng = (size_t)len;
	return 0;
}

static bool search(const uint64_t *list, size_t from, size_t to, uint64_t addr, size_t *index)
{
	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (list[mid] < addr)
			from = mid + 1;
		else
			to = mid;
	}
	*index = from;
	return list[from] == addr;
}

bool snap_find_g(const struct snap *s, uint64_t addr, size_t *index)
{
	return (s->nsorted && addr <= s->gaddr[s->nsorted - 1] &&
		search(s->gaddr, 0, s->nsorted, addr, index)) ||
	       (s->ng > s->nsorted && addr <= s->gaddr[s->ng - 1] &&
		search(s->gaddr, s->nsorted, s->ng, addr, index));
}

/* ---- g's of a running process ---- */

typedef void (*g_fn)(struct snap *s, size_t i, const uint8_t *raw);

static void take_first(struct snap *s, size_t i, const uint8_t *raw)
{
	const uint8_t *copied = heap_bytes(&s->heap, s->gaddr[i], s->g_size);
	struct pgo earlier;

	snap_decode_g(s, s->gaddr[i], raw, &s->g[i]);
	if (!copied) {
		s->g[i].whole_stack = true;
		return;
	}
	snap_decode_g(s, s->gaddr[i], copied, &earlier);
	s->g[i].whole_stack = !snap_is_same(&s->g[i], &earlier);
}

static void take_second(struct snap *s, size_t i, const uint8_t *raw)
{
	struct pgo now;

	snap_decode_g(s, s->gaddr[i], raw, &now);
	if (snap_is_same(&now, &s->g[i]))
		return;
	s->g[i] = now;
	s->g[i].whole_stack = true;
	s->g[i].stack_unread = true; /* to be read again */
}

static int fetch_batch(struct snap *s, size_t *pos, struct mem_piece *p, size_t *first, g_fn fn)
{
	size_t n = 0, used = 0, i = *pos;
	int failed;

	while (i < s->ng && n < BATCH_PIECES && used + s->g_size <= BATCH) {
		uint64_t from = s->gaddr[i], to = from + s->g_size;
		size_t room = BATCH - used < BLOCK ? BATCH - used : BLOCK;

		first[n] = i;
		for (i++; i < s->ng; i++) {
			uint64_t next = s->gaddr[i];

			if (next < to || next > to + MAX_GAP || next + s->g_size - from > room)
				break;
			to = next + s->g_size;
		}
		p[n++] = (struct mem_piece){ .addr = from,
					     .dst = s->g_raw + used,
					     .len = (uint32_t)(to - from) };
		used += to - from;
	}
	failed = mem_read_many(s->rt->mem, p, n);
	if (failed == -ESRCH)
		return failed;
	if (failed)
		return snap_fail(s, -EFAULT, "goroutines of the list cannot be read");
	for (size_t k = 0; k < n; k++)
		for (size_t at = first[k]; at < (k + 1 < n ? first[k + 1] : i); at++)
			fn(s, at, (uint8_t *)p[k].dst + (s->gaddr[at] - p[k].addr));
	*pos = i;
	return 0;
}

static int fetch_all(struct snap *s, g_fn fn)
{
	struct mem_piece p[BATCH_PIECES];
	size_t first[BATCH_PIECES];
	int err = 0;

	for (size_t pos = 0; pos < s->ng && !err;)
		err = heap_go_on(&s->heap, "reading goroutines", pos, s->ng)
			      ? fetch_batch(s, &pos, p, first, fn)
			      : -EINTR;
	return err;
}

static void take_third(struct snap *s, size_t i, const uint8_t *raw)
{
	struct pgo now;

	if (!s->g[i].stuck)
		return;
	snap_decode_g(s, s->gaddr[i], raw, &now);
	if (now.status == GO_LEAKED) /* the runtime's own profile has said so meanwhile */
		now.status = s->g[i].status;
	if (!snap_is_same(&now, &s->g[i]))
		snap_take_back(s, i);
}

int snap_look_again(struct snap *s)
{
	return fetch_all(s, take_third);
}

/* ---- g's of a frozen one ---- */

/* Where its stack was copied to before: there it is, or there is room for it. */
static void keep_place(const struct snap *s, const struct pgo *before, struct pgo *now)
{
	now->kept = snap_keeps(s, before, now);
	now->later = snap_stays_later(s, before, now);
	now->from = before->from;
	now->stack_at = before->stack_at;
	now->stack_len = before->stack_len;
}

static int take_copied(struct snap *s)
{
	int err = 0;

	for (size_t i = 0; i < s->ng && !err; i++) {
		const uint8_t *raw = heap_bytes(&s->heap, s->gaddr[i], s->g_size);
		struct pgo now;

		if (!raw)
			return snap_fail(s, -EBADMSG,
					 "a goroutine is not in an object of the heap");
		snap_decode_g(s, s->gaddr[i], raw, &now);
		if (s->keeping && i < s->nkeep)
			keep_place(s, &s->g[i], &now);
		s->g[i] = now;
		if (now.live)
			err = snap_take_vector_registers(s, raw);
	}
	return err ? err : snap_read_heads(s);
}

/* ---- stacks ---- */

static bool has_sp(const struct pgo *g, uint64_t sp)
{
	return sp >= g->lo && sp < g->hi && sp % 8 == 0;
}

bool snap_thread_rests(const struct snap *s, const struct frozen_thread *t)
{
	struct gofunc fn;

	/*
	 * Assembly that makes system calls keeps no pointer in a register that
	 * Go code would use afterwards (no register survives a call).  C code
	 * in one has what it needs from a caller that keeps it.
	 */
	if (!t->in_syscall)
		return false;
	return pclntab_find_pc(s->rt->gb->pcln, t->pc - s->rt->bias, &fn) || (fn.flag & FLAG_ASM);
}

/* A goroutine that runs: from where its thread is, else the whole stack. */
static void choose_running(const struct snap *s, struct pgo *g)
{
	g->from = g->lo;
	g->whole_stack = true;
	for (size_t i = 0; s->freeze && i < s->freeze->n; i++) {
		const struct frozen_thread *t = &s->freeze->thread[i];

		if (!has_sp(g, t->sp))
			continue;
		g->from = t->sp - g->lo < RED_ZONE ? g->lo : t->sp - RED_ZONE;
		g->sp = t->sp;
		g->pc = t->pc;
		g->whole_stack = g->status != GO_RUNNING;
		g->on_cpu = g->status == GO_RUNNING;
		g->inexact = !snap_thread_rests(s, t);
		return;
	}
}

static void choose_range(struct snap *s, struct pgo *g)
{
	g->from = g->sp;
	if (g->whole_stack || g->status == GO_RUNNING || g->status == GO_COPYSTACK ||
	    !has_sp(g, g->sp))
		choose_running(s, g);
}

/* Where the stack of g goes: to its place, or behind what is there. */
static void plan_stack(struct snap *s, struct pgo *g)
{
	uint32_t room = g->stack_len;

	g->stack_len = 0;
	g->stack_unread = true;
	if (!g->goid || g->lo >= g->hi || g->hi - g->lo > MAX_STACK || g->hi % 8 ||
	    g->hi >> HEAP_ADDR_BITS) {
		if (s->frozen) /* newproc1: allocated, not yet alive */
			s->losses++;
		g->lo = g->hi = 0;
		return;
	}
	choose_range(s, g);
	g->stack_len = (uint32_t)(g->hi - g->from);
	g->stack_unread = false;
	if (g->stack_len <= room)
		return;
	g->stack_at = s->stacks_len;
	s->stacks_len += g->stack_len;
}

static int make_room(struct snap *s)
{
	uint64_t cap = s->stacks_len + s->stacks_len / 64 + ROOM, began = clock_mono_ns();
	uint8_t *grown;
	int err;

	if (snap_bytes(s, s->ng) > s->max_bytes)
		return too_much(s, s->ng);
	if (s->stacks_len <= s->stacks_cap)
		return 0;
	grown = realloc(s->stacks, cap);
	if (!grown)
		return -ENOMEM;
	err = heap_touch(&s->heap, grown + s->stacks_cap,
			 grown + cap); /* now, not in the next reading */
	s->heap.fresh_ns += clock_mono_ns() - began;
	s->stacks = grown;
	s->stacks_cap = cap;
	return err;
}

/* Reads n pieces, of stacks up to goroutine i; a stack that a failed one is of counts as not read. */
static int read_pieces(struct snap *s, size_t n, size_t i)
{
	int failed;

	if (s->heap.deadline_ns && clock_mono_ns() > s->heap.deadline_ns)
		return -ETIME;
	if (!heap_go_on(&s->heap, "copying stacks", i, s->ng))
		return -EINTR;
	failed = mem_read_many(s->rt->mem, s->stack_piece, n);
	for (size_t p = 0; p < n && failed > 0; p++) {
		if (!s->stack_piece[p].status)
			continue;
		s->g[s->stack_owner[p]].stack_unread = true;
		s->heap.unknown_bytes += s->stack_piece[p].len;
	}
	return failed < 0 ? failed : 0;
}

static int make_pieces(struct snap *s)
{
	if (!s->stack_piece)
		s->stack_piece = calloc(PIECES_AT_ONCE, sizeof(*s->stack_piece));
	if (!s->stack_owner)
		s->stack_owner = calloc(PIECES_AT_ONCE, sizeof(*s->stack_owner));
	return s->stack_piece && s->stack_owner ? 0 : -ENOMEM;
}

/* Those of goroutine i's stack; what there are is read when there is no room for more. */
static int add_pieces(struct snap *s, size_t i, size_t *n)
{
	const struct pgo *g = &s->g[i];
	int err = 0;

	for (uint32_t at = 0; at < g->stack_len && !err; at += STACK_PIECE) {
		s->stack_owner[*n] = (uint32_t)i;
		s->stack_piece[(*n)++] = (struct mem_piece){ .addr = g->from + at,
							     .dst = s->stacks + g->stack_at + at,
							     .len = g->stack_len - at < STACK_PIECE
									    ? g->stack_len - at
									    : STACK_PIECE };
		if (*n == PIECES_AT_ONCE) {
			err = read_pieces(s, *n, i);
			*n = 0;
		}
	}
	return err;
}

/* The stacks that were planned at `from` and behind. */
static int read_planned(struct snap *s, uint64_t from)
{
	int err = make_pieces(s);
	size_t n = 0;

	if (!err)
		err = make_room(s);
	for (size_t i = 0; i < s->ng && !err; i++) {
		const struct pgo *g = &s->g[i];

		if (g->live && !g->stack_unread && !g->kept && !g->later && g->stack_at >= from)
			err = add_pieces(s, i, &n);
	}
	return err || !n ? err : read_pieces(s, n, s->ng);
}

int snap_copy_stacks(struct snap *s, const uint32_t *index, size_t n)
{
	int err = make_pieces(s);
	size_t np = 0;

	for (size_t k = 0; k < n; k++) {
		s->g[index[k]].stack_len = 0;
		plan_stack(s, &s->g[index[k]]);
	}
	if (!err)
		err = make_room(s);
	for (size_t k = 0; k < n && !err; k++)
		if (!s->g[index[k]].stack_unread)
			err = add_pieces(s, index[k], &np);
	return err || !np ? err : read_pieces(s, np, s->ng);
}

int snap_copy_stack(struct snap *s, struct pgo *g)
{
	int err;

	g->stack_at = s->stacks_len;
	g->stack_len = (uint32_t)(g->hi - g->from);
	s->stacks_len += g->stack_len;
	err = make_room(s);
	return err ? err : mem_read(s->rt->mem, g->from, s->stacks + g->stack_at, g->stack_len);
}

static int read_stacks(struct snap *s, bool again)
{
	uint64_t from = again ? s->stacks_len : 0;

	for (size_t i = 0; i < s->ng; i++) {
		struct pgo *g = &s->g[i];

		if (s->sparing && !s->frozen && !again)
			g->later = snap_may_be_later(s, g);
		if (!g->live || g->kept || g->later || (again && !g->stack_unread))
			continue;
		if (again) /* behind what was read, where it is looked for */
			g->stack_len = 0;
		plan_stack(s, g);
	}
	return read_planned(s, from);
}

static int read_running(struct snap *s)
{
	uint64_t began = clock_mono_ns();
	size_t before;
	int err = fetch_all(s, take_first);

	/* marking would take longer than the few stacks that it could spare */
	s->sparing = s->sparing && s->ng > s->heap.mem_len / HEAP_PER_STACK;

	/* a frozen reading takes g's from the heap */
	s->heap.fresh_ns += clock_mono_ns() - began;

	began = clock_mono_ns() - s->heap.fresh_ns;
	if (!err)
		err = read_stacks(s, false);
	before = s->ng;
	s->stacks_ns = clock_mono_ns() - s->heap.fresh_ns - began; /* without room for them */
	began = clock_mono_ns();
	if (!err)
		err = read_list(s);
	for (size_t i = before; i < s->ng && !err; i++) /* new: take_second() sees a difference */
		memset(&s->g[i], 0, sizeof(s->g[i]));
	if (!err)
		err = fetch_all(s, take_second);
	if (!err)
		err = read_stacks(s, true);
	s->heap.fresh_ns += clock_mono_ns() - began;
	return err;
}

int snap_read_goroutines(struct snap *s)
{
	int err = read_list(s);

	if (err)
		return err;
	if (s->frozen) {
		err = take_copied(s);
		return err ? err : read_stacks(s, false);
	}
	if (s->ng != s->nsorted) { /* neighbours in memory are read together */
		qsort(s->gaddr, s->ng, sizeof(*s->gaddr), by_u64);
		s->nsorted = s->ng;
	}
	return read_running(s);
}
