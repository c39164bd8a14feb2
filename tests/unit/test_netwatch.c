/* SPDX-License-Identifier: BSD-2-Clause */
/* The network from memory: tests/progs/bodies of several releases (bodies_live.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bodies_live.h"

/* ---- a live program ---- */

static uint64_t unclosed(const struct watched *v, const char *mode)
{
	uint64_t n = 0;

	for (int i = 0; i < v->w.nunclosed; i++)
		if (!strcmp(v->w.unclosed[i].host, host_of(v, mode))) {
			n += v->w.unclosed[i].count;
			assert_true(v->w.unclosed[i].oldest_s > 1);
			assert_int_equal(v->w.unclosed[i].count_before, v->w.unclosed[i].count);
		}
	return n;
}

static const struct net_request *one_of(const struct watched *v, const char *host)
{
	for (int i = 0; i < v->w.nin_flight; i++)
		if (!strcmp(v->w.in_flight[i].host, host))
			return &v->w.in_flight[i];
	fail_msg("no request to '%s'", host);
	return NULL;
}

static void check_healthy(const struct watched *v, const char *mode, int n, const char *function)
{
	assert_int_equal(unclosed(v, mode), 0);
	assert_int_equal(in_flight(v, mode, NET_BODY, function), n);
}

#define LEFT_ALONE        8  /* rows of unclosed bodies that checked() makes */
#define BODIES_LEFT_ALONE 17 /* in them */

/* Of both protocols. */
static void check_left_alone(const struct watched *v)
{
	assert_int_equal(unclosed(v, "leak"), 3);
	assert_int_equal(unclosed(v, "timeout"), 2);
	assert_int_equal(unclosed(v, "gzip"), 2);
	assert_int_equal(unclosed(v, "part"), 2);
	assert_int_equal(unclosed(v, "list"), 2);
	assert_int_equal(unclosed(v, "leak/h2"), 3);
	assert_int_equal(unclosed(v, "list/h2"), 2);
	assert_int_equal(v->w.nunclosed, LEFT_ALONE); /* and the one that came later */
}

/* It was seen in flight: so its place is known, and that it is new. */
static void check_dropped(const struct watched *v)
{
	for (int i = 0; i < v->w.nunclosed; i++) {
		const struct net_body_row *r = &v->w.unclosed[i];

		if (strcmp(r->host, host_of(v, "drop")))
			continue;
		assert_int_equal(r->count, 1);
		assert_int_equal(r->count_before, 0);
		assert_non_null(r->place.function);
		assert_string_equal(r->place.function, "main.get");
		return;
	}
	fail_msg("the dropped body is not listed");
}

static void check_held(const struct watched *v)
{
	check_healthy(v, "late", 2, "main.late");
	check_healthy(v, "slow", 2, "main.slow");
	check_healthy(v, "owner", 2, "main.(*owner).run");
	check_healthy(v, "wrapped", 2, "main.(*downloader).run");
	check_healthy(v, "json", 2, "main.decode");
	check_healthy(v, "lines", 2, "main.lines");
	check_healthy(v, "unzip", 2, "main.unzip");
	check_healthy(v, "closure", 2, NULL);
	check_healthy(v, "reading", 2, "main.reading");
	check_healthy(v, "late/h2", 2, "main.late");
	check_healthy(v, "slow/h2", 2, "main.slow");
	check_healthy(v, "owner/h2", 2, "main.(*owner).run");
	check_healthy(v, "json/h2", 2, "main.decode");
	check_healthy(v, "reading/h2", 2, "main.reading");
}

static void check_streams(const struct watched *v)
{
	int n = 0;

	assert_int_equal(in_flight(v, "waiting/h2", NET_TTFB, "main.get"), 2);
	for (int i = 0; i < v->w.nconnection; i++) {
		if (strcmp(v->w.connection[i].protocol, "h2"))
			continue;
		n++;
		assert_int_equal(v->w.connection[i].open, 1);
		assert_int_equal(v->w.connection[i].idle, 0);
	}
	assert_int_equal(n, 8);
}

static const struct net_connections *connections_to(const struct watched *v, const char *mode)
{
	for (int i = 0; i < v->w.nconnection; i++)
		if (!strcmp(v->w.connection[i].host, host_of(v, mode)))
			return &v->w.connection[i];
	fail_msg("no connections of '%s'", mode);
	return NULL;
}

