/* SPDX-License-Identifier: BSD-2-Clause */
/* What memory says of the network joined with what probes counted; what has moved or has no room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/priv.h"
#include "net/watch.h"
#include "gort/gostacks.h"
#include "trace/trace.h"
#include "observe/window.h"
#include "bodies_live.h"

static void add_times(struct trace_hist *h, uint64_t ns, uint64_t n)
{
	unsigned int b = 0;

	while (b + 1 < TRACE_HIST_BUCKETS && trace_hist_value(b + 1) <= ns)
		b++;
	h->bucket[b] += n;
	h->count += n;
	h->sum_ns += ns * n;
	if (n && ns > h->max_ns)
		h->max_ns = ns;
}

static struct trace_phase *add_phase(struct trace_reading *r, const char *host,
				     enum net_phase phase, uint64_t ns, uint64_t n, uint64_t errors)
{
	struct trace_phase *p = &r->phase[r->nphase++];

	snprintf(p->host, sizeof(p->host), "%s", host);
	p->phase = phase;
	p->errors = errors;
	p->max_ns_window = n ? ns : 0;
	add_times(&p->hist, ns, n);
	return p;
}

static const struct net_phase_row *phase_row(const struct net_window *w, const char *host,
					     enum net_phase phase)
{
	for (int i = 0; i < w->nphase; i++)
		if (!strcmp(w->phase[i].host, host) && w->phase[i].phase == phase)
			return &w->phase[i];
	fail_msg("no row of '%s'", host);
	return NULL;
}

/* Two writings of a host are one; what was there before the window is not of it. */
static void check_phases(const struct net_window *w)
{
	const struct net_phase_row *dns = phase_row(w, "api.example:443", NET_DNS);
	const struct net_phase_row *ttfb = phase_row(w, "api.example:443", NET_TTFB);

	assert_int_equal(w->nphase, 3);
	assert_int_equal(dns->count, 7);
	assert_int_equal(dns->errors, 2);
	assert_int_equal(dns->exactness, EXACT);
	assert_int_equal(dns->before_count, 10);
	assert_in_range(dns->before_p50_ns, 800000, 1200000);
	assert_in_range(dns->p50_ns, 87000000, 100000000);
	assert_int_equal(dns->max_ns, 100000000);
	assert_int_equal(dns->total_ns, 700000000);
	assert_int_equal(ttfb->exactness, SAMPLED);
	assert_int_equal(ttfb->count, 16); /* 4, seen in a quarter of the time */
	assert_true(ttfb->rate == 0.25);
	assert_int_equal(phase_row(w, "?[31mevil:80", NET_TTFB)->count, 4);
}

static void probes_are_joined(void **state)
{
	static const char *const args[] = { "waiting=1", NULL };
	static struct trace_phase before[4], after[8];
	static struct trace_call calls_before[1], calls[2];
	struct trace_reading base = { .phase = before, .call = calls_before },
			     now = { .phase = after, .call = calls };
	const struct netwatch_probes probes = { .calls = true,
						.phases = true,
						.requests_sliced = true,
						.requests_rate = 0.25,
						.rare_rate = 1 };
	struct watched v;

	(void)state;
	watch_until_sent(&v, args, 1);
	net_window_deinit(&v.w);
	add_phase(&base, "api.example:443", NET_DNS, 1000000, 10, 1);
	add_phase(&now, "api.example:443", NET_DNS, 1000000, 10, 1)->max_ns_window = 0;
	add_phase(&now, "API.example:443", NET_DNS, 100000000, 7, 2);
	add_phase(&now, "api.example:443", NET_TTFB, 5000000, 4, 0);
	add_phase(&now, "\x1b[31mEvil", NET_TTFB, 5000000, 1, 0);
	/* nothing in this window: no row */
	add_phase(&base, "old.example:443", NET_TLS, 1000000, 3, 0);
	add_phase(&now, "old.example:443", NET_TLS, 1000000, 3, 0);
	calls_before[0] = (struct trace_call){ .kind = CALL_HTTP, .begun = 5, .errors = 1 };
	calls[0] = (struct trace_call){
		.kind = CALL_HTTP,
		.begun = 8,
		.errors = 2,
		.max_ns_window = 20000000,
		.sample = { .sliced = true, .total = 12, .margin = 3, .share = 0.25 },
	};
	calls[1] = (struct trace_call){ .kind = CALL_SQL_WAIT, .begun = 100 };
	add_times(&calls[0].hist, 20000000, 3);
	base.ncall = 1;
	now.ncall = 2;
	v.look.rbase = &base;
	v.look.rnow = &now;
	assert_int_equal(netwatch_fill(v.nw, &v.look, &probes, &v.w), 0);
	assert_true(v.w.phases_known);
	check_phases(&v.w);
	assert_int_equal(v.w.nclient, 2); /* one whose place is not known, and main.get */
	assert_int_equal(v.w.client[0].requests, 12);
	assert_int_equal(v.w.client[0].errors, 4);
	assert_int_equal(v.w.client[0].max_ns, 20000000);
	assert_in_range(v.w.client[0].p99_ns, 17500000, 20000000);
	assert_int_equal(v.w.client[0].exactness, SAMPLED);
	assert_int_equal(v.w.client[1].in_flight, 1);
	assert_true(v.w.client[1].requests_known);
	unwatch(&v);
}

