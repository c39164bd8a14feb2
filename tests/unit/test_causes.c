/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Of two findings, which one is the cause: each pair of the table in
 * observe/explain.c, beside its twin, in which the two are independent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "net_window.h"
#include "observe/detect.h"
#include "observe/window.h"

#define AT_GO   PLACE("main.(*Hub).start", "hub.go", 41)
#define AT_KEEP PLACE("main.work", "work.go", 12)
#define HOLDER  31

struct fixture {
	struct window w;
	struct findings fs;
	struct finding *cause, *effect;
};

static struct finding *add(struct fixture *x, const char *kind, enum severity s, struct place p)
{
	struct finding *f = findings_add(&x->fs, kind, kind, s, &p);

	assert_non_null(f);
	finding_title(f, "%s", kind);
	return f;
}

/* The effect comes first, and is worse. */
static void pair(struct fixture *x, const char *effect, const char *cause)
{
	net_window_init(&x->w);
	x->fs = (struct findings){ 0 };
	x->effect = add(x, effect, SEVERITY_HIGH, AT_GO);
	x->cause = add(x, cause, SEVERITY_MEDIUM, AT_CHARGE);
}

static void about(struct finding *f, const char *host, int phase)
{
	f->about.host = host;
	f->about.phase = phase;
}

static void explain(struct fixture *x)
{
	findings_sort(&x->fs);
	explain_findings(&x->w, &x->fs);
}

static void end(struct fixture *x)
{
	findings_deinit(&x->fs);
	window_deinit(&x->w);
}

/* The cause stands first, the effect names it. */
static void linked(struct fixture *x, const char *cause, const char *effect)
{
	explain(x);
	assert_int_equal(x->fs.n, 2);
	assert_string_equal(x->fs.f[0].kind, cause);
	assert_string_equal(x->fs.f[1].kind, effect);
	assert_string_equal(x->fs.f[1].caused_by, x->fs.f[0].id);
	assert_string_equal(x->fs.f[0].caused_by, "");
	assert_non_null(strstr(x->fs.f[1].evidence[0], "because of the "));
	assert_non_null(strstr(x->fs.f[1].evidence[0], cause));
	assert_int_equal(x->fs.f[0].severity, SEVERITY_MEDIUM);
	end(x);
}

/* Only the cause is left, as bad as both, and counts the goroutines. */
static void folded(struct fixture *x, const char *cause)
{
	explain(x);
	assert_int_equal(x->fs.n, 1);
	assert_string_equal(x->fs.f[0].kind, cause);
	assert_int_equal(x->fs.f[0].severity, SEVERITY_HIGH);
	assert_non_null(strstr(x->fs.f[0].evidence[0], "goroutines pile up in it: 90 created at"));
	end(x);
}

/* Two findings that have nothing to do with each other, the worst first. */
static void apart(struct fixture *x)
{
	explain(x);
	assert_int_equal(x->fs.n, 2);
	assert_int_equal(x->fs.f[0].severity, SEVERITY_HIGH);
	for (int i = 0; i < 2; i++) {
		assert_string_equal(x->fs.f[i].caused_by, "");
		assert_int_equal(x->fs.f[i].nevidence, 0);
	}
	end(x);
}

/* ---- network ---- */

static void bodies_and_pool_wait(struct fixture *x, uint64_t bodies, const char *host)
{
	pair(x, "slow-phase", "connection-leak");
	x->cause->about.row = add_unclosed(&x->w, host, bodies, 0, 9);
	about(x->cause, host, -1);
	about(x->effect, API, NET_POOL_WAIT);
	add_connections(&x->w, API, 8, 0, 0)->max_per_host = 8;
	add_connections(&x->w, "other:80", 8, 0, 0)->max_per_host = 8;
}

static void unclosed_bodies_make_others_wait(void **state)
{
	struct fixture x;

	(void)state;
	bodies_and_pool_wait(&x, 7, API);
	linked(&x, "connection-leak", "slow-phase");
	bodies_and_pool_wait(&x, 3, API); /* of 8 connections: the answers are slow besides */
	apart(&x);
	bodies_and_pool_wait(&x, 8, "other:80");
	apart(&x);
	bodies_and_pool_wait(&x, 8, API);
	x.effect->about.phase = NET_TTFB;
	apart(&x);
}

