/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Findings on the network, database pools and locks, each beside its twin that
 * must give none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "observe/detect.h"
#include "net/subject.h"
#include "base/text.h"
#include "net_window.h"
#include "observe/window.h"

struct fixture {
	struct window w;
	struct findings fs;
};

static void set_up(struct fixture *x)
{
	net_window_init(&x->w);
	x->fs = (struct findings){ 0 };
}

static void tear_down(struct fixture *x)
{
	findings_deinit(&x->fs);
	window_deinit(&x->w);
}

static void detect(struct fixture *x)
{
	findings_deinit(&x->fs);
	x->fs = (struct findings){ 0 };
	detect_all(&x->w, &x->fs);
}

static const struct finding *only(struct fixture *x, const char *kind, enum severity s)
{
	const struct finding *f;

	detect(x);
	if (x->fs.n != 1)
		fail_msg("%d findings, the first: %s", x->fs.n, x->fs.n ? x->fs.f[0].title : "");
	f = &x->fs.f[0];
	assert_string_equal(f->kind, kind);
	assert_int_equal(f->severity, s);
	assert_true(f->title[0] && f->advice[0]);
	return f;
}

/* Nothing, and then the window is thrown away. */
static void nothing(struct fixture *x)
{
	detect(x);
	if (x->fs.n)
		fail_msg("found '%s'", x->fs.f[0].title);
	tear_down(x);
}

static double number(const struct finding *f, const char *name)
{
	for (int i = 0; i < f->nnumber; i++)
		if (!strcmp(f->number[i].name, name))
			return f->number[i].value;
	fail_msg("no number '%s'", name);
	return 0;
}

static bool has_number(const struct finding *f, const char *name)
{
	for (int i = 0; i < f->nnumber; i++)
		if (!strcmp(f->number[i].name, name))
			return true;
	return false;
}

static bool says(const struct finding *f, const char *words)
{
	bool found = strstr(f->title, words) || strstr(f->advice, words);

	for (int i = 0; i < f->nevidence; i++)
		found |= strstr(f->evidence[i], words) != NULL;
	return found;
}

static void expect_says(const struct finding *f, const char *words)
{
	if (!says(f, words))
		fail_msg("'%s' is not in the finding '%s'", words, f->title);
}

/* ---- the program that is well ---- */

static void an_idle_program_is_well(void **state)
{
	struct fixture x;

	(void)state;
	set_up(&x);
	nothing(&x);
}

static void a_busy_program_is_well(void **state)
{
	struct fixture x;
	struct net_client *c;

	(void)state;
	set_up(&x);
	add_phase(&x.w, API, NET_DNS, 3, 2);
	add_phase(&x.w, API, NET_CONNECT, 3, 1);
	add_phase(&x.w, API, NET_TLS, 3, 8);
	add_phase(&x.w, API, NET_REQUEST_WRITE, 9000, 0);
	add_phase(&x.w, API, NET_TTFB, 9000, 4);
	add_phase(&x.w, API, NET_BODY, 9000, 1);
	add_request(&x.w, API, NET_TTFB, 0.003);
	c = add_client(&x.w, 0, 0);
	c->in_flight = 1;
	c->requests = 9000;
	add_connections(&x.w, API, 50, 48, 50);
	add_pool(&x.w, 4, 4, 3, 0.004);
	add_server(&x.w, 900, 0);
	add_lock(&x.w, 3, 2, 0.0001);
	nothing(&x);
}

/* Sensors that are off are not judged, whatever stands in the window. */
static void what_is_off_is_not_judged(void **state)
{
	struct fixture x;

	(void)state;
	set_up(&x);
	add_client(&x.w, 7, 14);
	add_pool(&x.w, 4, 4, 20, 9.8);
	add_lock(&x.w, 30, 30, 5);
	for (int i = 0; i < 3; i++)
		x.w.coverage[i].state = OFF;
	nothing(&x);
}

/* ---- no-timeout ---- */

static void hanging_requests_without_a_timeout(void **state)
{
	const struct finding *f;
	struct net_client *c;
	struct fixture x;

	(void)state;
	set_up(&x);
	add_client(&x.w, 7, 14.2);
	f = only(&x, "no-timeout", SEVERITY_HIGH);
	assert_string_equal(f->id, "no-timeout:main.charge:charge.go:52");
	assert_string_equal(f->title,
			    "7 requests at main.charge (charge.go:52) hang without any timeout, "
			    "the oldest for 14.2s");
	assert_true(number(f, "in_flight") == 7 && number(f, "longest_in_flight_s") == 14.2);
	expect_says(f, "http.Client.Timeout");
	/* the host and phase that most of them are in, once they are listed */
	for (int i = 0; i < 5; i++)
		add_request(&x.w, API, NET_CONNECT, 14.2 - i);
	for (int i = 0; i < 2; i++)
		add_request(&x.w, "other:80", NET_TTFB, 9);
	for (int i = 0; i < 4; i++) { /* those that something ends are not counted */
		add_request(&x.w, "other:80", NET_TTFB, 9)->deadline = KNOWN_YES;
		add_request(&x.w, "other:80", NET_TTFB, 9)->timeout = KNOWN_YES;
		add_request(&x.w, "other:80", NET_TTFB, 9)->cancel = KNOWN_YES;
	}
	c = &x.w.net->client[0];
	c->in_flight = 9;
	c->hanging_age = AGE_AT_LEAST;
	detect(&x);
	f = &x.fs.f[0];
	assert_string_equal(f->kind, "no-timeout");
	expect_says(f, "5 of them: the TCP connect, " API);
	expect_says(f, "9 requests from this call site are in flight, 7 of them for over 3s");
	expect_says(f, "the oldest for at least 14.2s");
	assert_true(number(f, "in_flight") == 9 && number(f, "hanging") == 7);
	x.w.net->nin_flight = 0;
	c->hanging = c->in_flight = 1;
	detect(&x);
	assert_string_equal(x.fs.f[0].title,
			    "1 request at main.charge (charge.go:52) hangs without any timeout, "
			    "the oldest for at least 14.2s");
	tear_down(&x);
}

static struct net_grpc *add_hanging_grpc(struct fixture *x)
{
	struct net_grpc *g;

	set_up(x);
	g = MORE(x->w.net->grpc, x->w.net->ngrpc);
	strcpy(g->method, "/shop.v1.Stock/Reserve");
	g->place = AT_CHARGE;
	g->in_flight = 5;
	g->hanging = g->hanging_at[NETGRPC_RESPONSE] = 3;
	g->longest_hanging_s = 14.2;
	g->hanging_age = AGE_EXACT;
	g->hanging_place = g->place;
	return g;
}

