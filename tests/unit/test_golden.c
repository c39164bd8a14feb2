/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whole snapshots as a user sees them, one for each thing they may have to say:
 * tests/golden/NAME.txt.  To change them: GOSPECT_GOLDEN=write, and read what
 * `git diff` shows.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot_window.h"

static struct wait_row waits[] = {
	{ .reason = "chan receive", .klass = WAIT_BLOCKED, .count = 1204, .nstack = 3, .user = 1 },
	{ .reason = "sleep", .klass = WAIT_SLEEP, .count = 31, .nstack = 3, .user = 2 },
	{ .reason = "running", .klass = WAIT_NOT, .count = 1, .user = -1 },
};
static const struct place nap = {
	.function = "main.nap", .file = "nap.go", .path = "/src/nap.go", .line = 7
};
static struct state_count states[] = { { "chan receive", 1204 },
				       { "sleep", 31 },
				       { "running", 1 } };
static struct site_row sites[3];
static struct alloc_row allocs[1];

static void fill_cost(struct window *w)
{
	w->module = "example.com/shop";
	w->module_version = "v1.2.3";
	w->started_real_ns = w->end_real_ns - 10920ull * 1000000000;
	w->target_rss_bytes = 120u << 20;
	w->target_cpu_cores = 1.32;
	w->cost_target_pct = 0.41;
	w->budget_pct = 1;
	w->agent_cpu_pct = 0.6;
	w->agent_rss_bytes = 9400320;
	w->memory_only = NULL;
	w->probes_armed = w->probes_emulated = 7;
	w->probe_hits = 4123;
	w->coverage[w->ncoverage++] = (struct coverage){ .sensor = SENSOR_ALLOC };
	w->coverage[w->ncoverage++] = (struct coverage){ .sensor = SENSOR_GC };
	w->coverage[w->ncoverage++] = (struct coverage){ .sensor = SENSOR_NET,
							 .state = OFF,
							 .why = "not implemented yet" };
}

static void fill_sites(struct window *w)
{
	sites[0] = (struct site_row){ .place = lines[6],
				      .start = "main.worker",
				      .live = 1204,
				      .live_at_start = 1204,
				      .oldest_s = 10681,
				      .age = AGE_AT_LEAST,
				      .wait = &waits[0],
				      .nwait = 1,
				      .births_known = true,
				      .stuck_window = 1204 };
	sites[1] = (struct site_row){ .place = lines[2],
				      .start = "main.nap",
				      .live = 31,
				      .live_at_start = 31,
				      .births = 12,
				      .deaths = 12,
				      .oldest_s = 14.2,
				      .age = AGE_EXACT,
				      .wait = &waits[1],
				      .nwait = 1,
				      .births_known = true };
	sites[2] = (struct site_row){
		.place = { .function = "runtime.main", .file = "proc.go", .line = 149 },
		.start = "main.main",
		.live = 1,
		.live_at_start = 1,
		.wait = &waits[2],
		.nwait = 1,
		.births_known = true
	};
	for (int i = 0; i < 3; i++)
		waits[0].stack[i] = lines[i];
	waits[1].stack[0] = lines[0];
	waits[1].stack[1] = lines[3];
	waits[1].stack[2] = nap;
	w->goroutines->site = sites;
	w->goroutines->nsite = 3;
	w->goroutines->state = states;
	w->goroutines->nstate = 3;
	w->goroutines->created_known = w->goroutines->births_known = true;
	w->goroutines->created_total = 918230;
	w->goroutines->births = w->goroutines->deaths = 12;
	w->goroutines->system = 9;
}

