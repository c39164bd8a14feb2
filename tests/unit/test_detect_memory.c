/* SPDX-License-Identifier: BSD-2-Clause */
/* Large allocations and pressure on the collector, each beside its healthy twin. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "observe/detect.h"
#include "simulation.h"
#include "parts.h"

/* ---- large allocations ---- */

static void alloc_window(struct window *w, struct alloc_row *a, uint64_t count, uint64_t bytes,
			 uint64_t all)
{
	static struct parts_by_hand parts;

	parts_use(&parts, w);
	memset(a, 0, sizeof(*a));
	a->place = (struct place){ "main.handler", "handler.go", NULL, 88 };
	a->count = count;
	a->bytes = bytes;
	a->max_bytes = count ? bytes / count : 0;
	w->window_s = w->observed_s = 5;
	w->memory->alloc_known = true;
	w->memory->large_count = count;
	w->memory->large_bytes = bytes;
	w->memory->total_alloc_bytes = all;
	w->memory->large_threshold_bytes = 32768;
	w->memory->alloc = a;
	w->memory->nalloc = 1;
	w->ncoverage = 2;
	w->coverage[0] = (struct coverage){ .sensor = SENSOR_ALLOC, .state = EXACT };
	w->coverage[1] = (struct coverage){ .sensor = SENSOR_GC, .state = EXACT };
}

static int found(struct window *w, const char *kind)
{
	struct findings fs;
	int n;

	fs = (struct findings){ 0 };
	detect_all(w, &fs);
	n = count_kind(&fs, kind);
	assert_int_equal(fs.n, n);
	findings_deinit(&fs);
	return n;
}

static void large_allocation_thresholds(void **state)
{
	static const struct {
		uint64_t count, bytes, all;
		int found;
	} table[] = {
		{ 50, 500ull * MIB, 520ull * MIB, 1 },   /* a buffer per request */
		{ 50, 500ull * MIB, 0, 1 },              /* all allocation not known */
		{ 50, 400ull * MIB, 40000ull * MIB, 1 }, /* 1 %, but 80 MiB/s */
		{ 50, 200ull * MIB, 40000ull * MIB, 0 }, /* 0.5 %, 40 MiB/s */
		{ 50, 15ull * MIB, 20ull * MIB, 0 },     /* 3 MiB/s */
		{ 1, 500ull * MIB, 520ull * MIB, 0 },    /* a table that grew once */
		{ 2, 1000ull * MIB, 1000ull * MIB, 0 },
		{ 5, 160 * 1024, 5ull * MIB, 0 },
		{ 0, 0, 5ull * MIB, 0 },
	};
	struct alloc_row a;
	struct window w;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		alloc_window(&w, &a, table[i].count, table[i].bytes, table[i].all);
		assert_int_equal(found(&w, "large-allocation"), table[i].found);
	}
}

static void large_allocation_says_of_what_the_share_is(void **state)
{
	struct findings fs;
	struct alloc_row a;
	struct window w;

	(void)state;
	alloc_window(&w, &a, 50, 500ull * MIB, 1000ull * MIB);
	fs = (struct findings){ 0 };
	detect_all(&w, &fs);
	assert_string_equal(only_finding(&fs, "large-allocation")->title,
			    "main.handler (handler.go:88) allocates 100.0 MiB/s in large objects: "
			    "50% of what drives the GC");
	assert_string_equal(fs.f[0].id, "alloc:main.handler:handler.go:88");
	assert_int_equal(fs.f[0].severity, SEVERITY_LOW);
	assert_true(number(&fs.f[0], "share_pct") == 50);
	assert_true(number(&fs.f[0], "count") == 50);
	findings_deinit(&fs);

	w.memory->total_alloc_bytes = 0;
	fs = (struct findings){ 0 };
	detect_all(&w, &fs);
	assert_non_null(strstr(only_finding(&fs, "large-allocation")->title,
			       "100% of the bytes in large objects"));
	assert_true(number(&fs.f[0], "share_of_large_pct") == 100);
	findings_deinit(&fs);
}