static void grpc_calls_that_hang(void **state)
{
	const struct finding *f;
	struct net_grpc *g;
	struct fixture x;

	(void)state;
	g = add_hanging_grpc(&x);
	f = only(&x, "no-timeout", SEVERITY_HIGH);
	assert_non_null(strstr(f->title, "3 gRPC calls of "));
	assert_non_null(strstr(f->title, " hang without a deadline, the oldest for 14.2s"));
	assert_true(number(f, "in_flight") == 5 && number(f, "hanging") == 3);
	expect_says(f, "3 of them: wait for the server's response");
	expect_says(f, "5 calls of this method are in flight");
	g->hanging = g->hanging_at[NETGRPC_CONNECT] = 1;
	g->hanging_at[NETGRPC_RESPONSE] = 0;
	f = only(&x, "no-timeout", SEVERITY_HIGH);
	assert_non_null(strstr(f->title, " hangs without a deadline"));
	expect_says(f, "a connection that is ready");
	expect_says(f, "WaitForReady");
	tear_down(&x);
}

/* Each is the call above but for one thing. */
static void grpc_calls_that_do_not_hang(void **state)
{
	struct net_grpc *g;
	struct fixture x;

	(void)state;
	add_hanging_grpc(&x)->hanging = 0; /* something ends them */
	nothing(&x);
	add_hanging_grpc(&x)->longest_hanging_s = 3.0;
	nothing(&x);
	add_hanging_grpc(&x)->hanging_age = AGE_UNKNOWN;
	nothing(&x);
	add_hanging_grpc(&x)->other = true;
	nothing(&x);
	g = add_hanging_grpc(&x); /* no longer than is usual */
	g->timed = 1000;
	g->p99_ns = 2000 * NS_MS;
	nothing(&x);
}

/* So many calls of a method, of which that many end with a code. */
static struct net_grpc *add_failing_grpc(struct fixture *x, uint64_t calls, int code, uint64_t n)
{
	struct net_grpc *g = add_hanging_grpc(x);

	g->hanging = 0;
	g->calls_known = true;
	g->calls = calls;
	g->errors = g->code[code] = g->seen = n;
	return g;
}

static void grpc_calls_that_fail(void **state)
{
	const struct finding *f;
	struct net_grpc *g;
	struct fixture x;

	(void)state;
	g = add_failing_grpc(&x, 100, NET_CODE_UNAVAILABLE, 5);
	g->code[5] = 40; /* NotFound: listed beside it */
	g->errors += 40;
	f = only(&x, "failing-phase", SEVERITY_MEDIUM);
	assert_non_null(
		strstr(f->title, "gRPC calls of /shop.v1.Stock/Reserve fail: 5 of 100 in "));
	assert_non_null(strstr(f->title, ", Unavailable"));
	assert_true(number(f, "errors") == 5 && number(f, "count") == 100);
	expect_says(f, "40 more: NotFound");
	expect_says(f, "no connection to the server");
	tear_down(&x);
	add_failing_grpc(&x, 3, NET_CODE_INTERNAL, 3);
	only(&x, "failing-phase", SEVERITY_MEDIUM);
	tear_down(&x);
	g = add_failing_grpc(&x, 400, NET_CODE_DEADLINE, 80);
	g->exactness = SAMPLED;
	g->seen = 20;
	f = only(&x, "failing-phase", SEVERITY_MEDIUM);
	assert_non_null(strstr(f->title, "about 80 of 400"));
	tear_down(&x);
}

static void grpc_answers_are_no_failures(void **state)
{
	struct fixture x;

	(void)state;
	add_failing_grpc(&x, 9, NET_CODE_CANCELED, 9);
	nothing(&x);
	add_failing_grpc(&x, 9, 5, 9); /* NotFound */
	nothing(&x);
	add_failing_grpc(&x, 9, NET_CODE_OTHER, 9); /* not known what it says */
	nothing(&x);
	add_failing_grpc(&x, 101, NET_CODE_UNAVAILABLE, 5);
	nothing(&x);
	add_failing_grpc(&x, 80, NET_CODE_UNAVAILABLE, 4);
	nothing(&x);
	add_failing_grpc(&x, 2, NET_CODE_UNAVAILABLE, 2);
	nothing(&x);
	add_failing_grpc(&x, 9, NET_CODE_UNAVAILABLE, 9)->calls_known = false;
	nothing(&x);
	add_failing_grpc(&x, 9, NET_CODE_UNAVAILABLE, 9)->seen = 2; /* two, scaled */
	nothing(&x);
}

static void requests_that_come_back_do_not_hang(void **state)
{
	struct net_client *c;
	struct fixture x;

	(void)state;
	set_up(&x);
	c = add_client(&x.w, 3, 4.1);
	c->requests = 9;
	c->p99_ns = 4200 * NS_MS; /* slow, but they come back */
	nothing(&x);
	set_up(&x);
	c = add_client(&x.w, 3, 41.9); /* not ten times as long yet */
	c->p99_ns = 4200 * NS_MS;
	nothing(&x);
	set_up(&x);
	c = add_client(&x.w, 3, 42.1);
	c->timed = 120;
	c->p99_ns = 4200 * NS_MS;
	c->in_flight = 5;
	expect_says(only(&x, "no-timeout", SEVERITY_HIGH), "3 of them for over 42s");
	expect_says(only(&x, "no-timeout", SEVERITY_HIGH), "completed took up to 4.2s (p99)");
	tear_down(&x);
	set_up(&x);
	add_client(&x.w, 2, 2.9); /* not for long */
	nothing(&x);
	set_up(&x);
	c = add_client(&x.w, 0, 0); /* all of them limited, or being read */
	c->in_flight = 50;
	c->longest_in_flight_s = 60;
	nothing(&x);
	set_up(&x);
	add_client(&x.w, 3, 9)->hanging_age = AGE_UNKNOWN;
	nothing(&x);
	set_up(&x);
	add_client(&x.w, 3, 9)->other = true;
	nothing(&x);
}

static void what_hangs_is_decided_in_one_place(void **state)
{
	(void)state;
	assert_false(no_timeout_hangs(3.0, 0));
	assert_true(no_timeout_hangs(3.001, 0));
	assert_true(no_timeout_hangs(3.001, 300 * NS_MS)); /* ten times that is 3 s */
	assert_false(no_timeout_hangs(4.1, 420 * NS_MS));
	assert_true(no_timeout_hangs(4.3, 420 * NS_MS));
}

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
		f = only(&x, "slow-phase", SEVERITY_MEDIUM);
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
	expect_says(only(&x, "slow-phase", SEVERITY_MEDIUM), "its p50 was 4.0ms before");
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

