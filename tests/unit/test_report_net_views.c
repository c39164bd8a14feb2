/* SPDX-License-Identifier: BSD-2-Clause */
/* Network, pools and locks as text, HTML, on the live screen and in `diff`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/screen_view.h"
#include "observe/detect.h"
#include "net_report.h"
#include "net_window.h"
#include "report/report.h"
#include "save_report.h"

/* ---- text, HTML, screen ---- */

static void hosts_stand_together_busiest_first(void **state)
{
	const char *a, *b, *c, *d;
	struct fixture x;

	(void)state;
	set_up(&x, net_window_init);
	add_phase(&x.r.window, "z:1", NET_TTFB, 10, 50);
	add_phase(&x.r.window, "y:1", NET_TTFB, 10, 40);
	add_phase(&x.r.window, "y:1", NET_DNS, 10, 20);
	add_phase(&x.r.window, "", NET_DNS, 1000, 20)->other = true;
	text(&x, false, 100);
	a = strstr(x.out.data, "  y:1     dns");
	b = strstr(x.out.data, "  y:1     ttfb");
	c = strstr(x.out.data, "  z:1     ttfb");
	d = strstr(x.out.data, "  1 more");
	assert_true(a && b && c && d && a < b && b < c && c < d);
	tear_down(&x);
}

static void nothing_found_says_what_was_looked_at(void **state)
{
	struct fixture x;

	(void)state;
	set_up(&x, net_window_init);
	add_request(&x.r.window, API, NET_TTFB, 0.1);
	add_connections(&x.r.window, API, 3, 2, 0);
	add_pool(&x.r.window, 4, 1, 0, 0);
	text(&x, false, 100);
	has(x.out.data, "nothing found. Looked at 1 request in flight, 3 connections, 1 database "
			"pool, for 20.0s");
	tear_down(&x);
}

static void html_has_the_same_tables(void **state)
{
	struct fixture x;

	(void)state;
	set_up(&x, net_window_faulty);
	assert_int_equal(report_html(&x.r, &x.out), 0);
	has(x.out.data, "<h2>Network phases by host</h2>");
	has(x.out.data, "<h2>Database pools</h2>");
	has(x.out.data, "<h2>Waits for locks</h2>");
	has(x.out.data, "<td>api.example.com:443</td><td>dns</td><td class=\"n\">12</td>");
	has(x.out.data, "<td>main.(*Cache).Get cache.go:71</td>");
	has(x.out.data, "<td>(opened before gospect attached)</td>");
	x.r.window.net->unclosed[1]
		.count_before--; /* the second one: one came since, by a call that was not seen */
	buf_reset(&x.out);
	assert_int_equal(report_html(&x.r, &x.out), 0);
	has(x.out.data, "<td>(call site unknown)</td>");
	tear_down(&x);
	set_up(&x, net_window_init);
	assert_int_equal(report_html(&x.r, &x.out), 0);
	has_not(x.out.data, "Network, pools, locks");
	tear_down(&x);
}

static void screen_has_a_line_for_network_and_pools(void **state)
{
	struct screen_state st = { 0 };
	struct screen_view v;
	struct fixture x;
	char all[8192] = "";

	(void)state;
	set_up(&x, net_window_faulty);
	screen_view_init(&v);
	screen_view_make(&v, &x.r, &st, 100, 24);
	for (int i = 0; i < v.nline; i++) {
		strcat(all, v.text.data + v.line[i].start);
		strcat(all, "\n");
	}
	has(all, "network     10 in flight (14.2s), 50 unclosed, 2 errors; ttfb p50 3.0ms at "
		 "inventory…ster.local:8080\n");
	has(all, "sql         *pq.Driver 4 of 4 in use, 20 waiting (9.8s), 2 open transactions "
		 "(12.1s); 1 more pool\n");
	tear_down(&x);
	set_up(&x, net_window_init);
	screen_view_make(&v, &x.r, &st, 100, 24);
	for (int i = 0; i < v.nline; i++)
		assert_true(strncmp(v.text.data + v.line[i].start, "network", 7) &&
			    strncmp(v.text.data + v.line[i].start, "sql", 3));
	screen_view_deinit(&v);
	tear_down(&x);
}

/* ---- diff ---- */

static void two_reports_compared(void **state)
{
	struct fixture before, after;
	struct err err = { 0 };
	struct buf out;

	(void)state;
	set_up(&before, net_window_faulty);
	save_report(&before.r, &before.out);
	set_up(&after, net_window_faulty);
	detect_all(&after.r.window, &after.r.findings);
	after.r.window.net->phase[0].p50_ns = 400 * NS_MS; /* was 121 */
	after.r.window.net->phase[1].p50_ns += NS_MS / 2;  /* 4.0 and 4.5 ms: the same */
	after.r.window.net->unclosed[0].count = 50;
	after.r.window.net->client[0].in_flight = 9;
	after.r.window.sql->pool[0].in_use = 2;
	save_report(&after.r, &after.out);
	buf_init(&out, 1u << 20);
	assert_int_equal(report_diff(before.out.data, before.out.len, after.out.data, after.out.len,
				     100, &out, &err),
			 0);
	has(out.data, "appeared    high no-timeout: 7 requests at main.charge");
	has(out.data, "network phases (p50): 1 of 6 changed\n"
		      "        before  after      by  at\n"
		      "  grew   121ms  400ms  +279ms  dns api.example.com:443\n");
	has(out.data,
	    "unclosed response bodies: 1 of 2 changed\n"
	    "        before  after   by  at\n"
	    "  grew      38     50  +12  api.example.com:443 at main.statusOnly check.go:19\n");
	has(out.data, "requests in flight by call: 1 of 2 changed\n");
	has(out.data, "connections: 0 of 2 changed\n");
	has(out.data, "  shrank       4      2  -2  *pq.Driver\n");
	buf_deinit(&out);
	tear_down(&before);
	tear_down(&after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts_stand_together_busiest_first),
		cmocka_unit_test(nothing_found_says_what_was_looked_at),
		cmocka_unit_test(html_has_the_same_tables),
		cmocka_unit_test(screen_has_a_line_for_network_and_pools),
		cmocka_unit_test(two_reports_compared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
