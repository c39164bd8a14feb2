/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections that leak or are made anew for each request, beside their healthy twins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "detect_net.h"
#include "net_window.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unclosed_bodies_leak),
		cmocka_unit_test(bodies_of_many_hosts),
		cmocka_unit_test(bodies_that_go_away_do_not_leak),
		cmocka_unit_test(churn_is_dialling_for_each_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
