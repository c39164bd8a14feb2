/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Circles in graphs written by hand; and what a goroutine would do next, of one
 * that is made to stand in a function of a real executable.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "goroutines/cycles.h"
#include "gort/goahead.h"
#include "gort/goruntime_priv.h"
#include "releases.h"

#define LOCK(n)               \
	{                     \
		n, CYCLE_LOCK \
	}
#define IN(n)                        \
	{                            \
		n, CYCLE_TO_RECEIVER \
	} /* a value for who receives */
#define OUT(n)                     \
	{                          \
		n, CYCLE_TO_SENDER \
	}
#define NODE(...)                                                                               \
	{                                                                                       \
		.want = { __VA_ARGS__ },                                                        \
		.nwant = sizeof((struct cycle_key[]){ __VA_ARGS__ }) / sizeof(struct cycle_key) \
	}
#define GRAPH(node, wakes)                                                                    \
	{                                                                                     \
		node, sizeof(node) / sizeof(node[0]), wakes, sizeof(wakes) / sizeof(wakes[0]) \
	}

struct seen {
	char text[200]; /* "0>1>2 3" */
	size_t len;
	int stop;
};

static int note(void *arg, const struct cycle_step *step, size_t n)
{
	struct seen *s = arg;

	if (s->len)
		s->text[s->len++] = ' ';
	for (size_t i = 0; i < n; i++)
		s->len += (size_t)snprintf(s->text + s->len, sizeof(s->text) - s->len, "%s%u",
					   i ? ">" : "", step[i].node);
	return s->stop;
}

static void expect(const struct cycle_graph *g, const char *want)
{
	struct seen s = { .len = 0 };

	assert_int_equal(cycles_find(g, note, &s), 0);
	assert_string_equal(s.text, want);
}

static void two_locks(void **state)
{
	const struct cycle_node node[] = { NODE(LOCK(10)), NODE(LOCK(20)), NODE(LOCK(10)) };
	const struct cycle_wakeup wakes[] = { { 0, LOCK(20) }, { 1, LOCK(10) } };
	const struct cycle_graph g = GRAPH(node, wakes);
	struct seen s = { .stop = 7 };

	(void)state;
	expect(&g, "0>1"); /* 2 only waits behind them */
	assert_int_equal(cycles_find(&g, note, &s), 7);
}

static void a_lock_of_ones_own(void **state)
{
	const struct cycle_node node[] = { NODE(LOCK(10)), NODE(LOCK(10)) };
	const struct cycle_wakeup wakes[] = { { 1, LOCK(10) } };
	const struct cycle_graph g = GRAPH(node, wakes);

	(void)state;
	expect(&g, "1");
}

static void the_shortest_of_several(void **state)
{
	const struct cycle_node node[] = { NODE(LOCK(1), IN(9)), NODE(LOCK(2)), NODE(LOCK(3)),
					   NODE(IN(4)) };
	const struct cycle_wakeup wakes[] = {
		{ 1, LOCK(1) }, { 2, LOCK(2) }, { 0, LOCK(3) }, { 3, IN(9) }, { 0, IN(4) }
	};
	const struct cycle_graph g = GRAPH(node, wakes);

	(void)state;
	expect(&g, "0>3"); /* not the way over three locks */
}

/* Workers that nobody feeds, and a semaphore: who waits there too wakes nobody. */
static void peers_are_no_cycle(void **state)
{
	const struct cycle_node node[] = { NODE(OUT(5)), NODE(OUT(5)), NODE(IN(6)) };
	const struct cycle_wakeup wakes[] = {
		{ 0, OUT(5) }, { 1, OUT(5) }, { 2, OUT(5) }, { 2, IN(6) }
	};
	const struct cycle_graph g = GRAPH(node, wakes);

	(void)state;
	expect(&g, "");
}

static void a_path_is_not_a_cycle(void **state)
{
	const struct cycle_node node[] = { NODE(LOCK(1)), NODE(IN(2)), NODE(LOCK(3)) };
	const struct cycle_wakeup wakes[] = { { 1, LOCK(1) }, { 2, IN(2) }, { 2, OUT(2) } };
	const struct cycle_graph g = GRAPH(node, wakes);

	(void)state;
	expect(&g, "");
	expect(&(struct cycle_graph){ .n = 0 }, "");
}

static int count_edges(void *arg, uint32_t node, const struct cycle_key *want, uint32_t waker)
{
	int *n = arg;

	assert_int_equal(want->object, 10);
	assert_true(node != waker);
	++*n;
	return 0;
}

static void all_edges(void **state)
{
	const struct cycle_node node[] = { NODE(LOCK(10)), NODE(LOCK(20)), NODE(LOCK(10)) };
	const struct cycle_wakeup wakes[] = { { 1, LOCK(10) }, { 1, IN(10) } };
	const struct cycle_graph g = GRAPH(node, wakes);
	int n = 0;

	(void)state;
	assert_int_equal(cycles_edges(&g, count_edges, &n), 0);
	assert_int_equal(n, 2);
}

/* ---- looking ahead ---- */

#define STACK 0xc000100000ull
#define G     0xc000200000ull

/* A stack, a g, and the executable behind. */
struct world {
	struct memreader mem;
	struct gobin *gb;
	struct goruntime rt;
	struct gowalk_cache cache;
	struct goroutine g;
	uint8_t stack[512];
	uint8_t raw[GO_MAX_G_BYTES];
};