static struct net_dial_row *add_dials(struct fixture *x, uint64_t count, uint64_t given_up,
				      double oldest_s)
{
	struct net_dial_row *d = MORE(x->w.net->dial, x->w.net->ndial);

	*d = (struct net_dial_row){ .host = API,
				    .phase = NET_TLS,
				    .count = count,
				    .given_up = given_up,
				    .several = oldest_s > NET_DIAL_SEVERAL_S ? count : 0,
				    .stuck = oldest_s > NET_DIAL_STUCK_S ? count : 0,
				    .oldest_s = oldest_s,
				    .sum_s = oldest_s * (double)count,
				    .age = AGE_AT_LEAST };
	return d;
}

static void dials_that_nobody_waits_for_fail(void **state)
{
	const struct finding *f;
	struct net_phase_row *p;
	struct fixture x;

	(void)state;
	set_up(&x);
	add_dials(&x, 16, 12, 4.2);
	f = only(&x, "failing-phase", SEVERITY_MEDIUM);
	expect_says(f, "requests to api.example.com:443 fail in the TLS handshake");
	expect_says(f, "callers gave up on 12 of 16 connections");
	expect_says(f, "none got through it in 5.0s; the oldest of them began at least 4.2s ago");

	/* others fail by themselves: still one finding */
	p = add_phase(&x.w, API, NET_TLS, 5, 10000);
	p->errors = 5;
	f = only(&x, "failing-phase", SEVERITY_MEDIUM);
	expect_says(f, "5 more ended with an error");

	/* others get through: some are stuck */
	p->errors = 0;
	p->p50_ns = p->p99_ns = p->total_ns = NS_MS;
	f = only(&x, "slow-phase", SEVERITY_MEDIUM);
	expect_says(f, "16 connections to api.example.com:443 are stuck in the TLS handshake");
	expect_says(f, "nobody waits for 12 of these connections any more");
	tear_down(&x);
}

static void dials_that_get_on_are_well(void **state)
{
	struct fixture x;

	(void)state;
	set_up(&x); /* an idle connection came first: their requests are served */
	add_dials(&x, 16, 12, 0.4);
	nothing(&x);
	set_up(&x);
	add_dials(&x, 2, 2, 2.5);
	nothing(&x);
}

/* ---- the resolver of many hosts ---- */

static void a_look_up(struct fixture *x, int i, uint64_t count, uint64_t p50_ms, uint64_t other_ms)
{
	char host[40];

	snprintf(host, sizeof(host), "h%d.example.com:80", i);
	add_phase(&x->w, host, NET_DNS, count, p50_ms);
	add_phase(&x->w, host, NET_TTFB, count, other_ms);
	x->w.net->lookups.count += count;
	x->w.net->lookups.timed += count;
	x->w.net->lookups.p50_ns = p50_ms * NS_MS;
	x->w.net->lookups.max_ns = 2 * p50_ms * NS_MS;
}

static struct net_dial_row *a_dial(struct fixture *x, int i, enum net_phase phase)
{
	struct net_dial_row *d = MORE(x->w.net->dial, x->w.net->ndial);

	snprintf(d->host, sizeof(d->host), "h%d.example.com:80", i);
	d->phase = phase;
	d->count = d->several = d->most = 1;
	d->oldest_s = d->sum_s = d->most_sum_s = d->most_oldest_s = 2.5;
	d->age = AGE_AT_LEAST;
	return d;
}

static void one_resolver_of_many_hosts_is_one_finding(void **state)
{
	const struct finding *f;
	struct fixture x;

	(void)state;
	set_up(&x); /* look-ups that ended */
	for (int i = 0; i < 120; i++)
		a_look_up(&x, i, 2, 2500, 3);
	f = only(&x, "slow-phase", SEVERITY_MEDIUM);
	assert_string_equal(f->id, "slow-phase:resolver:dns");
	expect_says(f, "the resolver is slow: look-ups of 120 hosts");
	expect_says(f, "most of it for h");
	assert_true(number(f, "hosts") == 120 && number(f, "count") == 240);
	assert_true(number(f, "p50_ms") == 2500);
	tear_down(&x);
	set_up(&x); /* one for each host, and none has ended */
	for (int i = 0; i < 120; i++)
		a_dial(&x, i, NET_DNS);
	x.w.net->dial[7].several = x.w.net->dial[7].most = 0; /* it has just begun */
	f = only(&x, "slow-phase", SEVERITY_MEDIUM);
	expect_says(f, "119 connections to 120 hosts hang in the DNS look-up, the oldest for at "
		       "least 2.5s");
	tear_down(&x);
	set_up(&x); /* nobody waits for them any more */
	for (int i = 0; i < 120; i++)
		a_dial(&x, i, NET_DNS)->given_up = 1;
	f = only(&x, "failing-phase", SEVERITY_MEDIUM);
	assert_string_equal(f->id, "failing-phase:resolver:dns");
	expect_says(f, "the resolver does not answer: look-ups of 120 hosts");
	tear_down(&x);
	set_up(&x); /* they end with an error, after long */
	for (int i = 0; i < 4; i++) {
		a_look_up(&x, i, 3, 2000, 0);
		x.w.net->phase[2 * i].errors = 3;
		x.w.net->lookups.errors += 3;
	}
	assert_string_equal(only(&x, "failing-phase", SEVERITY_MEDIUM)->id,
			    "failing-phase:resolver:dns");
	tear_down(&x);
}

static void hosts_that_do_not_share_a_fault(void **state)
{
	struct fixture x;

	(void)state;
	set_up(&x); /* quick look-ups of many hosts */
	for (int i = 0; i < 120; i++)
		a_look_up(&x, i, 20, 4, 1);
	nothing(&x);
	set_up(&x); /* two of many are slow: by host */
	for (int i = 0; i < 120; i++)
		a_look_up(&x, i, 20, i < 2 ? 2500 : 4, 40);
	detect(&x);
	assert_int_equal(x.fs.n, 2);
	for (int i = 0; i < 2; i++)
		assert_non_null(strstr(x.fs.f[i].id, ".example.com:80:dns"));
	tear_down(&x);
	set_up(&x); /* a look-up takes its time, but the answers take more */
	for (int i = 0; i < 8; i++)
		a_look_up(&x, i, 20, 110, 400);
	detect(&x);
	assert_int_equal(x.fs.n, 8);
	for (int i = 0; i < 8; i++)
		assert_non_null(strstr(x.fs.f[i].id, ":ttfb"));
	tear_down(&x);
	set_up(&x); /* names that do not exist are answered quickly */
	for (int i = 0; i < 8; i++) {
		a_look_up(&x, i, 20, 4, 0);
		x.w.net->phase[2 * i].errors = 20;
	}
	detect(&x);
	assert_int_equal(x.fs.n, 8);
	for (int i = 0; i < 8; i++)
		assert_non_null(strstr(x.fs.f[i].id, "failing-phase:h"));
	tear_down(&x);
	set_up(&x); /* connects are no look-ups */
	for (int i = 0; i < 8; i++)
		a_dial(&x, i, NET_CONNECT);
	nothing(&x);
}