static void check_limits(const struct watched *v, const char *mode, enum known timeout,
			 enum known deadline, enum known cancel)
{
	const struct net_request *r = one_of(v, host_of(v, mode));

	assert_int_equal(r->timeout, timeout);
	assert_int_equal(r->deadline, deadline);
	assert_int_equal(r->cancel, cancel);
}

static void check_pool(const struct watched *v)
{
	const struct net_connections *c = connections_to(v, "pool");
	int wait = 0, ttfb = 0;

	for (int i = 0; i < v->w.nin_flight; i++)
		if (!strcmp(v->w.in_flight[i].host, host_of(v, "pool"))) {
			wait += v->w.in_flight[i].phase == NET_POOL_WAIT;
			ttfb += v->w.in_flight[i].phase == NET_TTFB;
		}
	assert_int_equal(wait, 3);
	assert_int_equal(ttfb, 1);
	assert_int_equal(c->open, 1);
	assert_int_equal(c->idle, 0);
	assert_int_equal(c->waiting, 3);
	assert_int_equal(c->max_per_host, 1);
	assert_int_equal(c->max_idle_per_host, 7);
	assert_string_equal(c->protocol, "http/1.1");
}

/* One row per calling place: main.get calls for waiting, limit and the dials. */
static void check_clients(const struct watched *v)
{
	for (int i = 0; i < v->w.nclient; i++) {
		const struct net_client *c = &v->w.client[i];

		if (!c->place.function || strcmp(c->place.function, "main.get"))
			continue;
		assert_false(c->requests_known);
		assert_int_equal(c->timeout, KNOWN_NO);
		assert_int_equal(c->deadline, KNOWN_NO);
		/* pool 4, dns, connect, shake 2 each, waiting 1 and 2, 2 that wait for the proxy: no limit */
		assert_int_equal(c->hanging, 15);
		assert_true(c->longest_hanging_s > 3);
		return;
	}
	fail_msg("no row of main.get");
}

static void check_servers(const struct watched *v)
{
	uint64_t hanging = 0, serve = 0;

	for (int i = 0; i < v->w.nserver; i++) {
		const struct net_server *s = &v->w.server[i];

		assert_true(
			s->no_read_timeout); /* HTTP/2 has its handlers on goroutines of their own */
		hanging += s->hanging;
		if (s->place.function && !strcmp(s->place.function, "main.serve")) {
			serve += s->in_flight;
			assert_true(s->longest_in_flight_s > 3);
			assert_true(s->place.line > 0);
		}
	}
	assert_int_equal(hanging, 2);
	/* 29 bodies and 15 streams; waiting/h2 2; limit, deadline, cancel 2 each, pool 1, waiting 1, proxy 2;
	 * drop 1 */
	assert_int_equal(serve, 57);
}

/* Unclosed bodies of all rows, never more than there are. */
static uint64_t left_alone(const struct watched *v)
{
	uint64_t n = 0;

	for (int i = 0; i < v->w.nunclosed; i++)
		n += v->w.unclosed[i].count;
	assert_true(n <= BODIES_LEFT_ALONE && v->w.nunclosed <= LEFT_ALONE);
	return n;
}

/* A body that is missed is looked for some more times (a word that was left on a
 * stack may hold it for a while, or as long as that goroutine waits); a wrong one
 * never.  Whether all were found. */
static bool look_again(struct watched *v)
{
	for (int i = 0; i < 20 && left_alone(v) < BODIES_LEFT_ALONE; i++) {
		usleep(200000);
		look_anew(v);
	}
	return left_alone(v) == BODIES_LEFT_ALONE;
}

/* Dead responses are gone and their memory is used again: their connections are
 * still there.  False: one is missed. */
static bool check_collected(struct watched *v)
{
	struct gototals before, now;

	assert_int_equal(goruntime_totals(&v->prog.rt, &before), 0);
	assert_int_equal(write(v->prog.in, "gc\n", 3), 3);
	do {
		usleep(20000);
		assert_int_equal(goruntime_totals(&v->prog.rt, &now), 0);
	} while (now.numforcedgc < before.numforcedgc + 2);
	do /* one that runs may hold anything */
		look(v);
	while (v->stacks.running || v->stacks.unread);
	look_anew(v);
	if (!look_again(v))
		return false;
	check_left_alone(v);
	check_held(v);
	return true;
}