/* ---- gc ---- */

/* A site of so many MiB a second, in main.stepN called from `caller` called from main.main. */
static void put_site(struct alloc_row *a, int step, const char *caller, uint64_t mib_per_s)
{
	static const char *const name[] = { "main.step0", "main.step1", "main.step2",
					    "main.step3", "main.step4", "bytes.growSlice" };

	memset(a, 0, sizeof(*a));
	a->place = (struct place){ name[step], "steps.go", NULL, 10 + step };
	a->count = 5 * mib_per_s;
	a->bytes = 5 * mib_per_s * MIB;
	a->max_bytes = MIB;
	a->stack[a->nstack++] = a->place;
	if (caller)
		a->stack[a->nstack++] = (struct place){ caller, "steps.go", NULL, 30 + step };
	a->stack[a->nstack++] = (struct place){ "main.main", "main.go", NULL, 7 };
}

static void large_allocations_of_one_caller_are_one_finding(void **state)
{
	struct alloc_row a[6], first;
	struct findings fs = { 0 };
	struct window w;

	(void)state;
	alloc_window(&w, &first, 500, 500ull * MIB, 1000ull * MIB);
	w.memory->alloc = a;
	w.memory->nalloc = 5;
	for (int i = 0; i < 5; i++)
		put_site(&a[i], i, "main.handle", 20);
	detect_all(&w, &fs);
	assert_string_equal(only_finding(&fs, "large-allocation")->title,
			    "main.handle (steps.go:30) and what it calls allocate 100.0 MiB/s in "
			    "large objects at 5 places: 50% of what drives the GC");
	assert_true(number(&fs.f[0], "places") == 5);
	assert_true(number(&fs.f[0], "count") == 500);
	findings_deinit(&fs);

	/* two lines of one function, and the standard library on top of the stack */
	for (int i = 0; i < 2; i++) {
		put_site(&a[i], 5, "main.render", 50);
		a[i].stack[1].line = 30 + i;
	}
	w.memory->nalloc = 2;
	detect_all(&w, &fs);
	assert_string_equal(only_finding(&fs, "large-allocation")->place.function, "main.render");
	findings_deinit(&fs);

	/* different callers, far from where they meet */
	put_site(&a[0], 0, "main.orders", 50);
	put_site(&a[1], 1, "main.reports", 50);
	detect_all(&w, &fs);
	assert_int_equal(count_kind(&fs, "large-allocation"), 2);
	findings_deinit(&fs);

	/* one of them makes nearly all: it is the cause */
	put_site(&a[0], 0, "main.handle", 90);
	put_site(&a[1], 1, "main.handle", 10);
	detect_all(&w, &fs);
	assert_string_equal(only_finding(&fs, "large-allocation")->place.function, "main.step0");
	findings_deinit(&fs);
}

static void gc_window(struct window *w, uint64_t cycles, double cpu_pct)
{
	static struct parts_by_hand parts;

	parts_use(&parts, w);
	w->window_s = w->observed_s = 5;
	w->ncoverage = 1;
	w->coverage[0] = (struct coverage){ .sensor = SENSOR_GC, .state = EXACT };
	w->memory->gc = (struct gc_window){
		.known = true,
		.cycles = cycles,
		.cycles_total = cycles + 100,
		.cpu_pct = cpu_pct,
		.heap_known = true,
		.heap_live_bytes = 3 * MIB,
		.heap_marked_bytes = 2 * MIB,
		.heap_goal_bytes = 4 * MIB,
		.gogc = 100,
		.memory_limit_bytes = INT64_MAX,
		.pauses_known = true,
		.pause_count = 2 * cycles,
		.pause_total_ns = 2 * cycles * 60000,
	};
}