static void dials_hold_slots(void **state)
{
	struct fixture x;

	(void)state;
	pair(&x, "slow-phase", "failing-phase");
	about(x.effect, API, NET_POOL_WAIT);
	about(x.cause, API, NET_CONNECT);
	linked(&x, "failing-phase", "slow-phase");
	pair(&x, "slow-phase", "failing-phase");
	about(x.effect, API, NET_POOL_WAIT);
	about(x.cause, API, NET_TTFB); /* answers are no dials */
	apart(&x);
	pair(&x, "slow-phase", "failing-phase");
	about(x.effect, API, NET_POOL_WAIT);
	about(x.cause, "other:80", NET_CONNECT);
	apart(&x);
}

static void a_failing_host_makes_calls_hang(void **state)
{
	static const char *const causes[] = { "failing-phase", "slow-phase" };
	struct fixture x;

	(void)state;
	for (int i = 0; i < 2; i++) {
		pair(&x, "no-timeout", causes[i]);
		about(x.effect, API, NET_TTFB);
		about(x.cause, API, NET_TTFB);
		finding_count(x.cause, "count", 9);
		linked(&x, causes[i], "no-timeout");
		pair(&x, "no-timeout", causes[i]); /* the resolver, for all hosts */
		about(x.effect, API, NET_DNS);
		about(x.cause, NULL, NET_DNS);
		linked(&x, causes[i], "no-timeout");
		pair(&x, "no-timeout", causes[i]);
		about(x.effect, API, NET_TTFB);
		about(x.cause, NULL, NET_DNS);
		apart(&x);
		pair(&x, "no-timeout", causes[i]);
		about(x.effect, API, NET_TTFB);
		about(x.cause, "other:80", NET_TTFB);
		apart(&x);
		pair(&x, "no-timeout", causes[i]); /* where they hang is not known */
		about(x.cause, API, NET_TTFB);
		apart(&x);
	}
}

static void lost_slots_keep_requests_waiting(void **state)
{
	static const char *const left_out[] = { "slow-phase", "failing-phase" };
	struct fixture x;

	(void)state;
	pair(&x, "no-timeout", "lost-slot");
	about(x.effect, API, NET_POOL_WAIT);
	about(x.cause, API, NET_POOL_WAIT);
	linked(&x, "lost-slot", "no-timeout");
	for (int i = 0; i < 2; i++) {
		pair(&x, left_out[i], "lost-slot");
		about(x.effect, API, NET_POOL_WAIT);
		about(x.cause, API, NET_POOL_WAIT);
		explain(&x);
		assert_int_equal(x.fs.n, 1);
		assert_string_equal(x.fs.f[0].kind, "lost-slot");
		end(&x);
		pair(&x, left_out[i], "lost-slot");
		about(x.effect, API, NET_TTFB);
		about(x.cause, API, NET_POOL_WAIT);
		apart(&x);
		pair(&x, left_out[i], "lost-slot");
		about(x.effect, "other:80", NET_POOL_WAIT);
		about(x.cause, API, NET_POOL_WAIT);
		apart(&x);
	}
}

static void calls_hang_on_dead_connections(void **state)
{
	static const char *const effects[] = { "no-timeout", "slow-phase" }, *const numbers[] = {
		"hanging", "in_flight"
	};
	struct fixture x;

	(void)state;
	for (int i = 0; i < 2; i++)
		for (int k = 0; k < 4; k++) {
			pair(&x, effects[i], "dead-connection");
			about(x.cause, k == 1 ? "other:80" : API, -1);
			about(x.effect, API, k == 2 ? NET_CONNECT : NET_TTFB);
			finding_count(x.cause, "streams", 3);
			finding_count(x.effect, numbers[i], k == 3 ? 4 : 3);
			if (k)
				apart(&x); /* another host, no connection yet, others hang too */
			else
				linked(&x, "dead-connection", effects[i]);
		}
}

static void stuck_and_hanging(struct fixture *x, uint64_t stuck, uint64_t ended)
{
	pair(x, "no-timeout", "slow-phase");
	x->cause->place = x->effect->place;
	about(x->effect, API, NET_TTFB);
	about(x->cause, API, NET_TTFB);
	finding_count(x->effect, "hanging", 7);
	finding_count(x->cause, "count", ended);
	finding_count(x->cause, "in_flight", stuck);
}

