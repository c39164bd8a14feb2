/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stacks that are copied only when their goroutine is reached (prove/later.c), and each way in
 * which one that was left out may be needed after all; spans that are used again in between.
 */
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
#include "prove/verify.h"
#include "prove_world.h"

#define BLOCKED_AT 1000

/*
 * One goroutine is leaked; what another one waits for is on its stack alone.  A third can be
 * woken: a variable leads to its channel.
 */
struct three {
	struct world w;
	struct snap s;
	struct freeze f; /* no thread: nobody runs */
	struct snap_kept kept;
	uint64_t idle, idle_chan, idle_last; /* the last word of its stack */
	uint64_t lost, lost_chan, lost_last, dependent;
};

static uint64_t last_word(const struct world *w)
{
	return w->stack_top - 8;
}

static void make_with(struct three *t, const char *release, uint64_t more_heap)
{
	struct world *w = &t->w;
	uint64_t chan;

	memset(t, 0, sizeof(*t));
	world_open(w, release);
	if (more_heap)
		add_span(w, more_heap, more_heap, false);
	t->idle_chan = new_chan(w);
	t->idle = add_receiver(w, t->idle_chan, 1);
	t->idle_last = last_word(w);
	t->lost_chan = new_chan(w); /* on a page of memory of their own */
	chan = new_chan(w);
	t->lost = add_receiver(w, t->lost_chan, chan);
	t->lost_last = last_word(w);
	t->dependent = add_receiver(w, chan, 1);
	put(w, w->gb->mod.data, new_box(w, t->idle_chan), 8);
	for (int i = 1; i < w->ng; i++)
		put_field(w, w->g[i], LAYOUT_G_WAITSINCE, BLOCKED_AT, 8);
	freeze_init(&t->f);
	assert_int_equal(snap_init(&t->s, &w->rt), 0);
	t->s.heap.trust_alloc_bits = t->s.sparing = true;
	publish(w);
	assert_int_equal(snap_copy(&t->s, NULL, UINT64_MAX, 0), 0);
}

static void make(struct three *t, const char *release)
{
	make_with(t, release, 0);
}

static void judge_before(struct three *t)
{
	assert_int_equal(snap_judge(&t->s), 0);
	t->s.sparing = false;
	assert_int_equal(snap_keep(&t->s, &t->kept), 0);
	assert_true(t->s.keeping);
}

static void open_three(struct three *t, const char *release)
{
	make(t, release);
	judge_before(t);
}

static void close_three(struct three *t)
{
	snap_deinit(&t->s);
	freeze_deinit(&t->f);
	world_close(&t->w);
}

static int freeze_and_judge(struct three *t)
{
	publish(&t->w);
	assert_int_equal(snap_copy(&t->s, &t->f, UINT64_MAX, 0), 0);
	return snap_judge(&t->s);
}

static const struct pgo *found(struct three *t, uint64_t addr)
{
	size_t i;

	assert_true(snap_find_g(&t->s, addr, &i));
	return &t->s.g[i];
}

static bool is_leaked(struct three *t, uint64_t addr)
{
	return snap_is_leaked(&t->s, (size_t)(found(t, addr) - t->s.g));
}

/* Of the frozen copy: lost and its dependent are alive, as everything that is copied shows. */
static void expect_both_alive(struct three *t)
{
	snap_keep_nothing(&t->s);
	assert_int_equal(freeze_and_judge(t), 0);
	assert_false(is_leaked(t, t->lost));
	assert_false(is_leaked(t, t->dependent));
	close_three(t);
}

/* The twin of all others: nothing happened, and their stacks are read neither before nor then. */
static void left_out_when_nothing_happened(void **state)
{
	(void)state;
	for (size_t i = FIRST_JUDGED; i < ARRAY_SIZE(releases); i++) {
		struct three t;

		make(&t, releases[i]);
		t.w.hole = t.lost_last;
		judge_before(&t);
		assert_int_equal(freeze_and_judge(&t), 0);
		assert_true(found(&t, t.lost)->later);
		assert_true(is_leaked(&t, t.lost));
		assert_true(is_leaked(&t, t.dependent));
		assert_false(is_leaked(&t, t.idle));
		assert_int_equal(verify_leaks(&t.s), 0);
		assert_true(is_leaked(&t, t.dependent));
		close_three(&t);
	}
}

/* Who is reached has a stack that counts, and who is reached by that one too. */
static void reached_before_the_freeze(void **state)
{
	(void)state;
	for (size_t i = FIRST_JUDGED; i < ARRAY_SIZE(releases); i++) {
		struct three t;

		make(&t, releases[i]);
		put(&t.w, t.idle_last, t.lost_chan, 8);
		judge_before(&t);
		assert_false(is_leaked(&t, t.lost));
		assert_false(is_leaked(&t, t.dependent));
		assert_true(found(&t, t.dependent)->kept);
		/* and these are not copied in the freeze */
		t.w.hole = t.lost_last;
		assert_int_equal(freeze_and_judge(&t), 0);
		assert_false(is_leaked(&t, t.lost));
		assert_false(is_leaked(&t, t.dependent));
		close_three(&t);
	}
}

