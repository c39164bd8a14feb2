/* SPDX-License-Identifier: BSD-2-Clause */
/* Stacks and stack maps on recorded memory, compared with what the program said of itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "prove/stackmap.h"
#include "recorded.h"
#include "gort/gostacks.h"

#define DEPTH 256

/* ---- stacks ---- */

/* As the runtime shows it: without its own frames and without wrappers. */
static int shown(struct goframe *f, int n)
{
	int k = 0;

	for (int i = 0; i < n; i++)
		if (strncmp(f[i].function, "runtime.", 8) && !f[i].wrapper)
			f[k++] = f[i];
	return k;
}

static void check_frames(const struct truth_goroutine *t, const struct goframe *f, int n)
{
	if (t->id == 1) { /* it has gone on since */
		assert_string_equal(f[n - 1].function, "main.main");
		return;
	}
	assert_true(t->cut ? n > t->n : n == t->n);
	for (int i = 0; i < t->n; i++) {
		/* cut in the middle: the runtime shows the 50 outermost after the 50 innermost */
		const struct goframe *at = t->cut && i >= 50 ? &f[n - (t->n - i)] : &f[i];

		if (t->cut && i >= 40 && i < 60)
			continue; /* its own frames count among those */
		assert_string_equal(at->function, t->frame[i].function);
		assert_int_equal(at->line, t->frame[i].line);
	}
}

/* What a listener was told of each goroutine's stack. */
struct heard {
	struct recorded *r;
	const struct gowalk *w;
	uint32_t stack[2 * TRUTH_MAX];
	int n[2 * TRUTH_MAX];
	bool insists; /* on being told of each again */
	size_t one;   /* that hear_one() wants to be told of */
};

static int hear(void *listens, const struct gostacks *s, const struct gostack_bytes *b)
{
	struct heard *h = listens;
	static uint8_t own[65536];
	const struct goroutine *g;

	assert_true(b->walk < h->w->n && b->stack < s->n);
	g = &h->w->g[b->walk];
	assert_int_equal(b->all, b->len == g->stack_hi - g->sched_sp || b->len == 65536);
	assert_int_equal(mem_read(h->r->mem, g->sched_sp, own, b->len), 0);
	assert_memory_equal(b->bytes, own, b->len);
	h->stack[b->walk] = b->stack;
	return h->n[b->walk]++ == 0 && h->insists;
}

static void stacks_are_told_of(void **state)
{
	(void)state;
	ON_EACH(r)
	{
		struct gowalk w = { 0 };
		uint32_t of[2 * TRUTH_MAX];

		assert_int_equal(goruntime_walk(&r.rt, &w, NULL), 0);
		assert_true(w.n < 2 * TRUTH_MAX);
		for (int insists = 0; insists < 2; insists++) {
			struct heard h = { .r = &r, .w = &w, .insists = insists };
			struct gostacks s;

			assert_int_equal(gostacks_init(&s), 0);
			s.listener = hear;
			s.listens = &h;
			assert_int_equal(gostacks_read(&s, &r.rt, &w, of), 0);
			assert_int_equal(s.unread + s.ended + s.running, 0);
			for (size_t i = 0; i < w.n; i++) {
				/* the deep one is all that is ever read of it the first time */
				bool again = insists && w.g[i].stack_hi - w.g[i].sched_sp <= 4096;

				assert_int_equal(h.n[i], again ? 2 : 1);
				assert_int_equal(h.stack[i], of[i]);
			}
			gostacks_deinit(&s);
		}
		gowalk_deinit(&w);
	}
}

/* Insists on the bytes of one stack. */
static int hear_one(void *listens, const struct gostacks *s, const struct gostack_bytes *b)
{
	struct heard *h = listens;

	(void)s;
	h->stack[b->walk] = b->stack;
	h->n[b->walk] += b->bytes != NULL;
	return b->walk == h->one && !b->bytes;
}

