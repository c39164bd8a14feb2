/* SPDX-License-Identifier: BSD-2-Clause */
/* Who is leaked, and who is not, in made-up memory (prove_world.h). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gobin/gobin.h"
#include "prove/prove.h"
#include "prove_world.h"

static void finds_forgotten_receiver(void **state)
{
	(void)state;
	for (size_t i = FIRST_JUDGED; i < ARRAY_SIZE(releases); i++) {
		struct world w;

		world_open(&w, releases[i]);
		add_receiver(&w, new_chan(&w), 0);
		EXPECT(&w, 2);
		world_close(&w);
	}
}

static void variable_keeps_alive(void **state)
{
	struct world w;
	uint64_t chan;

	(void)state;
	world_open(&w, "usual");
	chan = new_chan(&w);
	add_receiver(&w, chan, 0);
	add_receiver(&w, new_chan(&w), 0);
	put(&w, w.gb->mod.data, new_box(&w, new_box(&w, chan + 40)), 8); /* into its middle */
	EXPECT(&w, 3);
	world_close(&w);
}

static void running_goroutine_keeps_alive(void **state)
{
	struct world w;
	uint64_t chan;

	(void)state;
	world_open(&w, "1.25");
	chan = new_chan(&w);
	add_receiver(&w, chan, 0);
	add_goroutine(&w, GO_RUNNABLE, NULL, new_box(&w, chan));
	EXPECT_NONE(&w);
	world_close(&w);
}

/* Each keeps the next: all alive when the first is, all leaked when not. */
static void chain_is_followed(void **state)
{
	struct world w;
	uint64_t chan[5];

	(void)state;
	world_open(&w, "1.24");
	for (int i = 0; i < 5; i++)
		chan[i] = new_chan(&w);
	for (int i = 0; i < 4; i++)
		add_receiver(&w, chan[i], new_box(&w, chan[i + 1]));
	add_receiver(&w, chan[4], 0);
	EXPECT(&w, 2, 3, 4, 5, 6);
	put(&w, w.gb->mod.data + 8, chan[2], 8);
	EXPECT(&w, 2, 3);
	put(&w, w.gb->mod.data, chan[0], 8);
	EXPECT_NONE(&w);
	world_close(&w);
}

/* Objects of one span that each keep a neighbour: the last one keeps the channel. */
static void chain_in_a_span(void **state)
{
	(void)state;
	for (int down = 0; down < 2; down++) {
		struct world w;
		uint64_t chan, box[200];

		world_open(&w, "usual");
		chan = new_chan(&w);
		add_receiver(&w, chan, 0);
		for (int i = 0; i < 200; i++)
			box[i] = new_box(&w, 0);
		for (int i = 0; i < 199; i++)
			put(&w, down ? box[i + 1] : box[i], down ? box[i] : box[i + 1], 8);
		put(&w, down ? box[0] : box[199], chan, 8);
		EXPECT(&w, 2);
		put(&w, w.gb->mod.data, box[down ? 199 : 0], 8);
		EXPECT_NONE(&w);
		put(&w, box[100], 0, 8);
		EXPECT(&w, 2);
		world_close(&w);
	}
}

static void circle_of_leaked(void **state)
{
	struct world w;
	uint64_t a, b;

	(void)state;
	world_open(&w, "1.22");
	a = new_chan(&w);
	b = new_chan(&w);
	add_receiver(&w, a, b);
	add_receiver(&w, b, a);
	EXPECT(&w, 2, 3);
	world_close(&w);
}

static void select_lives_by_any_case(void **state)
{
	struct world w;
	uint64_t g, a, b, first, second;

	(void)state;
	world_open(&w, "usual");
	a = new_chan(&w);
	b = new_chan(&w);
	g = add_goroutine(&w, GO_WAITING, "select", 0);
	wait_for(&w, g, a);
	first = w.sudog_span;
	second = new_sudog(&w);
	put_field(&w, second, LAYOUT_SUDOG_G, g, 8);
	put_field(&w, second, LAYOUT_SUDOG_C, b, 8);
	put_field(&w, b, LAYOUT_HCHAN_RECVQ_FIRST, second, 8);
	put_field(&w, first, LAYOUT_SUDOG_WAITLINK, second, 8);
	EXPECT(&w, 2);
	put(&w, w.gb->mod.data, b, 8);
	EXPECT_NONE(&w);
	world_close(&w);
}

