/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stacks that are not copied again in the freeze (prove/keep.c): that they are not, and each way
 * in which one may have changed since it was copied.
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
#include "prove_world.h"

#define BLOCKED_AT 1000

/* One goroutine is leaked, unless the stack of another one, which can be woken, has its channel. */
struct twins {
	struct world w;
	struct snap s;
	struct freeze f; /* no thread: nobody runs */
	uint64_t lost, lost_chan;
	uint64_t idle, idle_chan, idle_sudog, idle_last; /* the last word of its stack */
};

static void set_field(struct twins *t, enum layout_field f, uint64_t value, int size)
{
	put_field(&t->w, t->idle, f, value, size);
}

/* Copied and judged while it runs; what is to be kept is chosen. */
static void before_the_freeze(struct twins *t, uint64_t wait_since)
{
	struct world *w = &t->w;
	struct snap_kept kept;

	t->lost_chan = new_chan(w);
	t->lost = add_receiver(w, t->lost_chan, 0);
	t->idle_chan = new_chan(w);
	t->idle_sudog = w->sudog_span +
			(uint64_t)w->nsudog * round_up((uint64_t)off(w, LAYOUT_SUDOG_SIZE), 16);
	t->idle_last = w->stack_top + 2048 - 8;
	t->idle = add_receiver(w, t->idle_chan, 0);
	put_field(w, t->idle, LAYOUT_G_SCHED_PC, 1, 8); /* in no function: every word counts */
	put(w, w->gb->mod.data, new_box(w, t->idle_chan), 8);
	set_field(t, LAYOUT_G_WAITSINCE, wait_since, 8);
	freeze_init(&t->f);
	assert_int_equal(snap_init(&t->s, &w->rt), 0);
	t->s.heap.trust_alloc_bits = true;
	publish(w);
	assert_int_equal(snap_copy(&t->s, NULL, UINT64_MAX, 0), 0);
	assert_int_equal(snap_judge(&t->s), 0);
	assert_int_equal(snap_keep(&t->s, &kept), 0);
	assert_true(t->s.keeping);
}

static void open_twins(struct twins *t, const char *release)
{
	memset(t, 0, sizeof(*t));
	world_open(&t->w, release);
	before_the_freeze(t, BLOCKED_AT);
}

static void close_twins(struct twins *t)
{
	snap_deinit(&t->s);
	freeze_deinit(&t->f);
	world_close(&t->w);
}

static int freeze_and_judge(struct twins *t)
{
	publish(&t->w);
	assert_int_equal(snap_copy(&t->s, &t->f, UINT64_MAX, 0), 0);
	return snap_judge(&t->s);
}

static bool lost_is_leaked(struct twins *t)
{
	size_t i;

	assert_true(snap_find_g(&t->s, t->lost, &i));
	return snap_is_leaked(&t->s, i);
}

static bool idle_is_kept(struct twins *t)
{
	size_t i;

	assert_true(snap_find_g(&t->s, t->idle, &i));
	return t->s.g[i].kept;
}

/* Its stack gets the channel by what happened: then that has to be seen. */
static void expect_seen(struct twins *t)
{
	put(&t->w, t->idle_last, t->lost_chan, 8);
	assert_int_equal(freeze_and_judge(t), 0);
	assert_false(idle_is_kept(t));
	assert_false(lost_is_leaked(t));
	close_twins(t);
}

/* The twin of all others: nothing happened, and the stack is not read at all. */
static void kept_when_nothing_happened(void **state)
{
	(void)state;
	for (size_t i = FIRST_JUDGED; i < ARRAY_SIZE(releases); i++) {
		struct twins t;

		open_twins(&t, releases[i]);
		t.w.hole = t.idle_last;
		assert_int_equal(freeze_and_judge(&t), 0);
		assert_true(idle_is_kept(&t));
		assert_true(lost_is_leaked(&t));
		close_twins(&t);
	}
}

static void ran_and_waits_again(void **state)
{
	static const uint64_t since[] = { 0, BLOCKED_AT + 1 };

	(void)state;
	for (size_t i = FIRST_JUDGED; i < ARRAY_SIZE(releases); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(since); k++) {
			struct twins t;

			open_twins(&t, releases[i]);
			set_field(&t, LAYOUT_G_WAITSINCE, since[k], 8);
			expect_seen(&t);
		}
	}
}

/* No collection has met it while it waited: nothing tells whether it ran. */
static void never_seen_by_a_collection(void **state)
{
	struct twins t;

	(void)state;
	memset(&t, 0, sizeof(t));
	world_open(&t.w, "usual");
	before_the_freeze(&t, 0);
	expect_seen(&t);
}

static void can_run(void **state)
{
	static const uint8_t status[] = { GO_RUNNABLE, GO_RUNNING, GO_SYSCALL, GO_PREEMPTED };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(status); i++) {
		struct twins t;

		open_twins(&t, "usual");
		set_field(&t, LAYOUT_G_ATOMICSTATUS, status[i], 4);
		expect_seen(&t);
	}
}

/* Its g, and its stack, are those of another one by now. */
static void ended_and_used_again(void **state)
{
	struct twins t;

	(void)state;
	open_twins(&t, "usual");
	set_field(&t, LAYOUT_G_GOID, 77, 8);
	expect_seen(&t);
}

