/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables of the network with hostile hosts and with more than 1,000 rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "cli/screen_view.h"
#include "observe/detect.h"
#include "net_report.h"
#include "net_window.h"
#include "report/report.h"

/* ---- hostile hosts ---- */

static void set_hosts(struct window *w, const char *host)
{
	snprintf(w->net->phase[0].host, sizeof(w->net->phase[0].host), "%s", host);
	snprintf(w->net->in_flight[0].host, sizeof(w->net->in_flight[0].host), "%s", host);
	snprintf(w->net->unclosed[0].host, sizeof(w->net->unclosed[0].host), "%s", host);
	snprintf(w->net->connection[0].host, sizeof(w->net->connection[0].host), "%s", host);
	snprintf(w->net->grpc[0].method, sizeof(w->net->grpc[0].method), "%s", host);
	snprintf(w->net->server[0].pattern, sizeof(w->net->server[0].pattern), "%s", host);
	snprintf(w->sql->pool[0].driver, sizeof(w->sql->pool[0].driver), "%s", host);
}

static void one_hostile_host(const char *host)
{
	struct screen_state st = { 0 };
	struct screen_view v;
	struct fixture x;
	json_t *o;

	set_up(&x, net_window_faulty);
	set_hosts(&x.r.window, host);
	detect_all(&x.r.window, &x.r.findings);
	assert_true(x.r.findings.n > 0);
	for (int columns = 40; columns <= 120; columns += 20)
		expect_tidy(text(&x, false, columns), columns);
	o = parsed(&x);
	for (const char *p = x.out.data; *p; p++) /* one line of ASCII */
		assert_true((*p >= 0x20 && *p < 0x7f) || (*p == '\n' && !p[1]));
	json_decref(o);
	buf_reset(&x.out);
	assert_int_equal(report_html(&x.r, &x.out), 0);
	has_not(x.out.data, "<img");
	has_not(x.out.data, "\x1b");
	screen_view_init(&v);
	screen_view_make(&v, &x.r, &st, 100, 24);
	for (int i = 0; i < v.nline; i++)
		expect_tidy(v.text.data + v.line[i].start, 100);
	screen_view_deinit(&v);
	tear_down(&x);
}

static void hostile_hosts(void **state)
{
	char longest[WINDOW_MAX_HOST + 1];

	(void)state;
	one_hostile_host("\x1b[31m\r\n\t\x07"
			 "a:1");
	one_hostile_host("<img src=x onerror='a'>\"&\\:443");
	one_hostile_host("\xff\xfe\xc3(\xe2\x80\xae\xf0\x9f\x92:80");
	one_hostile_host("%s%n%s%d:80");
	memset(longest, 'a', WINDOW_MAX_HOST);
	longest[WINDOW_MAX_HOST] = '\0';
	one_hostile_host(longest);
	memset(longest, '\xe6', WINDOW_MAX_HOST);
	one_hostile_host(longest);
	for (int i = 0; i + 3 <= WINDOW_MAX_HOST; i += 3) /* wide characters, the last cut */
		memcpy(longest + i, "\xe6\xbc\xa2", 3);
	one_hostile_host(longest);
}

/* A host in full, as it is, in JSON. */
static void json_keeps_the_whole_host(void **state)
{
	char longest[WINDOW_MAX_HOST + 1];
	struct fixture x;
	json_t *o;

	(void)state;
	memset(longest, 'a', WINDOW_MAX_HOST);
	longest[WINDOW_MAX_HOST] = '\0';
	set_up(&x, net_window_init);
	add_phase(&x.r.window, longest, NET_DNS, 1, 1);
	add_phase(&x.r.window, "[2001:db8::1]:443", NET_DNS, 1, 1);
	o = parsed(&x);
	assert_string_equal(json_string_value(at(o, "net.phases.0.host")), longest);
	assert_string_equal(json_string_value(at(o, "net.phases.1.host")), "[2001:db8::1]:443");
	json_decref(o);
	tear_down(&x);
}

/* ---- many rows ---- */

static void fill_many(struct window *w, int n)
{
	char host[40];

	for (int i = 0; i < n; i++) {
		snprintf(host, sizeof(host), "h%d:80", i);
		add_phase(w, host, NET_TTFB, 2, 1)->exactness = i == n - 1 ? SAMPLED : EXACT;
		add_client(w, 1, i);
		add_unclosed(w, host, 2, 1, i);
		add_connections(w, host, 2, 1, 3);
		add_server(w, 2, 0);
		*(struct net_grpc *)MORE(w->net->grpc, w->net->ngrpc) =
			(struct net_grpc){ .calls = 2, .calls_known = true };
		add_lock(w, 2, 1, i);
		add_holder(w->sql->npool ? w->sql->pool : add_pool(w, 0, 9, 0, 0), SQL_CALL, 2, i,
			   AT_QUERY);
	}
}