static void stacks_of_those_who_stand_still_are_kept(void **state)
{
	(void)state;
	ON_EACH(r)
	{
		struct gowalk w = { 0 };
		uint32_t of[2 * TRUTH_MAX], first[2 * TRUTH_MAX];
		uint64_t *pc[2 * TRUTH_MAX];
		struct gostacks s;
		size_t waiting = 0, one = 0;

		assert_int_equal(goruntime_walk(&r.rt, &w, NULL), 0);
		assert_true(w.n > 2 && w.n < 2 * TRUTH_MAX);
		for (size_t i = 0; i < w.n; i++) {
			waiting += w.g[i].status == GO_WAITING;
			one = w.g[i].status == GO_WAITING ? i : one;
		}
		assert_true(waiting > 2);
		assert_int_equal(gostacks_init(&s), 0);
		for (int look = 0; look < 6; look++) {
			struct heard h = { .r = &r, .w = &w, .one = one };

			if (look == 5) /* it has run since */
				w.g[one].tracking_seq--;
			if (look)
				assert_int_equal(goruntime_walk(&r.rt, &w, NULL), 0);
			gostacks_renew(&s);
			if (look == 4) {
				s.listener = hear_one;
				s.listens = &h;
			}
			assert_int_equal(gostacks_read(&s, &r.rt, &w, of), 0);
			assert_int_equal(s.unread + s.ended + s.running, 0);
			/* from the third on: of two alike it may be chance */
			assert_int_equal(s.known, look < 2 ? 0 : look < 4 ? waiting : waiting - 1);
			for (size_t i = 0; i < w.n; i++) {
				const struct gostack *k = &s.stack[of[i]];

				assert_true(of[i] < s.n && k->whole);
				if (!look) {
					first[i] = k->n;
					pc[i] = malloc(k->n * sizeof(*pc[i]));
					memcpy(pc[i], s.pc + k->first, k->n * sizeof(*pc[i]));
				}
				assert_int_equal(k->n, first[i]);
				assert_memory_equal(s.pc + k->first, pc[i], k->n * sizeof(*pc[i]));
				if (look == 4) {
					assert_int_equal(h.stack[i], of[i]);
					assert_int_equal(h.n[i],
							 i == one || w.g[i].status != GO_WAITING);
				}
			}
		}
		for (size_t i = 0; i < w.n; i++)
			free(pc[i]);
		gostacks_deinit(&s);
		gowalk_deinit(&w);
	}
}

static void stacks_are_the_programs_own(void **state)
{
	(void)state;
	ON_EACH(r)
	{
		static struct goframe f[DEPTH];
		struct gowalk w = { 0 };
		struct gostacks s;
		uint32_t of[2 * TRUTH_MAX];

		assert_int_equal(goruntime_walk(&r.rt, &w, NULL), 0);
		assert_int_equal(gostacks_init(&s), 0);
		assert_true(w.n < 2 * TRUTH_MAX);
		assert_int_equal(gostacks_read(&s, &r.rt, &w, of), 0);
		assert_int_equal(s.unread + s.ended + s.running, 0);
		assert_true(s.again >= 1); /* the deep one: not in one piece */
		for (size_t i = 0; i < w.n; i++) {
			const struct gostack *k = &s.stack[of[i]];
			int n;

			assert_true(of[i] < s.n);
			assert_true(k->whole);
			n = goruntime_frames(&r.rt, s.pc + k->first, (int)k->n, f, DEPTH);
			if (!w.g[i].system)
				check_frames(truth_of(r.truth, w.g[i].goid), f, shown(f, n));
		}
		gostacks_deinit(&s);
		gowalk_deinit(&w);
	}
}

/* ---- stack maps ---- */

/* What walks one stack by its maps, and what it saw of the function that was asked for. */
struct look {
	const char *function;
	uint64_t word;
	bool raw, live; /* the word is in its frame; in a place that is a live pointer */
	int frames;
};

static uint64_t word_at(struct recorded *r, uint64_t addr)
{
	uint64_t v;

	assert_int_equal(mem_read_u64(r->mem, addr, &v), 0);
	return v;
}

static void look_at_frame(struct recorded *r, struct stackmaps *m, const struct framemap *f,
			  uint64_t sp, struct look *l)
{
	uint64_t varp = sp + (uint64_t)f->size - 8;

	for (uint64_t a = sp; a < varp; a += 8)
		l->raw |= word_at(r, a) == l->word;
	for (uint32_t i = 0; i < f->nlocals; i++)
		if (stackmap_bit(m->bits + f->locals, i))
			l->live |= word_at(r, varp - 8ull * f->nlocals + 8ull * i) == l->word;
}

