/* SPDX-License-Identifier: BSD-2-Clause */
/* Leaks judged in a process that stands still (prove/freeze.h), and in a time that is bounded. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gobin/gobin.h"
#include "prove/freeze.h"
#include "prove/prove.h"
#include "prove/snap.h"
#include "prove_world.h"

struct still {
	struct snap s;
	struct freeze f;
};

static void still_open(struct world *w, struct still *st)
{
	freeze_init(&st->f); /* no thread: nobody runs */
	assert_int_equal(snap_init(&st->s, &w->rt), 0);
}

static void still_close(struct still *st)
{
	snap_deinit(&st->s);
	freeze_deinit(&st->f);
}

static bool leaked_in(struct world *w, struct still *st, uint64_t g)
{
	size_t i;

	publish(w);
	assert_int_equal(snap_copy(&st->s, &st->f, UINT64_MAX, 0), 0);
	assert_int_equal(snap_judge(&st->s), 0);
	assert_true(snap_find_g(&st->s, g, &i));
	return snap_is_leaked(&st->s, i);
}

static bool leaked_when_still(struct world *w, uint64_t g)
{
	struct still st;
	bool leaked;

	still_open(w, &st);
	leaked = leaked_in(w, &st, g);
	still_close(&st);
	return leaked;
}

/* A P, the only one. */
static uint64_t add_p(struct world *w)
{
	uint64_t size = round_up((uint64_t)off(w, LAYOUT_P_SIZE), PAGE),
		 p = add_span(w, size, size, false);

	put_global(w, GLOBAL_ALLP, new_box(w, p));
	put(w, w->gb->global[GLOBAL_ALLP] + 8, 1, 8);
	return p;
}

static void pages_of_a_p_are_no_pointer(void **state)
{
	(void)state;
	for (size_t i = FIRST_JUDGED; i < ARRAY_SIZE(releases); i++) {
		struct world w;
		uint64_t chan, p;

		world_open(&w, releases[i]);
		chan = new_chan(&w);
		assert_int_equal(chan, w.chan_span);
		add_receiver(&w, chan, 0);
		p = add_p(&w);
		put_field(&w, p, LAYOUT_P_PCACHE, w.chan_span, 8);
		EXPECT(&w, 2);
		put(&w, p + (uint64_t)off(&w, LAYOUT_P_SIZE) - 8, chan,
		    8); /* the rest of it counts */
		EXPECT_NONE(&w);
		world_close(&w);
	}
}

static void unused_sudogs_keep_nothing(void **state)
{
	(void)state;
	for (size_t i = FIRST_JUDGED; i < ARRAY_SIZE(releases); i++) {
		struct world w;
		uint64_t chan, g, p, unused;

		world_open(&w, releases[i]);
		chan = new_chan(&w);
		g = add_receiver(&w, chan, 0);
		unused = new_sudog(&w);
		put_field(&w, unused, LAYOUT_SUDOG_ELEM, chan, 8);
		p = add_p(&w);
		put_field(&w, p, LAYOUT_P_SUDOGCACHE, new_box(&w, unused), 8);
		assert_false(leaked_when_still(&w, g)); /* none is listed: it is in use */
		put(&w, p + (uint64_t)off(&w, LAYOUT_P_SUDOGCACHE) + 8, 1, 8);
		assert_true(leaked_when_still(&w, g));
		EXPECT_NONE(&w); /* a process that runs may use it again */
		world_close(&w);
	}
}

static void unused_sudogs_of_the_scheduler(void **state)
{
	struct world w;
	uint64_t chan, g, first, second;

	(void)state;
	world_open(&w, "usual");
	chan = new_chan(&w);
	g = add_receiver(&w, chan, 0);
	first = new_sudog(&w);
	second = new_sudog(&w);
	put_field(&w, first, LAYOUT_SUDOG_NEXT, second, 8);
	put_field(&w, second, LAYOUT_SUDOG_ELEM, chan, 8);
	put_field(&w, w.gb->global[GLOBAL_SCHED], LAYOUT_SCHED_SUDOGCACHE, first, 8);
	assert_true(leaked_when_still(&w, g));
	put_field(&w, second, LAYOUT_SUDOG_NEXT, second, 8); /* a list that does not end */
	assert_true(leaked_when_still(&w, g));
	put_field(&w, w.gb->global[GLOBAL_SCHED], LAYOUT_SCHED_SUDOGCACHE, 0, 8);
	put(&w, w.gb->mod.data, first, 8);
	assert_false(leaked_when_still(&w, g));
	world_close(&w);
}

