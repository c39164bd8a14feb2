/* SPDX-License-Identifier: BSD-2-Clause */
/* The text of a small window as users see it, and what must hold of any. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/vec.h"
#include "report_view.h"

static void text_of_a_small_window(void **state)
{
	static const char golden[] =
		"pid 4242 /srv/shop (go1.26.8, up 3h02m): cost 0.41% of its CPU (budget 1%), 5.0s "
		"to 10:00:05Z\n"
		"example.com/shop v1.2.3, 1.32 CPUs, 120.0 MiB resident; gospect: 0.60% of a CPU, "
		"9.0 MiB, 23 probes,\n"
		"  41,230 hits\n"
		"\n"
		"MEDIUM    1,204 goroutines created at main.(*Server).notify (notify.go:41) look "
		"leaked: stuck in\n"
		"          chan receive, and growing by 38 a minute\n"
		"          - blocked in chan receive at main.worker (notify.go:57), the oldest for "
		"at least 2h58m\n"
		"          - the second\n"
		"          do: let it end: select on ctx.Done() as well, or close the channel on "
		"every path\n"
		"\n"
		"goroutines: 1,396 live (from 1,200), ~2,190 born (438.0/s), ~1,994 ended "
		"(398.8/s), 918,230 created\n"
		"            in total, 9 system\n"
		"  states:   chan receive 1,204, IO wait 190, running 2\n"
		"  created at                   live  born/s  ended/s  oldest  waiting for   at\n"
		"  …rver).notify notify.go:41  1,204   ~38.0     ~0.0  >2h58m  chan receive  "
		"main.worker notify.go:57\n"
		"  …ver).Serve server.go:3454    192  ~400.0   ~398.8   14.2s  IO wait 99%   "
		"main.worker notify.go:57\n"
		"\n"
		"large allocations: 1,060 objects over 32.0 KiB, 10.4 GiB, 2.1 GiB/s, 93% of all "
		"allocation\n"
		"  allocated at                count     bytes    bytes/s   largest  share  called "
		"from\n"
		"  main.handler handler.go:88  1,060  10.4 GiB  2.1 GiB/s  10.0 MiB   100%  "
		"main.main main.go:12\n"
		"\n"
		"gc:         45 cycles (9.0/s), 5,120 in all, 3.1% of the CPU since the start; "
		"heap 40.0 MiB live,\n"
		"            goal 80.0 MiB\n"
		"  pauses:   90, p50 41µs, max 402µs, 4.4ms in all\n"
		"\n"
		"coverage:   goroutines sampled at 25% (budget); alloc, gc exact; sql off (not "
		"implemented yet)\n"
		"losses:     nothing lost\n";
	struct fixture x;

	(void)state;
	setup_full(&x);
	assert_string_equal(text(&x, false, 100), golden);
	tear_down(&x);
}

/* One of something is one of it. */
static void one_is_no_plural(void **state)
{
	struct fixture x;
	struct window *w = &x.r.window;

	(void)state;
	setup_full(&x);
	w->probes_armed = 1;
	w->probe_hits = 1;
	w->memory->large_count = 1;
	w->memory->gc.cycles = 1;
	text(&x, false, 100);
	assert_non_null(strstr(x.out.data, " 1 probe,"));
	assert_null(strstr(x.out.data, " 1 hits"));
	assert_non_null(strstr(x.out.data, " 1 object over"));
	assert_non_null(strstr(x.out.data, " 1 cycle ("));
	tear_down(&x);
}

/* A name that does not fit makes the first line two, and nothing is missing from them. */
static void first_lines_are_whole(void **state)
{
	static const char exe[] =
		"/srv/releases/2026-11-30/linux-amd64/bin/the-service-that-serves";
	char why[300];
	struct fixture x;

	(void)state;
	setup_full(&x);
	memset(why, 'w', sizeof(why));
	for (size_t i = 9; i < sizeof(why); i += 10)
		why[i] = ' ';
	snprintf(why + sizeof(why) - 8, 8, "the end");
	x.r.window.exe = exe;
	x.r.window.memory_only = why;
	text(&x, false, 100);
	assert_non_null(strstr(x.out.data, "the-service-that-serves (go1.26.8, up "));
	assert_non_null(strstr(x.out.data, "10:00:05Z"));
	assert_non_null(strstr(x.out.data, "the end"));
	tear_down(&x);
}

