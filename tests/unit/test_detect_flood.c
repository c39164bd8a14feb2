/* SPDX-License-Identifier: BSD-2-Clause */
/* Goroutine floods in the simulation, and which finding explains which. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "goroutines/growth.h"
#include "observe/detect.h"
#include "simulation.h"
#include "parts.h"

/* ---- floods ---- */

static void growing_ticker_loops_are_a_flood(void **state)
{
	struct sim m;

	(void)state;
	sim_init(&m);
	flow(&m, 0.01, 10, 20, NEVER, 1.3, WAIT_BLOCKED);
	observe(&m, 10, 1, 5);
	expect_kind(&m, "goroutine-flood", 199, 200, 1200);
}

static void growing_waits_are_a_flood(void **state)
{
	static const enum wait_class klass[] = { WAIT_IO, WAIT_SLEEP, WAIT_NOT };

	(void)state;
	for (int k = 0; k < 3; k++) {
		struct sim m;

		sim_init(&m);
		flow(&m, 0.01, 10, 20, NEVER, NEVER, klass[k]);
		observe(&m, 10, 1, 5);
		expect_kind(&m, "goroutine-flood", 199, 200, 1200);
		sim_init(&m);
		flow(&m, 0.001, 2, 100, NEVER, NEVER, klass[k]);
		observe(&m, 2, 0.4, 2);
		expect_kind(&m, "goroutine-flood", 199, 200, 6000);
	}
}

/* Look-ups and handshakes end by themselves; it is the resolver or the host that is slow. */
static void dials_are_no_flood(void **state)
{
	static const char *const creators[] = { "net.(*Resolver).lookupIPAddr",
						"net/http.(*Transport).startDialConnForLocked",
						"crypto/tls.(*Conn).handshakeContext" };
	static const enum wait_class klass[] = { WAIT_IO, WAIT_BLOCKED };

	(void)state;
	for (int i = 0; i < 6; i++) {
		struct sim m;

		sim_init(&m);
		flow(&m, 0.01, 10, 20, NEVER, 1.3, klass[i % 2]);
		observe(&m, 10, 1, 5);
		m.site.place.function = creators[i / 2];
		expect_nothing(&m);
	}
}

/* gRPC's server has started them: what stands there is the handler, innermost first. */
static void handlers_are_named(void **state)
{
	static const char *const plain[] = { "time.Sleep", "main.(*srv).Watch",
					     "example.org/pb._Health_Watch_Handler",
					     "google.golang.org/grpc.(*Server).processStreamingRPC",
					     "google.golang.org/grpc.(*Server).handleStream" };
	static const char *const wrapped[] = { "main.(*srv).Check",
					       "example.org/pb._Health_Check_Handler.func1",
					       "main.logged",
					       "example.org/pb._Health_Check_Handler",
					       "google.golang.org/grpc.(*Server).processUnaryRPC",
					       "google.golang.org/grpc.(*Server).handleStream" };
	static const char *const generic[] = { "main.forward",
					       "google.golang.org/grpc.(*Server).processUnaryRPC" };
	static const char *const web[] = { "main.slow", "net/http.HandlerFunc.ServeHTTP",
					   "net/http.serverHandler.ServeHTTP" };
	static const char *const none[] = { "main.work", "main.main.func1" };
	static const struct {
		const char *const *frame;
		int n;
		const char *handler;
	} cases[] = { { plain, 5, "main.(*srv).Watch" },
		      { wrapped, 6, "main.(*srv).Check" },
		      { generic, 2, "main.forward" },
		      { web, 3, "main.slow" },
		      { none, 2, NULL } };

	(void)state;
	for (size_t c = 0; c < sizeof(cases) / sizeof(*cases); c++) {
		struct wait_row wait = { .nstack = cases[c].n };
		const struct place *handler;

		for (int i = 0; i < wait.nstack; i++)
			wait.stack[i].function = cases[c].frame[i];
		handler = goroutine_wait_handler(&wait);
		if (cases[c].handler)
			assert_string_equal(handler->function, cases[c].handler);
		else
			assert_null(handler);
	}
	assert_null(goroutine_wait_handler(NULL));
}

/* A program that has just begun gets its workers and subscribers: two seconds of that are low. */
static void what_grows_at_a_start_is_low(void **state)
{
	static const struct {
		double up_s, run_s;
		enum severity s;
	} cases[] = { { 3, 2, SEVERITY_LOW },
		      { 11, 2, SEVERITY_MEDIUM },
		      { 5, 4, SEVERITY_MEDIUM },
		      { 0, 2, SEVERITY_MEDIUM } };

	(void)state;
	for (int leak = 0; leak < 2; leak++)
		for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
			struct findings fs = { 0 };
			struct sim m;

			sim_init(&m);
			flow(&m, 0.001, cases[i].run_s, 100, NEVER, NEVER,
			     leak ? WAIT_BLOCKED : WAIT_IO);
			observe(&m, cases[i].run_s, 0.4, cases[i].run_s);
			m.w.end_real_ns = 1000000000000;
			m.w.started_real_ns =
				cases[i].up_s > 0
					? m.w.end_real_ns - (uint64_t)(cases[i].up_s * 1e9)
					: 0; /* not known */
			detect_all(&m.w, &fs);
			assert_true(fs.n >= 1);
			assert_string_equal(fs.f[0].kind,
					    leak ? "goroutine-leak" : "goroutine-flood");
			assert_int_equal(fs.f[0].severity, cases[i].s);
			findings_deinit(&fs);
			sim_deinit(&m);
		}
}