static int64_t sum(json_t *rows, const char *key)
{
	int64_t n = 0;
	json_t *row;
	size_t i;

	json_array_foreach(rows, i, row) n += json_integer_value(json_object_get(row, key));
	return n;
}

static void expect_cut(json_t *report, const char *path, const char *key, int64_t all)
{
	json_t *rows = at(report, path), *last = json_array_get(rows, 999);
	json_t *row;
	size_t i;

	if (json_array_size(rows) != 1000 || sum(rows, key) != all)
		fail_msg("%s: %zu rows, %lld", path, json_array_size(rows),
			 (long long)sum(rows, key));
	json_array_foreach(rows, i, row)
		assert_true(json_is_true(json_object_get(row, "other")) == (i == 999));
	assert_null(json_object_get(last, "host"));
	assert_null(json_object_get(last, "place"));
}

static void tables_are_cut_and_add_up(void **state)
{
	static const struct {
		const char *path, *key;
	} lists[] = {
		{ "net.phases", "count" },
		{ "net.unclosed_bodies", "count" },
		{ "net.connections", "open" },
		{ "net.servers", "requests" },
		{ "net.grpc", "calls" },
		{ "locks", "waiters" },
		{ "sql.pools.0.holders", "count" },
	};
	struct fixture x;
	json_t *o;

	(void)state;
	set_up(&x, net_window_init);
	fill_many(&x.r.window, 1203);
	x.r.window.net->client[0].other =
		true; /* the observer's own rest goes into the sum as well */
	o = parsed(&x);
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		expect_cut(o, lists[i].path, lists[i].key, 2406);
	expect_cut(o, "net.clients", "in_flight", 1203);
	/* of a sum: the oldest, the least sure, no median */
	assert_true(json_number_value(at(o, "net.clients.999.longest_in_flight_s")) == 1202);
	assert_true(json_number_value(at(o, "net.unclosed_bodies.999.oldest_s")) == 1202);
	assert_string_equal(json_string_value(at(o, "net.phases.999.exactness")), "sampled");
	assert_true(!at(o, "net.phases.999.p50_ns") && at(o, "net.phases.999.total_ns"));
	assert_null(at(o, "net.connections.999.max_per_host"));
	json_decref(o);
	expect_tidy(text(&x, false, 100), 100);
	has(x.out.data, "1,184 more"); /* 20 rows of phases */
	tear_down(&x);
}

static void as_many_as_fit_have_no_rest(void **state)
{
	struct fixture x;
	json_t *o;

	(void)state;
	set_up(&x, net_window_init);
	fill_many(&x.r.window, 1000);
	o = parsed(&x);
	assert_int_equal(json_array_size(at(o, "net.phases")), 1000);
	assert_null(at(o, "net.phases.999.other"));
	json_decref(o);
	x.r.window.net->phase[3].other =
		true; /* one is the observer's rest: it is the last row then */
	o = parsed(&x);
	assert_int_equal(json_array_size(at(o, "net.phases")), 1000);
	assert_true(json_is_true(at(o, "net.phases.999.other")));
	assert_int_equal(sum(at(o, "net.phases"), "count"), 2000);
	json_decref(o);
	add_phase(&x.r.window, "last:80", NET_TTFB, 2, 1);
	o = parsed(&x);
	assert_int_equal(json_array_size(at(o, "net.phases")), 1000);
	assert_int_equal(sum(at(o, "net.phases"), "count"), 2002);
	json_decref(o);
	tear_down(&x);
}

static void many_requests_and_pools(void **state)
{
	struct fixture x;
	json_t *o;

	(void)state;
	set_up(&x, net_window_init);
	for (int i = 0; i < 1100; i++) {
		add_request(&x.r.window, API, NET_TTFB, 2000 - i);
		add_pool(&x.r.window, 4, 1, 0, 0);
	}
	x.r.window.net->in_flight_total = 10000;
	o = parsed(&x);
	assert_int_equal(json_array_size(at(o, "net.in_flight")), 1000);
	assert_int_equal(json_integer_value(at(o, "net.in_flight_total")), 10000);
	assert_int_equal(json_array_size(at(o, "sql.pools")), 1000);
	assert_true(json_is_true(at(o, "sql.pools.999.other")));
	assert_int_equal(sum(at(o, "sql.pools"), "in_use"), 1100);
	json_decref(o);
	text(&x, false, 100);
	has(x.out.data, "in flight:  10,000 requests, the oldest first\n");
	has(x.out.data, "9,992 more");
	has(x.out.data, "1,091 more");
	tear_down(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hostile_hosts),
		cmocka_unit_test(json_keeps_the_whole_host),
		cmocka_unit_test(tables_are_cut_and_add_up),
		cmocka_unit_test(as_many_as_fit_have_no_rest),
		cmocka_unit_test(many_requests_and_pools),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