/* Between its stack and what the stack leads to: what the words say is over then. */
static void who_has_moved_is_left_out(void **state)
{
	static const char *const args[] = { "waiting=2", NULL };
	struct goroutine *moved = NULL;
	struct watched v;

	(void)state;
	watch_until_sent(&v, args, 2);
	assert_int_equal(in_flight(&v, "waiting", NET_TTFB, "main.get"), 2);
	read_stacks(&v);
	for (size_t i = 0; i < v.prog.walk.n; i++)
		if (v.prog.walk.g[i].goid == v.nw->cur.inflight[0].goid)
			moved = &v.prog.walk.g[i];
	assert_non_null(moved);
	moved->tracking_seq++;
	v.nw->users.begin_ns = 0; /* that was long ago */
	look_at_them(&v);
	assert_int_equal(v.nw->cur.ninflight, 1);
	assert_int_not_equal(v.nw->cur.inflight[0].goid, moved->goid);
	assert_int_equal(v.nw->moved, 1);
	unwatch(&v);
}

/* Words that lie beyond what was read of a stack are asked for, and are none when there is no more. */
static void words_beyond_the_bytes_are_asked_for(void **state)
{
	static const char *const args[] = { "waiting=1", NULL };
	struct gostack_bytes b = { .len = 8 };
	static uint8_t bytes[4096];
	struct net_users *ps;
	const struct goroutine *g;
	struct watched v;
	size_t before;

	(void)state;
	watch_until_sent(&v, args, 1);
	ps = &v.nw->users;
	b.walk = v.nw->cur.inflight[0].walk;
	b.stack = v.stack_of[b.walk];
	b.bytes = bytes;
	g = &v.prog.walk.g[b.walk];
	assert_true(g->stack_hi - g->sched_sp < sizeof(bytes));
	assert_int_equal(mem_read(v.prog.mem, g->sched_sp, bytes, g->stack_hi - g->sched_sp), 0);
	before = ps->n;
	assert_int_equal(netusers_observe(v.nw, &v.stacks, &b), 1);
	assert_int_equal(ps->n, before);
	b.all = true;
	assert_int_equal(netusers_observe(v.nw, &v.stacks, &b), 0);
	assert_int_equal(ps->n, before + 1);
	for (size_t i = ps->v[before].word; i < ps->nword; i++)
		assert_int_equal(ps->word[i], 0);
	b.len = g->stack_hi - g->sched_sp;
	assert_int_equal(netusers_observe(v.nw, &v.stacks, &b), 0);
	for (size_t i = ps->v[before + 1].word; i < ps->nword; i++)
		assert_int_not_equal(ps->word[i], 0);
	unwatch(&v);
}

/* Beyond what is kept of a kind the rest is left out, and the report says so. */
static void what_has_no_room_is_lost(void **state)
{
	static const char *const args[] = { "waiting=5", NULL };
	struct window w = { 0 };
	struct watched v;
	size_t left_out;

	(void)state;
	watch_until_sent(&v, args, 5);
	assert_int_equal(v.nw->cur.ninflight, 5);
	assert_true(v.nw->cur.nconn > 3 && v.nw->cur.nserving > 2); /* it is its own server */
	left_out = v.nw->cur.nconn - 3 + v.nw->cur.nserving - 2 + 5 - 2;
	v.nw->max_conns = 3;
	v.nw->max_inflight = 2;
	look_anew(&v);
	assert_int_equal(v.losses.n[LOSS_NET_ROOM], left_out);
	look_anew(&v); /* the look before had no room for them either */
	assert_int_equal(v.losses.n[LOSS_NET_ROOM], 2 * left_out);
	assert_int_equal(v.nw->cur.nconn, 3);
	assert_int_equal(v.w.in_flight_total, 2);
	assert_int_equal(window_init(&w), 0);
	window_cover(&w, SENSOR_NET, EXACT, "");
	losses_report(&v.losses, &w);
	assert_int_equal(w.lost_map_full, v.losses.n[LOSS_NET_ROOM]);
	assert_int_equal(window_coverage(&w, SENSOR_NET)->state, PARTIAL);
	window_deinit(&w);
	unwatch(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(probes_are_joined),
		cmocka_unit_test(who_has_moved_is_left_out),
		cmocka_unit_test(words_beyond_the_bytes_are_asked_for),
		cmocka_unit_test(what_has_no_room_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