/* Frame by frame: the return address behind each frame is the pc that the unwinder found. */
static void walk_by_maps(struct recorded *r, struct stackmaps *m, const struct goroutine *g,
			 struct look *l)
{
	static uint64_t pcs[DEPTH];
	int n = goruntime_stack(&r->rt, g, pcs, DEPTH);
	uint64_t sp = g->sched_sp;

	for (int i = 0; i < n; i++, l->frames++) {
		const struct framemap *f = stackmaps_at(m, pcs[i]);
		struct gofunc fn;

		assert_non_null(f);
		assert_int_equal(pclntab_find_pc(r->gb->pcln, pcs[i], &fn), 0);
		assert_true(f->size >= 0 && sp + (uint64_t)f->size < g->stack_hi);
		assert_true(8 * f->nlocals <= (uint32_t)f->size);
		if (!strncmp(fn.name, "main.", 5))
			assert_false(f->no_locals || f->no_args || f->unknown_args || f->injected);
		if (l->function && !strcmp(fn.name, l->function))
			look_at_frame(r, m, f, sp, l);
		sp += (uint64_t)f->size + 8;
		if (i + 1 < n)
			assert_int_equal(word_at(r, sp - 8), pcs[i + 1]);
		stackmaps_trim(m);
	}
}

static const struct goroutine *started_at(struct recorded *r, const struct gowalk *w,
					  const char *start, const char *creator)
{
	for (size_t i = 0; i < w->n; i++) {
		const struct truth_goroutine *t = truth_of(r->truth, w->g[i].goid);

		if (t && !strcmp(truth_start(t), start) && !strcmp(t->created.function, creator))
			return &w->g[i];
	}
	fail_msg("no goroutine of %s", start);
	return NULL;
}

static uint64_t channel_of(struct recorded *r, const struct goroutine *g)
{
	return word_at(r, g->waiting + (uint64_t)layout_off(r->gb->layout, LAYOUT_SUDOG_C));
}

static void maps_fit_the_stacks(void **state)
{
	(void)state;
	ON_EACH(r)
	{
		struct gowalk w = { 0 };
		struct stackmaps m;
		struct look l = { 0 };

		assert_int_equal(goruntime_walk(&r.rt, &w, NULL), 0);
		stackmaps_init(&m, r.gb);
		for (size_t i = 0; i < w.n; i++)
			if (w.g[i].status == GO_WAITING)
				walk_by_maps(&r, &m, &w.g[i], &l);
		assert_true(l.frames > 200);
		stackmaps_deinit(&m);
		gowalk_deinit(&w);
	}
}

/* One function that sleeps still uses its channel, the other does not any more. */
static void maps_tell_live_from_dead(void **state)
{
	(void)state;
	ON_EACH(r)
	{
		struct gowalk w = { 0 };
		struct stackmaps m;
		struct look keeps = { .function = "main.sleepAndKeep" };
		struct look forgets = { .function = "main.sleepAndForget" };

		assert_int_equal(goruntime_walk(&r.rt, &w, NULL), 0);
		stackmaps_init(&m, r.gb);
		keeps.word =
			channel_of(&r, started_at(&r, &w, "main.waitOwner", "main.sleepAndKeep"));
		walk_by_maps(&r, &m, started_at(&r, &w, "main.sleepAndKeep", "main.start"), &keeps);
		assert_true(keeps.raw && keeps.live);
		forgets.word = channel_of(&r, started_at(&r, &w, "main.leakReceive",
							 "main.sleepAndForget"));
		walk_by_maps(&r, &m, started_at(&r, &w, "main.sleepAndForget", "main.start"),
			     &forgets);
		assert_true(forgets.raw);
		assert_false(forgets.live);
		stackmaps_deinit(&m);
		gowalk_deinit(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stacks_of_those_who_stand_still_are_kept),
		cmocka_unit_test(stacks_are_the_programs_own),
		cmocka_unit_test(stacks_are_told_of),
		cmocka_unit_test(maps_fit_the_stacks),
		cmocka_unit_test(maps_tell_live_from_dead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