/* A reason may take all of its bytes: the text has it to the end. */
static void reasons_of_coverage_are_whole(void **state)
{
	struct coverage *c;
	struct fixture x;

	(void)state;
	setup_full(&x);
	for (int i = 0; i < 4; i++) {
		c = &x.r.window.coverage[i];
		c->state = PARTIAL;
		memset(c->why, 'a' + i, sizeof(c->why) - 1);
		for (size_t k = 20; k < sizeof(c->why) - 1; k += 20)
			c->why[k] = ' ';
		memcpy(c->why + sizeof(c->why) - 5, "end", 3);
		c->why[sizeof(c->why) - 2] = (char)('1' + i);
		c->why[sizeof(c->why) - 1] = '\0';
	}
	text(&x, false, 100);
	assert_non_null(strstr(x.out.data, "end1"));
	assert_non_null(strstr(x.out.data, "end4"));
	tear_down(&x);
}

static void text_of_nothing_says_so(void **state)
{
	struct fixture x;

	(void)state;
	setup_empty(&x);
	assert_non_null(strstr(text(&x, false, 100), "nothing found"));
	expect_tidy(x.out.data, 100);
	tear_down(&x);
	setup_full(&x);
	x.r.findings.n = 0;
	assert_non_null(strstr(text(&x, false, 200),
			       "nothing found. Looked at 1,396 goroutines of 2 sites, "
			       "1,060 large allocations, 45 GC cycles"));
	assert_null(strstr(x.out.data, "not judged yet"));
	window_cover_named(&x.r.window, "growth", OFF,
			   "not judged yet: 1 collection seen, 3 are needed");
	assert_non_null(strstr(text(&x, false, 200), "; growth of the heap is not judged yet\n"));
	tear_down(&x);
}

static void text_fits_any_width(void **state)
{
	struct fixture x;

	(void)state;
	setup_full(&x);
	for (int columns = 40; columns <= 200; columns++)
		expect_tidy(text(&x, false, columns), columns);
	tear_down(&x);
}

/* Sampled now and then, or not in this window: that is not "0%", and a cost is not none. */
static void text_of_small_shares(void **state)
{
	const struct {
		double rate;
		const char *words;
	} at[] = {
		{ 0, " at <1%" }, { 0.002, " at <1%" }, { 0.0235, " at 2.4%" }, { 0.25, " at 25%" }
	};
	struct fixture x;

	(void)state;
	setup_full(&x);
	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		window_cover_add(&x.r.window, SENSOR_NET, SAMPLED, "budget")->rate = at[i].rate;
		x.r.window.coverage[0] = x.r.window.coverage[x.r.window.ncoverage - 1];
		x.r.window.ncoverage = 1;
		x.r.window.cost_target_pct = 0.003;
		assert_non_null(strstr(text(&x, false, 200), at[i].words));
		assert_non_null(strstr(x.out.data, "cost <0.01% of its CPU"));
	}
	tear_down(&x);
}

static void text_has_colors_only_when_asked(void **state)
{
	struct fixture x;

	(void)state;
	setup_full(&x);
	assert_null(strchr(text(&x, false, 100), '\x1b'));
	assert_non_null(strstr(text(&x, true, 100), "\x1b[1;33mMEDIUM"));
	tear_down(&x);
}

static void text_says_memory_only_in_the_first_line(void **state)
{
	const char *memory, *end;
	struct fixture x;

	(void)state;
	setup_full(&x);
	x.r.window.memory_only = "no probes: this needs CAP_BPF";
	text(&x, false, 100);
	memory = strstr(x.out.data, "from memory only, no probes");
	end = strchr(x.out.data, '\n');
	assert_true(memory && end && memory < end);
	assert_non_null(strstr(x.out.data, "this needs CAP_BPF"));
	assert_null(strstr(x.out.data, "no probes: this needs CAP_BPF")); /* the label says it */
	tear_down(&x);
}

