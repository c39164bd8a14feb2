/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goroutines, totals, labels, the heap profile, locks and leaks on recorded memory:
 * compared with what the program said of itself when it was recorded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "prove/prove.h"
#include "recorded.h"
#include "gort/golabels.h"
#include "gort/golocks.h"
#include "gort/heapprof.h"

static void nothing_is_off(void **state)
{
	(void)state;
	ON_EACH(r)
	{
		assert_string_equal(r.gb->build.version, r.truth->release);
		for (int f = 0; f < FACT_COUNT; f++)
			assert_string_equal(r.rt.why_off[f], "");
	}
}

/* ---- the walk ---- */

static void check_goroutine(struct recorded *r, const struct goroutine *g)
{
	const struct truth_goroutine *t = truth_of(r->truth, g->goid);
	struct goframe place;

	assert_non_null(t);
	/* the one that printed the dump waits for its input since */
	assert_string_equal(goroutine_state(&r->rt, g), g->goid == 1 ? "syscall" : t->state);
	assert_int_equal(g->parent_goid, t->creator);
	assert_false(g->system);
	if (g->goid == 1)
		return;
	assert_int_equal(gobin_go_place(r->gb, g->gopc, &place), 0);
	assert_string_equal(place.function, t->created.function);
	assert_int_equal(place.line, t->created.line);
	assert_string_equal(gobin_start_name(r->gb, g->startpc), truth_start(t));
	assert_int_equal(g->lockedm != 0, !strcmp(truth_start(t), "main.waitLocked"));
}

static void walk_is_the_programs_own_list(void **state)
{
	(void)state;
	ON_EACH(r)
	{
		struct gowalk w = { 0 };

		assert_int_equal(goruntime_walk(&r.rt, &w, NULL), 0);
		assert_int_equal(w.failures, 0);
		assert_int_equal(w.user, r.truth->n);
		assert_true(w.system > 0);
		for (size_t i = 0; i < w.n; i++)
			if (!w.g[i].system)
				check_goroutine(&r, &w.g[i]);
		gowalk_deinit(&w);
	}
}

static void totals_are_the_programs_own(void **state)
{
	(void)state;
	ON_EACH(r)
	{
		struct gototals t;
		struct gowalk w = { 0 };

		assert_int_equal(goruntime_walk(&r.rt, &w, NULL), 0);
		assert_int_equal(goruntime_totals(&r.rt, &t), 0);
		assert_true(t.has_live && t.has_created && t.has_gc && t.has_heap);
		assert_int_equal(t.live, r.truth->goroutines);
		assert_int_equal(t.numgc, r.truth->cycles);
		assert_int_equal(t.numforcedgc, r.truth->forced);
		assert_true(t.created >= w.user + w.system);
		assert_int_equal(t.gogc, 100);
		assert_true(t.heap_live > r.truth->in_use_bytes && t.heap_live < 4u << 20);
		assert_int_equal(t.heap_goal, 4u << 20); /* the smallest */
		gowalk_deinit(&w);
	}
}

/* ---- the marker ---- */

static void check_kind(const struct leaked *l, const char *start)
{
	static const struct {
		const char *start;
		enum leak_kind kind;
	} kinds[] = {
		{ "main.leakReceive", LEAK_CHAN_RECV },   { "main.leakInner", LEAK_CHAN_RECV },
		{ "main.leakOuter", LEAK_CHAN_RECV },     { "main.leakSend", LEAK_CHAN_SEND },
		{ "main.leakSelect", LEAK_SELECT },       { "main.leakWaitGroup", LEAK_WAITGROUP },
		{ "main.leakCond", LEAK_COND },           { "main.leakNilChannel", LEAK_NIL_CHAN },
		{ "main.leakNoCases", LEAK_SELECT_NONE }, { "main.leakTransfer", LEAK_MUTEX },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(start, kinds[i].start)) {
			/* up to 1.24 a wait group only says that it waits for a semaphore */
			if (kinds[i].kind != LEAK_WAITGROUP || l->kind != LEAK_SEMA)
				assert_int_equal(l->kind, kinds[i].kind);
			return;
		}
	fail_msg("not known: %s", start);
}

static void marker_finds_the_leaked_and_no_other(void **state)
{
	(void)state;
	ON_EACH(r)
	{
		struct prove_config cfg = { .rt = &r.rt, .passes = 1 };
		struct prove_result out;
		size_t leaked = 0;

		assert_int_equal(prove_run(&cfg, &out, NULL), 0);
		assert_string_equal(out.why, "");
		assert_int_equal(out.verdict, LEAKS_PASSES);
		assert_int_equal(out.unknown_bytes + out.losses, 0);
		for (size_t i = 0; i < out.n; i++) {
			const struct truth_goroutine *t = truth_of(r.truth, out.v[i].g.goid);

			assert_non_null(t);
			if (!truth_is_leaked(t))
				fail_msg("%s: goroutine %lu of %s is not leaked", recordings[each],
					 t->id, truth_start(t));
			check_kind(&out.v[i], truth_start(t));
			assert_false(out.v[i].by_design);
		}
		for (size_t i = 0; i < r.truth->n; i++)
			leaked += truth_is_leaked(&r.truth->g[i]);
		assert_true(leaked >= 16);
		assert_int_equal(out.n, leaked);
		prove_result_deinit(&out);
	}
}

