/* SPDX-License-Identifier: BSD-2-Clause */
/* Slow and failing phases of requests, each beside its twin that must give none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "net/subject.h"
#include "detect_net.h"
#include "net_window.h"

/* ---- slow-phase ---- */

static void each_slow_phase_is_named(void **state)
{
	static const char *const advice[NET_PHASES] = {
		"MaxConnsPerHost", "resolv.conf",           "firewall",     "TLSHandshakeTimeout",
		"reads slowly",    "ResponseHeaderTimeout", "sends slowly",
	};
	const struct finding *f;
	struct fixture x;
	char id[80];

	(void)state;
	for (int phase = 0; phase < NET_PHASES; phase++) {
		set_up(&x);
		for (int i = 0; i < NET_PHASES; i++)
			if (i != phase)
				add_phase(&x.w, API, (enum net_phase)i, 12, 5);
		add_phase(&x.w, API, (enum net_phase)phase, 12, 121)->busiest = AT_CHARGE;
		/* what its work takes may be what it needs */
		f = only(&x, "slow-phase",
			 phase < NET_REQUEST_WRITE ? SEVERITY_MEDIUM : SEVERITY_INFO);
		snprintf(id, sizeof(id), "slow-phase:" API ":%s",
			 net_phase_name((enum net_phase)phase));
		assert_string_equal(f->id, id);
		assert_string_equal(f->place.function, "main.charge");
		assert_true(number(f, "p50_ms") == 121 && number(f, "p99_ms") == 181.5 &&
			    number(f, "count") == 12);
		expect_says(f, advice[phase]);
		assert_true(slow_phase_found(&x.fs, API, (enum net_phase)phase));
		assert_false(slow_phase_found(&x.fs, "other:1", (enum net_phase)phase));
		tear_down(&x);
	}
}

static void fast_or_shared_time_is_not_slow(void **state)
{
	struct fixture x;

	(void)state;
	set_up(&x);
	add_phase(&x.w, API, NET_TTFB, 900, 99); /* most of it, and under 100 ms */
	nothing(&x);
	set_up(&x);
	add_phase(&x.w, API, NET_DNS, 3, 150); /* slow, and not most of the time */
	add_phase(&x.w, API, NET_TTFB, 900, 4);
	nothing(&x);
	set_up(&x);
	add_phase(&x.w, API, NET_TTFB, 2, 400); /* one or two of them */
	nothing(&x);
	set_up(&x);
	add_phase(&x.w, API, NET_BODY, 1, 60000); /* a stream that ended */
	nothing(&x);
	set_up(&x);
	add_phase(&x.w, API, NET_TTFB, 50, 400)->other = true;
	nothing(&x);
	set_up(&x);
	add_phase(&x.w, API, NET_TTFB, 50, 400);
	x.w.net->phases_known = false;
	nothing(&x);
}

static void ten_times_its_earlier_median_is_slow(void **state)
{
	struct net_phase_row *p;
	struct fixture x;

	(void)state;
	set_up(&x);
	p = add_phase(&x.w, API, NET_TTFB, 900, 40);
	p->before_count = 3000;
	p->before_p50_ns = 4 * NS_MS;
	/* a busy machine does that to all it runs */
	expect_says(only(&x, "slow-phase", SEVERITY_INFO), "its p50 was 4.0ms before");
	p->p50_ns = 101 * NS_MS;
	expect_says(only(&x, "slow-phase", SEVERITY_MEDIUM), "its p50 was 4.0ms before");
	p->p50_ns = 40 * NS_MS;
	p->before_p50_ns = 4 * NS_MS + 1;
	detect(&x);
	assert_int_equal(x.fs.n, 0);
	p->before_p50_ns = NS_MS;
	p->before_count = 2; /* two do not make a median */
	detect(&x);
	assert_int_equal(x.fs.n, 0);
	p->before_count = 3000;
	p->count = 4; /* nor do four, which may have been held up together for a moment */
	detect(&x);
	assert_int_equal(x.fs.n, 0);
	p->count = 900;
	p->before_p50_ns = NS_MS / 20;
	p->p50_ns = 2 * NS_MS; /* forty times as slow, and still fast */
	nothing(&x);
}

static void work_that_takes_long_is_a_remark(void **state)
{
	static const enum net_phase work[] = { NET_REQUEST_WRITE, NET_TTFB, NET_BODY };
	struct net_phase_row *p;
	struct fixture x;

	(void)state;
	for (size_t i = 0; i < sizeof(work) / sizeof(*work); i++) {
		set_up(&x);
		p = add_phase(&x.w, API, work[i], 12,
			      1200); /* each and every one, and all come back */
		only(&x, "slow-phase", SEVERITY_INFO);
		p->errors = 5;
		only(&x, "slow-phase", SEVERITY_INFO);
		p->errors = 6;
		only(&x, "slow-phase", SEVERITY_MEDIUM);
		p->errors = 0;
		p->before_count = 12;
		p->before_p50_ns = 121 * NS_MS;
		only(&x, "slow-phase", SEVERITY_INFO);
		p->before_p50_ns = 120 * NS_MS;
		only(&x, "slow-phase", SEVERITY_MEDIUM);
		p->before_count = 0;
		p->p50_ns = 3001 * NS_MS;
		only(&x, "slow-phase", work[i] == NET_TTFB ? SEVERITY_MEDIUM : SEVERITY_INFO);
		if (work[i] != NET_BODY) {
			p->p50_ns = 1200 * NS_MS;
			add_request(&x.w, API, work[i], 3.1);
			only(&x, "slow-phase", SEVERITY_MEDIUM);
		}
		tear_down(&x);
	}
}

