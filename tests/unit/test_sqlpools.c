/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pools of database/sql in a live process (tests/progs/netparts), in each
 * release: the numbers of DB.Stats(), and who keeps the connections.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "faulty.h"
#include "go_live.h"
#include "report/report.h"
#include "sql/priv.h"
#include "sql/subject.h"
#include "trace/opens.h"
#include "gort/gotime.h"
#include "gort/gotypes.h"
#include "observe/window.h"

#define PATIENCE_NS 60000000000ull

struct watched {
	struct go_live p;
	struct gotypes *types;
	struct gostacks stacks;
	struct sqlpools *pools;
	struct losses losses;
	struct trace_opens opens; /* what probes would have seen */
	uint64_t opens_ns;
};

static void look_start(struct watched *l, const char *name)
{
	memset(l, 0, sizeof(*l));
	go_live_start(&l->p, name);
	assert_int_equal(gotypes_new(&l->types, &l->p.rt), 0);
	assert_int_equal(gostacks_init(&l->stacks), 0);
	assert_int_equal(sqlpools_new(&l->pools, &l->p.rt, l->types), 0);
}

static void look_stop(struct watched *l)
{
	sqlpools_free(l->pools);
	trace_opens_deinit(&l->opens);
	gostacks_deinit(&l->stacks);
	gotypes_free(l->types);
	go_live_stop(&l->p);
}

static void look_once(struct watched *l, struct window *w)
{
	uint32_t *stack;

	assert_int_equal(goruntime_walk(&l->p.rt, &l->p.walk, NULL), 0);
	stack = calloc(l->p.walk.n + 1, sizeof(*stack));
	assert_int_equal(gostacks_read(&l->stacks, &l->p.rt, &l->p.walk, stack), 0);
	assert_int_equal(sqlpools_look(l->pools, &(struct look){ .walk = &l->p.walk,
								 .stacks = &l->stacks,
								 .stack_of = stack,
								 .losses = &l->losses,
								 .opens = &l->opens,
								 .opens_ns = l->opens_ns,
								 .now_ns = clock_mono_ns() }),
			 0);
	free(stack);
	window_deinit(w);
	assert_int_equal(window_init(w), 0);
	assert_int_equal(sqlpools_fill(l->pools, w->sql), 0);
	assert_true(w->sql->known);
}

static struct sql_pool *pool_with(struct window *w, const char *driver, int64_t max_open,
				  uint64_t open)
{
	for (int i = 0; i < w->sql->npool; i++) {
		struct sql_pool *q = &w->sql->pool[i];

		if (!strcmp(q->driver, driver) && q->max_open == max_open && q->open == open)
			return q;
	}
	fail_msg("no pool of %s with %d open", driver, (int)open);
	return NULL;
}

static struct sql_holder *holder_at(struct sql_pool *q, const char *function)
{
	for (int i = 0; i < q->nholder; i++)
		if (q->holder[i].place.function && !strcmp(q->holder[i].place.function, function))
			return &q->holder[i];
	return NULL;
}

static void show(const struct window *w, const struct sqlpools *p)
{
	print_message("%d pools; %s\n", w->sql->npool, sqlpools_why(p));
	for (int i = 0; i < w->sql->npool; i++) {
		const struct sql_pool *q = &w->sql->pool[i];

		print_message("%s: max %d, %d open, %d idle, %d waiters at %s, %d transactions\n",
			      q->driver, (int)q->max_open, (int)q->open, (int)q->idle,
			      (int)q->waiters, q->waits_at.function ? q->waits_at.function : "-",
			      (int)q->transactions_open);
		for (int k = 0; k < q->nholder; k++)
			print_message("  %d %s%s, what %d\n", (int)q->holder[k].count,
				      q->holder[k].place.function,
				      q->holder[k].place_is_now ? " now" : "", q->holder[k].what);
	}
}

/* The program's goroutines get where they are going by themselves. */
static bool all_there(struct window *w)
{
	for (int i = 0; i < w->sql->npool; i++)
		if (w->sql->pool[i].waiters == 3 && w->sql->pool[i].waits_at.function &&
		    w->sql->pool[i].transactions_open &&
		    holder_at(&w->sql->pool[i], "main.holdCall"))
			return w->sql->npool == 4;
	return false;
}