/* Up to Go 1.22 a dial ends with its request: a look in the window has seen it. */
static void dials_that_were_stuck(void **state)
{
	const struct finding *f;
	struct fixture x;
	struct net_dial_row *d;

	(void)state;
	set_up(&x);
	d = a_dial(&x, 0, NET_DNS);
	d->count = d->several = 0;
	d->oldest_s = d->sum_s = 0;
	d->most = 4;
	d->most_sum_s = 7;
	d->most_oldest_s = 1.9;
	f = only(&x, "slow-phase", SEVERITY_MEDIUM);
	assert_string_equal(f->title, "4 connections to h0.example.com:80 were stuck in the DNS "
				      "look-up at once, the oldest for at least 1.9s");
	assert_true(number(f, "dials") == 4);
	d->most = 2; /* one may be slow */
	nothing(&x);
}

/* ---- what requests that are being written wait for, lost slots ---- */

static struct net_upload *add_upload(struct window *w, const char *host, enum net_uploading what,
				     uint64_t seen)
{
	struct net_upload *u = MORE(w->net->upload, w->net->nupload);

	strcpy(u->host, host);
	u->what = what;
	u->seen = seen;
	return u;
}

static void who_keeps_a_request_from_being_written(void **state)
{
	const struct finding *f;
	struct fixture x;

	(void)state;
	set_up(&x);
	add_phase(&x.w, API, NET_REQUEST_WRITE, 40, 1000)->busiest = AT_CHARGE;
	f = only(&x, "slow-phase", SEVERITY_MEDIUM);
	expect_says(f, "the server reads slowly, or the request's Body is produced slowly");
	add_upload(&x.w, API, NETUPLOAD_100, 9);
	add_upload(&x.w, API, NETUPLOAD_WRITES, 8);
	f = only(&x, "slow-phase", SEVERITY_MEDIUM);
	expect_says(f, "they wait for the server's 100 Continue (sampled: 9 of 17 sightings)");
	expect_says(f, "ExpectContinueTimeout");
	x.w.net->upload[1].seen = 9; /* nobody has most */
	f = only(&x, "slow-phase", SEVERITY_MEDIUM);
	expect_says(f, "the server reads slowly, or the request's Body is produced slowly");
	x.w.net->upload[1].what = NETUPLOAD_READS;
	x.w.net->upload[1].seen = 30;
	x.w.net->upload[1].reader = PLACE("main.(*feed).Read", "feed.go", 9);
	f = only(&x, "slow-phase", SEVERITY_MEDIUM);
	expect_says(f,
		    "they wait for their own Body: its Read is at main.(*feed).Read (feed.go:9)");
	strcpy(x.w.net->upload[1].host, "other:80");
	f = only(&x, "slow-phase", SEVERITY_MEDIUM);
	expect_says(f, "ExpectContinueTimeout");
	tear_down(&x);
}

static void lost_slots_need_another_go(void **state)
{
	struct net_connections *c;
	const struct finding *f;
	struct fixture x;

	(void)state;
	set_up(&x);
	c = add_connections(&x.w, API, 1, 0, 0);
	c->max_per_host = 8;
	c->waiting = 40;
	c->lost_slots = 7;
	f = only(&x, "lost-slot", SEVERITY_HIGH);
	assert_non_null(strstr(f->title, "7 slots of MaxConnsPerHost 8 to "));
	expect_says(f, "go1.22.1 or newer");
	c->lost_slots = 0;
	nothing(&x);
}

static void look_ups_that_hang(void **state)
{
	const struct finding *f;
	struct net_own_lookup *r;
	struct fixture x;

	(void)state;
	set_up(&x);
	r = MORE(x.w.net->own_lookup, x.w.net->nown_lookup);
	*r = (struct net_own_lookup){
		.place = AT_CHARGE, .count = 9, .hanging = 4, .oldest_s = 4.2, .age = AGE_AT_LEAST
	};
	f = only(&x, "slow-phase", SEVERITY_MEDIUM);
	assert_string_equal(f->title, "4 look-ups at main.charge (charge.go:52) wait for the "
				      "resolver, the oldest for at least 4.2s");
	expect_says(f, "/etc/resolv.conf");
	r->hanging = 0;
	nothing(&x);
}

static void dead_connections_are_found(void **state)
{
	const struct finding *f;
	struct net_dead *d;
	struct fixture x;

	(void)state;
	set_up(&x);
	d = MORE(x.w.net->dead, x.w.net->ndead);
	*d = (struct net_dead){ .protocol = "h2",
				.count = 2,
				.streams = 9,
				.silent_s = 6.1,
				.resent = 4,
				.pings = UNKNOWN };
	strcpy(d->host, API);
	f = only(&x, "dead-connection", SEVERITY_HIGH);
	assert_non_null(strstr(f->title, "2 HTTP/2 connections to "));
	expect_says(f, "sent the same 5 times");
	expect_says(f, "9 calls on them");
	expect_says(f, "ReadIdleTimeout");
	d->protocol = "grpc";
	d->pings = KNOWN_NO;
	expect_says(only(&x, "dead-connection", SEVERITY_HIGH), "keepalive");
	d->pings = KNOWN_YES; /* they are about to notice */
	detect(&x);
	assert_int_equal(x.fs.n, 0);
	d->silent_s = 61;
	only(&x, "dead-connection", SEVERITY_HIGH);
	d->other = true;
	nothing(&x);
}

/* ---- connection-leak, connection-churn ---- */

/* Each host has its own: those without a place go with the place of their host. */
static void bodies_of_many_hosts(void **state)
{
	char host[32];
	struct fixture x;

	(void)state;
	set_up(&x);
	for (int i = 0; i < 8; i++) {
		snprintf(host, sizeof(host), "h%d.example.com:443", i);
		add_unclosed(&x.w, host, 4, 1, 8)->place = (struct place){ 0 };
		if (i % 2)
			add_unclosed(&x.w, host, 1, 0, 8);
	}
	detect(&x);
	assert_int_equal(x.fs.n, 8);
	for (int i = 0; i < 8; i++) {
		bool odd = strstr(x.fs.f[i].id, ":443:main.statusOnly");

		assert_int_equal(says(&x.fs.f[i], "4 more to this host"), odd);
		assert_int_equal(!x.fs.f[i].place.function, !odd);
	}
	tear_down(&x);
}