/* A large body is no stuck one: what counts is since when nothing was sent. */
static void uploads_that_move_are_not_stuck(void **state)
{
	struct net_request *r;
	struct fixture x;

	(void)state;
	set_up(&x);
	for (int i = 0; i < 9; i++)
		r = add_request(&x.w, API, NET_REQUEST_WRITE, 30 + i);
	expect_says(only(&x, "slow-phase", SEVERITY_MEDIUM), "100% of the time");
	for (int i = 0; i < 9; i++) {
		r = &x.w.net->in_flight[i];
		r->moved_s = r->since_s - 0.2;
	}
	detect(&x);
	assert_int_equal(x.fs.n, 0);
	r->moved_s = r->since_s - 3.1;
	assert_string_equal(only(&x, "slow-phase", SEVERITY_MEDIUM)->title,
			    "1 request to " API " is stuck writing the request, the oldest began "
			    "38.0s ago");
	tear_down(&x);
}

static void stuck_requests_are_a_slow_phase(void **state)
{
	const struct finding *f;
	struct fixture x;

	(void)state;
	set_up(&x);
	for (int i = 0; i < 7; i++) {
		struct net_request *r = add_request(&x.w, "10.9.9.9:80", NET_CONNECT, 14.2 - i);

		r->timeout = KNOWN_YES; /* a timeout does not make it well */
		r->timeout_s = 30;
	}
	f = only(&x, "slow-phase", SEVERITY_MEDIUM);
	assert_string_equal(f->title, "7 requests to 10.9.9.9:80 are stuck in the TCP connect, the "
				      "oldest began 14.2s ago");
	assert_string_equal(f->id, "slow-phase:10.9.9.9:80:connect");
	assert_true(number(f, "in_flight") == 7 && number(f, "longest_in_flight_s") == 14.2 &&
		    number(f, "count") == 0);
	assert_false(has_number(f, "p50_ms"));
	/* those that timed out are told in the same finding */
	add_phase(&x.w, "10.9.9.9:80", NET_CONNECT, 4, 30000)->errors = 4;
	f = only(&x, "slow-phase", SEVERITY_MEDIUM);
	expect_says(f, "4 of them failed");
	expect_says(f, "7 more in flight");
	tear_down(&x);
	set_up(&x); /* several at once, not for long yet */
	for (int i = 0; i < 5; i++)
		add_request(&x.w, API, NET_DNS, 1.5);
	only(&x, "slow-phase", SEVERITY_MEDIUM);
	tear_down(&x);
	set_up(&x); /* probes are off, memory is read */
	x.w.net->phases_known = false;
	add_request(&x.w, API, NET_TLS, 3.1);
	expect_says(only(&x, "slow-phase", SEVERITY_MEDIUM),
		    "1 request to " API " is stuck in the TLS handshake");
	tear_down(&x);
	set_up(&x);
	add_request(&x.w, API, NET_TTFB, 3.1);
	expect_says(only(&x, "slow-phase", SEVERITY_MEDIUM),
		    "1 request to " API " is stuck waiting for the response's first byte");
	tear_down(&x);
}

static void requests_in_flight_are_not_stuck(void **state)
{
	struct fixture x;

	(void)state;
	set_up(&x);
	add_request(&x.w, API, NET_TTFB, 2.9);
	add_request(&x.w, API, -1, 60); /* between phases, or not known */
	nothing(&x);
	set_up(&x);
	add_request(&x.w, API, NET_BODY, 600); /* a download, a stream */
	nothing(&x);
	set_up(&x);
	for (int i = 0; i < 9; i++) /* a server that needs 1.2 s for each answer */
		add_request(&x.w, API, NET_TTFB, 1.1);
	nothing(&x);
	set_up(&x);
	add_request(&x.w, API, NET_TTFB, 60)->age = AGE_UNKNOWN;
	nothing(&x);
	set_up(&x);
	add_request(&x.w, "", NET_TTFB, 60); /* of no host that is known */
	nothing(&x);
	set_up(&x);
	add_request(&x.w, API, NET_TTFB, 4); /* one straggler among thousands */
	add_phase(&x.w, API, NET_BODY, 9000, 3);
	nothing(&x);
}

/* ---- failing-phase ---- */