static void check_busy(struct sql_pool *q, const char *stats, int minor)
{
	char said[64];
	struct sql_holder *h;

	snprintf(said, sizeof(said), "%d %d %d %d %d", (int)q->max_open, (int)q->open,
		 (int)q->in_use, (int)q->idle, (int)q->wait_count_total);
	assert_string_equal(said, stats);
	assert_int_equal(q->waiters, 3);
	assert_string_equal(q->waits_at.function, "main.waitForConn");
	assert_string_equal(q->waits_at.file, "main.go");
	assert_int_equal(q->transactions_open, 1);
	h = holder_at(q, "main.holdCall");
	assert_non_null(h);
	assert_int_equal(h->what, SQL_CALL);
	assert_int_equal(h->count, 1);
	assert_false(h->place_is_now);
	assert_true(h->goroutine);
	h = holder_at(q, "main.holdTx");
	/* who started awaitDone is known since 1.21 */
	assert_true(!h == (minor < 21));
	if (h) {
		assert_int_equal(h->what, SQL_TRANSACTION);
		assert_true(h->place_is_now);
		assert_true(h->goroutine);
	}
	h = holder_at(q, "main.holdRows");
	assert_true(!h == (minor < 21));
	if (h)
		assert_int_equal(h->what, SQL_ROWS);
	assert_null(holder_at(q, "main.holdConn")); /* nothing says so but a probe */
	assert_int_equal(q->nholder, minor < 21 ? 1 : 3);
}

static void test_pools(void **state)
{
	uint64_t end = clock_mono_ns() + PATIENCE_NS;
	struct window w = { 0 };
	struct sql_pool *q;
	struct sql_holder *h;
	struct watched l;

	look_start(&l, *state);
	do
		look_once(&l, &w);
	while (!all_there(&w) && clock_mono_ns() < end);
	if (!all_there(&w))
		show(&w, l.pools);
	assert_int_equal(w.sql->npool, 4); /* the closed one is none */
	check_busy(pool_with(&w, "main.fakeDriver", 4, 4), go_live_text(&l.p, "a_stats"),
		   l.p.gb->release.minor);

	q = pool_with(&w, "*main.fakeDriver", 0, 3);
	assert_int_equal(q->idle, 3);
	assert_int_equal(q->in_use, 0);
	assert_int_equal(q->nholder, 0);
	assert_int_equal(q->transactions_open, 0);

	q = pool_with(&w, "*main.fakeDriver", 0, 1); /* being opened */
	assert_int_equal(q->in_use, 1);
	h = holder_at(q, "main.dial");
	assert_non_null(h);
	assert_int_equal(h->what, SQL_CALL);
	pool_with(&w, "*hidden.Driver", 9, 0); /* as it was registered */
	assert_string_equal(sqlpools_why(l.pools), "");
	assert_int_equal(l.losses.n[LOSS_SQL_ROOM], 0);
	window_deinit(&w);
	look_stop(&l);
}

/* A connection in use of the pool that has one that no stack shows; NULL: not there yet. */
static struct holder *hidden_holder(struct watched *l, struct sqlconn **conn)
{
	for (int i = 0; i < l->pools->npool; i++) {
		struct pool *q = &l->pools->pool[i];

		for (size_t k = 0; k < q->db.nconn && q->row.max_open == 4; k++)
			if (q->db.conn[k].in_use && !q->holder[k].found) {
				*conn = &q->db.conn[k];
				return &q->holder[k];
			}
	}
	return NULL;
}

/* What probes saw is believed when the connection was given back before it began, and before the
 * probes were asked: memory is read after that, and may show the next hold. */
static void test_probes_are_of_this_hold(void **state)
{
	uint64_t end = clock_mono_ns() + PATIENCE_NS, back, addr;
	struct window w = { 0 };
	struct sqlconn *conn;
	struct holder *h;
	struct watched l;

	look_start(&l, *state);
	do
		look_once(&l, &w);
	while (!all_there(&w) && clock_mono_ns() < end);
	h = hidden_holder(&l, &conn);
	assert_non_null(h);
	assert_int_equal(h->since.kind, AGE_AT_LEAST);
	back = (uint64_t)(gotime_unix_ns(conn->wall, conn->ext) - clock_real_offset_ns());
	addr = conn->addr;
	u64map_init(&l.opens.at, 16);
	assert_int_equal(trace_opens_add(&l.opens, &(struct trace_open){ .kind = OPEN_SQL_GRAB,
									 .addr = addr,
									 .state = SQL_CONN,
									 .start_ns = back + 1000000,
									 .goid = 4711 }),
			 0);
	l.opens_ns = clock_mono_ns();
	look_once(&l, &w);
	h = hidden_holder(&l, &conn);
	assert_int_equal(h->since.kind, AGE_EXACT);
	assert_int_equal(h->since.ns, back + 1000000);
	assert_int_equal(h->goid, 4711);
	l.opens_ns = back - 1000000; /* it was given back after they were asked */
	look_once(&l, &w);
	h = hidden_holder(&l, &conn);
	assert_int_equal(h->since.kind, AGE_AT_LEAST);
	l.opens_ns = clock_mono_ns();
	l.opens.open[0].start_ns = back - 1000000000; /* the hold before, whose end was missed */
	look_once(&l, &w);
	h = hidden_holder(&l, &conn);
	assert_int_equal(h->since.kind, AGE_AT_LEAST);
	window_deinit(&w);
	look_stop(&l);
}