/* ---- the others ---- */

static void labels_are_the_programs_own(void **state)
{
	(void)state;
	ON_EACH(r)
	{
		struct gowalk w = { 0 };
		struct golabels l;
		uint32_t set[2 * TRUTH_MAX];
		int labelled = 0;

		assert_int_equal(goruntime_walk(&r.rt, &w, NULL), 0);
		assert_int_equal(golabels_init(&l), 0);
		assert_int_equal(golabels_read(&l, &r.rt, &w, set), 0);
		assert_int_equal(l.unknown, 0);
		for (size_t i = 0; i < w.n; i++) {
			const struct truth_goroutine *t = truth_of(r.truth, w.g[i].goid);

			if (!t || t->n < 1 || strcmp(t->frame[0].function, r.truth->labelled)) {
				assert_int_equal(set[i], GOLABELS_NONE);
				continue;
			}
			labelled++;
			assert_int_equal(l.set[set[i]].n, 2);
			for (uint32_t k = 0; k < 2; k++) {
				assert_string_equal(l.label[l.set[set[i]].first + k].key,
						    r.truth->label[k][0]);
				assert_string_equal(l.label[l.set[set[i]].first + k].value,
						    r.truth->label[k][1]);
			}
		}
		assert_int_equal(labelled, 2);
		golabels_deinit(&l);
		gowalk_deinit(&w);
	}
}

static bool has_frame(struct recorded *r, const struct heapprof *h, const struct heap_bucket *b,
		      const char *name)
{
	struct goframe f;

	for (uint32_t i = 0; i < b->n; i++) {
		bool injected = false;

		if (goruntime_frames_at(&r->rt, h->pc[b->first + i], &injected, &f, 1) > 0 &&
		    !strcmp(f.function, name))
			return true;
	}
	return false;
}

static void heap_profile_is_the_programs_own(void **state)
{
	(void)state;
	ON_EACH(r)
	{
		struct heapprof h;
		struct heap_bucket sum = { 0 };
		char why[200];

		assert_int_equal(heapprof_read(&h, &r.rt, why, sizeof(why)), 0);
		assert_int_equal(h.rate, 1);
		assert_int_equal(h.bad, 0);
		assert_false(h.cut || h.before_first_gc);
		for (size_t i = 0; i < h.n; i++) {
			const struct heap_bucket *b = &h.bucket[i];

			if (!has_frame(&r, &h, b, r.truth->heap_function))
				continue;
			sum.alloc_count += b->alloc_count;
			sum.alloc_bytes += b->alloc_bytes;
			sum.in_use_count += b->in_use_count;
			sum.in_use_bytes += b->in_use_bytes;
		}
		assert_int_equal(sum.alloc_count, r.truth->alloc_count);
		assert_int_equal(sum.alloc_bytes, r.truth->alloc_bytes);
		assert_int_equal(sum.in_use_count, r.truth->in_use_count);
		assert_int_equal(sum.in_use_bytes, r.truth->in_use_bytes);
		heapprof_deinit(&h);
	}
}

static void locks_of_the_deadlock(void **state)
{
	(void)state;
	ON_EACH(r)
	{
		struct gowalk w = { 0 };
		struct golocks l;
		const struct golock_waiter *in[2] = { NULL, NULL };
		int n = 0, elsewhere = 0;

		assert_int_equal(goruntime_walk(&r.rt, &w, NULL), 0);
		assert_int_equal(golocks_read(&l, &r.rt, &w, 0), 0);
		assert_int_equal(l.left_out, 0);
		for (size_t i = 0; i < l.n; i++) {
			const struct truth_goroutine *t =
				truth_of(r.truth, w.g[l.waiter[i].g].goid);

			assert_non_null(t);
			if (!strcmp(truth_start(t), "main.leakTransfer") && n < 2)
				in[n++] = &l.waiter[i];
			else
				elsewhere += !strcmp(truth_start(t), "main.waitHeld");
		}
		assert_int_equal(n, 2);
		assert_int_equal(elsewhere, 2);
		for (int i = 0; i < 2; i++) {
			assert_int_not_equal(in[i]->lock, in[1 - i]->lock);
			assert_string_equal(in[i]->at.function, "main.transfer");
		}
		golocks_deinit(&l);
		gowalk_deinit(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_off),
		cmocka_unit_test(walk_is_the_programs_own_list),
		cmocka_unit_test(totals_are_the_programs_own),
		cmocka_unit_test(marker_finds_the_leaked_and_no_other),
		cmocka_unit_test(labels_are_the_programs_own),
		cmocka_unit_test(heap_profile_is_the_programs_own),
		cmocka_unit_test(locks_of_the_deadlock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