static void stack_moved(void **state)
{
	(void)state;
	for (size_t i = FIRST_JUDGED; i < ARRAY_SIZE(releases); i++) {
		struct twins t;
		uint64_t lo;

		open_twins(&t, releases[i]);
		lo = t.w.stack_top + 8192;
		put(&t.w, lo, 0, 8);
		set_field(&t, LAYOUT_G_STACK_LO, lo, 8);
		set_field(&t, LAYOUT_G_STACK_HI, lo + 1024, 8);
		set_field(&t, LAYOUT_G_SCHED_SP, lo + 1024 - 16, 8);
		put(&t.w, t.idle_last, 0xdead, 8); /* the old one is used for something else */
		t.idle_last = lo + 1024 - 8;
		expect_seen(&t);
	}
}

/* It needs more of its stack than there is room for where it was copied to. */
static void stack_grew(void **state)
{
	struct twins t;

	(void)state;
	open_twins(&t, "usual");
	set_field(&t, LAYOUT_G_SCHED_SP, t.idle_last - 1000, 8);
	expect_seen(&t);
}

/*
 * A sender took it out of the queue and wrote to its stack, but has not made it runnable yet:
 * nothing of its g tells.  Seen afterwards, and frozen once more.
 */
static void received_and_not_yet_woken(void **state)
{
	(void)state;
	for (size_t i = FIRST_JUDGED; i < ARRAY_SIZE(releases); i++) {
		struct twins t;

		open_twins(&t, releases[i]);
		put_field(&t.w, t.idle_chan, LAYOUT_HCHAN_RECVQ_FIRST, 0, 8);
		put(&t.w, t.idle_last, t.lost_chan, 8);
		assert_int_equal(freeze_and_judge(&t), -EAGAIN);
		snap_keep_nothing(&t.s);
		assert_int_equal(freeze_and_judge(&t), 0);
		assert_false(lost_is_leaked(&t));
		close_twins(&t);
	}
}

/* The same in the middle of a queue: the one before it no longer names it. */
static void received_from_the_middle(void **state)
{
	struct twins t;
	uint64_t before, size;

	(void)state;
	memset(&t, 0, sizeof(t));
	world_open(&t.w, "usual");
	size = round_up((uint64_t)off(&t.w, LAYOUT_SUDOG_SIZE), 16);
	before = t.w.sudog_span + 10 * size;
	/* the next but one that is made is its own */
	put_field(&t.w, before, LAYOUT_SUDOG_NEXT, t.w.sudog_span + size, 8);
	put_field(&t.w, t.w.sudog_span + size, LAYOUT_SUDOG_PREV, before, 8);
	before_the_freeze(&t, BLOCKED_AT);
	assert_int_equal(t.idle_sudog, t.w.sudog_span + size);
	assert_int_equal(freeze_and_judge(&t), 0);
	assert_true(idle_is_kept(&t));
	put_field(&t.w, before, LAYOUT_SUDOG_NEXT, 0, 8);
	assert_int_equal(freeze_and_judge(&t), -EAGAIN);
	close_twins(&t);
}

/* The memory of its channel is gone, or something else: it cannot be told. */
static void channel_freed(void **state)
{
	struct twins t;

	(void)state;
	open_twins(&t, "usual");
	t.w.hole = t.idle_chan;
	assert_int_equal(freeze_and_judge(&t), -EAGAIN);
	close_twins(&t);
}

/* Freezes that were ended in vain in between change nothing. */
static void kept_over_several_freezes(void **state)
{
	struct twins t;

	(void)state;
	open_twins(&t, "usual");
	publish(&t.w);
	assert_int_equal(snap_copy(&t.s, &t.f, UINT64_MAX, 1), -ETIME);
	assert_int_equal(freeze_and_judge(&t), 0);
	assert_true(idle_is_kept(&t));
	set_field(&t, LAYOUT_G_WAITSINCE, 0, 8);
	expect_seen(&t);
}

/* What is not known of a later release is not made use of. */
static void later_release(void **state)
{
	struct twins t;
	struct snap_kept kept;

	(void)state;
	open_twins(&t, "usual");
	t.w.gb->release.minor = 28;
	assert_int_equal(snap_keep(&t.s, &kept), 0);
	assert_false(t.s.keeping);
	assert_true(kept.less_ns <= 0);
	put(&t.w, t.idle_last, t.lost_chan, 8);
	assert_int_equal(freeze_and_judge(&t), 0);
	assert_false(lost_is_leaked(&t));
	close_twins(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kept_when_nothing_happened),
		cmocka_unit_test(ran_and_waits_again),
		cmocka_unit_test(never_seen_by_a_collection),
		cmocka_unit_test(can_run),
		cmocka_unit_test(ended_and_used_again),
		cmocka_unit_test(stack_moved),
		cmocka_unit_test(stack_grew),
		cmocka_unit_test(received_and_not_yet_woken),
		cmocka_unit_test(received_from_the_middle),
		cmocka_unit_test(channel_freed),
		cmocka_unit_test(kept_over_several_freezes),
		cmocka_unit_test(later_release),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