static void waits_for_nothing(void **state)
{
	struct world w;
	struct prove_result r;

	(void)state;
	world_open(&w, "newest");
	put_field(&w, w.g[0], LAYOUT_G_WAITREASON, reason(&w, "select (no cases)"), 1);
	add_goroutine(&w, GO_WAITING, "chan send (nil chan)", 0);
	judge(&w, &r);
	assert_int_equal(r.n, 2);
	assert_true(r.v[0].by_design);
	assert_int_equal(r.v[1].kind, LEAK_NIL_CHAN);
	assert_false(r.v[1].by_design);
	prove_result_deinit(&r);
	world_close(&w);
}

/* main waits for ever on purpose, but for a lock or for a receiver it does not. */
static void main_waits_by_design(void **state)
{
	static const struct {
		const char *reason;
		bool on_channel, by_design;
	} ways[] = {
		{ "chan receive", true, true },
		{ "select", true, true },
		{ "chan receive (nil chan)", false, true },
		{ "select (no cases)", false, true },
		{ "chan send", true, false },
		{ "chan send (nil chan)", false, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct prove_result r;
		struct world w;

		world_open(&w, "newest");
		put_field(&w, w.g[0], LAYOUT_G_WAITREASON, reason(&w, ways[i].reason), 1);
		if (ways[i].on_channel)
			wait_for(&w, w.g[0], new_chan(&w));
		add_receiver(&w, new_chan(&w), 0);
		judge(&w, &r);
		assert_int_equal(r.n, 2);
		assert_int_equal(r.v[0].g.goid, 1);
		assert_int_equal(r.v[0].by_design, ways[i].by_design);
		assert_false(r.v[1].by_design);
		prove_result_deinit(&r);
		world_close(&w);
	}
}

static void mutex_since_1_26(void **state)
{
	struct world w;
	uint64_t g, sd, box;

	(void)state;
	world_open(&w, "usual");
	box = new_box(&w, 0);
	g = add_goroutine(&w, GO_WAITING, "sync.Mutex.Lock", 0);
	sd = new_sudog(&w);
	put_field(&w, sd, LAYOUT_SUDOG_G, g, 8);
	put_field(&w, sd, LAYOUT_SUDOG_ELEM, box + 4, 8);
	put_field(&w, g, LAYOUT_G_WAITING, sd, 8);
	EXPECT(&w, 2);
	put(&w, w.gb->mod.data, box, 8);
	EXPECT_NONE(&w);
	/* a variable: outside the heap, so reachable */
	put(&w, w.gb->mod.data, 0, 8);
	put_field(&w, sd, LAYOUT_SUDOG_ELEM, w.gb->mod.data + 4, 8);
	EXPECT_NONE(&w);
	world_close(&w);
}

/*
 * A waits for a channel that only B's stack has; B waits for a lock in a
 * variable.  If it is A that holds the lock, neither will run.
 */
static void locks_that_are_held(void **state)
{
	const struct prove_held held[] = { { 3, 2 }, { 99, 2 } };
	struct prove_result r;
	struct world w;
	uint64_t chan, b, sd;

	(void)state;
	world_open(&w, "usual");
	chan = new_chan(&w);
	add_receiver(&w, chan, 0);
	b = add_goroutine(&w, GO_WAITING, "sync.Mutex.Lock", chan);
	sd = new_sudog(&w);
	put_field(&w, sd, LAYOUT_SUDOG_G, b, 8);
	put_field(&w, sd, LAYOUT_SUDOG_ELEM, w.gb->mod.data + 4, 8);
	put_field(&w, b, LAYOUT_G_WAITING, sd, 8);
	EXPECT_NONE(&w);
	w.cfg.held = held;
	w.cfg.nheld = 2;
	judge(&w, &r);
	assert_int_equal(r.n, 0); /* as for who is leaked, nothing is assumed */
	assert_int_equal(r.nstuck, 2);
	assert_int_equal(r.stuck[0].g.goid, 2);
	assert_int_equal(r.stuck[1].g.goid, 3);
	prove_result_deinit(&r);
	/* somebody else has the channel */
	put(&w, w.gb->mod.data + 64, chan, 8);
	judge(&w, &r);
	assert_int_equal(r.n + r.nstuck, 0);
	prove_result_deinit(&r);
	world_close(&w);
}

/* Two locks in one bucket of the table: one node is the other's child. */
static void mutex_up_to_1_25(void **state)
{
	static const char *const old[] = { "1.20", "1.22", "1.25" };

	(void)state;
	for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++) {
		struct world w;
		uint64_t g[2], sd[2], box[2];

		world_open(&w, old[i]);
		for (int k = 0; k < 2; k++) {
			g[k] = add_goroutine(&w, GO_WAITING, "sync.Mutex.Lock", 0);
			sd[k] = new_sudog(&w);
			box[k] = new_box(&w, 0);
			put_field(&w, sd[k], LAYOUT_SUDOG_G, g[k], 8);
			put_field(&w, sd[k], LAYOUT_SUDOG_ELEM, box[k], 8);
		}
		put_field(&w, sd[0], LAYOUT_SUDOG_NEXT, sd[1], 8);
		put(&w,
		    w.gb->global[GLOBAL_SEMTABLE] + 64 * 250 +
			    (uint64_t)off(&w, LAYOUT_SEMAROOT_TREAP),
		    sd[0], 8);
		EXPECT(&w, 2, 3);
		put(&w, w.gb->mod.data, box[0], 8);
		EXPECT(&w, 3);
		/* a table that runs in a circle */
		put_field(&w, sd[1], LAYOUT_SUDOG_NEXT, sd[0], 8);
		put_field(&w, sd[1], LAYOUT_SUDOG_WAITLINK, sd[1], 8);
		EXPECT(&w, 3);
		world_close(&w);
	}
}