/* Each waits for a lock of its own, at one place: all of these rows are the pile-up's. */
static void what_piles_up_is_no_contention(void **state)
{
	static struct place at = { .function = "main.(*conn).Stop", .file = "main.go", .line = 22 };
	static struct lock_wait_row row[160];
	struct findings fs = { 0 };
	struct sim m;

	(void)state;
	sim_init(&m);
	flow(&m, 0.01, 10, 20, NEVER, NEVER, WAIT_BLOCKED);
	observe(&m, 10, 1, 5);
	for (int i = 0; i < m.site.nwait; i++) {
		m.wait[i].user = 0;
		m.wait[i].nstack = 1;
		m.wait[i].stack[0] = at;
	}
	for (uint64_t i = 0; i < 160; i++)
		row[i] = (struct lock_wait_row){ .kind = "sync.Mutex",
						 .lock = 0x1000 + i * 24,
						 .place = at,
						 .waiters = 2,
						 .longest_s = 5,
						 .age = AGE_AT_LEAST };
	m.parts.locks = (struct locks_window){ .known = true, .row = row, .nrow = 160 };
	m.w.coverage[m.w.ncoverage++] = (struct coverage){ .sensor = SENSOR_LOCKS, .state = EXACT };
	detect_all(&m.w, &fs);
	assert_int_equal(fs.n, 1);
	assert_string_equal(fs.f[0].kind, "goroutine-leak");
	findings_deinit(&fs);
	sim_deinit(&m);
}

static void a_queue_that_is_not_kept_up_with_is_a_flood(void **state)
{
	struct sim m;

	(void)state;
	sim_init(&m);
	/* 100/s come; who comes at t stays for 0.5 s + 0.9 t */
	for (double t = 0; t < 30; t += 0.01)
		add(&m, (struct g){ t, t + 0.5 + 0.9 * t, NEVER, 0, WAIT_IO });
	observe(&m, 30, 1, 5);
	expect_kind(&m, "goroutine-flood", 1200, 1700, 3000);
}

static bool says_they_live_longer(struct sim *m)
{
	const struct finding *f;
	struct findings fs;
	bool says = false;

	fs = (struct findings){ 0 };
	detect_all(&m->w, &fs);
	f = only_finding(&fs, "goroutine-flood");
	for (int i = 0; i < f->nevidence; i++)
		says |= !strcmp(f->evidence[i],
				"those that end live longer and longer: half of them "
				"for 2.5s or more, 500ms when first measured");
	findings_deinit(&fs);
	return says;
}

static void a_flood_of_goroutines_that_live_longer_says_so(void **state)
{
	struct sim m;

	(void)state;
	sim_init(&m);
	for (double t = 0; t < 30; t += 0.01)
		add(&m, (struct g){ t, t + 0.5 + 0.9 * t, NEVER, 0, WAIT_IO });
	observe(&m, 30, 1, 5);
	assert_false(says_they_live_longer(&m));
	m.site.lifetime.count = 300;
	m.site.lifetime.p50_ns = 2500000000;
	m.site.lived_before_ns = 500000000;
	assert_true(says_they_live_longer(&m));
	m.site.lifetime.p50_ns = 999000000; /* not twice as long */
	assert_false(says_they_live_longer(&m));
	sim_deinit(&m);
}

/* In the kernel each of them has a thread, of which there may be 10,000. */
static void a_flood_in_the_kernel_takes_threads(void **state)
{
	struct findings fs = { 0 };
	const struct finding *f;
	struct sim m;

	(void)state;
	sim_init(&m);
	flow(&m, 0.01, 10, 20, NEVER, NEVER, WAIT_NOT);
	observe(&m, 10, 1, 5);
	m.w.process =
		(struct process_window){ .known = true, .threads = 205, .threads_max = 10000 };
	m.wait[0].reason = "syscall";
	detect_all(&m.w, &fs);
	f = only_finding(&fs, "goroutine-flood");
	assert_non_null(strstr(f->title, "in a system call"));
	assert_non_null(strstr(f->evidence[0],
			       "each holds a thread: 205 now; Go ends the program at "
			       "10,000, at this rate in 8m"));
	assert_true(number(f, "threads") == 205);
	findings_deinit(&fs);
	m.w.process.threads = 12; /* short calls */
	detect_all(&m.w, &fs);
	assert_null(strstr(only_finding(&fs, "goroutine-flood")->evidence[0], "thread"));
	findings_deinit(&fs);
	sim_deinit(&m);
}