/* Few are copied although nobody reaches them: then nothing is missing when that was wrong. */
static void few_are_copied(void **state)
{
	struct three t;

	(void)state;
	make(&t, "usual");
	assert_int_equal(snap_judge(&t.s), 0);
	assert_int_equal(snap_copy_few(&t.s, 1), 0);
	assert_true(found(&t, t.lost)->later);
	assert_int_equal(snap_copy_few(&t.s, 2), 0);
	assert_false(found(&t, t.lost)->later);
	assert_int_equal(snap_keep(&t.s, &t.kept), 0);
	assert_true(found(&t, t.lost)->kept);
	put(&t.w, t.w.gb->mod.data + 8, new_box(&t.w, t.lost_chan), 8);
	t.w.hole = t.lost_last;
	assert_int_equal(freeze_and_judge(&t), 0);
	assert_false(is_leaked(&t, t.lost));
	assert_false(is_leaked(&t, t.dependent));
	close_three(&t);
}

/* One that has moved between the look at its g and the copy of its stack: all of it counts. */
static void moves_while_it_is_reached(void **state)
{
	struct three t;

	(void)state;
	make(&t, "usual");
	put_field(&t.w, t.idle, LAYOUT_G_TRACKINGSEQ, 1, 1);
	put(&t.w, t.idle_last - 512, t.lost_chan, 8); /* below where its SP was */
	judge_before(&t);
	assert_false(is_leaked(&t, t.lost));
	assert_false(is_leaked(&t, t.dependent));
	assert_false(found(&t, t.idle)->kept);
	close_three(&t);
}

/* It has ended, and its stack is gone: nobody's verdict comes of that judgement. */
static void ends_while_it_is_reached(void **state)
{
	struct three t;

	(void)state;
	make(&t, "usual");
	put_field(&t.w, t.idle, LAYOUT_G_ATOMICSTATUS, GO_DEAD, 4);
	t.w.hole = t.idle_last;
	judge_before(&t);
	assert_true(is_leaked(&t, t.lost));
	t.w.hole = 0;
	assert_int_equal(freeze_and_judge(&t), 0);
	assert_true(is_leaked(&t, t.lost));
	close_three(&t);
}

/* Its channel was handed to a variable between the pass and the freeze. */
static void reached_since(void **state)
{
	(void)state;
	for (size_t i = FIRST_JUDGED; i < ARRAY_SIZE(releases); i++) {
		struct three t;

		open_three(&t, releases[i]);
		put(&t.w, t.w.gb->mod.data + 8, new_box(&t.w, t.lost_chan), 8);
		assert_int_equal(freeze_and_judge(&t), -EAGAIN);
		expect_both_alive(&t);
	}
}

/* It can run by now: its stack is copied, and leads to one that was not. */
static void runs_since(void **state)
{
	static const uint8_t status[] = { GO_RUNNABLE, GO_RUNNING, GO_SYSCALL, GO_PREEMPTED };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(status); i++) {
		struct three t;

		open_three(&t, "usual");
		put_field(&t.w, t.lost, LAYOUT_G_ATOMICSTATUS, status[i], 4);
		assert_int_equal(freeze_and_judge(&t), -EAGAIN);
		assert_false(found(&t, t.lost)->later);
		expect_both_alive(&t);
	}
}

/* It has run, waits elsewhere for ever, and has another stack: none is needed. */
static void stack_moves(void **state)
{
	struct three t;
	uint64_t lo;

	(void)state;
	open_three(&t, "usual");
	lo = t.w.stack_top + 8192;
	put_field(&t.w, t.lost, LAYOUT_G_STACK_LO, lo, 8);
	put_field(&t.w, t.lost, LAYOUT_G_STACK_HI, lo + 1024, 8);
	put_field(&t.w, t.lost, LAYOUT_G_SCHED_SP, lo + 1024 - 16, 8);
	put(&t.w, lo + 1024 - 8, found(&t, t.dependent)->primitive, 8);
	put(&t.w, t.lost_last, 0xdead, 8);
	assert_int_equal(freeze_and_judge(&t), 0);
	assert_true(is_leaked(&t, t.lost));
	/* and it is that one which counts when it is */
	put(&t.w, t.w.gb->mod.data + 8, new_box(&t.w, t.lost_chan), 8);
	assert_int_equal(freeze_and_judge(&t), -EAGAIN);
	expect_both_alive(&t);
}

/* The last look finds that it runs: what it keeps is not known, so once more. */
static void runs_at_the_last_look(void **state)
{
	struct three t;

	(void)state;
	open_three(&t, "usual");
	assert_int_equal(freeze_and_judge(&t), 0);
	assert_true(is_leaked(&t, t.lost));
	put_field(&t.w, t.lost, LAYOUT_G_ATOMICSTATUS, GO_RUNNABLE, 4);
	assert_int_equal(verify_leaks(&t.s), -EAGAIN);
	expect_both_alive(&t);
}