static void phases_that_fail(void **state)
{
	const struct finding *f;
	struct net_phase_row *p;
	struct fixture x;

	(void)state;
	set_up(&x);
	p = add_phase(&x.w, "db:5432", NET_CONNECT, 50, 1);
	p->errors = 50;
	f = only(&x, "failing-phase", SEVERITY_MEDIUM);
	assert_string_equal(f->title,
			    "requests to db:5432 fail in the TCP connect: 50 of 50 in 5.0s");
	p->errors = 5; /* one in ten */
	only(&x, "failing-phase", SEVERITY_MEDIUM);
	p->errors = 4;
	detect(&x);
	assert_int_equal(x.fs.n, 0);
	p->count = p->errors = 2;
	detect(&x);
	assert_int_equal(x.fs.n, 0);
	p->phase = NET_BODY; /* cut off; or given up by a caller, when it is a part of them */
	p->count = p->errors = 50;
	only(&x, "failing-phase", SEVERITY_MEDIUM);
	p->errors = 24;
	detect(&x);
	assert_int_equal(x.fs.n, 0);
	p->p50_ns = 2000 * NS_MS; /* slow as well: one finding */
	p->total_ns = p->count * p->p50_ns;
	p->errors = 50;
	only(&x, "slow-phase", SEVERITY_MEDIUM);
	tear_down(&x);
}

static struct net_failure_row *add_failure(struct window *w, const char *host, int phase,
					   enum net_failure kind, uint64_t count)
{
	struct net_failure_row *r = MORE(w->net->failure, w->net->nfailure);

	w->net->failures_known = true;
	snprintf(r->host, sizeof(r->host), "%s", host);
	r->phase = phase;
	r->kind = kind;
	r->count = r->seen = count;
	r->place = AT_CHARGE;
	r->rate = 1;
	return r;
}

static void calls_that_fail(void **state)
{
	const struct finding *f;
	struct net_failure_row *r;
	struct net_phase_row *p;
	struct fixture x;

	(void)state;
	set_up(&x);
	p = add_phase(&x.w, API, NET_TTFB, 100, 1);
	r = add_failure(&x.w, API, NET_TTFB, NET_FAILURE_EOF, 8);
	p->errors = 8;
	f = only(&x, "failing-phase", SEVERITY_MEDIUM);
	expect_says(f, "8 of 100 in 5.0s, connection closed (EOF)");
	expect_says(f, "main.charge");
	assert_null(strstr(f->advice, "IdleConnTimeout"));
	r->reused = 8; /* the server closes first */
	f = only(&x, "failing-phase", SEVERITY_MEDIUM);
	expect_says(f, "EOF) on reused connections");
	assert_non_null(strstr(f->advice, "IdleConnTimeout"));
	p->count = 161; /* fewer than one in twenty */
	nothing(&x);
	set_up(&x);
	p = add_phase(&x.w, API, NET_TTFB, 50, 1);
	r = add_failure(&x.w, API, NET_TTFB, NET_FAILURE_TIMEOUT, 4);
	p->errors = 4; /* one in twelve, but they may be chance */
	nothing(&x);
	set_up(&x);
	p = add_phase(&x.w, API, NET_TTFB, 100, 1);
	p->errors = 90; /* the callers' own doing */
	r = add_failure(&x.w, API, NET_TTFB, NET_FAILURE_CANCELLED, 90);
	nothing(&x);
}

/* Without a connection it is no request on one: all of the host's calls have failed. */
static void calls_that_get_no_connection(void **state)
{
	const struct finding *f;
	struct net_phase_row *p;
	struct fixture x;

	(void)state;
	set_up(&x);
	add_failure(&x.w, API, NET_CONNECT, NET_FAILURE_REFUSED, 3);
	f = only(&x, "failing-phase", SEVERITY_MEDIUM);
	expect_says(f, "fail in the TCP connect: 3 of 3 in 5.0s, connection refused");
	p = add_phase(&x.w, API, NET_REQUEST_WRITE, 57, 0.1); /* three of sixty */
	detect(&x);
	assert_int_equal(x.fs.n, 0);
	p->phase = NET_DNS; /* dials whose caller was served before they were done */
	p->count = 57;
	x.w.net->nfailure = 0;
	p->errors = p->failed[NET_FAILURE_CANCELLED] = 57;
	nothing(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_slow_phase_is_named),
		cmocka_unit_test(fast_or_shared_time_is_not_slow),
		cmocka_unit_test(ten_times_its_earlier_median_is_slow),
		cmocka_unit_test(work_that_takes_long_is_a_remark),
		cmocka_unit_test(uploads_that_move_are_not_stuck),
		cmocka_unit_test(stuck_requests_are_a_slow_phase),
		cmocka_unit_test(requests_in_flight_are_not_stuck),
		cmocka_unit_test(phases_that_fail),
		cmocka_unit_test(calls_that_fail),
		cmocka_unit_test(calls_that_get_no_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