static void unclosed_bodies_leak(void **state)
{
	const struct finding *f;
	struct fixture x;

	(void)state;
	set_up(&x);
	add_unclosed(&x.w, API, 38, 8, 610);
	add_connections(&x.w, API, 40, 2, 30);
	f = only(&x, "connection-leak", SEVERITY_MEDIUM);
	assert_string_equal(f->id, "connection-leak:" API ":main.statusOnly:check.go:19");
	assert_string_equal(f->title, "38 response bodies from " API
				      " were never closed, received at main.statusOnly "
				      "(check.go:19)");
	assert_true(number(f, "count") == 38 && number(f, "oldest_s") == 610 &&
		    number(f, "per_minute") == 90);
	expect_says(f, "resp.Body.Close()");
	expect_says(f, "40 connections to this host are open, 2 of them idle");
	/* those from before are reported with the place */
	add_unclosed(&x.w, API, 12, 12, 900)->place = (struct place){ 0 };
	expect_says(only(&x, "connection-leak", SEVERITY_MEDIUM),
		    "12 more to this host were opened before gospect attached");
	/* and on their own when nothing is added */
	x.w.net->unclosed[0] = x.w.net->unclosed[1];
	x.w.net->nunclosed = 1;
	f = only(&x, "connection-leak", SEVERITY_MEDIUM);
	assert_string_equal(f->id, "connection-leak:" API);
	assert_true(number(f, "per_minute") == 0);
	expect_says(f, "opened before gospect attached; call site unknown");
	tear_down(&x);
	set_up(&x); /* some calls were not seen: one that was has the place of all */
	add_unclosed(&x.w, API, 4, 1, 8)->place = (struct place){ 0 };
	expect_says(only(&x, "connection-leak", SEVERITY_MEDIUM),
		    "the calls that opened them were not seen; call site unknown");
	add_unclosed(&x.w, API, 1, 0, 8);
	f = only(&x, "connection-leak", SEVERITY_MEDIUM);
	assert_string_equal(f->id, "connection-leak:" API ":main.statusOnly:check.go:19");
	expect_says(f, "4 more to this host, whose calls were not seen");
	x.w.net->unclosed[1].count_before = 1; /* that place adds none */
	assert_string_equal(only(&x, "connection-leak", SEVERITY_MEDIUM)->id,
			    "connection-leak:" API);
	tear_down(&x);
	set_up(&x); /* younger than the observation, but more and more */
	add_unclosed(&x.w, API, 9, 4, 4)->age = AGE_EXACT;
	only(&x, "connection-leak", SEVERITY_MEDIUM);
	tear_down(&x);
	set_up(&x); /* two, and growing */
	add_unclosed(&x.w, API, 2, 0, 8);
	only(&x, "connection-leak", SEVERITY_MEDIUM);
	tear_down(&x);
	set_up(&x); /* read once: no time to grow */
	x.w.window_s = x.w.observed_s = 0;
	add_unclosed(&x.w, API, 3, 3, 2)->age = AGE_EXACT;
	f = only(&x, "connection-leak", SEVERITY_MEDIUM);
	assert_false(has_number(f, "per_minute"));
	tear_down(&x);
}

static void bodies_that_go_away_do_not_leak(void **state)
{
	struct fixture x;

	(void)state;
	set_up(&x);
	add_unclosed(&x.w, API, 2, 2, 900);
	nothing(&x);
	set_up(&x);
	add_unclosed(&x.w, API, 1, 0, 5); /* one more: closed late by a defer, it may be */
	nothing(&x);
	set_up(&x);
	add_unclosed(&x.w, API, 5, 6, 4)->age = AGE_EXACT; /* others than at the first look */
	nothing(&x);
	set_up(&x);
	add_unclosed(&x.w, API, 50, 0, 900)->other = true;
	nothing(&x);
}

static void churn_is_dialling_for_each_request(void **state)
{
	const struct finding *f;
	struct net_connections *c;
	struct net_phase_row *p;
	struct fixture x;

	(void)state;
	set_up(&x);
	c = add_connections(&x.w, API, 50, 2, 1000);
	add_phase(&x.w, API, NET_CONNECT, 1000, 1)->busiest = AT_CHARGE;
	p = add_phase(&x.w, API, NET_TTFB, 1010, 5);
	f = only(&x, "connection-churn", SEVERITY_LOW);
	assert_string_equal(f->title, "connections to " API
				      " are not reused: 1,000 dials for 1,010 requests in 5.0s");
	assert_string_equal(f->id, "connection-churn:" API ":main.charge:charge.go:52");
	expect_says(f, "at most 2 idle connections are kept per host");
	p->exactness = SAMPLED;
	expect_says(only(&x, "connection-churn", SEVERITY_LOW), "about 1,010");
	p->count = 100000; /* most requests use one that is there */
	detect(&x);
	assert_int_equal(x.fs.n, 0);
	p->count = 1010;
	c->open = 990; /* a start, a leak: they are kept */
	detect(&x);
	assert_int_equal(x.fs.n, 0);
	c->open = 500; /* a Transport for each request keeps them, too */
	c->transports = 250;
	f = only(&x, "connection-churn", SEVERITY_LOW);
	expect_says(f, "they are of 250 http.Transports");
	expect_says(f, "make one http.Client or Transport and share it");
	c->transports = 249; /* three connections each */
	detect(&x);
	assert_int_equal(x.fs.n, 0);
	c->transports = 1;
	c->open = 1;
	c->dials = 9;
	nothing(&x);
	set_up(&x); /* dials that fail are no churn */
	add_connections(&x.w, API, 0, 0, 50);
	p = add_phase(&x.w, API, NET_CONNECT, 50, 1);
	p->errors = 50;
	add_phase(&x.w, API, NET_TTFB, 1, 5);
	only(&x, "failing-phase", SEVERITY_MEDIUM);
	tear_down(&x);
	set_up(&x); /* nor are those of requests that were given up: each closes its connection */
	add_connections(&x.w, API, 0, 0, 50);
	add_phase(&x.w, API, NET_CONNECT, 50, 1);
	add_phase(&x.w, API, NET_TTFB, 50, 5)->errors = 45;
	only(&x, "failing-phase", SEVERITY_MEDIUM);
	x.w.net->phase[1].errors = 5; /* a few failed, the others were thrown away */
	only(&x, "connection-churn", SEVERITY_LOW);
	tear_down(&x);
}

/* ---- database/sql ---- */