static int read_one(struct world *w, struct mem_piece *p)
{
	if (p->addr >= STACK && p->addr + p->len <= STACK + sizeof(w->stack))
		memcpy(p->dst, w->stack + (p->addr - STACK), p->len);
	else if (p->addr >= G && p->addr + p->len <= G + sizeof(w->raw))
		memcpy(p->dst, w->raw + (p->addr - G), p->len);
	else
		return image_read_addr(&w->gb->image, p->addr, p->dst, p->len) ? -EFAULT : 0;
	return 0;
}

static int world_read(struct memreader *m, struct mem_piece *p, size_t n)
{
	int failed = 0;

	for (size_t i = 0; i < n; i++) {
		p[i].status = read_one((struct world *)m, &p[i]);
		failed += p[i].status != 0;
	}
	return failed;
}

static const struct memreader_ops world_ops = { world_read, NULL };

/* Behind the call of `callee` in `function`; 0: it does not call it. */
static uint64_t behind_call(struct world *w, const char *function, const char *callee)
{
	uint8_t code[4096];
	struct gofunc fn, to;
	struct insn in;

	assert_int_equal(pclntab_find_name(w->gb->pcln, function, &fn), 0);
	if (pclntab_find_name(w->gb->pcln, callee, &to))
		return 0;
	assert_true(fn.end - fn.entry <= sizeof(code));
	assert_int_equal(image_read_addr(&w->gb->image, fn.entry, code, fn.end - fn.entry), 0);
	for (uint64_t at = fn.entry; at < fn.end; at += in.len) {
		assert_int_equal(w->gb->arch->decode(code + (at - fn.entry), fn.end - at, at, false,
						     &in),
				 0);
		if (in.flow == FLOW_CALL && in.target == to.entry)
			return at + in.len;
	}
	return 0;
}

static void put_word(uint8_t *at, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		at[i] = (uint8_t)(v >> 8 * i);
}

/* A goroutine parked at the very beginning of gopark, which the function called. */
static void stand(struct world *w, const char *release, const char *function, const char *callee,
		  const char *or_callee)
{
	struct gofunc park;
	char path[512];
	uint64_t pc;

	memset(w, 0, sizeof(*w));
	if (!program_path(path, sizeof(path), "locks-%s-stripped", release))
		skip();
	assert_int_equal(gobin_open(&w->gb, path, NULL), 0);
	w->mem.ops = &world_ops;
	w->rt = (struct goruntime){ .gb = w->gb, .mem = &w->mem, .cache = &w->cache };
	w->cache.g_len = (uint32_t)layout_off(w->gb->layout, LAYOUT_G_SIZE);
	assert_int_equal(pclntab_find_name(w->gb->pcln, "runtime.gopark", &park), 0);
	put_word(w->raw + layout_off(w->gb->layout, LAYOUT_G_GOID), 7);
	put_word(w->raw + layout_off(w->gb->layout, LAYOUT_G_SCHED_SP), STACK);
	put_word(w->raw + layout_off(w->gb->layout, LAYOUT_G_SCHED_PC), park.entry);
	put_word(w->raw + layout_off(w->gb->layout, LAYOUT_G_ATOMICSTATUS), GO_WAITING);
	pc = behind_call(w, function, callee);
	pc = pc ? pc : behind_call(w, function, or_callee);
	assert_true(pc);
	put_word(w->stack, pc);
	assert_int_equal(goread_one(&w->rt, G, &w->g), 0);
	w->g.stack_lo = STACK;
	w->g.stack_hi = STACK + sizeof(w->stack);
}

/* main.first holds globalA while it is in second(). */
static void would_unlock(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(releases); i++) {
		const struct goahead_act *act;
		struct goahead *a;
		struct goframe at;
		struct world w;

		stand(&w, releases[i], "main.first", "main.second", "");
		a = goahead_new(&w.rt);
		assert_non_null(a);
		assert_int_equal(goahead_look(a, &w.g, 0, &act), 1);
		assert_int_equal(act[0].act, GOACT_UNLOCK);
		assert_true(act[0].object >= w.gb->mod.noptrdata &&
			    act[0].object < w.gb->mod.noptrbss + (1u << 20));
		assert_int_equal(goahead_place(a, act[0].pc, &at), 0);
		assert_string_equal(at.function, "main.first");
		/* had it waited for just this lock, it would release what it got */
		assert_int_equal(goahead_look(a, &w.g, act[0].object, &act), 0);
		goahead_free(a);
		gobin_free(w.gb);
	}
}

/* main.other holds globalB in meet(); globalA it locks and releases afterwards. */
static void locks_before_it_unlocks(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(releases); i++) {
		const struct goahead_act *act;
		struct goahead *a;
		struct world w;

		stand(&w, releases[i], "main.other", "main.meet",
		      "time.Sleep"); /* which meet() calls */
		a = goahead_new(&w.rt);
		assert_non_null(a);
		assert_int_equal(goahead_look(a, &w.g, 0, &act),
				 1); /* not globalA, which it locks on the way */
		w.g.sched_sp += 8;   /* it has moved */
		assert_int_equal(goahead_look(a, &w.g, 0, &act), -EAGAIN);
		goahead_free(a);
		gobin_free(w.gb);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_locks),
		cmocka_unit_test(a_lock_of_ones_own),
		cmocka_unit_test(the_shortest_of_several),
		cmocka_unit_test(peers_are_no_cycle),
		cmocka_unit_test(a_path_is_not_a_cycle),
		cmocka_unit_test(all_edges),
		cmocka_unit_test(would_unlock),
		cmocka_unit_test(locks_before_it_unlocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