static void fill_memory(struct window *w)
{
	allocs[0] = (struct alloc_row){ .place = lines[5],
					.count = 12,
					.bytes = 12 << 20,
					.max_bytes = 1 << 20,
					.stack = { lines[5], lines[6] },
					.nstack = 2 };
	w->memory->alloc = allocs;
	w->memory->nalloc = 1;
	w->memory->alloc_known = true;
	w->memory->large_threshold_bytes = 32768;
	w->memory->large_count = 12;
	w->memory->large_bytes = 12 << 20;
	w->memory->total_alloc_bytes = 400u << 20;
	w->memory->gc = (struct gc_window){
		.known = true,
		.cycles_total = 5120,
		.cycles = 4,
		.heap_known = true,
		.heap_live_bytes = 41943040,
		.heap_marked_bytes = 20971520,
		.heap_goal_bytes = 83886080,
		.gogc = 100,
		.memory_limit_bytes = INT64_MAX,
		.cpu_pct = 0.3,
		.pauses_known = true,
		.pause_count = 8,
		.pause_p50_ns = 41000,
		.pause_p99_ns = 310000,
		.pause_max_ns = 402000,
		.pause_total_ns = 440000,
	};
}

/* A program at work, in which nothing is wrong. */
static void set_scene(struct fixture *f)
{
	lines[4] = nap; /* no hostile name here */
	set_up(f);
	fill_cost(&f->r.window);
	fill_sites(&f->r.window);
	fill_memory(&f->r.window);
	f->heap[0].grown_bytes = f->r.window.memory->heap.grown_bytes = 128 << 10;
	f->r.window.memory->trend.n = 0;
	f->r.window.goroutines->deadlocks.known = true;
}

static char *read_text(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, 1 << 16);

	assert_non_null(text);
	if (!f)
		fail_msg("'%s' cannot be read: is this the top of the repository?", path);
	assert_true(fread(text, 1, (1 << 16) - 1, f) > 0);
	fclose(f);
	return text;
}

static void write_text(const char *path, const struct buf *out)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(out->data, 1, out->len, f), out->len);
	fclose(f);
}

static void expect_golden(struct fixture *f, const char *name)
{
	const struct report_text_options o = { .columns = 100 };
	const char *mode = getenv("GOSPECT_GOLDEN");
	char path[128], *want;

	snprintf(path, sizeof(path), "tests/golden/%s.txt", name);
	detect_all(&f->r.window, &f->r.findings);
	report_text(&f->r, &o, &f->out);
	if (mode && !strcmp(mode, "write"))
		write_text(path, &f->out);
	want = read_text(path);
	if (strcmp(want, f->out.data)) {
		printf("%s\n", f->out.data); /* fail_msg() cuts */
		fail_msg("it is not what '%s' has", path);
	}
	free(want);
	tear_down(f);
}

static void nothing_is_wrong(void **state)
{
	struct fixture f;

	(void)state;
	set_scene(&f);
	fill_leaks(&f, LEAKS_VERDICT_PASSES);
	f.r.window.goroutines->leaks.row = &f.leak[1]; /* main in select {}, by design */
	f.r.window.goroutines->leaks.nrow = 1;
	expect_golden(&f, "nothing-wrong");
}

/* Nothing but a sensor that sees nothing without probes; the process has ended. */
static void little_was_observed(void **state)
{
	const struct report_text_options o = { .columns = 100 };
	struct fixture f;

	(void)state;
	set_scene(&f);
	f.r.window.goroutines->known = f.r.window.memory->alloc_known = false;
	f.r.window.memory->gc.known = false;
	f.r.window.target_rss_bytes = 0;
	report_text(&f.r, &o, &f.out);
	assert_non_null(strstr(f.out.data, "findings:   nothing found. Observed for 5.0s\n"));
	assert_null(strstr(f.out.data, "resident"));
	f.out.len = 0;
	f.r.window.observed_s = 0;
	report_text(&f.r, &o, &f.out);
	assert_non_null(strstr(f.out.data, "nothing found. Observed once: growth takes a window"));
	tear_down(&f);
}

static void leak_is_proven(void **state)
{
	struct fixture f;

	(void)state;
	set_scene(&f);
	fill_leaks(&f, LEAKS_VERDICT_PROVEN);
	expect_golden(&f, "leak-proven");
}