static void an_exhausted_pool(void **state)
{
	const struct finding *f;
	struct sql_pool *p;
	struct fixture x;

	(void)state;
	set_up(&x);
	p = add_pool(&x.w, 4, 4, 20, 9.8);
	p->waits_at = AT_QUERY;
	f = only(&x, "pool-exhausted", SEVERITY_CRITICAL);
	assert_string_equal(f->id, "pool-exhausted:*pq.Driver:4");
	assert_string_equal(
		f->title,
		"database pool exhausted: all 4 of *pq.Driver in use, 20 goroutines wait, the "
		"longest for 9.8s");
	assert_string_equal(f->place.function, "main.(*Store).load");
	assert_true(number(f, "max_open") == 4 && number(f, "in_use") == 4 &&
		    number(f, "waiters") == 20 && number(f, "longest_wait_s") == 9.8);
	expect_says(f, "unknown who holds the connections");
	add_holder(p, SQL_TRANSACTION, 2, 2.5, AT_TX);
	add_holder(p, SQL_ROWS, 1, 2.5, AT_QUERY)->place_is_now = true;
	f = only(&x, "pool-exhausted", SEVERITY_CRITICAL);
	assert_string_equal(f->place.function, "main.holdTx");
	expect_says(f, "2 held by a transaction for 2.5s, taken at main.holdTx (tx.go:96)");
	expect_says(f, "1 held by unclosed rows for 2.5s, now at main.(*Store).load (store.go:33)");
	expect_says(f, "tx.Rollback()");
	/* a second pool alike has an id of its own */
	add_pool(&x.w, 4, 4, 1, 2);
	detect(&x);
	assert_int_equal(x.fs.n, 2);
	assert_string_equal(x.fs.f[1].id, "pool-exhausted:*pq.Driver:4:2");
	assert_non_null(strstr(x.fs.f[1].title, "1 goroutine waits"));
	tear_down(&x);
}

/* Advice is of the library's, and of what holds the connections. */
static void an_exhausted_pool_of_redis(void **state)
{
	const struct finding *f;
	struct sql_pool *p;
	struct fixture x;

	(void)state;
	set_up(&x);
	p = add_pool(&x.w, 10, 10, 5, 3.5);
	p->library = SQL_REDIS;
	strcpy(p->driver, "go-redis");
	expect_says(only(&x, "pool-exhausted", SEVERITY_CRITICAL), "unknown who holds");
	add_holder(p, SQL_CALL, 8, 40, AT_QUERY);
	p->kept = 2;
	f = only(&x, "pool-exhausted", SEVERITY_CRITICAL);
	assert_string_equal(f->title, "connection pool exhausted: all 10 of go-redis in use, 5 "
				      "goroutines wait, the longest for 3.5s");
	expect_says(f, "8 held by a call for 40.0s");
	expect_says(f, "2 held with no command seen under way: by a Conn");
	assert_non_null(strstr(f->advice, "raise PoolSize"));
	p->holder[0].count = 3;
	p->kept = 7;
	f = only(&x, "pool-exhausted", SEVERITY_CRITICAL);
	assert_non_null(strstr(f->advice, "close every Conn"));
	p->longest_wait_s = 0.4; /* busy */
	nothing(&x);
}

static void a_full_pool_is_not_exhausted(void **state)
{
	struct fixture x;

	(void)state;
	set_up(&x);
	add_pool(&x.w, 4, 4, 20, 0.9); /* they wait, and get one */
	add_pool(&x.w, 4, 4, 0, 0);
	add_pool(&x.w, 0, 400, 1, 5); /* no limit: what it waits for is a dial */
	add_pool(&x.w, 8, 4, 1, 3);   /* there is room: it is being dialled */
	add_pool(&x.w, 4, 4, 20, 0)->age = AGE_UNKNOWN;
	nothing(&x);
}

static void open_transactions(void **state)
{
	const struct finding *f;
	struct sql_pool *p;
	struct fixture x;

	(void)state;
	set_up(&x);
	p = add_pool(&x.w, 10, 3, 0, 0);
	add_holder(p, SQL_TRANSACTION, 2, 12.1, AT_TX);
	f = only(&x, "transaction-open", SEVERITY_HIGH);
	assert_string_equal(f->id, "transaction-open:main.holdTx:tx.go:96");
	assert_string_equal(f->title, "2 database transactions begun at main.holdTx (tx.go:96) are "
				      "open, the oldest for 12.1s");
	assert_true(number(f, "count") == 2 && number(f, "oldest_s") == 12.1);
	expect_says(f, "goroutine 31");
	/* the same place in another pool: one finding, with the oldest of all */
	add_holder(add_pool(&x.w, 5, 1, 0, 0), SQL_TRANSACTION, 1, 30, AT_TX);
	f = only(&x, "transaction-open", SEVERITY_HIGH);
	assert_true(number(f, "count") == 3 && number(f, "oldest_s") == 30);
	/* older than gospect */
	x.w.sql->pool[1].holder[0].place_is_now = true;
	expect_says(only(&x, "transaction-open", SEVERITY_HIGH), "not the Begin");
	tear_down(&x);
	set_up(&x); /* no place at all */
	p = add_pool(&x.w, 10, 1, 0, 0);
	p->transactions_open = p->transactions_without_place = 1;
	p->oldest_without_place_s = 3.5;
	p->without_place_age = AGE_AT_LEAST;
	f = only(&x, "transaction-open", SEVERITY_HIGH);
	assert_string_equal(f->id, "transaction-open:*pq.Driver");
	assert_string_equal(
		f->title,
		"1 database transaction (*pq.Driver) is open, the oldest for at least 3.5s");
	p->transactions_out_of_sight = 1;
	expect_says(only(&x, "transaction-open", SEVERITY_HIGH), "has it at hand no more");
	tear_down(&x);
}

/* Who waits for another connection of the pool that he has all of. */
static void a_pool_that_deadlocks_itself(void **state)
{
	const struct finding *f;
	struct sql_holder *h;
	struct sql_pool *p;
	struct fixture x;

	(void)state;
	set_up(&x);
	p = add_pool(&x.w, 4, 4, 20, 9.8);
	h = add_holder(p, SQL_TRANSACTION, 4, 12, AT_TX);
	h->waits = true;
	h->waits_at = h->place;
	h->waits_at.line = 99;
	p->held_by_waiters = 4;
	/* and the transactions that wait are no finding of their own */
	f = only(&x, "pool-exhausted", SEVERITY_CRITICAL);
	assert_string_equal(f->title, "database pool deadlocks itself: who holds all 4 of "
				      "*pq.Driver waits for one more, the longest for 9.8s");
	expect_says(f, "tx.go:96");
	expect_says(f, "the same goroutines wait for another connection at main.holdTx (tx.go:99)");
	assert_non_null(strstr(f->advice, "tx.Query"));
	/* not all of them: then somebody may still give one back */
	p->held_by_waiters = h->count = 3;
	f = only(&x, "pool-exhausted", SEVERITY_CRITICAL);
	assert_non_null(strstr(f->title, "pool exhausted"));
	expect_says(f, "the same goroutines wait");
	tear_down(&x);
}

