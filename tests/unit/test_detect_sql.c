/* SPDX-License-Identifier: BSD-2-Clause */
/* Findings on pools of database/sql and others, each beside its twin that must give none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "detect_net.h"
#include "net_window.h"

static void an_exhausted_pool(void **state)
{
	const struct finding *f;
	struct sql_pool *p;
	struct fixture x;

	(void)state;
	set_up(&x);
	p = add_pool(&x.w, 4, 4, 20, 9.8);
	p->waits_at = AT_QUERY;
	f = only(&x, "pool-exhausted", SEVERITY_CRITICAL);
	assert_string_equal(f->id, "pool-exhausted:*pq.Driver:4");
	assert_string_equal(
		f->title,
		"database pool exhausted: all 4 of *pq.Driver in use, 20 goroutines wait, the "
		"longest for 9.8s");
	assert_string_equal(f->place.function, "main.(*Store).load");
	assert_true(number(f, "max_open") == 4 && number(f, "in_use") == 4 &&
		    number(f, "waiters") == 20 && number(f, "longest_wait_s") == 9.8);
	expect_says(f, "unknown who holds the connections");
	add_holder(p, SQL_TRANSACTION, 2, 2.5, AT_TX);
	add_holder(p, SQL_ROWS, 1, 2.5, AT_QUERY)->place_is_now = true;
	f = only(&x, "pool-exhausted", SEVERITY_CRITICAL);
	assert_string_equal(f->place.function, "main.holdTx");
	expect_says(f, "2 held by a transaction for 2.5s, taken at main.holdTx (tx.go:96)");
	expect_says(f, "1 held by unclosed rows for 2.5s, now at main.(*Store).load (store.go:33)");
	expect_says(f, "tx.Rollback()");
	/* a second pool alike has an id of its own */
	add_pool(&x.w, 4, 4, 1, 2);
	detect(&x);
	assert_int_equal(x.fs.n, 2);
	assert_string_equal(x.fs.f[1].id, "pool-exhausted:*pq.Driver:4:2");
	assert_non_null(strstr(x.fs.f[1].title, "1 goroutine waits"));
	tear_down(&x);
}

/* Advice is of the library's, and of what holds the connections. */
static void an_exhausted_pool_of_redis(void **state)
{
	const struct finding *f;
	struct sql_pool *p;
	struct fixture x;

	(void)state;
	set_up(&x);
	p = add_pool(&x.w, 10, 10, 5, 3.5);
	p->library = SQL_REDIS;
	strcpy(p->driver, "go-redis");
	expect_says(only(&x, "pool-exhausted", SEVERITY_CRITICAL), "unknown who holds");
	add_holder(p, SQL_CALL, 8, 40, AT_QUERY);
	p->kept = 2;
	f = only(&x, "pool-exhausted", SEVERITY_CRITICAL);
	assert_string_equal(f->title, "connection pool exhausted: all 10 of go-redis in use, 5 "
				      "goroutines wait, the longest for 3.5s");
	expect_says(f, "8 held by a call for 40.0s");
	expect_says(f, "2 held with no command seen under way: by a Conn");
	assert_non_null(strstr(f->advice, "raise PoolSize"));
	p->holder[0].count = 3;
	p->kept = 7;
	f = only(&x, "pool-exhausted", SEVERITY_CRITICAL);
	assert_non_null(strstr(f->advice, "close every Conn"));
	p->longest_wait_s = 0.4; /* busy */
	nothing(&x);
}

static void a_full_pool_is_not_exhausted(void **state)
{
	struct fixture x;

	(void)state;
	set_up(&x);
	add_pool(&x.w, 4, 4, 20, 0.9); /* they wait, and get one */
	add_pool(&x.w, 4, 4, 0, 0);
	add_pool(&x.w, 0, 400, 1, 5); /* no limit: what it waits for is a dial */
	add_pool(&x.w, 8, 4, 1, 3);   /* there is room: it is being dialled */
	add_pool(&x.w, 4, 4, 20, 0)->age = AGE_UNKNOWN;
	nothing(&x);
}