static void leak_is_proven_and_grows(void **state)
{
	struct fixture f;

	(void)state;
	set_scene(&f);
	fill_leaks(&f, LEAKS_VERDICT_PROVEN);
	f.leak[0].count_before = 1100;
	sites[0].live_at_start = 1100;
	sites[0].births = 104;
	f.r.window.goroutines->births = 116;
	f.r.window.goroutines->live_at_start -= 104;
	f.heap[0].grown_bytes = f.r.window.memory->heap.grown_bytes = 8 << 20;
	f.r.window.memory->trend.n = 4;
	expect_golden(&f, "leak-proven-grows");
}

static void leak_in_all_passes(void **state)
{
	struct fixture f;

	(void)state;
	set_scene(&f);
	fill_leaks(&f, LEAKS_VERDICT_PASSES);
	snprintf(f.r.window.goroutines->leaks.why, sizeof(f.r.window.goroutines->leaks.why),
		 "the process would be stopped for about 240 ms, longer than allowed");
	expect_golden(&f, "leak-passes");
}

static void leaks_are_off(void **state)
{
	struct fixture f;

	(void)state;
	set_scene(&f);
	f.r.window.go = "go1.19.13";
	f.r.window.goroutines->leaks =
		(struct leaks_window){ .asked = true, .verdict = LEAKS_VERDICT_OFF, .stop_ms = -1 };
	snprintf(f.r.window.goroutines->leaks.why, sizeof(f.r.window.goroutines->leaks.why),
		 "leaks can be judged from Go 1.20 on");
	expect_golden(&f, "leaks-off");
}

static void two_locks_in_a_cycle(void **state)
{
	struct fixture f;

	(void)state;
	set_scene(&f);
	fill_leaks(&f, LEAKS_VERDICT_PASSES);
	f.r.window.goroutines->leaks.row = &f.leak[1];
	f.r.window.goroutines->leaks.nrow = 1;
	f.member[0] = (struct deadlock_member){ .goid = 7, .lock = 0x10, .at = lines[2] };
	f.member[1] = (struct deadlock_member){ .goid = 9, .lock = 0x20, .at = lines[5] };
	f.r.window.goroutines->deadlocks = (struct deadlocks_window){ .known = true,
								      .deadlock = { { 0, 2, 40 } },
								      .ndeadlock = 1,
								      .member = f.member,
								      .nmember = 2 };
	expect_golden(&f, "deadlock");
}

/* From memory only, with the goroutines one by one and something lost. */
static void from_memory_with_losses(void **state)
{
	struct fixture f;

	(void)state;
	set_scene(&f);
	f.r.window.memory_only = "--window 0: read from memory once";
	f.r.window.window_s = f.r.window.observed_s = 0;
	f.r.window.memory->gc.pauses_from_memory = true;
	f.r.window.cost_target_pct = 0;
	f.r.window.probes_armed = f.r.window.probes_emulated = 0;
	f.r.window.goroutines->births_known = f.r.window.memory->alloc_known = false;
	f.r.window.coverage[1] = (struct coverage){ .sensor = SENSOR_ALLOC,
						    .state = OFF,
						    .why = "--window 0: read from memory once" };
	f.r.window.memory->heap = (struct heap_window){ .known = false };
	snprintf(f.r.window.memory->heap.why, sizeof(f.r.window.memory->heap.why),
		 "the linker left the heap profile out");
	f.r.window.lost_read_failures = 3;
	f.d.unread = 3;
	f.d.all = f.all;
	f.d.nall = 1;
	expect_golden(&f, "memory-losses");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_wrong),     cmocka_unit_test(little_was_observed),
		cmocka_unit_test(leak_is_proven),       cmocka_unit_test(leak_is_proven_and_grows),
		cmocka_unit_test(leak_in_all_passes),   cmocka_unit_test(leaks_are_off),
		cmocka_unit_test(two_locks_in_a_cycle), cmocka_unit_test(from_memory_with_losses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
