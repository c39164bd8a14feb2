/* SPDX-License-Identifier: BSD-2-Clause */
/* What is found of requests of HTTP/2, on windows written by hand: what they wait for,
 * and connections whose peer has gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/vec.h"
#include "net/subject.h"
#include "net_window.h"
#include "observe/detect.h"

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

static const struct finding *only(struct fixture *x, const char *kind, enum severity s)
{
	findings_deinit(&x->fs);
	x->fs = (struct findings){ 0 };
	detect_all(&x->w, &x->fs);
	if (x->fs.n != 1)
		fail_msg("%d findings, the first: %s", x->fs.n, x->fs.n ? x->fs.f[0].title : "");
	assert_string_equal(x->fs.f[0].kind, kind);
	assert_int_equal(x->fs.f[0].severity, s);
	return &x->fs.f[0];
}

static bool has_line(const struct finding *f, const char *what)
{
	for (int i = 0; i < f->nevidence; i++)
		if (strstr(f->evidence[i], what))
			return true;
	return strstr(f->title, what) || strstr(f->advice, what);
}

static void expect_says(const struct finding *f, const char *what)
{
	if (has_line(f, what))
		return;
	for (int i = 0; i < f->nevidence; i++)
		print_message("- %s\n", f->evidence[i]);
	fail_msg("'%s' does not say '%s'; it advises: %s", f->title, what, f->advice);
}

/* ---- what they wait for ---- */

/* Four requests to the API, each in that phase for over 3 s. */
static void add_waiting(struct fixture *x, int phase, enum net_waits waits, enum known timeout)
{
	for (int i = 0; i < 4; i++) {
		struct net_request *r = add_request(&x->w, API, phase, 4 + i);

		r->waits = waits;
		r->timeout = timeout;
		r->timeout_s = 60;
	}
}

static void what_they_wait_for_is_said(void **state)
{
	static const struct {
		int phase;
		enum net_waits waits;
		const char *says, *advises;
	} at[] = {
		{ NET_POOL_WAIT, NET_WAITS_STREAM,
		  "4 in flight: waiting for leave to open one more",
		  "raise the server's MaxConcurrentStreams" },
		{ NET_REQUEST_WRITE, NET_WAITS_FLOW, "flow control is used up",
		  "handler does not read the request's body" },
		{ NET_REQUEST_WRITE, NET_WAITS_BODY, "request's own Body", "produces" },
		{ NET_REQUEST_WRITE, NET_WAITS_SOCKET, "which takes no more", "WriteByteTimeout" },
		{ NET_REQUEST_WRITE, NET_WAITS_NOTHING, "100% of the time", "reads slowly" },
	};
	const struct finding *f;
	struct fixture x;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		set_up(&x);
		add_waiting(&x, at[i].phase, at[i].waits, KNOWN_YES);
		f = only(&x, "slow-phase", SEVERITY_MEDIUM);
		expect_says(f, at[i].says);
		expect_says(f, at[i].advises);
		tear_down(&x);
	}
}

static void of_the_place_that_hangs_alone(void **state)
{
	const struct finding *f;
	struct fixture x;

	(void)state;
	set_up(&x);
	add_waiting(&x, NET_POOL_WAIT, NET_WAITS_STREAM, KNOWN_NO);
	add_request(&x.w, API, NET_POOL_WAIT, 0.5)->place = AT_STATUS;
	add_client(&x.w, 4, 7);
	f = only(&x, "no-timeout", SEVERITY_HIGH);
	expect_says(f, "4 in flight: waiting for leave");
	expect_says(f, "set http.Client.Timeout");
	expect_says(f, "raise the server's MaxConcurrentStreams");
	tear_down(&x);
}

/* Two connections of HTTP/2 to the API: so many streams are in use, 4 are allowed on one. */
static void holders_of_streams(struct fixture *x, uint64_t streams)
{
	struct net_connections *c = add_connections(&x->w, API, 2, 0, 0);

	c->protocol = "h2";
	c->streams = streams;
	c->max_streams = 4;
	c->waiting = 4;
	c->holder[0] = (struct net_holder){ AT_STATUS, 5, 5 };
	c->holder[1] = (struct net_holder){ AT_QUERY, 2, 0 };
	c->nholder = 2;
	add_waiting(x, NET_POOL_WAIT, NET_WAITS_NOTHING, KNOWN_YES);
}

static void who_holds_the_streams_is_said(void **state)
{
	const struct finding *f;
	struct fixture x;

	(void)state;
	set_up(&x);
	holders_of_streams(&x, 8);
	f = only(&x, "slow-phase", SEVERITY_MEDIUM);
	expect_says(f, "allows 4 streams at once on a connection; in use: 8 (5 by main.statusOnly "
		       "check.go:19, whose bodies are not at their end, 2 by main.(*Store).load "
		       "store.go:33, 1 by calls that were not seen)");
	expect_says(f, "MaxConcurrentStreams");
	tear_down(&x);
	set_up(&x); /* they are not all in use: it waits for something else */
	holders_of_streams(&x, 7);
	f = only(&x, "slow-phase", SEVERITY_MEDIUM);
	assert_false(has_line(f, "MaxConcurrentStreams"));
	expect_says(f, "MaxConnsPerHost");
	tear_down(&x);
}

/* ---- connections whose peer has gone ---- */

