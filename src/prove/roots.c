/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Roots outside variables and goroutines' stacks (mgcmark.go, markroot):
 * records that hang on spans, queues of finalizers and cleanups, vector
 * registers of preempted goroutines; and, of a frozen process, the registers
 * of its threads and the stacks of the runtime itself.
 *
 * More is taken than the collector would: a word too many can only hide a
 * leak.
 */
#include "prove/snap.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cursor.h"
#include "base/vec.h"

#define MAX_WORDS        (1u << 27)
#define MAX_BLOCKS       65536 /* of a queue; longer: refused */
#define MAX_MS           65536
#define MAX_PS           16384
#define MAX_FREE_SUDOGS  (1u << 24)
#define SPECIAL_BYTES    64 /* the longest record is 56 (1.27, specialCleanup) */
#define RED_ZONE         128
#define SYSTEM_STACK_MAX (1u << 20) /* of one that C code shares, what is looked at */
#define SYSTEM_STACK_TOP \
	(64u << 10) /* when its SP is not known: where the runtime's own frames are */

static uint64_t global(const struct snap *s, enum goglobal g)
{
	return s->rt->gb->global[g] + s->rt->bias;
}

static int add_address(uint64_t **list, size_t *n, size_t *cap, uint64_t addr)
{
	if (*n >= MAX_WORDS || array_room(list, *n, cap, sizeof(**list)))
		return -ENOMEM;
	(*list)[(*n)++] = addr;
	return 0;
}

static int add_word(struct snap *s, uint64_t word)
{
	return add_address(&s->word, &s->nword, &s->word_cap, word);
}

/* Words of memory: what of it is not readable is an error only when it begins there. */
static int add_words(struct snap *s, uint64_t addr, uint64_t len)
{
	uint8_t raw[512];
	int err = 0;

	for (uint64_t at = 0; at + 8 <= len && !err; at += sizeof(raw)) {
		size_t n = len - at < sizeof(raw) ? (size_t)(len - at) & ~7ul : sizeof(raw);

		if (heap_copy(&s->heap, addr + at, raw, n))
			return -EFAULT;
		for (size_t i = 0; i < n && !err; i += 8)
			err = add_word(s, heap_word(raw + i));
	}
	return err;
}

/* ---- records of spans ---- */

struct special_shape {
	int32_t size, next, offset, kind;
	uint8_t finalizer, weak; /* their kinds; 0: there is none */
	bool narrow;             /* offset of 16 bits, up to 1.23 */
};

/* mheap.go: a record for tiny blocks came before it in 1.25 */
static uint8_t finalizer_kind(int minor)
{
	return minor >= 25 ? 2 : 1;
}

/* From 1.23 on, and first for what package unique keeps. */
static uint8_t weak_kind(int minor)
{
	return minor >= 23 ? finalizer_kind(minor) + 1 : 0;
}

static int take_special(struct snap *s, const struct pspan *span, const struct special_shape *sh,
			uint64_t at, uint64_t *next)
{
	uint8_t raw[SPECIAL_BYTES];
	size_t len = sizeof(raw);
	uint64_t off, object;
	bool inside;
	int err = 0;

	if (heap_copy(&s->heap, at, raw, len)) { /* the last record before unmapped memory */
		len = 4096 - at % 4096;
		if (len < (size_t)sh->size || len >= sizeof(raw) ||
		    heap_copy(&s->heap, at, raw, len))
			return -EFAULT;
	}
	*next = heap_word(raw + sh->next);
	off = sh->narrow ? load_u16(raw + sh->offset) : heap_word(raw + sh->offset);
	inside = off < (uint64_t)span->npages << HEAP_PAGE_SHIFT;
	object = span->start + off / span->elem_size * span->elem_size;
	for (size_t i = (size_t)sh->size; i + 8 <= len && !err; i += 8)
		err = add_word(s, heap_word(raw + i));
	/* what a finalizer gets is kept, the object itself is not */
	if (!err && inside && raw[sh->kind] == sh->finalizer)
		err = add_address(&s->object, &s->nobject, &s->object_cap, object);
	/* whoever has a weak pointer may get the object from it, as long as it lives */
	if (!err && inside && sh->weak && raw[sh->kind] == sh->weak)
		err = add_word(s, object);
	return err;
}

static int take_specials(struct snap *s, const struct pspan *span, const struct special_shape *sh)
{
	/* finalizer, cleanups, profile, pins …: some for each object */
	uint64_t max = 64ull * span->nelems + 4096, at = span->specials;
	int err = 0;

	for (uint64_t n = 0; at && !err; n++) {
		if (n == max)
			return s->frozen
				       ? snap_fail(s, -EBADMSG, "the records of a span do not end")
				       : 0;
		err = take_special(s, span, sh, at, &at);
	}
	return err;
}