static void gc_of_a_busy_service_is_no_pressure(void **state)
{
	static const uint64_t cycles[] = { 0, 1, 15, 60, 140 };
	struct window w;

	(void)state;
	for (size_t i = 0; i < sizeof(cycles) / sizeof(*cycles); i++) {
		gc_window(&w, cycles[i], 3.5);
		assert_int_equal(found(&w, "gc-pressure"), 0);
		gc_window(&w, cycles[i], -1);
		assert_int_equal(found(&w, "gc-pressure"), 0);
	}
}

static void gc_pressure_for_each_reason(void **state)
{
	struct window w;

	(void)state;
	gc_window(&w, 60, 9); /* often, and it costs */
	assert_int_equal(found(&w, "gc-pressure"), 1);
	gc_window(&w, 250, 1); /* 50 a second, lately */
	assert_int_equal(found(&w, "gc-pressure"), 1);
	gc_window(&w, 10, 25); /* a quarter of the CPU */
	assert_int_equal(found(&w, "gc-pressure"), 1);
	gc_window(&w, 10, 1); /* 300 ms of 5 s */
	w.memory->gc.pause_total_ns = 300000000;
	assert_int_equal(found(&w, "gc-pressure"), 1);
	gc_window(&w, 10, 1); /* one long pause is the machine's */
	w.memory->gc.pause_total_ns = 300000000;
	w.memory->gc.pause_max_ns = 290000000;
	assert_int_equal(found(&w, "gc-pressure"), 0);
	gc_window(&w, 20, 1); /* runtime.GC() in a loop */
	w.memory->gc.forced = 20;
	assert_int_equal(found(&w, "gc-pressure"), 1);
	gc_window(&w, 0, 1); /* nearly all of the limit is in use */
	w.memory->gc.memory_limit_bytes = 100 * MIB;
	w.memory->gc.heap_marked_bytes = 85 * MIB;
	assert_int_equal(found(&w, "gc-pressure"), 1);
}

static void gc_near_the_limit_before_a_collection_is_normal(void **state)
{
	struct window w;

	(void)state;
	gc_window(&w, 2, 1);
	w.memory->gc.gogc = -1;
	w.memory->gc.memory_limit_bytes = 100 * MIB;
	w.memory->gc.heap_live_bytes = 99 * MIB;
	w.memory->gc.heap_marked_bytes = 20 * MIB;
	assert_int_equal(found(&w, "gc-pressure"), 0);
}

static void gc_pressure_with_and_without_a_place(void **state)
{
	struct alloc_row a;
	struct findings fs;
	struct window w;

	(void)state;
	gc_window(&w, 250, 12);
	fs = (struct findings){ 0 };
	detect_all(&w, &fs);
	assert_string_equal(only_finding(&fs, "gc-pressure")->id, "gc:process");
	assert_null(fs.f[0].place.function);
	findings_deinit(&fs);

	alloc_window(&w, &a, 3, 3ull * MIB, 6ull * MIB); /* half of all, but little */
	struct gc_window keep = {
		.known = true, .cycles = 250, .cpu_pct = 12, .memory_limit_bytes = -1
	};
	w.memory->gc = keep;
	fs = (struct findings){ 0 };
	detect_all(&w, &fs);
	assert_string_equal(only_finding(&fs, "gc-pressure")->id, "gc:main.handler:handler.go:88");
	assert_string_equal(fs.f[0].place.function, "main.handler");
	findings_deinit(&fs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(large_allocation_thresholds),
		cmocka_unit_test(large_allocation_says_of_what_the_share_is),
		cmocka_unit_test(large_allocations_of_one_caller_are_one_finding),
		cmocka_unit_test(gc_of_a_busy_service_is_no_pressure),
		cmocka_unit_test(gc_pressure_for_each_reason),
		cmocka_unit_test(gc_near_the_limit_before_a_collection_is_normal),
		cmocka_unit_test(gc_pressure_with_and_without_a_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