static void open_transactions(void **state)
{
	const struct finding *f;
	struct sql_pool *p;
	struct fixture x;

	(void)state;
	set_up(&x);
	p = add_pool(&x.w, 10, 3, 0, 0);
	add_holder(p, SQL_TRANSACTION, 2, 12.1, AT_TX);
	f = only(&x, "transaction-open", SEVERITY_HIGH);
	assert_string_equal(f->id, "transaction-open:main.holdTx:tx.go:96");
	assert_string_equal(f->title, "2 database transactions begun at main.holdTx (tx.go:96) are "
				      "open, the oldest for 12.1s");
	assert_true(number(f, "count") == 2 && number(f, "oldest_s") == 12.1);
	expect_says(f, "goroutine 31");
	/* the same place in another pool: one finding, with the oldest of all */
	add_holder(add_pool(&x.w, 5, 1, 0, 0), SQL_TRANSACTION, 1, 30, AT_TX);
	f = only(&x, "transaction-open", SEVERITY_HIGH);
	assert_true(number(f, "count") == 3 && number(f, "oldest_s") == 30);
	/* older than gospect */
	x.w.sql->pool[1].holder[0].place_is_now = true;
	expect_says(only(&x, "transaction-open", SEVERITY_HIGH), "1 of them began before gospect");
	x.w.sql->pool[0].holder[0].place_is_now = true;
	expect_says(only(&x, "transaction-open", SEVERITY_HIGH), "not the Begin");
	tear_down(&x);
	set_up(&x); /* no place at all */
	p = add_pool(&x.w, 10, 1, 0, 0);
	p->transactions_open = p->transactions_without_place = 1;
	p->oldest_without_place_s = 3.5;
	p->without_place_age = AGE_AT_LEAST;
	f = only(&x, "transaction-open", SEVERITY_HIGH);
	assert_string_equal(f->id, "transaction-open:*pq.Driver");
	assert_string_equal(
		f->title,
		"1 database transaction (*pq.Driver) is open, the oldest for at least 3.5s");
	p->transactions_out_of_sight = 1;
	expect_says(only(&x, "transaction-open", SEVERITY_HIGH), "has it at hand no more");
	tear_down(&x);
}

/* One cause, one finding: gospect saw one of them begin, and another is older than it. */
static void transactions_older_than_gospect(void **state)
{
	const struct place now = { "main.holdTx", "tx.go", NULL, 99 };
	const struct finding *f;
	struct sql_pool *p;
	struct fixture x;

	(void)state;
	set_up(&x);
	p = add_pool(&x.w, 10, 3, 0, 0);
	add_holder(p, SQL_TRANSACTION, 2, 40, now)->place_is_now = true;
	add_holder(p, SQL_TRANSACTION, 1, 2, AT_TX);
	f = only(&x, "transaction-open", SEVERITY_HIGH);
	assert_string_equal(f->id, "transaction-open:main.holdTx:tx.go:96");
	assert_true(number(f, "count") == 3 && number(f, "oldest_s") == 40);
	expect_says(f, "2 of them began before gospect attached: in main.holdTx now");
	assert_false(says(f, "not the Begin"));
	/* and one more of which nothing is known */
	p->transactions_open++;
	p->transactions_without_place = 1;
	p->oldest_without_place_s = 50;
	p->without_place_age = AGE_AT_LEAST;
	f = only(&x, "transaction-open", SEVERITY_HIGH);
	assert_true(number(f, "count") == 3);
	expect_says(f, "1 more of the pool began before gospect attached, the oldest open for at "
		       "least 50.0s: where is not known");
	/* another function's is another cause */
	p->holder[0].place.function = "main.report";
	p->holder[1].held_s = 4;
	detect(&x);
	assert_int_equal(x.fs.n, 2);
	/* of two calls in the function it is counted with the first, once */
	p->holder[0].place.function = "main.holdTx";
	add_holder(p, SQL_TRANSACTION, 1, 5, (struct place){ "main.holdTx", "tx.go", NULL, 120 });
	detect(&x);
	assert_int_equal(x.fs.n, 2);
	assert_true(number(&x.fs.f[0], "count") + number(&x.fs.f[1], "count") == 4);
	tear_down(&x);
}

/* Who waits for another connection of the pool that he has all of. */
static void a_pool_that_deadlocks_itself(void **state)
{
	const struct finding *f;
	struct sql_holder *h;
	struct sql_pool *p;
	struct fixture x;

	(void)state;
	set_up(&x);
	p = add_pool(&x.w, 4, 4, 20, 9.8);
	h = add_holder(p, SQL_TRANSACTION, 4, 12, AT_TX);
	h->waits = true;
	h->waits_at = h->place;
	h->waits_at.line = 99;
	p->held_by_waiters = 4;
	/* and the transactions that wait are no finding of their own */
	f = only(&x, "pool-exhausted", SEVERITY_CRITICAL);
	assert_string_equal(f->title, "database pool deadlocks itself: who holds all 4 of "
				      "*pq.Driver waits for one more, the longest for 9.8s");
	expect_says(f, "tx.go:96");
	expect_says(f, "the same goroutines wait for another connection at main.holdTx (tx.go:99)");
	assert_non_null(strstr(f->advice, "tx.Query"));
	/* not all of them: then somebody may still give one back */
	p->held_by_waiters = h->count = 3;
	f = only(&x, "pool-exhausted", SEVERITY_CRITICAL);
	assert_non_null(strstr(f->title, "pool exhausted"));
	expect_says(f, "the same goroutines wait");
	tear_down(&x);
}