static void a_pool_that_keeps_no_connection(void **state)
{
	const struct finding *f;
	struct sql_pool *p;
	struct fixture x;

	(void)state;
	set_up(&x);
	x.w.window_s = 5;
	p = add_pool(&x.w, 10, 4, 0, 0);
	p->open = 8;
	p->closes_known = true;
	p->closed = (struct sql_closes){ .lifetime = 60, .idle = 5 };
	p->max_lifetime_s = 0.1;
	f = only(&x, "connection-churn", SEVERITY_LOW);
	assert_string_equal(f->title, "database connections of *pq.Driver are not kept: 65 closed "
				      "in 5.0s by the pool's limits, 8 open");
	assert_string_equal(f->advice, "raise DB.SetConnMaxLifetime to minutes");
	expect_says(f, "60 by DB.SetConnMaxLifetime(100ms)");
	p->closed.idle = 200;
	f = only(&x, "connection-churn", SEVERITY_LOW);
	assert_non_null(strstr(f->advice, "SetMaxIdleConns"));
	expect_says(f, "only 2 may be idle (DB.SetMaxIdleConns, the default)");
	/* now and then, of many that are kept, or in a long window */
	p->closed = (struct sql_closes){ .idle = 9 };
	detect(&x);
	assert_int_equal(x.fs.n, 0);
	p->closed.idle = 65;
	p->open = 22;
	detect(&x);
	assert_int_equal(x.fs.n, 0);
	p->open = 8;
	x.w.window_s = 60;
	nothing(&x);
}

static void hanging_queries(void **state)
{
	struct sql_query q = { .place = { .function = "main.report", .file = "r.go", .line = 7 },
			       .in_flight = 5,
			       .hanging = 2,
			       .longest_hanging_s = 3.1,
			       .hanging_age = AGE_AT_LEAST };
	const struct finding *f;
	struct fixture x;

	(void)state;
	set_up(&x);
	x.w.sql->query = malloc(sizeof(q));
	assert_non_null(x.w.sql->query);
	x.w.sql->nquery = 1;
	x.w.sql->known = true;
	*x.w.sql->query = q;
	f = only(&x, "no-timeout", SEVERITY_MEDIUM);
	assert_string_equal(f->title, "2 database queries at main.report (r.go:7) have no answer "
				      "yet, without a deadline, the oldest for at least 3.1s");
	assert_true(number(f, "hanging") == 2 && number(f, "in_flight") == 5);
	/* one alone may just take long */
	x.w.sql->query->hanging = 1;
	x.w.sql->query->longest_hanging_s = 29;
	detect(&x);
	assert_int_equal(x.fs.n, 0);
	x.w.sql->query->longest_hanging_s = 31;
	only(&x, "no-timeout", SEVERITY_HIGH);
	x.w.sql->query->hanging = 2;
	f = only(&x, "no-timeout", SEVERITY_HIGH);
	assert_string_equal(f->title, "2 database queries at main.report (r.go:7) hang without a "
				      "deadline, the oldest for at least 31.0s");
	/* such a one has come back: they are slow */
	x.w.sql->query->came_back_s = 12;
	detect(&x);
	assert_int_equal(x.fs.n, 0);
	x.w.sql->query->longest_hanging_s = 37;
	only(&x, "no-timeout", SEVERITY_HIGH);
	x.w.sql->query->hanging_age = AGE_UNKNOWN;
	nothing(&x);
}

static void short_transactions_and_calls(void **state)
{
	struct sql_pool *p;
	struct fixture x;

	(void)state;
	set_up(&x);
	p = add_pool(&x.w, 10, 9, 0, 0);
	add_holder(p, SQL_TRANSACTION, 9, 2.9, AT_TX);
	add_holder(p, SQL_CALL, 3, 60, AT_QUERY);
	add_holder(p, SQL_CONN, 3, 600, AT_QUERY); /* kept on purpose: LISTEN, an advisory lock */
	add_holder(p, SQL_ROWS, 2, 600, AT_QUERY); /* an export */
	add_holder(p, SQL_TRANSACTION, 1, 600, AT_CHARGE)->age = AGE_UNKNOWN;
	nothing(&x);
}

static void rows_never_closed(void **state)
{
	const struct finding *f;
	struct fixture x;

	(void)state;
	set_up(&x);
	add_holder(add_pool(&x.w, 0, 12, 0, 0), SQL_ROWS, 12, 41, AT_QUERY);
	f = only(&x, "rows-open", SEVERITY_LOW);
	assert_true(number(f, "count") == 12);
	expect_says(f, "rows.Close()");
	x.w.sql->pool[0].holder[0].held_s = 9;
	nothing(&x);
}

/* ---- locks ---- */

static void contended_locks(void **state)
{
	const struct finding *f;
	struct lock_wait_row *r;
	struct fixture x;

	(void)state;
	set_up(&x);
	r = add_lock(&x.w, 30, 28, 4.2);
	r->holder = 12;
	strcpy(r->holder_does, "sleeps");
	r->holder_at = PLACE("main.(*Cache).fill", "cache.go", 90);
	f = only(&x, "lock-contention", SEVERITY_INFO);
	assert_string_equal(
		f->title,
		"30 goroutines wait at main.(*Cache).Get (cache.go:71) for one lock: sync.Mutex");
	assert_true(number(f, "waiters") == 30 && number(f, "longest_wait_s") == 4.2 &&
		    number(f, "locks") == 1);
	expect_says(f, "goroutine 12 holds it (inferred) and sleeps, at "
		       "main.(*Cache).fill (cache.go:90)");
	add_lock(&x.w, 2, 0, 9); /* another lock at the same place: one finding */
	f = only(&x, "lock-contention", SEVERITY_INFO);
	assert_true(number(f, "waiters") == 32 && number(f, "locks") == 2 &&
		    number(f, "longest_wait_s") == 9);
	tear_down(&x);
	set_up(&x); /* always some of them */
	add_lock(&x.w, 5, 5, 0)->age = AGE_UNKNOWN;
	only(&x, "lock-contention", SEVERITY_INFO);
	x.w.locks->waits_known = true;
	x.w.locks->waits = 40000;
	x.w.locks->p50_ns = 50000; /* but none for long: a busy lock */
	nothing(&x);
	set_up(&x);
	add_lock(&x.w, 5, 5, 0.4); /* the short waits are for other locks */
	x.w.locks->waits_known = true;
	x.w.locks->waits = 40000;
	x.w.locks->p50_ns = 50000;
	only(&x, "lock-contention", SEVERITY_INFO);
	tear_down(&x);
}

static void locks_that_are_reported_elsewhere_or_are_well(void **state)
{
	struct deadlock_member m[2] = { 0 };
	struct leak_row leak = { .at = AT_LOCK, .count = 30 };
	struct fixture x;

	(void)state;
	set_up(&x);
	add_lock(&x.w, 1, 1, 50);
	add_lock(&x.w, 4, 4, 0.9);
	add_lock(&x.w, 30, 0, 0.01);
	add_lock(&x.w, 90, 90, 9)->other = true;
	nothing(&x);
	set_up(&x);
	m[0].lock = add_lock(&x.w, 30, 30, 9)->lock;
	x.w.goroutines->deadlocks.member = m;
	x.w.goroutines->deadlocks.nmember = 2;
	detect(&x);
	assert_int_equal(x.fs.n, 0);
	x.w.goroutines->deadlocks.member = NULL;
	x.w.goroutines->deadlocks.nmember = 0;
	x.w.goroutines->leaks =
		(struct leaks_window){ .verdict = LEAKS_VERDICT_PASSES, .row = &leak, .nrow = 1 };
	detect(&x);
	assert_int_equal(x.fs.n, 0);
	x.w.goroutines->leaks = (struct leaks_window){ 0 };
	only(&x, "lock-contention", SEVERITY_INFO);
	tear_down(&x);
}