static int read_specials(struct snap *s)
{
	struct special_shape sh = {
		.size = go_off(s->rt, LAYOUT_SPECIAL_SIZE),
		.next = go_off(s->rt, LAYOUT_SPECIAL_NEXT),
		.offset = go_off(s->rt, LAYOUT_SPECIAL_OFFSET),
		.kind = go_off(s->rt, LAYOUT_SPECIAL_KIND),
		.finalizer = finalizer_kind(s->rt->gb->release.minor),
		.weak = weak_kind(s->rt->gb->release.minor),
	};
	int err = 0;

	sh.narrow = sh.kind - sh.offset == 2;
	if (sh.size <= 0 || sh.size > SPECIAL_BYTES - 8 || sh.next < 0 || sh.offset < 0 ||
	    sh.kind < 0)
		return snap_fail(s, -EBADMSG,
				 "the layout of a span's records is not known for this release");
	for (size_t i = 1; i < s->heap.nspan && !err; i++)
		if (s->heap.span[i].specials)
			err = take_specials(s, &s->heap.span[i], &sh);
	if (err == -EFAULT)
		return s->frozen ? snap_fail(s, err, "the records of a span cannot be read")
				 : (s->misread = true, 0);
	return err;
}

/* ---- queues ---- */

static int read_queue(struct snap *s, uint64_t head, enum layout_field size_field,
		      enum layout_field link_field, const char *what)
{
	int32_t size = go_off(s->rt, size_field), link = go_off(s->rt, link_field);
	uint64_t block;
	uint8_t raw[8];
	int err = heap_copy(&s->heap, head, raw, sizeof(raw));

	if (err || size <= 0 || size > 4096 || link < 0)
		return snap_fail(s, -EFAULT, "the queue of %s cannot be read", what);
	block = heap_word(raw);
	for (int n = 0; block; n++) {
		if (n == MAX_BLOCKS)
			return snap_fail(s, -EBADMSG, "the queue of %s does not end", what);
		err = heap_copy(&s->heap, block + (uint64_t)link, raw, sizeof(raw));
		if (!err)
			err = add_words(s, block, (uint64_t)size);
		if (err)
			return err == -ENOMEM
				       ? err
				       : snap_fail(s, err, "the queue of %s cannot be read", what);
		block = heap_word(raw);
	}
	return 0;
}

static int read_queues(struct snap *s)
{
	int err = read_queue(s, global(s, GLOBAL_ALLFIN), LAYOUT_FINBLOCK_SIZE,
			     LAYOUT_FINBLOCK_ALLLINK, "finalizers");

	if (err || go_off(s->rt, LAYOUT_CLEANUPQUEUE_ALL) < 0)
		return err;
	return read_queue(
		s, global(s, GLOBAL_GCCLEANUPS) + (uint64_t)go_off(s->rt, LAYOUT_CLEANUPQUEUE_ALL),
		LAYOUT_CLEANUPBLOCK_SIZE, LAYOUT_CLEANUPBLOCK_ALLLINK, "cleanups");
}

int snap_take_vector_registers(struct snap *s, const uint8_t *raw)
{
	int32_t off = go_off(s->rt, LAYOUT_G_XREGS), size = go_off(s->rt, LAYOUT_XREGSTATE_SIZE);
	uint64_t state = off < 0 || size <= 0 ? 0 : heap_word(raw + off);
	int err = state && !(state % 8) ? add_words(s, state, (uint64_t)size) : 0;

	if (err != -EFAULT)
		return err;
	s->misread = true;
	return 0;
}

/* Of a frozen process they are taken when the goroutines are. */
static int read_vector_registers(struct snap *s)
{
	int err = 0;

	for (size_t i = 0; i < s->ng && !s->frozen && !err; i++) {
		const uint8_t *raw =
			s->g[i].live ? heap_bytes(&s->heap, s->gaddr[i], s->g_size) : NULL;

		if (raw)
			err = snap_take_vector_registers(s, raw);
	}
	return err;
}

/* ---- threads of a frozen process ---- */

struct bounds {
	uint64_t lo, hi;
};

static bool g_bounds(struct snap *s, uint64_t g, struct bounds *b)
{
	uint8_t raw[16];

	if (!g || heap_copy(&s->heap, g, raw, sizeof(raw)))
		return false;
	b->lo = heap_word(raw + go_off(s->rt, LAYOUT_G_STACK_LO));
	b->hi = heap_word(raw + go_off(s->rt, LAYOUT_G_STACK_HI));
	return b->lo < b->hi && !(b->hi % 8) && !(b->hi >> HEAP_ADDR_BITS);
}

