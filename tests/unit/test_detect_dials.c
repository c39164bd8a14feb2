/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Dials: nobody waits for them, their resolver, what stands still; uploads,
 * lost slots, dead connections.  Each beside its twin that must give none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "detect_net.h"
#include "net_window.h"

/* ---- failing-phase ---- */

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
	f = only(&x, "slow-phase", SEVERITY_INFO);
	expect_says(f, "the server reads slowly, or the request's Body is produced slowly");
	add_upload(&x.w, API, NETUPLOAD_100, 9);
	add_upload(&x.w, API, NETUPLOAD_WRITES, 8);
	f = only(&x, "slow-phase", SEVERITY_INFO);
	expect_says(f, "they wait for the server's 100 Continue (sampled: 9 of 17 sightings)");
	expect_says(f, "ExpectContinueTimeout");
	x.w.net->upload[1].seen = 9; /* nobody has most */
	f = only(&x, "slow-phase", SEVERITY_INFO);
	expect_says(f, "the server reads slowly, or the request's Body is produced slowly");
	x.w.net->upload[1].what = NETUPLOAD_READS;
	x.w.net->upload[1].seen = 30;
	x.w.net->upload[1].reader = PLACE("main.(*feed).Read", "feed.go", 9);
	f = only(&x, "slow-phase", SEVERITY_INFO);
	expect_says(f,
		    "they wait for their own Body: its Read is at main.(*feed).Read (feed.go:9)");
	strcpy(x.w.net->upload[1].host, "other:80");
	f = only(&x, "slow-phase", SEVERITY_INFO);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dials_that_nobody_waits_for_fail),
		cmocka_unit_test(dials_that_get_on_are_well),
		cmocka_unit_test(one_resolver_of_many_hosts_is_one_finding),
		cmocka_unit_test(hosts_that_do_not_share_a_fault),
		cmocka_unit_test(dials_that_were_stuck),
		cmocka_unit_test(who_keeps_a_request_from_being_written),
		cmocka_unit_test(lost_slots_need_another_go),
		cmocka_unit_test(dead_connections_are_found),
		cmocka_unit_test(look_ups_that_hang),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