/* False: a body is missed, which another process will hardly repeat. */
static bool checked(const char *name)
{
	static const char *const args[] = {
		"leak=3",       "timeout=2",    "gzip=2",     "part=2",
		"list=2",       "late=2",       "slow=2",     "owner=2",
		"wrapped=2",    "json=2",       "lines=2",    "unzip=2",
		"closure=2",    "reading=2",    "leak/h2=3",  "list/h2=2",
		"late/h2=2",    "slow/h2=2",    "owner/h2=2", "json/h2=2",
		"reading/h2=2", "waiting/h2=2", "limit=2",    "deadline=2",
		"cancel=2",     "pool=4",       "dns=2",      "connect=2",
		"shake=2",      "proxy=2",      "request=2",  "unread=1",
		"waiting=1",    "idle=3",       "drop=1",     NULL
	};
	const struct net_request *limit;
	struct watched v;
	bool complete;

	watch(&v, name, args, 3.6);
	complete = look_again(&v);
	if (!complete)
		goto out;
	assert_int_equal(in_flight(&v, "waiting", NET_TTFB, "main.get"), 1);
	assert_int_equal(in_flight(&v, "connect", NET_CONNECT, "main.get"), 2);
	assert_int_equal(in_flight(&v, "shake", NET_TLS, "main.get"), 2);
	assert_int_equal(in_flight(&v, "unread", NET_REQUEST_WRITE, "main.unread"), 1);
	assert_int_equal(
		in_flight(&v, "proxy", NET_TTFB, "net/http/httputil.(*ReverseProxy).ServeHTTP"), 2);
	assert_int_equal(one_of(&v, "name.example.test:80")->phase, NET_DNS);
	check_pool(&v);
	check_limits(&v, "waiting", KNOWN_NO, KNOWN_NO, KNOWN_NO);
	check_limits(&v, "limit", KNOWN_YES, KNOWN_NO, KNOWN_NO);
	check_limits(&v, "deadline", KNOWN_NO, KNOWN_YES, KNOWN_NO);
	check_limits(&v, "cancel", KNOWN_NO, KNOWN_NO, KNOWN_YES);
	check_limits(&v, "proxy", KNOWN_NO, KNOWN_NO, KNOWN_YES); /* the server's own context */
	limit = one_of(&v, host_of(&v, "limit"));
	assert_int_equal(limit->age, AGE_EXACT); /* by the deadline of its client */
	assert_true(limit->timeout_s == 3600);
	assert_true(limit->since_s > 3.6 && limit->since_s < 60);
	assert_int_equal(one_of(&v, host_of(&v, "waiting"))->age, AGE_AT_LEAST);
	check_left_alone(&v);
	check_dropped(&v);
	assert_int_equal(connections_to(&v, "idle")->open, 1);
	assert_int_equal(connections_to(&v, "idle")->idle, 1);
	check_held(&v);
	check_streams(&v);
	check_clients(&v);
	check_servers(&v);
	complete = check_collected(&v);
out:
	unwatch(&v);
	return complete;
}

static void all_of(const char *name)
{
	int i;

	for (i = 0; i < 3 && !checked(name); i++)
		print_message("%s: a body was missed\n", name);
	assert_true(i < 3);
}

/* ---- joined with what probes counted ---- */

#define TESTS_OF(id, release)                 \
	static void bodies_##id(void **state) \
	{                                     \
		(void)state;                  \
		all_of("bodies-" release);    \
	}

TESTS_OF(oldest, "oldest-stripped")
TESTS_OF(1_19, "1.19-stripped")
TESTS_OF(1_20, "1.20-stripped")
TESTS_OF(1_22, "1.22-stripped")
TESTS_OF(1_24, "1.24-stripped")
TESTS_OF(usual, "usual-stripped")
TESTS_OF(newest, "newest-stripped")
TESTS_OF(pie, "usual-pie")
TESTS_OF(noopt, "usual-noopt")

#define RUN(id) cmocka_unit_test(bodies_##id)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(oldest), RUN(1_19),   RUN(1_20), RUN(1_22),  RUN(1_24),
		RUN(usual),  RUN(newest), RUN(pie),  RUN(noopt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