static const struct frozen_thread *thread_in(const struct snap *s, const struct bounds *b)
{
	for (size_t i = 0; i < s->freeze->n; i++)
		if (s->freeze->thread[i].sp >= b->lo && s->freeze->thread[i].sp < b->hi)
			return &s->freeze->thread[i];
	return NULL;
}

/* A stack of the runtime, from where a thread is in it (NULL: somewhere, all of its top). */
static int add_stack(struct snap *s, const struct bounds *b, const struct frozen_thread *t)
{
	struct pgo g = { .lo = b->lo, .hi = b->hi, .kind = SNAP_NO_KIND };

	if (array_room(&s->system, s->nsystem, &s->system_cap, sizeof(*s->system)))
		return -ENOMEM;
	if (t) {
		g.pc = t->pc;
		g.sp = t->sp & ~7ull;
		g.from = g.sp > b->lo + RED_ZONE ? g.sp - RED_ZONE : b->lo;
		g.inexact = !snap_thread_rests(s, t);
	} else {
		g.from = b->hi - b->lo > SYSTEM_STACK_TOP ? b->hi - SYSTEM_STACK_TOP : b->lo;
		g.whole_stack = true;
	}
	if (g.hi - g.from > SYSTEM_STACK_MAX) { /* C code below: its frames are not ours */
		s->heap.unknown_bytes += g.hi - g.from - SYSTEM_STACK_MAX;
		g.hi = g.from + SYSTEM_STACK_MAX;
	}
	s->system[s->nsystem++] = g;
	return snap_copy_stack(s, &s->system[s->nsystem - 1]);
}

/* The stacks of one thread of the runtime: where it is, and where it was when a signal came. */
static int read_m(struct snap *s, uint64_t g0, uint64_t gsignal)
{
	struct bounds system, signal;
	const struct frozen_thread *t;
	int err;

	if (!g_bounds(s, g0, &system))
		return 0;
	t = thread_in(s, &system);
	if (t)
		return add_stack(s, &system, t);
	if (!g_bounds(s, gsignal, &signal) || !(t = thread_in(s, &signal)))
		return 0;
	/* below the handler's frames are the registers of what it interrupted */
	err = add_stack(s, &signal, NULL);
	return err ? err : add_stack(s, &system, NULL);
}

static int read_ms(struct snap *s)
{
	int32_t g0 = go_off(s->rt, LAYOUT_M_G0), gsignal = go_off(s->rt, LAYOUT_M_GSIGNAL);
	int32_t link = go_off(s->rt, LAYOUT_M_ALLLINK);
	uint64_t m;
	int n, err = 0;

	if (g0 < 0 || gsignal < 0 || link < 0 || !s->rt->gb->global[GLOBAL_ALLM])
		return snap_fail(s, -EBADMSG, "the list of the runtime's threads was not found");
	if (mem_read_u64(s->rt->mem, global(s, GLOBAL_ALLM), &m))
		return snap_fail(s, -EFAULT, "the list of the runtime's threads cannot be read");
	for (n = 0; m && !err; n++) {
		uint8_t a[8], b[8], c[8];

		if (n == MAX_MS)
			return snap_fail(s, -EBADMSG,
					 "the list of the runtime's threads does not end");
		if (heap_copy(&s->heap, m + (uint64_t)g0, a, 8) ||
		    heap_copy(&s->heap, m + (uint64_t)gsignal, b, 8) ||
		    heap_copy(&s->heap, m + (uint64_t)link, c, 8))
			return snap_fail(s, -EFAULT,
					 "the list of the runtime's threads cannot be read");
		err = add_address(&s->system_g, &s->nsystem_g, &s->system_g_cap, heap_word(a));
		if (!err)
			err = add_address(&s->system_g, &s->nsystem_g, &s->system_g_cap,
					  heap_word(b));
		if (!err && s->frozen)
			err = read_m(s, heap_word(a), heap_word(b));
		m = heap_word(c);
	}
	if (!n)
		return snap_fail(s, -EBADMSG, "the list of the runtime's threads is empty");
	return err == -EFAULT ? snap_fail(s, err, "a stack of the runtime cannot be read") : err;
}

/* ---- processors ---- */

static void mark_part(struct snap *s, const uint8_t *raw, int32_t from, int32_t to)
{
	if (from < to)
		heap_mark_words(&s->heap, raw + from, (size_t)(to - from));
}

/* What of a P is not a reason to be alive. */
struct gap {
	int32_t from, len;
};

static int by_offset(const void *a, const void *b)
{
	return ((const struct gap *)a)->from - ((const struct gap *)b)->from;
}

/*
 * Objects that the collector has met (gcw, wbBuf), long done with; and the
 * pages that this P may allocate (pcache), whose address is that of the first
 * object in the first span among them.
 */