static void condition_up_to_1_25(void **state)
{
	struct world w;
	uint64_t g, sd, cond;

	(void)state;
	world_open(&w, "1.24");
	/* sync.Cond over two boxes side by side: notify at 16, its head at 32 */
	cond = new_box(&w, 0);
	new_box(&w, 0);
	g = add_goroutine(&w, GO_WAITING, "sync.Cond.Wait", cond);
	sd = new_sudog(&w);
	put_field(&w, sd, LAYOUT_SUDOG_G, g, 8);
	put(&w, cond + 32, sd, 8);
	EXPECT(&w, 2);
	put(&w, w.gb->mod.data, cond + 24, 8);
	EXPECT_NONE(&w);
	world_close(&w);
}

static void finalizer_keeps_what_it_gets(void **state)
{
	struct world w;
	uint64_t chan, special = OTHER + 0x400000, object;

	(void)state;
	world_open(&w, "usual");
	chan = new_chan(&w);
	add_receiver(&w, chan, 0);
	new_box(&w, 0);
	object = new_box(&w, chan);
	EXPECT(&w, 2);
	put_field(&w, special, LAYOUT_SPECIAL_OFFSET, object - w.box_span, 8);
	put_field(&w, special, LAYOUT_SPECIAL_KIND, 2, 1);
	put_field(&w, w.mspan[3], LAYOUT_MSPAN_SPECIALS, special, 8);
	EXPECT_NONE(&w);
	/* a record of the heap profile keeps nothing */
	put_field(&w, special, LAYOUT_SPECIAL_KIND, 4, 1);
	EXPECT(&w, 2);
	world_close(&w);
}

static void woken_ones_are_alive(void **state)
{
	struct world w;
	uint64_t chan;

	(void)state;
	world_open(&w, "usual");
	chan = new_chan(&w);
	add_receiver(&w, chan, 0);
	/* already out of the queue: somebody is about to make it run */
	put_field(&w, chan, LAYOUT_HCHAN_RECVQ_FIRST, 0, 8);
	EXPECT_NONE(&w);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_forgotten_receiver),
		cmocka_unit_test(variable_keeps_alive),
		cmocka_unit_test(running_goroutine_keeps_alive),
		cmocka_unit_test(chain_is_followed),
		cmocka_unit_test(chain_in_a_span),
		cmocka_unit_test(circle_of_leaked),
		cmocka_unit_test(select_lives_by_any_case),
		cmocka_unit_test(waits_for_nothing),
		cmocka_unit_test(main_waits_by_design),
		cmocka_unit_test(mutex_since_1_26),
		cmocka_unit_test(locks_that_are_held),
		cmocka_unit_test(mutex_up_to_1_25),
		cmocka_unit_test(condition_up_to_1_25),
		cmocka_unit_test(finalizer_keeps_what_it_gets),
		cmocka_unit_test(woken_ones_are_alive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
