/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Of two findings, which one is the cause: each pair of the table in
 * observe/explain.c, beside its twin, in which the two are independent.
 */
#include "causes.h"

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

/* No look saw in which phase they were when they gave up. */
static void requests_give_up_in_their_dial(void **state)
{
	struct fixture x;

	(void)state;
	for (int i = 0; i < 4; i++) {
		pair(&x, "failing-phase", "slow-phase");
		about(x.effect, i == 1 ? "other:80" : API, i == 2 ? NET_TTFB : -1);
		about(x.cause, API, i == 3 ? NET_BODY : NET_DNS);
		if (i)
			apart(&x);
		else
			linked(&x, "slow-phase", "failing-phase");
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

/* They serve the calls of this process itself. */
static void streams_that_nobody_ends(void **state)
{
	static const struct {
		const char *client, *server;
		uint64_t open;
	} cases[] = {
		{ "google.golang.org/grpc.newClientStreamWithParams",
		  "google.golang.org/grpc.(*Server).serveStreams.func2", 99 },
		{ "google.golang.org/grpc.newClientStreamWithParams", /* who calls is elsewhere */
		  "google.golang.org/grpc.(*Server).serveStreams.func2", 9 },
		{ "google.golang.org/grpc.newClientStreamWithParams", "main.serve", 99 },
		{ "main.start", "google.golang.org/grpc.(*Server).serveStreams.func2", 99 },
	};
	struct fixture x;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct site_row *s;

		pair(&x, "goroutine-flood", "goroutine-leak");
		x.cause->place = PLACE(cases[i].client, "stream.go", 528);
		finding_count(x.cause, "count", cases[i].open);
		s = standing(&x, 90, AT_KEEP);
		x.effect->place = s->place = PLACE(cases[i].server, "server.go", 1107);
		if (i)
			apart(&x);
		else
			linked(&x, "goroutine-leak", "goroutine-flood");
	}
}

/* What a cause takes in makes it weigh more than what is beside it. */
static void what_is_folded_counts(void **state)
{
	struct finding *beside;
	struct fixture x;

	(void)state;
	piled_up(&x, "goroutine-flood", "no-timeout");
	standing(&x, 90, AT_CHARGE);
	x.effect->weight = 700;
	x.cause->weight = 64;
	beside = add(&x, "goroutine-leak", SEVERITY_HIGH, AT_KEEP);
	beside->weight = 750;
	explain(&x);
	assert_int_equal(x.fs.n, 2);
	assert_string_equal(x.fs.f[0].kind, "no-timeout");
	end(&x);
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
		cmocka_unit_test(requests_give_up_in_their_dial),
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
		cmocka_unit_test(streams_that_nobody_ends),
		cmocka_unit_test(what_is_folded_counts),
		cmocka_unit_test(a_chain_stands_in_its_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