static void requests_that_hang_are_told_of_once(void **state)
{
	struct fixture x;

	(void)state;
	stuck_and_hanging(&x, 7, 0);
	explain(&x);
	assert_int_equal(x.fs.n, 1);
	assert_string_equal(x.fs.f[0].kind, "no-timeout");
	end(&x);
	stuck_and_hanging(&x, 9, 0); /* others are stuck there, too */
	linked(&x, "slow-phase", "no-timeout");
	stuck_and_hanging(&x, 7, 3); /* and some came back late */
	linked(&x, "slow-phase", "no-timeout");
}

/* ---- database pools ---- */

static void a_pool_held_by(struct fixture *x, const char *cause, enum sql_holding what,
			   uint64_t held, struct place at)
{
	struct sql_pool *p;

	pair(x, "pool-exhausted", cause);
	p = add_pool(&x->w, 10, 10, 4, 9);
	add_holder(p, what, held, 9, at);
	add_holder(p, SQL_CALL, 10 - held, 0.1, AT_QUERY)->goroutine = 99;
	x->effect->about.row = p;
	x->cause->place = AT_TX;
}

static void who_holds_the_pool_exhausts_it(void **state)
{
	static const struct {
		const char *kind;
		enum sql_holding what;
	} by[] = { { "transaction-open", SQL_TRANSACTION }, { "rows-open", SQL_ROWS } };
	struct fixture x;

	(void)state;
	for (int i = 0; i < 2; i++) {
		a_pool_held_by(&x, by[i].kind, by[i].what, 8, AT_TX);
		linked(&x, by[i].kind, "pool-exhausted");
		a_pool_held_by(&x, by[i].kind, by[i].what, 2, AT_TX); /* slow queries do */
		apart(&x);
		a_pool_held_by(&x, by[i].kind, by[i].what, 8, AT_QUERY); /* others do */
		apart(&x);
	}
	a_pool_held_by(&x, "transaction-open", SQL_TRANSACTION, 8, (struct place){ 0 });
	x.cause->place = (struct place){ 0 };
	linked(&x, "transaction-open", "pool-exhausted");
}

static void deadlocked(struct fixture *x, uint64_t goid)
{
	struct goroutines_window *g = x->w.goroutines;

	g->deadlocks.known = true;
	g->deadlocks.ndeadlock = 1;
	g->deadlocks.deadlock[0].n = 1;
	g->deadlocks.member = calloc(1, sizeof(*g->deadlocks.member));
	assert_non_null(g->deadlocks.member);
	g->deadlocks.nmember = 1;
	g->deadlocks.member[0].goid = goid;
	g->deadlocks.member[0].at = x->cause->place;
}

static void who_is_deadlocked_gives_nothing_back(void **state)
{
	static const char *const effects[] = { "transaction-open", "rows-open" };
	struct fixture x;

	(void)state;
	for (uint64_t goid = HOLDER; goid <= HOLDER + 1; goid++)
		for (int i = 0; i < 3; i++) {
			if (i == 2) {
				a_pool_held_by(&x, "deadlock", SQL_TRANSACTION, 8, AT_TX);
			} else {
				pair(&x, effects[i], "deadlock");
				x.effect->about.row = add_holder(add_pool(&x.w, 4, 4, 0, 0),
								 SQL_TRANSACTION, 1, 9, AT_TX);
			}
			deadlocked(&x, goid);
			if (goid == HOLDER)
				linked(&x, "deadlock", i == 2 ? "pool-exhausted" : effects[i]);
			else
				apart(&x);
		}
}

/* ---- who holds it is in a call ---- */

static void in_call(struct fixture *x, uint64_t goid, const char *host)
{
	add_request(&x->w, host, NET_TTFB, 9)->goroutine = goid;
	about(x->cause, API, NET_TTFB);
}

static void a_transaction_waits_for_a_host(void **state)
{
	static const char *const causes[] = { "no-timeout", "slow-phase", "failing-phase" };
	struct fixture x;

	(void)state;
	for (int i = 0; i < 3; i++)
		for (int twin = 0; twin < 3; twin++) {
			pair(&x, "transaction-open", causes[i]);
			x.effect->about.row = add_holder(add_pool(&x.w, 4, 4, 0, 0),
							 SQL_TRANSACTION, 1, 9, AT_TX);
			in_call(&x, twin == 1 ? HOLDER + 1 : HOLDER, twin == 2 ? "other:80" : API);
			if (twin == 2)
				x.w.net->in_flight[0].place = AT_QUERY;
			if (twin)
				apart(&x);
			else
				linked(&x, causes[i], "transaction-open");
		}
}