/* Ages grow from look to look, by as much as the clock. */
static void test_ages(void **state)
{
	uint64_t end = clock_mono_ns() + PATIENCE_NS, from;
	struct window w = { 0 };
	struct sql_pool *q;
	double wait, tx, held;
	struct watched l;

	look_start(&l, *state);
	do
		look_once(&l, &w);
	while (!all_there(&w) && clock_mono_ns() < end);
	q = pool_with(&w, "main.fakeDriver", 4, 4);
	wait = q->longest_wait_s;
	tx = q->oldest_transaction_s;
	held = holder_at(q, "main.holdCall")->held_s;
	from = clock_mono_ns();
	while (clock_mono_ns() < from + 200000000)
		look_once(&l, &w);
	look_once(&l, &w);
	q = pool_with(&w, "main.fakeDriver", 4, 4);
	assert_int_equal(q->age, AGE_AT_LEAST);
	assert_int_equal(q->transaction_age, AGE_AT_LEAST);
	assert_true(q->longest_wait_s >= wait + 0.19);
	assert_true(q->oldest_transaction_s >= tx + 0.19);
	assert_true(holder_at(q, "main.holdCall")->held_s >= held + 0.19);
	assert_int_equal(holder_at(q, "main.holdCall")->age, AGE_AT_LEAST);
	window_deinit(&w);
	look_stop(&l);
}

/* A pool that cannot be read is missing from the report, and the report says so. */
static void test_unread_pools_are_reported(void **state)
{
	uint64_t end = clock_mono_ns() + PATIENCE_NS;
	struct report r = { 0 };
	struct window *w = &r.window;
	struct buf json;
	struct faulty f;
	struct watched l;

	look_start(&l, *state);
	do
		look_once(&l, w);
	while (!all_there(w) && clock_mono_ns() < end);
	assert_int_equal(w->sql->npool, 4);
	faulty_init(&f, l.p.rt.mem, 1);
	f.missing_page = l.pools->pool[0].db.addr & ~4095ull;
	l.p.rt.mem = &f.base;
	look_once(&l, w);
	l.p.rt.mem = f.inner;
	assert_true(w->sql->npool < 4);
	assert_int_equal(l.losses.n[LOSS_SQL_UNREAD], 4 - w->sql->npool);
	sql_subject.cover(&(struct sql_state){ .std = l.pools },
			  &(struct look){ .memory_only = "no probes" }, w);
	losses_report(&l.losses, w);
	assert_int_equal(w->lost_read_failures, l.losses.n[LOSS_SQL_UNREAD]);
	assert_int_equal(window_coverage(w, SENSOR_SQL)->state, PARTIAL);
	buf_init(&json, 1 << 20);
	report_json(&r, &json);
	assert_non_null(strstr(json.data, "of 4 database pools could not be read"));
	assert_non_null(strstr(json.data, "missing: database pools that could not be read"));
	buf_deinit(&json);
	report_deinit(&r);
	look_stop(&l);
}

static void test_time(void **state)
{
	(void)state;
	/* 2024-01-02T03:04:05.000000006Z with and without a monotonic reading */
	assert_int_equal(gotime_unix_ns(1ull << 63 | (1704164645ull + 2682288000ull) << 30 | 6, 77),
			 1704164645000000006);
	assert_int_equal(gotime_unix_ns(6, 1704164645ull + 62135596800ull), 1704164645000000006);
	assert_int_equal(gotime_unix_ns(0, 0), 0);
	assert_int_equal(gotime_unix_ns(0, UINT64_MAX), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_time),
#define RELEASE(minor, release) \
	{ "pools " release, test_pools, NULL, NULL, "netparts-" release "-stripped" },
#include "gobin/releases.def"
		{ "pools pie", test_pools, NULL, NULL, "netparts-newest-pie" },
		{ "probes", test_probes_are_of_this_hold, NULL, NULL, "netparts-1.26.8-stripped" },
		{ "unread", test_unread_pools_are_reported, NULL, NULL, "netparts-usual-stripped" },
		{ "ages", test_ages, NULL, NULL, "netparts-usual-stripped" },
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