/* ---- servers ---- */

static void connections_hang_on_a_server(void **state)
{
	const struct finding *f;
	struct fixture x;

	(void)state;
	set_up(&x);
	add_server(&x.w, 900, 40);
	add_server(&x.w, 100, 40)->place.line = 31; /* another handler of the same server */
	f = only(&x, "server-no-timeout", SEVERITY_LOW);
	assert_true(number(f, "hanging") == 40);
	assert_string_equal(f->id, "server-no-timeout:process");
	assert_string_equal(f->place.function, "main.(*Shop).cart");
	expect_says(f, "ReadHeaderTimeout");
	for (int i = 0; i < 2; i++)
		x.w.net->server[i].no_read_timeout = false;
	detect(&x);
	assert_int_equal(x.fs.n, 0);
	x.w.net->server[0].no_read_timeout = true;
	x.w.net->server[0].hanging = 2;
	nothing(&x);
}

/* ---- hostile names ---- */

static void expect_clean(const char *s)
{
	int32_t code;

	while (*s) {
		s += utf8_next(s, &code);
		assert_true(code >= 0x20 && !(code >= 0x7f && code < 0xa0) && code != 0x202e);
	}
}

static void hostile_hosts_are_harmless(void **state)
{
	char a[WINDOW_MAX_HOST + 1], b[WINDOW_MAX_HOST + 1];
	static const char odd[] = "\x1b[31m\xff\xc3\xe2\x80\xae\r\n\"'%s%n<script>:443";
	struct place huge;
	static char name[20000];
	struct fixture x;

	(void)state;
	memset(a, 'a', WINDOW_MAX_HOST);
	a[WINDOW_MAX_HOST] = '\0';
	memcpy(b, a, sizeof(a));
	b[100] = 'b';
	memset(name, 'f', sizeof(name) - 1);
	huge = PLACE(name, "f.go", 1);
	set_up(&x);
	add_phase(&x.w, a, NET_TLS, 50, 400);
	add_phase(&x.w, b, NET_TLS, 50, 400);
	add_phase(&x.w, odd, NET_TLS, 50, 400);
	add_unclosed(&x.w, a, 9, 0, 9)->place = huge;
	add_unclosed(&x.w, b, 9, 0, 9)->place = huge;
	add_unclosed(&x.w, odd, 9, 0, 9);
	detect(&x);
	assert_int_equal(x.fs.n, 6);
	for (int i = 0; i < 6; i++) {
		const struct finding *f = &x.fs.f[i];

		expect_clean(f->title);
		expect_clean(f->id);
		for (int k = 0; k < f->nevidence; k++)
			expect_clean(f->evidence[k]);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(f->id, x.fs.f[k].id);
	}
	tear_down(&x);
}

static void many_hosts_are_bounded(void **state)
{
	struct fixture x;
	char host[40];

	(void)state;
	set_up(&x);
	for (int i = 0; i < 1000; i++) {
		snprintf(host, sizeof(host), "h%d:80", i);
		add_phase(&x.w, host, NET_TTFB, 50, 400);
		add_request(&x.w, host, NET_TTFB, 5);
		add_unclosed(&x.w, host, 9, 0, 9);
	}
	detect(&x);
	assert_int_equal(x.fs.n, FINDINGS_MAX);
	assert_int_equal(x.fs.dropped, 2000 - FINDINGS_MAX);
	tear_down(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_idle_program_is_well),
		cmocka_unit_test(a_busy_program_is_well),
		cmocka_unit_test(what_is_off_is_not_judged),
		cmocka_unit_test(hanging_requests_without_a_timeout),
		cmocka_unit_test(grpc_calls_that_hang),
		cmocka_unit_test(grpc_calls_that_do_not_hang),
		cmocka_unit_test(grpc_calls_that_fail),
		cmocka_unit_test(grpc_answers_are_no_failures),
		cmocka_unit_test(requests_that_come_back_do_not_hang),
		cmocka_unit_test(what_hangs_is_decided_in_one_place),
		cmocka_unit_test(each_slow_phase_is_named),
		cmocka_unit_test(fast_or_shared_time_is_not_slow),
		cmocka_unit_test(ten_times_its_earlier_median_is_slow),
		cmocka_unit_test(stuck_requests_are_a_slow_phase),
		cmocka_unit_test(requests_in_flight_are_not_stuck),
		cmocka_unit_test(phases_that_fail),
		cmocka_unit_test(calls_that_fail),
		cmocka_unit_test(calls_that_get_no_connection),
		cmocka_unit_test(dials_that_nobody_waits_for_fail),
		cmocka_unit_test(dials_that_get_on_are_well),
		cmocka_unit_test(one_resolver_of_many_hosts_is_one_finding),
		cmocka_unit_test(hosts_that_do_not_share_a_fault),
		cmocka_unit_test(dials_that_were_stuck),
		cmocka_unit_test(unclosed_bodies_leak),
		cmocka_unit_test(bodies_of_many_hosts),
		cmocka_unit_test(bodies_that_go_away_do_not_leak),
		cmocka_unit_test(churn_is_dialling_for_each_request),
		cmocka_unit_test(who_keeps_a_request_from_being_written),
		cmocka_unit_test(lost_slots_need_another_go),
		cmocka_unit_test(dead_connections_are_found),
		cmocka_unit_test(look_ups_that_hang),
		cmocka_unit_test(an_exhausted_pool),
		cmocka_unit_test(an_exhausted_pool_of_redis),
		cmocka_unit_test(a_full_pool_is_not_exhausted),
		cmocka_unit_test(open_transactions),
		cmocka_unit_test(a_pool_that_deadlocks_itself),
		cmocka_unit_test(hanging_queries),
		cmocka_unit_test(a_pool_that_keeps_no_connection),
		cmocka_unit_test(short_transactions_and_calls),
		cmocka_unit_test(rows_never_closed),
		cmocka_unit_test(contended_locks),
		cmocka_unit_test(locks_that_are_reported_elsewhere_or_are_well),
		cmocka_unit_test(connections_hang_on_a_server),
		cmocka_unit_test(hostile_hosts_are_harmless),
		cmocka_unit_test(many_hosts_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
