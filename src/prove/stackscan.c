/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a goroutine's stack keeps alive, frame by frame and precisely, as
 * runtime/mgcmark.go (scanstack, scanframeworker) does it.  Where the frames
 * are not known, every word from there up counts.
 */
#include "prove/snap.h"

#include <stdlib.h>
#include <string.h>

#include "base/vec.h"

#define MAX_DEFERS (1u << 20)
#define MAX_POINTERS \
	(1u << 16) /* into the stack itself, noted at once; more: all its objects count */

/* A variable on the stack that is alive when something points to it. */
struct object {
	uint64_t addr;
	uint32_t size, ptr_bytes, mask;
	bool done;
};

struct scan {
	struct snap *s;
	const struct pgo *g;
	const uint8_t *bytes; /* of [g->from, g->hi) */
	/* variables found, by address */
	struct object *object;
	size_t nobject, object_cap;
	bool sorted;
	/* pointers into this stack that are still to be followed */
	uint64_t *pointer;
	size_t npointer, pointer_cap;
	bool all_objects;
};

static bool word_at(const struct scan *sc, uint64_t addr, uint64_t *out)
{
	const struct pgo *g = sc->g;

	if (addr < g->from || addr >= g->hi || g->hi - addr < 8)
		return false;
	*out = heap_word(sc->bytes + (addr - g->from));
	return true;
}

static void follow(struct scan *sc, uint64_t addr)
{
	if (sc->npointer >= MAX_POINTERS ||
	    array_room(&sc->pointer, sc->npointer, &sc->pointer_cap, sizeof(*sc->pointer))) {
		sc->all_objects = true;
		return;
	}
	sc->pointer[sc->npointer++] = addr;
}

static void take(struct scan *sc, uint64_t word)
{
	if (word >= sc->g->lo && word < sc->g->hi)
		follow(sc, word);
	else
		heap_mark_word(&sc->s->heap, word);
}

/* Every word of [from, to). */
static void take_all(struct scan *sc, uint64_t from, uint64_t to)
{
	uint64_t w;

	for (uint64_t a = from; a < to && word_at(sc, a, &w); a += 8)
		take(sc, w);
}

static void take_masked(struct scan *sc, uint64_t from, uint32_t mask, uint32_t n)
{
	const uint8_t *bits = sc->s->maps.bits + mask;
	uint64_t w;

	for (uint32_t i = 0; i < n; i++)
		if (stackmap_bit(bits, i) && word_at(sc, from + 8ull * i, &w))
			take(sc, w);
}

/* Nothing more is known of the frames: every word from `from` up. */
static void take_rest(struct scan *sc, uint64_t from)
{
	sc->all_objects = true;
	take_all(sc, from < sc->g->from ? sc->g->from : from, sc->g->hi);
}

static bool add_object(struct scan *sc, uint64_t addr, const struct stackobj *o)
{
	struct object *last;

	if (array_room(&sc->object, sc->nobject, &sc->object_cap, sizeof(*sc->object)))
		return false;
	last = sc->nobject ? &sc->object[sc->nobject - 1] : NULL;
	if (last && addr < last->addr + last->size)
		sc->sorted = false;
	sc->object[sc->nobject++] = (struct object){ addr, o->size, o->ptr_bytes, o->mask, false };
	return true;
}

struct frame {
	uint64_t sp, fp; /* fp: behind the return address slot */
	uint64_t varp, argp;
};

static void take_conservatively(struct scan *sc, const struct framemap *m, const struct frame *f)
{
	take_all(sc, f->sp, f->varp);
	take_all(sc, f->argp, f->argp + m->args_bytes);
}

static bool take_precisely(struct scan *sc, const struct framemap *m, const struct frame *f)
{
	if (m->no_locals && f->varp > f->sp)
		take_all(sc, f->sp, f->varp);
	else if (m->nlocals && f->varp > f->sp)
		take_masked(sc, f->varp - 8ull * m->nlocals, m->locals, m->nlocals);
	if (m->no_args)
		take_all(sc, f->argp, f->argp + m->args_bytes);
	else if (m->nargs)
		take_masked(sc, f->argp, m->args, m->nargs);
	for (uint32_t i = 0; i < m->nobjects; i++) {
		const struct stackobj *o = &sc->s->maps.object[m->first_object + i];
		uint64_t addr = (o->off < 0 ? f->varp : f->argp) + (uint64_t)(int64_t)o->off;

		if (addr >= f->sp && !add_object(sc, addr, o))
			return false;
	}
	return true;
}

/* traceback.go, unwinder.resolveInternal, for amd64 */
static bool place_frame(const struct scan *sc, const struct framemap *m, uint64_t sp,
			struct frame *f)
{
	f->sp = sp;
	f->fp = sp + (uint64_t)m->size + 8;
	if (m->size < 0 || f->fp > sc->g->hi || f->fp <= sp)
		return false;
	f->varp = f->fp - 8; /* return address */
	if (f->varp > f->sp)
		f->varp -= 8; /* saved frame pointer */
	f->argp = f->fp;
	return true;
}