/* The stack tells which condition it waits on, or that it is a wait group: it is always read. */
static void needed_to_judge(void **state)
{
	static const struct {
		const char *release, *reason;
		bool later;
	} of[] = {
		{ "1.25", "sync.Cond.Wait", false }, { "usual", "sync.Cond.Wait", true },
		{ "1.22", "semacquire", false },     { "1.22", "sync.Mutex.Lock", true },
		{ "1.22", "sleep", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(of); i++) {
		struct three t;
		struct pgo g;

		make(&t, of[i].release);
		g = *found(&t, t.lost);
		assert_true(snap_may_be_later(&t.s, &g));
		g.reason = reason(&t.w, of[i].reason);
		assert_int_equal(snap_may_be_later(&t.s, &g), of[i].later);
		close_three(&t);
	}
}

/*
 * The span of an object is given back, and its pages belong to a larger object now, whose last
 * word leads to the lost one.
 */
static void span_is_used_again(void **state)
{
	(void)state;
	for (size_t i = FIRST_JUDGED; i < ARRAY_SIZE(releases); i++) {
		struct three t;
		uint64_t was, top, large;

		open_three(&t, releases[i]);
		was = t.w.mspan[3];
		top = t.w.heap_top;
		t.w.heap_top = t.w.box_span;
		large = add_span(&t.w, PAGE, PAGE, false);
		t.w.heap_top = top;
		put_field(&t.w, was, LAYOUT_MSPAN_STATE, 0, 1);
		for (uint64_t a = large; a < large + PAGE; a += 8)
			put(&t.w, a, 0, 8);
		put(&t.w, large + PAGE - 8, t.lost_chan, 8);
		put(&t.w, t.w.gb->mod.data, large, 8);
		assert_int_equal(freeze_and_judge(&t), -EAGAIN);
		expect_both_alive(&t);
	}
}

/* Pages of a stack that was copied before belong to the heap now; its goroutine has ended. */
static void stack_becomes_heap(void **state)
{
	struct three t;
	uint64_t top;

	(void)state;
	open_three(&t, "usual");
	assert_true(found(&t, t.idle)->kept);
	put_field(&t.w, t.idle, LAYOUT_G_ATOMICSTATUS, GO_DEAD, 4);
	put_field(&t.w, t.idle, LAYOUT_G_STACK_LO, 0, 8);
	put_field(&t.w, t.idle, LAYOUT_G_STACK_HI, 0, 8);
	top = t.w.heap_top;
	t.w.heap_top = t.idle_last / PAGE * PAGE;
	add_span(&t.w, PAGE, 32, false);
	t.w.heap_top = top;
	put(&t.w, t.idle_last, t.lost_chan, 8);
	put(&t.w, t.w.gb->mod.data, t.idle_last, 8);
	assert_int_equal(freeze_and_judge(&t), -EAGAIN);
	expect_both_alive(&t);
}

/* Few beside a large heap: that is not marked before the freeze, and nothing is spared in it. */
static void few_beside_a_large_heap(void **state)
{
	struct three t;

	(void)state;
	make_with(&t, "usual", 4u << 20);
	assert_false(t.s.sparing);
	assert_false(found(&t, t.lost)->later);
	assert_int_equal(snap_keep(&t.s, &t.kept), 0);
	assert_int_equal(t.kept.rest_ns, 0);
	put(&t.w, t.idle_last, t.lost_chan, 8);
	assert_int_equal(freeze_and_judge(&t), 0);
	assert_false(found(&t, t.idle)->kept);
	assert_false(is_leaked(&t, t.lost));
	assert_false(is_leaked(&t, t.dependent));
	put(&t.w, t.idle_last, 0, 8);
	assert_int_equal(freeze_and_judge(&t), 0);
	assert_true(is_leaked(&t, t.lost));
	assert_int_equal(verify_leaks(&t.s), 0);
	close_three(&t);
}

/* A stop in which everything is copied is announced as longer than one in which it is not. */
static void announced_as_longer(void **state)
{
	struct three t;

	(void)state;
	open_three(&t, "usual");
	assert_true(t.kept.rest_ns > 0);
	close_three(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(left_out_when_nothing_happened),
		cmocka_unit_test(reached_before_the_freeze),
		cmocka_unit_test(few_are_copied),
		cmocka_unit_test(moves_while_it_is_reached),
		cmocka_unit_test(ends_while_it_is_reached),
		cmocka_unit_test(reached_since),
		cmocka_unit_test(runs_since),
		cmocka_unit_test(stack_moves),
		cmocka_unit_test(runs_at_the_last_look),
		cmocka_unit_test(needed_to_judge),
		cmocka_unit_test(span_is_used_again),
		cmocka_unit_test(stack_becomes_heap),
		cmocka_unit_test(few_beside_a_large_heap),
		cmocka_unit_test(announced_as_longer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
