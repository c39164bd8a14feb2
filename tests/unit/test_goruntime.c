/* SPDX-License-Identifier: BSD-2-Clause */
/* The goroutine walk and the runtime's totals in a made-up process (runtime_world.h). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "gobin/gobin.h"
#include "gort/goruntime.h"
#include "proc/mem.h"
#include "proc/pause.h"
#include "runtime_world.h"
#include "releases.h"

static void check_totals(struct world *w)
{
	struct gototals t;

	assert_int_equal(goruntime_totals(&w->rt, &t), 0);
	assert_true(t.has_live && t.has_created && t.has_gc && t.has_heap);
	assert_int_equal(t.live, 12 - 1 - 3 - 2);
	assert_int_equal(t.system, 1);
	/* 64 ids given out, 6 of them unused at each of 5 Ps; from 1.26 the counters */
	assert_int_equal(t.created, 34);
	assert_int_equal(t.numgc, 300);
	assert_int_equal(t.numforcedgc, 7);
	assert_int_equal(t.pause_total_ns, 123456);
	assert_int_equal(t.pause_ns[(t.numgc + 255) % 256], 77);
	assert_int_equal(t.pause_end_unix_ns[(t.numgc + 255) % 256], 555);
	assert_true(t.gc_cpu_fraction == 0.25);
	assert_int_equal(t.gogc, 50);
	assert_int_equal(t.heap_live, 25 << 20);
	assert_int_equal(t.heap_marked, 20 << 20);
	assert_int_equal(t.heap_goal, 30 << 20);
	assert_int_equal(t.has_total_alloc, w->gb->release.minor >= 19);
	assert_int_equal(t.total_alloc - t.total_free, w->gb->release.minor >= 19 ? 25 << 20 : 0);
	assert_true(t.memory_limit == (w->gb->release.minor >= 19 ? INT64_MAX : -1));
}

static void check_walk(struct world *w)
{
	static const char *const words[] = { NULL,      NULL,       NULL,       "running",
					     "syscall", "runnable", "preempted" };
	struct gowalk walk = { 0 };
	uint64_t pcs[8];
	struct goframe frame[8];

	assert_int_equal(goruntime_walk(&w->rt, &walk, NULL), 0);
	assert_int_equal(walk.n, 7);
	assert_int_equal(walk.user, 6);
	assert_int_equal(walk.system, 1);
	assert_int_equal(walk.failures, 0);
	for (size_t i = 0; i < walk.n; i++) {
		const struct goroutine *g = &walk.g[i];
		bool runs = g->status == GO_RUNNING;

		assert_int_equal(g->goid, i + 1);
		assert_int_equal(g->addr, G_ADDR(i));
		assert_int_equal(g->system, i == 1);
		if (words[i])
			assert_string_equal(goroutine_state(&w->rt, g), words[i]);
		else
			assert_string_equal(goroutine_state(&w->rt, g),
					    layout_wait_reason(w->gb->layout, i == 1 ? 9 : 14));
		assert_int_equal(goruntime_stack(&w->rt, g, pcs, 8), runs ? 0 : 1);
		if (!runs)
			assert_int_equal(pcs[0], g->startpc);
	}
	pcs[0] = w->start_entry;
	assert_int_equal(goruntime_frames(&w->rt, pcs, 1, frame, 8), 1);
	assert_string_equal(frame[0].function, "main.main");
	gowalk_deinit(&walk);
}

static void check_release(const char *release)
{
	struct world w;

	world_make(&w, release);
	assert_int_equal(world_bind(&w, NULL), 0);
	for (int i = 0; i < FACT_COUNT; i++)
		assert_string_equal(w.rt.why_off[i], "");
	check_totals(&w);
	check_walk(&w);
	world_free(&w);
}

static void test_release(void **state)
{
	check_release(*state);
}

static const char release[] = "usual";

static void test_list_too_long(void **state)
{
	struct world w;
	struct err err;

	(void)state;
	world_make(&w, release);
	put(&w, w.gb->global[GLOBAL_ALLGS] + 8, 1ull << 62, 8);
	put(&w, w.gb->global[GLOBAL_ALLGS] + 16, 1ull << 62, 8);
	put(&w, w.gb->global[GLOBAL_ALLGLEN], 1ull << 62, 8);
	assert_int_equal(world_bind(&w, &err), -ENOEXEC);
	assert_non_null(strstr(err.what, "impossible length"));
	world_free(&w);
}