/* A silent connection to the API, on which three requests wait. */
static struct net_silent *add_silent(struct fixture *x, double silent_s)
{
	struct net_silent *s = MORE(x->w.net->silent, x->w.net->nsilent);

	snprintf(s->host, sizeof(s->host), "%s", API);
	s->waiting = 3;
	s->heard_s = silent_s;
	s->age = AGE_AT_LEAST;
	s->read_idle = KNOWN_NO;
	s->place = AT_CHARGE;
	return s;
}

static void a_peer_that_answers_no_ping_is_dead(void **state)
{
	struct fixture x;

	(void)state;
	set_up(&x);
	add_silent(&x, 8)->ping_s = 3.5;
	expect_says(only(&x, "dead-connection", SEVERITY_HIGH),
		    "a PING is unanswered for at least 3.5s");
	tear_down(&x);
}

static void nothing(struct fixture *x)
{
	findings_deinit(&x->fs);
	x->fs = (struct findings){ 0 };
	detect_all(&x->w, &x->fs);
	if (x->fs.n)
		fail_msg("found '%s'", x->fs.f[0].title);
	tear_down(x);
}

static void a_silent_peer_need_not_be_dead(void **state)
{
	struct net_silent *s;
	struct fixture x;

	(void)state;
	set_up(&x);
	add_silent(&x, 60); /* slow */
	nothing(&x);
	set_up(&x);
	add_silent(&x, 60)->ping_s = 2.9;
	nothing(&x);
	set_up(&x);
	s = add_silent(&x, 60); /* the transport finds out by itself */
	s->ping_s = 10;
	s->read_idle = KNOWN_YES;
	nothing(&x);
	set_up(&x);
	s = add_silent(&x, 60);
	s->ping_s = 10;
	s->waiting = 0;
	nothing(&x);
}

static void what_would_tell_slow_from_dead_is_said(void **state)
{
	static const char line[] =
		"3 in flight on one HTTP/2 connection, on which "
		"nothing has come for 4.5s: the server is slow, or the connection "
		"is dead";
	const struct finding *f;
	struct fixture x;

	(void)state;
	set_up(&x);
	add_silent(&x, 4.5);
	add_waiting(&x, NET_TTFB, NET_WAITS_NOTHING, KNOWN_YES);
	f = only(&x, "slow-phase", SEVERITY_MEDIUM);
	expect_says(f, line);
	expect_says(f, "check that server");
	expect_says(f, "ReadIdleTimeout and PingTimeout");
	x.w.net->silent[0].read_idle = KNOWN_YES;
	assert_false(has_line(only(&x, "slow-phase", SEVERITY_MEDIUM), "ReadIdleTimeout"));
	x.w.net->silent[0].read_idle = KNOWN_NO;
	x.w.net->silent[0].waiting = 1; /* most are on others */
	assert_false(has_line(only(&x, "slow-phase", SEVERITY_MEDIUM), "ReadIdleTimeout"));
	tear_down(&x);
	set_up(&x);
	add_silent(&x, 4.5);
	add_waiting(&x, NET_TTFB, NET_WAITS_NOTHING, KNOWN_NO);
	add_client(&x.w, 4, 7);
	f = only(&x, "no-timeout", SEVERITY_HIGH);
	expect_says(f, line);
	expect_says(f, "set http.Client.Timeout");
	expect_says(f, "ReadIdleTimeout and PingTimeout");
	tear_down(&x);
}

/* Those that wait on it, and those that hang, name it. */
static void the_dead_connection_is_the_cause(void **state)
{
	struct fixture x;

	(void)state;
	for (int hang = 0; hang < 2; hang++) {
		set_up(&x);
		add_silent(&x, 8)->ping_s = 3.5;
		x.w.net->silent[0].waiting = 4;
		add_waiting(&x, NET_TTFB, NET_WAITS_NOTHING, hang ? KNOWN_NO : KNOWN_YES);
		if (hang)
			add_client(&x.w, 4, 7);
		detect_all(&x.w, &x.fs);
		assert_int_equal(x.fs.n, 2);
		assert_string_equal(x.fs.f[0].kind, "dead-connection");
		assert_string_equal(x.fs.f[1].kind, hang ? "no-timeout" : "slow-phase");
		assert_string_equal(x.fs.f[1].caused_by, x.fs.f[0].id);
		tear_down(&x);
	}
	set_up(&x); /* of another host: apart */
	add_silent(&x, 8)->ping_s = 3.5;
	for (int i = 0; i < 3; i++)
		add_request(&x.w, "other:443", NET_TTFB, 5)->timeout = KNOWN_YES;
	detect_all(&x.w, &x.fs);
	assert_int_equal(x.fs.n, 2);
	assert_string_equal(x.fs.f[1].kind, "slow-phase");
	assert_string_equal(x.fs.f[1].caused_by, "");
	tear_down(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_they_wait_for_is_said),
		cmocka_unit_test(of_the_place_that_hangs_alone),
		cmocka_unit_test(who_holds_the_streams_is_said),
		cmocka_unit_test(a_peer_that_answers_no_ping_is_dead),
		cmocka_unit_test(a_silent_peer_need_not_be_dead),
		cmocka_unit_test(what_would_tell_slow_from_dead_is_said),
		cmocka_unit_test(the_dead_connection_is_the_cause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