static void a_pool_that_keeps_no_connection(void **state)
{
	const struct finding *f;
	struct sql_pool *p;
	struct fixture x;

	(void)state;
	set_up(&x);
	x.w.window_s = 5;
	p = add_pool(&x.w, 10, 4, 0, 0);
	p->open = 8;
	p->closes_known = true;
	p->closed = (struct sql_closes){ .lifetime = 60, .idle = 5 };
	p->max_lifetime_s = 0.1;
	f = only(&x, "connection-churn", SEVERITY_LOW);
	assert_string_equal(f->title, "database connections of *pq.Driver are not kept: 65 closed "
				      "in 5.0s by the pool's limits, 8 open");
	assert_string_equal(f->advice, "raise DB.SetConnMaxLifetime to minutes");
	expect_says(f, "60 by DB.SetConnMaxLifetime(100ms)");
	p->closed.idle = 200;
	f = only(&x, "connection-churn", SEVERITY_LOW);
	assert_non_null(strstr(f->advice, "SetMaxIdleConns"));
	expect_says(f, "only 2 may be idle (DB.SetMaxIdleConns, the default)");
	/* now and then, of many that are kept, or in a long window */
	p->closed = (struct sql_closes){ .idle = 9 };
	detect(&x);
	assert_int_equal(x.fs.n, 0);
	p->closed.idle = 65;
	p->open = 22;
	detect(&x);
	assert_int_equal(x.fs.n, 0);
	p->open = 8;
	x.w.window_s = 60;
	nothing(&x);
}

static void hanging_queries(void **state)
{
	struct sql_query q = { .place = { .function = "main.report", .file = "r.go", .line = 7 },
			       .in_flight = 5,
			       .hanging = 2,
			       .longest_hanging_s = 3.1,
			       .hanging_age = AGE_AT_LEAST };
	const struct finding *f;
	struct fixture x;

	(void)state;
	set_up(&x);
	x.w.sql->query = malloc(sizeof(q));
	assert_non_null(x.w.sql->query);
	x.w.sql->nquery = 1;
	x.w.sql->known = true;
	*x.w.sql->query = q;
	f = only(&x, "no-timeout", SEVERITY_MEDIUM);
	assert_string_equal(f->title, "2 database queries at main.report (r.go:7) have no answer "
				      "yet, without a deadline, the oldest for at least 3.1s");
	assert_true(number(f, "hanging") == 2 && number(f, "in_flight") == 5);
	/* one alone may just take long */
	x.w.sql->query->hanging = 1;
	x.w.sql->query->longest_hanging_s = 29;
	detect(&x);
	assert_int_equal(x.fs.n, 0);
	x.w.sql->query->longest_hanging_s = 31;
	only(&x, "no-timeout", SEVERITY_HIGH);
	x.w.sql->query->hanging = 2;
	f = only(&x, "no-timeout", SEVERITY_HIGH);
	assert_string_equal(f->title, "2 database queries at main.report (r.go:7) hang without a "
				      "deadline, the oldest for at least 31.0s");
	/* such a one has come back: they are slow */
	x.w.sql->query->came_back_s = 12;
	detect(&x);
	assert_int_equal(x.fs.n, 0);
	x.w.sql->query->longest_hanging_s = 37;
	only(&x, "no-timeout", SEVERITY_HIGH);
	x.w.sql->query->hanging_age = AGE_UNKNOWN;
	nothing(&x);
}

static void short_transactions_and_calls(void **state)
{
	struct sql_pool *p;
	struct fixture x;

	(void)state;
	set_up(&x);
	p = add_pool(&x.w, 10, 9, 0, 0);
	add_holder(p, SQL_TRANSACTION, 9, 2.9, AT_TX);
	add_holder(p, SQL_CALL, 3, 60, AT_QUERY);
	add_holder(p, SQL_CONN, 3, 600, AT_QUERY); /* kept on purpose: LISTEN, an advisory lock */
	add_holder(p, SQL_ROWS, 2, 600, AT_QUERY); /* an export */
	add_holder(p, SQL_TRANSACTION, 1, 600, AT_CHARGE)->age = AGE_UNKNOWN;
	nothing(&x);
}

static void rows_never_closed(void **state)
{
	const struct finding *f;
	struct fixture x;

	(void)state;
	set_up(&x);
	add_holder(add_pool(&x.w, 0, 12, 0, 0), SQL_ROWS, 12, 41, AT_QUERY);
	f = only(&x, "rows-open", SEVERITY_LOW);
	assert_true(number(f, "count") == 12);
	expect_says(f, "rows.Close()");
	x.w.sql->pool[0].holder[0].held_s = 9;
	nothing(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_exhausted_pool),
		cmocka_unit_test(an_exhausted_pool_of_redis),
		cmocka_unit_test(a_full_pool_is_not_exhausted),
		cmocka_unit_test(open_transactions),
		cmocka_unit_test(transactions_older_than_gospect),
		cmocka_unit_test(a_pool_that_deadlocks_itself),
		cmocka_unit_test(hanging_queries),
		cmocka_unit_test(a_pool_that_keeps_no_connection),
		cmocka_unit_test(short_transactions_and_calls),
		cmocka_unit_test(rows_never_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
