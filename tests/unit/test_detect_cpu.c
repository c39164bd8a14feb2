/* SPDX-License-Identifier: BSD-2-Clause */
/* Detectors of CPU time and of waiting to run, each beside its healthy twin. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "observe/detect.h"
#include "parts.h"

#define HZ 19

static struct parts_by_hand parts;
static struct cpu_function function[2];
static struct lock_wait_row lock;

/* Five seconds of one CPU in which one goroutine has most samples and others wait. */
static void a_loop(struct window *w)
{
	struct cpu_window *c = &parts.cpu;

	parts_use(&parts, w);
	w->window_s = w->observed_s = 5;
	w->target_cpu_cores = 1;
	w->coverage[w->ncoverage++] = (struct coverage){ .sensor = SENSOR_CPU, .state = SAMPLED };
	*c = (struct cpu_window){ .known = true,
				  .hz = HZ,
				  .period_ns = NS_PER_S / HZ,
				  .samples = 95,
				  .placed = 95,
				  .whole = 95,
				  .looks = 6,
				  .queued_looks = 6,
				  .queued = 24,
				  .ngoroutine = 1 };
	c->goroutine[0] = (struct cpu_goroutine){
		.goid = 7,
		.created = { .function = "main.main", .file = "main.go", .line = 9 },
		.samples = 92,
		.pct = 96.8,
		.forced = 92,
		.at = { .function = "main.spin", .file = "spin.go", .line = 31 },
		.last_line = 35,
		.ran = 92,
		.ran_forced = 92,
		.never_waits = true,
		.behind = 4,
		.behind_looks = 6,
		.exactness = SAMPLED,
	};
}

static int judged(struct window *w, const char *kind, struct finding *out)
{
	struct findings fs = { 0 };
	int n = 0;

	detect_all(w, &fs);
	for (int i = 0; i < fs.n; i++) {
		if (strcmp(fs.f[i].kind, kind) != 0)
			continue;
		n++;
		if (out)
			*out = fs.f[i];
	}
	findings_deinit(&fs);
	return n;
}

static void a_goroutine_that_runs_on(void **state)
{
	struct finding f;
	struct window w;

	(void)state;
	a_loop(&w);
	assert_int_equal(judged(&w, "endless-loop", &f), 1);
	assert_string_equal(f.title,
			    "a goroutine ran for 4.8s without waiting for anything, in main.spin "
			    "(spin.go:31-35), while others waited for a CPU");
	assert_string_equal(f.place.function, "main.spin");
	assert_int_equal(f.severity, SEVERITY_MEDIUM);
	/* the same goroutine is not told twice */
	assert_int_equal(judged(&w, "cpu-hot", NULL), 0);
}

static void one_that_may_run_on(void **state)
{
	struct window w;

	(void)state;
	a_loop(&w); /* it waits now and then */
	parts.cpu.goroutine[0].never_waits = false;
	assert_int_equal(judged(&w, "endless-loop", NULL), 0);
	a_loop(&w); /* nobody wants to run but others of its kind */
	parts.cpu.goroutine[0].behind_looks = 0;
	assert_int_equal(judged(&w, "endless-loop", NULL), 0);
	a_loop(&w); /* somebody does now and then */
	parts.cpu.goroutine[0].behind_looks = 2;
	assert_int_equal(judged(&w, "endless-loop", NULL), 0);
	a_loop(&w);
	parts.cpu.known = false;
	assert_int_equal(judged(&w, "endless-loop", NULL), 0);
}

static void one_that_runs_on_with_a_lock(void **state)
{
	struct finding f;
	struct window w;

	(void)state;
	a_loop(&w); /* others wait for the lock, not for a CPU */
	parts.cpu.goroutine[0].behind_looks = 0;
	lock = (struct lock_wait_row){ .kind = "sync.Mutex", .waiters = 5, .holder = 7 };
	parts.locks.known = true;
	parts.locks.row = &lock;
	parts.locks.nrow = 1;
	assert_int_equal(judged(&w, "endless-loop", &f), 1);
	assert_non_null(strstr(f.title, "5 goroutines wait for a lock that it appears to hold"));
	lock.holder = 8; /* somebody else holds it */
	assert_int_equal(judged(&w, "endless-loop", NULL), 0);
}

static void hot_function(struct window *w, uint64_t flat)
{
	a_loop(w);
	parts.cpu.ngoroutine = 0;
	function[0] = (struct cpu_function){
		.place = { .function = "main.hash", .file = "hash.go", .line = 12 },
		.flat = flat,
		.cum = flat,
		.flat_pct = 100.0 * (double)flat / 95,
		.cum_pct = 100.0 * (double)flat / 95,
		.exactness = SAMPLED,
	};
	parts.cpu.function = function;
	parts.cpu.nfunction = 1;
}

static void a_hot_function(void **state)
{
	struct finding f;
	struct window w;

	(void)state;
	hot_function(&w, 92);
	assert_int_equal(judged(&w, "cpu-hot", &f), 1);
	assert_string_equal(f.place.function, "main.hash");
	assert_int_equal(f.severity, SEVERITY_INFO);
	/* 82 % of 95 samples may as well be 75 */
	hot_function(&w, 78);
	assert_int_equal(judged(&w, "cpu-hot", NULL), 0);
	/* there are CPUs enough */
	hot_function(&w, 92);
	parts.cpu.queued_looks = 2;
	assert_int_equal(judged(&w, "cpu-hot", NULL), 0);
	/* of so few samples nothing is known */
	hot_function(&w, 30);
	parts.cpu.placed = 30;
	assert_int_equal(judged(&w, "cpu-hot", NULL), 0);
	hot_function(&w, 92);
	function[0].place.function = "runtime.memmove";
	assert_int_equal(judged(&w, "cpu-hot", NULL), 0);
}