static void a_lock_is_held_in_a_call(void **state)
{
	static const char *const causes[] = { "no-timeout", "slow-phase", "failing-phase" };
	struct fixture x;

	(void)state;
	for (int i = 0; i < 3; i++)
		for (int twin = 0; twin < 2; twin++) {
			pair(&x, "lock-contention", causes[i]);
			x.effect->about.row = add_lock(&x.w, 9, 9, 4);
			x.w.locks->row[0].holder = twin ? HOLDER + 1 : HOLDER;
			in_call(&x, HOLDER, API);
			if (twin)
				apart(&x);
			else
				linked(&x, causes[i], "lock-contention");
		}
}

static void a_lock_is_held_while_it_waits_for_the_pool(void **state)
{
	struct fixture x;

	(void)state;
	for (int twin = 0; twin < 2; twin++) {
		struct sql_pool *p;

		pair(&x, "lock-contention", "pool-exhausted");
		x.cause->about.row = p = add_pool(&x.w, 4, 4, 9, 4);
		p->waits_at = AT_QUERY;
		x.effect->about.row = add_lock(&x.w, 9, 9, 4);
		x.w.locks->row[0].holder = HOLDER;
		x.w.locks->row[0].holder_at = twin ? AT_TX : AT_QUERY;
		if (twin)
			apart(&x);
		else
			linked(&x, "pool-exhausted", "lock-contention");
	}
}

/* ---- memory ---- */

static void large_objects_drive_the_collector(void **state)
{
	struct fixture x;

	(void)state;
	for (int twin = 0; twin < 2; twin++) {
		struct alloc_row *a;

		pair(&x, "gc-pressure", "large-allocation");
		a = MORE(x.w.memory->alloc, x.w.memory->nalloc);
		a->place = AT_QUERY;
		a->stack[0] = AT_QUERY;
		a->stack[1] = twin ? AT_TX : AT_CHARGE;
		a->nstack = 2;
		x.effect->about.row = a;
		if (twin)
			apart(&x);
		else
			linked(&x, "large-allocation", "gc-pressure");
	}
	pair(&x, "gc-pressure", "large-allocation"); /* no site stands out */
	apart(&x);
}

/* ---- goroutines ---- */

/* So many of 100 that were created at AT_GO stand at that place. */
static struct site_row *standing(struct fixture *x, uint64_t there, struct place at)
{
	struct site_row *s = MORE(x->w.goroutines->site, x->w.goroutines->nsite);

	s->place = AT_GO;
	s->live = 100;
	s->wait = calloc(2, sizeof(*s->wait));
	assert_non_null(s->wait);
	s->nwait = 2;
	s->wait[0].count = there;
	s->wait[0].stack[0] = PLACE("net/http.(*Client).do", "client.go", 1);
	s->wait[0].stack[1] = at;
	s->wait[0].nstack = 2;
	s->wait[1].count = 100 - there;
	return s;
}

static void memory_of_goroutines(void **state)
{
	static const char *const causes[] = { "goroutine-leak", "goroutine-flood" };
	struct fixture x;

	(void)state;
	for (int i = 0; i < 2; i++)
		for (int twin = 0; twin < 3; twin++) {
			pair(&x, "memory-growth", causes[i]);
			x.cause->place = AT_GO;
			x.effect->place = twin == 1 ? AT_QUERY : AT_KEEP;
			standing(&x, twin == 2 ? 10 : 100, PLACE("main.work", "work.go", 15));
			if (twin)
				apart(&x);
			else
				linked(&x, causes[i], "memory-growth");
		}
}

static void piled_up(struct fixture *x, const char *effect, const char *cause)
{
	pair(x, effect, cause);
	finding_count(x->effect, "count", 90);
	finding_number(x->effect, "per_minute", 600);
}

static void goroutines_sit_in_a_call(void **state)
{
	static const char *const causes[] = { "no-timeout", "slow-phase", "failing-phase" };
	static const char *const effects[] = { "goroutine-flood", "goroutine-leak" };
	struct fixture x;

	(void)state;
	for (int i = 0; i < 6; i++) {
		piled_up(&x, effects[i % 2], causes[i / 2]);
		standing(&x, 90, AT_CHARGE);
		folded(&x, causes[i / 2]);
		piled_up(&x, effects[i % 2], causes[i / 2]); /* most stand elsewhere */
		standing(&x, 20, AT_CHARGE);
		apart(&x);
		piled_up(&x, effects[i % 2], causes[i / 2]); /* at another line of the function */
		standing(&x, 90, PLACE("main.charge", "charge.go", 60));
		apart(&x);
	}
}