static void test_image_elsewhere(void **state)
{
	struct world w;
	struct err err;

	(void)state;
	world_make(&w, release);
	put(&w, w.gb->mod.addr, w.gb->mod.pclntab + 4096, 8);
	assert_int_equal(world_bind(&w, &err), -ENOEXEC);
	assert_non_null(strstr(err.what, "module data"));
	world_free(&w);
}

static void spoil_g(struct world *w, int i, enum layout_field f, uint64_t v, int size)
{
	put_field(w, G_ADDR(i), f, v, size);
}

static void test_bad_goroutines(void **state)
{
	static const struct {
		enum layout_field f;
		uint64_t v;
		int size;
		const char *why;
	} c[] = {
		{ LAYOUT_G_GOID, 1, 8, "share an id" },
		{ LAYOUT_G_GOID, 0, 8, "no id" },
		{ LAYOUT_G_ATOMICSTATUS, 77, 4, "state" },
		{ LAYOUT_G_STACK_HI, 16, 8, "impossible stack" },
		{ LAYOUT_G_STACK_HI, 1ull << 62, 8, "impossible stack" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		struct world w;

		world_make(&w, release);
		spoil_g(&w, 3, c[i].f, c[i].v, c[i].size);
		assert_int_equal(world_bind(&w, NULL), 0); /* the counters still hold */
		assert_non_null(strstr(w.rt.why_off[FACT_GOROUTINES], c[i].why));
		assert_false(goruntime_has(&w.rt, FACT_STACKS));
		assert_true(goruntime_has(&w.rt, FACT_LIVE));
		assert_true(goruntime_has(&w.rt, FACT_GC));
		world_free(&w);
	}
}

static void test_not_main(void **state)
{
	struct world w;

	(void)state;
	world_make(&w, release);
	spoil_g(&w, 0, LAYOUT_G_STARTPC, w.start_entry, 8);
	assert_int_equal(world_bind(&w, NULL), 0);
	assert_non_null(strstr(w.rt.why_off[FACT_GOROUTINES], "runtime.main"));
	world_free(&w);
}

static void test_bad_counters(void **state)
{
	struct world w;

	(void)state;
	world_make(&w, release);
	put_field(&w, P_ADDR(2), LAYOUT_P_ID, 7, 4);
	assert_int_equal(world_bind(&w, NULL), 0);
	assert_non_null(strstr(w.rt.why_off[FACT_LIVE], "numbered"));
	assert_true(goruntime_has(&w.rt, FACT_GOROUTINES));
	world_free(&w);

	world_make(&w, release);
	put(&w, w.gb->global[GLOBAL_ALLP] + 16, 1ull << 62, 8);
	assert_int_equal(world_bind(&w, NULL), 0);
	assert_non_null(strstr(w.rt.why_off[FACT_CREATED], "allp"));
	world_free(&w);

	world_make(&w, release);
	put_field(&w, w.gb->global[GLOBAL_SCHED], LAYOUT_SCHED_GOROUTINESCREATED, 1000, 8);
	assert_int_equal(world_bind(&w, NULL), 0);
	expect_off(&w, FACT_CREATED, "disagree");
	world_free(&w);

	world_make(&w, release); /* 2 live by the scheduler, 6 in the list */
	put_field(&w, w.gb->global[GLOBAL_SCHED], LAYOUT_SCHED_GFREE_STACK_SIZE, 5, 4);
	assert_int_equal(world_bind(&w, NULL), 0);
	expect_off(&w, FACT_LIVE, "the list has 6");
	world_free(&w);
}

static void test_bad_gc(void **state)
{
	struct world w;
	struct gototals t;

	(void)state;
	world_make(&w, release);
	put_field(&w, w.gb->global[GLOBAL_WORK], LAYOUT_WORK_CYCLES, 303, 4);
	assert_int_equal(world_bind(&w, NULL), 0);
	expect_off(&w, FACT_GC, "disagree");
	assert_int_equal(goruntime_totals(&w.rt, &t), 0);
	assert_false(t.has_gc);
	assert_true(t.has_heap && t.has_live);
	world_free(&w);

	world_make(&w, release);
	put_field(&w, w.gb->global[GLOBAL_MEMSTATS], LAYOUT_MSTATS_LAST_GC_UNIX, 556, 8);
	assert_int_equal(world_bind(&w, NULL), 0);
	expect_off(&w, FACT_GC, "contradicts");
	world_free(&w);

	world_make(&w, release);
	put_field(&w, w.gb->global[GLOBAL_GCCONTROLLER], LAYOUT_GCCONTROLLER_HEAPMINIMUM, 5 << 20,
		  8);
	assert_int_equal(world_bind(&w, NULL), 0);
	expect_off(&w, FACT_HEAP, "minimum");
	world_free(&w);
}

static void test_goals(void **state)
{
	struct world w;
	struct gototals t;
	uint64_t ctl;

	(void)state;
	world_make(&w, release); /* GOGC=off, no limit: no goal */
	ctl = w.gb->global[GLOBAL_GCCONTROLLER];
	put_field(&w, ctl, LAYOUT_GCCONTROLLER_GCPERCENT, (uint32_t)-1, 4);
	put_field(&w, ctl, LAYOUT_GCCONTROLLER_GCPERCENTHEAPGOAL, UINT64_MAX, 8);
	assert_int_equal(world_bind(&w, NULL), 0);
	assert_int_equal(goruntime_totals(&w.rt, &t), 0);
	assert_int_equal(t.gogc, -1);
	assert_int_equal(t.heap_goal, 0);
	world_free(&w);

	/* a limit of 42 MiB, 40 mapped, 25 in use, none free: 15 are not heap.
	 * 42 - 15 = 27, less the headroom of 1 MiB */
	world_make(&w, release);
	put_field(&w, ctl, LAYOUT_GCCONTROLLER_MEMORYLIMIT, 42 << 20, 8);
	assert_int_equal(world_bind(&w, NULL), 0);
	assert_int_equal(goruntime_totals(&w.rt, &t), 0);
	assert_int_equal(t.heap_goal, 26 << 20);
	world_free(&w);

	world_make(&w, release); /* over the limit: what is marked */
	put_field(&w, ctl, LAYOUT_GCCONTROLLER_MEMORYLIMIT, 10 << 20, 8);
	assert_int_equal(world_bind(&w, NULL), 0);
	assert_int_equal(goruntime_totals(&w.rt, &t), 0);
	assert_int_equal(t.heap_goal, 20 << 20);
	world_free(&w);
}

/* After the binding the list may still turn bad: bounded, counted, no crash. */
static void test_walk_of_garbage(void **state)
{
	struct gowalk walk = { 0 };
	struct world w, bad;
	struct memreader *mem;

	(void)state;
	world_make(&w, release);
	assert_int_equal(world_bind(&w, NULL), 0);
	world_make(&bad, release);
	put(&bad, ARRAY_ADDR, 0, 8);               /* NULL */
	put(&bad, ARRAY_ADDR + 8, G_ADDR(2), 8);   /* twice */
	put(&bad, ARRAY_ADDR + 24, 0xdead0000, 8); /* not mapped */
	put(&bad, ARRAY_ADDR + 32, ~0ull, 8);
	put_field(&bad, G_ADDR(5), LAYOUT_G_ATOMICSTATUS, 0xffffffff & ~0x1000u, 4);
	assert_int_equal(world_bind(&bad, NULL), 0);
	mem = w.rt.mem;
	w.rt.mem = bad.mem;
	assert_int_equal(goruntime_walk(&w.rt, &walk, NULL), 0);
	w.rt.mem = mem;
	/* 0 as known from before the list changed: the known part is not read again */
	assert_int_equal(walk.user + walk.system + walk.failures, 7);
	gowalk_deinit(&walk);

	/* bound to it from the start */
	assert_false(goruntime_has(&bad.rt, FACT_GOROUTINES));
	assert_int_equal(goruntime_walk(&bad.rt, &walk, NULL), 0);
	assert_int_equal(walk.n, 2);        /* g 3 and g 7 */
	assert_int_equal(walk.failures, 5); /* the four, and a state that is none */
	gowalk_deinit(&walk);
	world_free(&bad);
	world_free(&w);
}

static void test_stack_garbage(void **state)
{
	struct gowalk walk = { 0 };
	uint64_t pcs[600];
	struct world w;

	(void)state;
	world_make(&w, release);
	/* every return address is the function itself: ends at the stack's end */
	for (uint64_t a = STACK_ADDR(2); a < STACK_ADDR(2) + 4096; a += 8)
		put(&w, a, w.start_entry, 8);
	spoil_g(&w, 2, LAYOUT_G_SCHED_SP, STACK_ADDR(2), 8);
	spoil_g(&w, 5, LAYOUT_G_SCHED_SP, STACK_ADDR(5) + 4096, 8); /* outside */
	spoil_g(&w, 6, LAYOUT_G_SCHED_PC, 3, 8);                    /* no code */
	assert_int_equal(world_bind(&w, NULL), 0);
	assert_string_equal(w.rt.why_off[FACT_STACKS], "");
	assert_int_equal(goruntime_walk(&w.rt, &walk, NULL), 0);
	assert_int_equal(goruntime_stack(&w.rt, &walk.g[2], pcs, 600), 513);
	assert_int_equal(goruntime_stack(&w.rt, &walk.g[2], pcs, 10), 10);
	assert_int_equal(goruntime_stack(&w.rt, &walk.g[5], pcs, 600), 0);
	assert_int_equal(goruntime_stack(&w.rt, &walk.g[6], pcs, 600), 0);
	/* it has run since: another sp than the one read */
	walk.g[0].sched_sp -= 8;
	assert_int_equal(goruntime_stack(&w.rt, &walk.g[0], pcs, 600), 0);
	gowalk_deinit(&walk);
	world_free(&w);
}

/* A process whose cgroup is frozen, version 2 and 1. */
static void frozen_cgroups(void **state)
{
	char root[] = "/tmp/gospect-frozen-XXXXXX", path[128];
	static const struct {
		const char *dir, *file, *says, *cgroup;
		bool frozen;
	} c[] = {
		{ "unified", "cgroup.events", "populated 1\nfrozen 1\n", "1:cpu:/\n0::/unified\n",
		  true },
		{ "plain", "cgroup.events", "populated 1\nfrozen 0\n", "0::/plain\n", false },
		{ "freezer", "freezer.state", "FROZEN\n", "6:freezer:/\n0::/\n", true },
		{ "freezer", "freezer.state", "THAWED\n", "6:freezer:/\n0::/\n", false },
		{ "freezer", "freezer.state", "FROZEN\n", "6:cpu:/\n", false },
	};

	(void)state;
	assert_non_null(mkdtemp(root));
	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		FILE *f;

		snprintf(path, sizeof(path), "%s/%s", root, c[i].dir);
		assert_int_equal(mkdir(path, 0700), 0);
		snprintf(path, sizeof(path), "%s/%s/%s", root, c[i].dir, c[i].file);
		f = fopen(path, "w");
		assert_non_null(f);
		fputs(c[i].says, f);
		fclose(f);
		assert_int_equal(pause_is_frozen(root, c[i].cgroup), c[i].frozen);
		unlink(path);
		snprintf(path, sizeof(path), "%s/%s", root, c[i].dir);
		rmdir(path);
	}
	rmdir(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frozen_cgroups),
#define RELEASE(minor, name) \
	{ "walk and totals, Go " name, test_release, NULL, NULL, (void *)name },
#include "gobin/releases.def"
		cmocka_unit_test(test_list_too_long),  cmocka_unit_test(test_image_elsewhere),
		cmocka_unit_test(test_bad_goroutines), cmocka_unit_test(test_not_main),
		cmocka_unit_test(test_bad_counters),   cmocka_unit_test(test_bad_gc),
		cmocka_unit_test(test_goals),          cmocka_unit_test(test_walk_of_garbage),
		cmocka_unit_test(test_stack_garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