static void a_hot_goroutine(void **state)
{
	struct finding f;
	struct window w;

	(void)state;
	a_loop(&w); /* it waits now and then, and has nearly all of the CPU */
	parts.cpu.goroutine[0].never_waits = false;
	assert_int_equal(judged(&w, "cpu-hot", &f), 1);
	assert_string_equal(f.place.function, "main.main");
	parts.cpu.goroutine[0].samples = 70;
	assert_int_equal(judged(&w, "cpu-hot", NULL), 0);
}

static void waits(struct window *w)
{
	a_loop(w);
	parts.cpu.ngoroutine = 0;
	parts.cpu.waits = (struct cpu_waits){
		.known = true, .timed = 400, .p50_ns = 100000, .p99_ns = 60000000, .slow = 60
	};
	w->process = (struct process_window){ .known = true, .gomaxprocs = 8, .cpus = 8 };
}

static void the_quota_is_used_up(void **state)
{
	struct finding f;
	struct window w;

	(void)state;
	waits(&w); /* the machine is busy: nothing of this process's */
	assert_int_equal(judged(&w, "cpu-starved", NULL), 0);
	w.process.cpus = 1.5;
	parts.cpu.throttle = (struct cpu_throttle){ true, 50, 40, 3000000000 };
	assert_int_equal(judged(&w, "cpu-starved", &f), 1);
	assert_int_equal(f.severity, SEVERITY_MEDIUM);
	assert_string_equal(f.title,
			    "goroutines wait to run: the quota of 1.5 CPUs was used up in 80% of "
			    "its periods, and 15% of the waits took 8 ms and more");
	parts.cpu.throttle.throttled = 3; /* hardly ever */
	assert_int_equal(judged(&w, "cpu-starved", NULL), 0);
	parts.cpu.throttle.throttled = 40;
	parts.cpu.waits.slow = 4; /* and nobody waits for it */
	assert_int_equal(judged(&w, "cpu-starved", NULL), 0);
	parts.cpu.waits.slow = 60;
	parts.cpu.waits.known = false; /* a release that does not say it */
	assert_int_equal(judged(&w, "cpu-starved", NULL), 0);
}

static void more_threads_than_cpus(void **state)
{
	struct window w;

	(void)state;
	waits(&w);
	w.process = (struct process_window){ .known = true, .gomaxprocs = 32, .cpus = 2 };
	w.target_cpu_cores = 1.9;
	assert_int_equal(judged(&w, "cpu-starved", NULL), 1);
	w.target_cpu_cores = 0.8; /* it does not use what it has */
	assert_int_equal(judged(&w, "cpu-starved", NULL), 0);
	w.target_cpu_cores = 1.9;
	w.process.gomaxprocs = 3;
	assert_int_equal(judged(&w, "cpu-starved", NULL), 0);
	w.process.cpus = 0; /* not known */
	assert_int_equal(judged(&w, "cpu-starved", NULL), 0);
}

static void gc_of(struct window *w, double since_start_pct, uint64_t samples, uint64_t of)
{
	a_loop(w);
	parts.cpu.ngoroutine = 0;
	parts.cpu.queued_looks = 0;
	parts.cpu.placed = of;
	parts.cpu.kind[CPU_GC] = samples;
	w->coverage[w->ncoverage++] = (struct coverage){ .sensor = SENSOR_GC, .state = EXACT };
	parts.memory.gc = (struct gc_window){ .known = true,
					      .cycles = 10,
					      .cpu_pct = since_start_pct,
					      .memory_limit_bytes = INT64_MAX };
}

static void the_collectors_share_is_of_this_window(void **state)
{
	struct finding f;
	struct window w;

	(void)state;
	gc_of(&w, 1, 40, 95); /* it began lately: the mean hides it */
	assert_int_equal(judged(&w, "gc-pressure", &f), 1);
	assert_string_equal(
		f.title, "the garbage collector takes 42% of the CPU, and runs 2.0 times a second");
	gc_of(&w, 30, 2, 95); /* it is over: the mean still has it */
	assert_int_equal(judged(&w, "gc-pressure", NULL), 0);
	gc_of(&w, 1, 22, 95); /* 23 %, and 14 % as well */
	assert_int_equal(judged(&w, "gc-pressure", NULL), 0);
	gc_of(&w, 30, 2, 20); /* too few samples: the mean is all there is */
	assert_int_equal(judged(&w, "gc-pressure", NULL), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_goroutine_that_runs_on),
		cmocka_unit_test(one_that_may_run_on),
		cmocka_unit_test(one_that_runs_on_with_a_lock),
		cmocka_unit_test(a_hot_function),
		cmocka_unit_test(a_hot_goroutine),
		cmocka_unit_test(the_quota_is_used_up),
		cmocka_unit_test(more_threads_than_cpus),
		cmocka_unit_test(the_collectors_share_is_of_this_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