static void mark_p(struct snap *s, const uint8_t *raw, int32_t size)
{
	struct gap gap[] = {
		{ go_off(s->rt, LAYOUT_P_GCW), go_off(s->rt, LAYOUT_P_GCW_SIZE) },
		{ go_off(s->rt, LAYOUT_P_WBBUF), go_off(s->rt, LAYOUT_P_WBBUF_SIZE) },
		{ go_off(s->rt, LAYOUT_P_PCACHE), go_off(s->rt, LAYOUT_PAGECACHE_SIZE) },
	};
	size_t n = ARRAY_SIZE(gap);
	int32_t at = 0;

	qsort(gap, n, sizeof(gap[0]), by_offset);
	for (size_t i = 0; i < n; i++) {
		mark_part(s, raw, at, gap[i].from);
		at = gap[i].from + gap[i].len;
	}
	mark_part(s, raw, at, size);
}

/* A sudog that nobody uses keeps nothing, whatever is left in it. */
static void take_free_sudogs(struct snap *s, const uint8_t *p)
{
	int32_t off = go_off(s->rt, LAYOUT_P_SUDOGCACHE);
	uint64_t list = off < 0 ? 0 : heap_word(p + off), n = off < 0 ? 0 : heap_word(p + off + 8);
	uint8_t raw[8];

	for (uint64_t i = 0;
	     i < n && i < MAX_FREE_SUDOGS && !heap_copy(&s->heap, list + 8 * i, raw, 8); i++)
		heap_set_opaque(&s->heap, heap_word(raw));
}

/* Those that no P holds: a list by their `next` (proc.go, acquireSudog). */
static void take_central_sudogs(struct snap *s)
{
	int32_t off = go_off(s->rt, LAYOUT_SCHED_SUDOGCACHE),
		next = go_off(s->rt, LAYOUT_SUDOG_NEXT);
	uint64_t at;

	if (!s->rt->gb->global[GLOBAL_SCHED] || off < 0 ||
	    !snap_module_word(s, global(s, GLOBAL_SCHED) + (uint64_t)off, &at))
		return;
	for (unsigned int n = 0; at && n < MAX_FREE_SUDOGS; n++) {
		const uint8_t *raw =
			heap_bytes(&s->heap, at, (uint64_t)go_off(s->rt, LAYOUT_SUDOG_SIZE));

		if (!raw)
			return;
		heap_set_opaque(&s->heap, at);
		at = heap_word(raw + next);
	}
}

/*
 * P's are objects of the heap that hold work of the collector and of the
 * allocator.  Of a process that runs, a sudog may be in use again by the time
 * that it was copied: then the free ones count as all others.
 */
void snap_mark_ps(struct snap *s)
{
	uint64_t at = global(s, GLOBAL_ALLP), array, n;
	int32_t size = go_off(s->rt, LAYOUT_P_SIZE);
	uint8_t raw[16];

	if (s->frozen)
		take_central_sudogs(s);
	if (!s->rt->gb->global[GLOBAL_ALLP] || size <= 0 || go_off(s->rt, LAYOUT_P_WBBUF) < 0 ||
	    go_off(s->rt, LAYOUT_P_GCW) < 0 || go_off(s->rt, LAYOUT_P_PCACHE) < 0 ||
	    heap_copy(&s->heap, at, raw, sizeof(raw)))
		return; /* then they count as a whole */
	array = heap_word(raw);
	n = heap_word(raw + 8);
	for (uint64_t i = 0; i < n && i < MAX_PS; i++) {
		const uint8_t *p;

		if (heap_copy(&s->heap, array + 8 * i, raw, 8))
			break;
		p = heap_bytes(&s->heap, heap_word(raw), (uint64_t)size);
		if (!p)
			continue;
		heap_set_opaque(&s->heap, heap_word(raw));
		if (s->frozen)
			take_free_sudogs(s, p);
		mark_p(s, p, size);
	}
}

static int read_registers(struct snap *s)
{
	int err = 0;

	for (size_t i = 0; i < s->freeze->n && !err; i++) {
		const struct frozen_thread *t = &s->freeze->thread[i];
		bool rests = snap_thread_rests(s, t);

		for (size_t k = 0; k < t->nwords && !rests && !err; k++)
			err = add_word(s, s->freeze->word[t->first_word + k]);
	}
	return err;
}

int snap_read_roots(struct snap *s)
{
	uint8_t head[16];
	int err;

	s->nobject = s->nsystem = s->nsystem_g = 0;
	if (s->rt->gb->global[GLOBAL_ALLP]) /* snap_mark_ps() needs it later */
		heap_copy(&s->heap, global(s, GLOBAL_ALLP), head, sizeof(head));
	err = read_specials(s);
	if (!err)
		err = read_queues(s);
	if (!err)
		err = read_vector_registers(s);
	if (!err)
		err = read_ms(s);
	if (!err && s->frozen)
		err = read_registers(s);
	return err;
}