/* False: from *at up, the frames are not known. */
static bool take_frames(struct scan *sc, uint64_t *at)
{
	uint64_t pc = sc->g->pc, sp = sc->g->sp;
	bool conservative = sc->g->inexact, innermost = true, trapped = false;

	for (;; innermost = false) {
		const struct framemap *m;
		struct frame f;

		*at = sp;
		m = stackmaps_at(&sc->s->maps, pc - sc->s->rt->bias);
		/* of the runtime's own stacks, what was there before the switch is no concern */
		if (m && m->sp_write && !innermost && !sc->g->addr)
			return true;
		if (!m || m->unknown_args || (m->sp_write && !innermost) ||
		    !place_frame(sc, m, sp, &f))
			return false;
		if (conservative || m->injected || trapped)
			take_conservatively(sc, m, &f);
		else if (!take_precisely(sc, m, &f))
			return false;
		if (m->top)
			return true;
		conservative = m->injected;
		trapped = m->sigpanic;
		if (!word_at(sc, f.fp - 8, &pc))
			return false;
		if (!pc)
			return true;
		sp = f.fp;
	}
}

/* Deferred calls: their records may be on the stack, where no map shows them. */
static void take_defers(struct scan *sc, uint64_t d)
{
	const struct layout *l = sc->s->rt->gb->layout;
	int32_t fn = layout_off(l, LAYOUT_DEFER_FN), link = layout_off(l, LAYOUT_DEFER_LINK);

	for (unsigned int n = 0; d; n++) {
		uint64_t f, next;

		if (n == MAX_DEFERS) {
			take_rest(sc, sc->g->from);
			return;
		}
		if (d >= sc->g->lo && d < sc->g->hi) {
			if (!word_at(sc, d + (uint64_t)fn, &f) ||
			    !word_at(sc, d + (uint64_t)link, &next)) {
				take_rest(sc, sc->g->from);
				return;
			}
			take(sc, f);
		} else {
			const uint8_t *raw = heap_bytes(&sc->s->heap, d,
							(uint64_t)layout_off(l, LAYOUT_DEFER_SIZE));

			if (!raw) /* it moved on while it was read */
				return;
			take(sc, d);
			take(sc, heap_word(raw + fn));
			next = heap_word(raw + link);
		}
		take(sc, next);
		d = next;
	}
}

/* What the g itself holds of this stack. */
static void take_g(struct scan *sc)
{
	const struct layout *l = sc->s->rt->gb->layout;
	const uint8_t *raw = heap_bytes(&sc->s->heap, sc->g->addr, sc->s->g_size);

	if (!raw) /* a stack of the runtime itself */
		return;
	take(sc, heap_word(raw + layout_off(l, LAYOUT_G_SCHED_CTXT)));
	take(sc, heap_word(raw + layout_off(l, LAYOUT_G_PANIC)));
	take_defers(sc, heap_word(raw + layout_off(l, LAYOUT_G_DEFER)));
}

static void take_object(struct scan *sc, struct object *o)
{
	if (o->done)
		return;
	o->done = true;
	if (o->mask == STACKMAP_NONE)
		take_all(sc, o->addr, o->addr + o->ptr_bytes);
	else
		take_masked(sc, o->addr, o->mask, o->ptr_bytes / 8);
}

static struct object *find_object(struct scan *sc, uint64_t addr)
{
	size_t lo = 0, hi = sc->nobject;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		struct object *o = &sc->object[mid];

		if (addr < o->addr)
			hi = mid;
		else if (addr >= o->addr + o->size)
			lo = mid + 1;
		else
			return o;
	}
	return NULL;
}

static void take_objects(struct scan *sc)
{
	if (!sc->sorted)
		sc->all_objects = true;
	while (sc->npointer && !sc->all_objects) {
		struct object *o = find_object(sc, sc->pointer[--sc->npointer]);

		if (o)
			take_object(sc, o);
	}
	for (size_t i = 0; sc->all_objects && i < sc->nobject; i++)
		take_object(sc, &sc->object[i]);
}

void snap_mark_stack(struct snap *s, const struct pgo *g)
{
	struct scan sc = { .s = s, .g = g, .sorted = true };
	uint64_t at;

	if (g->stack_unread) {
		if (g->lo < g->hi || !s->frozen)
			s->misread = true;
		return;
	}
	stackmaps_trim(&s->maps);
	sc.bytes = s->stacks + g->stack_at;
	if (g->whole_stack)
		take_rest(&sc, g->from);
	else if (!take_frames(&sc, &at))
		take_rest(&sc, at);
	take_g(&sc);
	take_objects(&sc);
	free(sc.object);
	free(sc.pointer);
}

bool snap_stack_has(struct snap *s, const struct pgo *g, const char *name, int depth)
{
	uint64_t pc = g->pc, sp = g->sp;
	struct scan sc = { .s = s, .g = g };

	if (g->whole_stack || g->stack_unread)
		return false;
	sc.bytes = s->stacks + g->stack_at;
	for (int i = 0; i < depth; i++) {
		struct gofunc fn;
		const struct framemap *m;
		struct frame f;

		if (pclntab_find_pc(s->rt->gb->pcln, pc - s->rt->bias, &fn))
			return false;
		if (!strcmp(fn.name, name))
			return true;
		m = stackmaps_at(&s->maps, pc - s->rt->bias);
		if (!m || m->top || !place_frame(&sc, m, sp, &f) || !word_at(&sc, f.fp - 8, &pc))
			return false;
		sp = f.fp;
	}
	return false;
}