/* What comes into use after the first reading is in the second one, beside all that was there. */
static void copy_grows(void **state)
{
	struct world w;
	struct still st;
	uint64_t a, b, old, new;

	(void)state;
	world_open(&w, "usual");
	old = new_chan(&w);
	new = new_chan(&w);
	a = add_receiver(&w, old, 0);
	b = add_receiver(&w, new, 0);
	put(&w, w.gb->mod.data, new_box(&w, old), 8);
	still_open(&w, &st);
	assert_false(leaked_in(&w, &st, a));
	assert_true(leaked_in(&w, &st, b));
	put(&w, w.gb->mod.data + 8, add_span(&w, 5u << 20, 5u << 20, false), 8);
	put(&w, w.heap_top - 8, new, 8); /* its last word */
	assert_false(leaked_in(&w, &st, a));
	assert_false(leaked_in(&w, &st, b));
	put(&w, w.heap_top - 8, 0, 8);
	assert_true(leaked_in(&w, &st, b));
	still_close(&st);
	world_close(&w);
}

static bool no(void *arg, const struct prove_progress *p)
{
	(void)arg;
	(void)p;
	return false;
}

struct passing {
	int last; /* pass that is still let go on */
};

/* The pass that comes next is not gone on with. */
static bool until(void *arg, const struct prove_progress *p)
{
	const struct passing *until = arg;

	assert_true(p->share >= 0 && p->share <= 1);
	return p->pass <= until->last;
}

/* What was found so far is the verdict, if two passes have found the same. */
static void ends_with_what_is_known(void **state)
{
	struct passing p = { .last = 3 };
	struct prove_result r;
	struct world w;

	(void)state;
	world_open(&w, "usual");
	add_receiver(&w, new_chan(&w), 0);
	w.cfg.passes = 6;
	w.cfg.go_on = until;
	w.cfg.arg = &p;
	judge(&w, &r);
	assert_int_equal(r.verdict, LEAKS_PASSES);
	assert_int_equal(r.passes, 3);
	assert_int_equal(r.n, 1);
	assert_int_equal(r.v[0].g.goid, 2);
	prove_result_deinit(&r);
	p.last = 1;
	publish(&w);
	assert_int_equal(prove_run(&w.cfg, &r, NULL), -EINTR);
	world_close(&w);
}

/* No pass is begun after the limit, but for three; and two are little. */
static void passes_take_no_longer(void **state)
{
	struct prove_result r;
	struct world w;

	(void)state;
	world_open(&w, "usual");
	add_receiver(&w, new_chan(&w), 0);
	w.cfg.passes = 24;
	w.cfg.limit_ns = 600 * 1000000; /* the pauses alone take 2.3 s */
	judge(&w, &r);
	assert_in_range(r.passes, 3, 23);
	assert_int_equal(r.n, 1);
	prove_result_deinit(&r);
	w.cfg.limit_ns = 1;
	expect_off(&w, "too few to be sure");
	world_close(&w);
}

static void can_be_cancelled(void **state)
{
	struct world w;
	struct prove_result r;

	(void)state;
	world_open(&w, "usual");
	w.cfg.go_on = no;
	publish(&w);
	assert_int_equal(prove_run(&w.cfg, &r, NULL), -EINTR);
	assert_null(r.v);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_of_a_p_are_no_pointer),
		cmocka_unit_test(unused_sudogs_keep_nothing),
		cmocka_unit_test(unused_sudogs_of_the_scheduler),
		cmocka_unit_test(copy_grows),
		cmocka_unit_test(can_be_cancelled),
		cmocka_unit_test(ends_with_what_is_known),
		cmocka_unit_test(passes_take_no_longer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