static void text_says_losses_and_the_end(void **state)
{
	struct fixture x;

	(void)state;
	setup_full(&x);
	x.r.window.lost_map_full = 12345;
	x.r.window.last = true;
	x.r.window.end_reason = "the process ended";
	text(&x, false, 100);
	assert_non_null(strstr(x.out.data,
			       "12,345 left out because a table was full (coverage says what)"));
	assert_non_null(strstr(x.out.data, "the process ended"));
	tear_down(&x);
}

static void text_says_what_limits_the_process(void **state)
{
	static const struct process_window fine = {
		.known = true, .threads = 20, .threads_max = 10000, .gomaxprocs = 8, .cpus = 8
	};
	struct process_window *p;
	struct fixture x;

	(void)state;
	setup_full(&x);
	p = &x.r.window.process;
	*p = fine;
	text(&x, false, 200);
	assert_null(strstr(x.out.data, "process:"));
	tear_down(&x);

	setup_full(&x);
	p = &x.r.window.process;
	*p = fine;
	p->threads = 1204;
	p->gomaxprocs = 64;
	p->cpus = 2;
	text(&x, false, 200);
	assert_non_null(strstr(x.out.data, "process:    1,204 threads of at most 10,000: Go ends"));
	assert_non_null(strstr(x.out.data, "GOMAXPROCS is 64, and its cgroup or affinity allows 2 "
					   "CPUs"));
	tear_down(&x);
}

/* Counted by scaling, and none of them timed: there is no duration, not one of 0. */
static void text_of_waits_that_were_not_timed(void **state)
{
	struct fixture x;

	(void)state;
	setup_full(&x);
	*x.r.window.locks = (struct locks_window){ .known = true,
						   .waits_known = true,
						   .waits = 7344,
						   .margin = 900,
						   .exactness = SAMPLED };
	text(&x, false, 200);
	assert_non_null(strstr(x.out.data, "~7,344 waits ended"));
	assert_null(strstr(x.out.data, "waits ended, max"));
	tear_down(&x);
}

static void text_of_samples_without_go_code(void **state)
{
	struct fixture x;

	(void)state;
	setup_full(&x);
	*x.r.window.cpu = (struct cpu_window){ .known = true,
					       .hz = 97,
					       .samples = 40,
					       .placed = 40,
					       .whole = 40,
					       .kind = { [CPU_GC] = 10, [CPU_KERNEL] = 30 } };
	text(&x, false, 200);
	assert_non_null(strstr(x.out.data, "40 samples at 97 Hz: gc 25%, kernel 75%"));
	tear_down(&x);
}

static void text_marks_what_is_not_exact(void **state)
{
	struct fixture x;

	(void)state;
	setup_full(&x);
	assert_non_null(strstr(text(&x, false, 100), "~2,190 born"));
	x.r.window.goroutines->births_exactness = x.r.window.goroutines->site[0].exactness =
		x.r.window.goroutines->site[1].exactness = EXACT;
	assert_null(strchr(text(&x, false, 100), '~'));
	tear_down(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_of_a_small_window),
		cmocka_unit_test(one_is_no_plural),
		cmocka_unit_test(first_lines_are_whole),
		cmocka_unit_test(reasons_of_coverage_are_whole),
		cmocka_unit_test(text_of_nothing_says_so),
		cmocka_unit_test(text_fits_any_width),
		cmocka_unit_test(text_of_small_shares),
		cmocka_unit_test(text_has_colors_only_when_asked),
		cmocka_unit_test(text_says_memory_only_in_the_first_line),
		cmocka_unit_test(text_says_losses_and_the_end),
		cmocka_unit_test(text_says_what_limits_the_process),
		cmocka_unit_test(text_of_waits_that_were_not_timed),
		cmocka_unit_test(text_of_samples_without_go_code),
		cmocka_unit_test(text_marks_what_is_not_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
