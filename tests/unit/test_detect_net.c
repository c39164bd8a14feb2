/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Findings on a program that is well, on calls without a timeout, on servers,
 * and on hostile names; each beside its twin that must give none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "net/subject.h"
#include "base/text.h"
#include "detect_net.h"
#include "net_window.h"

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
		cmocka_unit_test(connections_hang_on_a_server),
		cmocka_unit_test(hostile_hosts_are_harmless),
		cmocka_unit_test(many_hosts_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