static void few_connections_more_a_minute_are_no_flood(void **state)
{
	struct sim m;

	(void)state;
	sim_init(&m);
	flow(&m, -200, 60, 0.4, NEVER, NEVER, WAIT_IO);
	observe(&m, 60, 1, 5);
	expect_nothing(&m);
}

/* A reader and a writer by one go statement: the writers of idle ones are no leak ... */
static void writers_of_connections_are_no_leak(void **state)
{
	struct findings fs = { 0 };
	struct sim m;

	(void)state;
	sim_init(&m);
	flow(&m, -60, 10, 4, NEVER, NEVER, WAIT_IO);
	flow(&m, -60, 10, 4, NEVER, NEVER, WAIT_BLOCKED);
	observe(&m, 10, 1, 5);
	detect_all(&m.w, &fs);
	assert_int_equal(count_kind(&fs, "goroutine-leak"), 0);
	findings_deinit(&fs);
	sim_deinit(&m);
	sim_init(&m);
	/* beside clients that come and go */
	flow(&m, -60, 10, 4, NEVER, NEVER, WAIT_IO);
	flow(&m, -60, 10, 4, NEVER, NEVER, WAIT_BLOCKED);
	flow(&m, -60, 10, 200, 0.01, NEVER, WAIT_IO);
	observe(&m, 10, 1, 5);
	expect_nothing(&m);
}

/* ... but what is left over by steady connections is. */
static void leak_beside_steady_connections(void **state)
{
	struct findings fs = { 0 };
	struct sim m;

	(void)state;
	sim_init(&m);
	flow(&m, -60, -10, 20, NEVER, NEVER, WAIT_IO);
	flow(&m, -60, 10, 4, NEVER, NEVER, WAIT_BLOCKED);
	observe(&m, 10, 1, 5);
	detect_all(&m.w, &fs);
	only_finding(&fs, "goroutine-leak");
	findings_deinit(&fs);
	sim_deinit(&m);
}

static void leak_and_flood_of_one_site_are_one_finding(void **state)
{
	struct findings fs;
	struct sim m;

	(void)state;
	sim_init(&m);
	flow(&m, 0.01, 10, 200, NEVER, NEVER, WAIT_BLOCKED);
	observe(&m, 10, 1, 5);
	fs = (struct findings){ 0 };
	detect_all(&m.w, &fs);
	assert_int_equal(count_kind(&fs, "goroutine-leak"), 1);
	assert_int_equal(count_kind(&fs, "goroutine-flood"), 0);
	findings_deinit(&fs);
	sim_deinit(&m);
}

/* ---- which finding explains which ---- */

/* The goroutines of connections whose bodies nobody closes grow, and are no second finding. */
static void connections_of_unclosed_bodies_are_one_finding(void **state)
{
	struct net_body_row body = { .host = "api.example.com:443", .count = 12 };

	(void)state;
	for (int closed = 0; closed < 2; closed++) {
		struct findings fs;
		struct sim m;

		sim_init(&m);
		flow(&m, 0.01, 10, 20, NEVER, NEVER, WAIT_BLOCKED);
		observe(&m, 10, 1, 5);
		m.site.place = (struct place){ "net/http.(*Transport).dialConn", "transport.go",
					       NULL, 1995 };
		m.parts.net = (struct net_window){ .known = true,
						   .unclosed = &body,
						   .nunclosed = !closed };
		m.w.coverage[m.w.ncoverage++] = (struct coverage){ .sensor = SENSOR_NET };
		fs = (struct findings){ 0 };
		detect_all(&m.w, &fs);
		only_finding(&fs, closed ? "goroutine-leak" : "connection-leak");
		findings_deinit(&fs);
		sim_deinit(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(growing_ticker_loops_are_a_flood),
		cmocka_unit_test(growing_waits_are_a_flood),
		cmocka_unit_test(dials_are_no_flood),
		cmocka_unit_test(handlers_are_named),
		cmocka_unit_test(what_grows_at_a_start_is_low),
		cmocka_unit_test(what_piles_up_is_no_contention),
		cmocka_unit_test(a_queue_that_is_not_kept_up_with_is_a_flood),
		cmocka_unit_test(a_flood_of_goroutines_that_live_longer_says_so),
		cmocka_unit_test(a_flood_in_the_kernel_takes_threads),
		cmocka_unit_test(few_connections_more_a_minute_are_no_flood),
		cmocka_unit_test(writers_of_connections_are_no_leak),
		cmocka_unit_test(leak_beside_steady_connections),
		cmocka_unit_test(leak_and_flood_of_one_site_are_one_finding),
		cmocka_unit_test(connections_of_unclosed_bodies_are_one_finding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