static void goroutines_wait_for_the_pool(void **state)
{
	static const char *const effects[] = { "goroutine-flood", "goroutine-leak" };
	struct fixture x;

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct sql_pool *p;

		piled_up(&x, effects[i % 2], "pool-exhausted");
		x.cause->about.row = p = add_pool(&x.w, 4, 4, 90, 4);
		p->waits_at = AT_QUERY;
		standing(&x, 90, i < 2 ? AT_QUERY : AT_CHARGE);
		if (i < 2)
			folded(&x, "pool-exhausted");
		else
			apart(&x);
	}
}

static void goroutines_of_silent_clients(void **state)
{
	static const char *const effects[] = { "goroutine-flood", "goroutine-leak" };
	struct fixture x;

	(void)state;
	for (int i = 0; i < 6; i++) {
		piled_up(&x, effects[i % 2], "server-no-timeout");
		x.effect->place = standing(&x, 90, AT_KEEP)->place =
			i < 4 ? PLACE("net/http.(*Server).Serve", "server.go", 3285) : AT_GO;
		finding_count(x.cause, "hanging", i < 2 ? 90 : i < 4 ? 3 : 90);
		if (i < 2)
			folded(&x, "server-no-timeout");
		else
			apart(&x);
	}
}

/* What nobody can ever wake stays, wherever it stands. */
static void a_proven_leak_is_not_left_out(void **state)
{
	struct fixture x;
	struct leak_row *r;

	(void)state;
	piled_up(&x, "goroutine-leak", "slow-phase");
	standing(&x, 90, AT_CHARGE);
	r = MORE(x.w.goroutines->leaks.row, x.w.goroutines->leaks.nrow);
	r->place = AT_GO;
	r->count = 90;
	apart(&x);
}

/* ---- several ---- */

/* A host that hangs, a transaction that waits for it, a pool that is empty for it. */
static void a_chain_stands_in_its_order(void **state)
{
	struct fixture x;
	struct sql_pool *p;
	struct finding *f;

	(void)state;
	a_pool_held_by(&x, "transaction-open", SQL_TRANSACTION, 8, AT_TX);
	p = &x.w.sql->pool[0];
	x.cause->about.row = &p->holder[0];
	f = add(&x, "slow-phase", SEVERITY_LOW, AT_CHARGE);
	about(f, API, NET_TTFB);
	add_request(&x.w, API, NET_TTFB, 9)->goroutine = HOLDER;
	add(&x, "large-allocation", SEVERITY_CRITICAL, AT_KEEP);
	explain(&x);
	assert_int_equal(x.fs.n, 4);
	assert_string_equal(x.fs.f[0].kind, "large-allocation");
	assert_string_equal(x.fs.f[1].kind, "slow-phase");
	assert_string_equal(x.fs.f[2].kind, "transaction-open");
	assert_string_equal(x.fs.f[3].kind, "pool-exhausted");
	end(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unclosed_bodies_make_others_wait),
		cmocka_unit_test(dials_hold_slots),
		cmocka_unit_test(lost_slots_keep_requests_waiting),
		cmocka_unit_test(calls_hang_on_dead_connections),
		cmocka_unit_test(a_failing_host_makes_calls_hang),
		cmocka_unit_test(requests_that_hang_are_told_of_once),
		cmocka_unit_test(who_holds_the_pool_exhausts_it),
		cmocka_unit_test(who_is_deadlocked_gives_nothing_back),
		cmocka_unit_test(a_transaction_waits_for_a_host),
		cmocka_unit_test(a_lock_is_held_in_a_call),
		cmocka_unit_test(a_lock_is_held_while_it_waits_for_the_pool),
		cmocka_unit_test(large_objects_drive_the_collector),
		cmocka_unit_test(memory_of_goroutines),
		cmocka_unit_test(goroutines_sit_in_a_call),
		cmocka_unit_test(goroutines_wait_for_the_pool),
		cmocka_unit_test(goroutines_of_silent_clients),
		cmocka_unit_test(a_proven_leak_is_not_left_out),
		cmocka_unit_test(a_chain_stands_in_its_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
