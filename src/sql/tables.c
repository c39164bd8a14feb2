/* SPDX-License-Identifier: BSD-2-Clause */
#include "sql/tables.h"

#include "model/sentence.h"
#include "sql/window.h"

/* ---- who holds connections ---- */

static const char *const holding_word[] = { "transaction", "rows", "conn", "call" };

static void holder_place_is(const struct row *r, struct value *v)
{
	v->text = ((const struct sql_holder *)r->row)->place_is_now ? "now" : "call";
}

static void is_transaction(const struct row *r, struct value *v)
{
	v->flag = ((const struct sql_holder *)r->row)->what == SQL_TRANSACTION && !r->nrest;
}

static void what_cell(const struct row *r, struct buf *out)
{
	enum sql_holding what = ((const struct sql_holder *)r->row)->what;

	buf_puts(out, what == SQL_CONN ? "DB.Conn" : holding_word[what]);
}

static void holder_place(const struct row *r, struct buf *out)
{
	const struct sql_holder *h = r->row;

	buf_puts(out, h->place_is_now ? "now " : "");
	sentence_place(out, &h->place, "?");
}

static void driver_cell(const struct row *r, struct buf *out)
{
	const struct sql_pool *p = r->owner;

	buf_puts(out, p->driver[0] ? p->driver : "?");
}

#define S struct sql_holder
static const struct column holder_column[] = {
	PLACE(S, place, "place", "what `place_is` says", SHOWN(6, "at"), .min = 24,
	      .cell = holder_place, .flags = COLUMN_NO_REST),
	GOT(COLUMN_TEXT, "place_is", holder_place_is,
	    "call: the Begin, Query or Conn was seen; now: it began before gospect attached, and "
	    "this "
	    "is where its goroutine stands",
	    .flags = COLUMN_NO_REST),
	COUNT(S, count, "count", "connections", SHOWN(1, "count")),
	AGE(S, held_s, age, "held_s", "since when the oldest is held",
	    .of_at = OFFSET(S, count, uint64_t), SHOWN(2, "held")),
	GOT(COLUMN_FLAG, "transaction", is_transaction, "it is a transaction",
	    .flags = COLUMN_ABSENT_0),
	WORD(S, what, "what", holding_word, "what holds the connection", .cell = what_cell,
	     SHOWN(3, "by"), .flags = COLUMN_NO_REST | COLUMN_NAME_REST),
	GOID(S, goroutine, "goroutine", "that holds the oldest", SHOWN(4, "goroutine"),
	     .flags = COLUMN_NO_REST),
	FLAG(S, out_of_sight, "out_of_sight",
	     "whoever began it has ended, or has it neither on the stack nor in what that points "
	     "to",
	     .flags = COLUMN_ABSENT_0 | COLUMN_NO_REST),
	PLACE(S, waits_at, "waits_at",
	      "where those who hold it wait for another connection of the same pool",
	      .flags = COLUMN_NO_REST),
	GOT(COLUMN_EXACTNESS, "exactness", schema_exact, "read from memory"),
	CELL("driver", 5, driver_cell, .min = 10, .flags = COLUMN_NO_REST),
};
#undef S

static bool any_holders(const struct window *w)
{
	for (int i = 0; w->sql->known && i < w->sql->npool; i++)
		if (w->sql->pool[i].nholder)
			return true;
	return false;
}

static void holders_sentence(const struct window *w, struct buf *out)
{
	(void)w;
	buf_puts(out, "who holds database connections");
}

const struct table sql_holders = {
	.name = "holder",
	.what = "What holds connections, by place; no row where neither the call nor the "
		"goroutine is known.",
	TABLE_ROWS(struct sql_holder, holder_column),
	.of = &sql_pools,
	.label = "held by",
	.title = "Held database connections",
	.any = any_holders,
	.sentence = holders_sentence,
	.max_rows = 10,
};

/* ---- pools ---- */

static bool is_std(const struct row *r)
{
	return ((const struct sql_pool *)r->row)->library == SQL_STD;
}

static bool closes_known(const struct row *r)
{
	return ((const struct sql_pool *)r->row)->closes_known;
}

static const char *const library_word[] = { "database/sql", "pgxpool", "go-redis" };

#define S struct sql_pool
static const struct column pool_column[] = {
	CHARS(S, driver, "driver", "the driver's dynamic type", SHOWN(1, "driver"), .min = 12,
	      .none = "?", .flags = COLUMN_NO_REST | COLUMN_NAME_REST | COLUMN_ABSENT_0, .id = 1),
	WORD(S, library, "library", library_word, "whose pool it is"),
	MOST(S, max_open, "max_open",
	     "DB.SetMaxOpenConns (0 is unlimited), pool_max_conns, PoolSize", SHOWN(4, "max"),
	     .none = "?", .flags = COLUMN_NO_REST),
	COUNT(S, open, "open", "connections"),
	COUNT(S, in_use, "in_use", "of them, in use", SHOWN(2, "in use")),
	COUNT(S, idle, "idle", "of them, idle", SHOWN(3, "idle"), .flags = COLUMN_DASH_0),
	COUNT(S, waiters, "waiters", "goroutines that wait for a connection", SHOWN(5, "waiting"),
	      .flags = COLUMN_DASH_0),
	AGE(S, longest_wait_s, age, "longest_wait_s", "how long the first of them has waited",
	    .of_at = OFFSET(S, waiters, uint64_t), SHOWN(6, "longest"), .flags = COLUMN_NO_REST),
	PLACE(S, waits_at, "waits_at", "where most of them stand"),
	COUNT(S, wait_count_total, "wait_count_total", "waits since the program started",
	      SHOWN(7, "waits total"), .flags = COLUMN_DASH_0, .known = is_std),
	NS(S, wait_ns_total, "wait_ns_total", "how long they took in all", SHOWN(8, "waited"),
	   .known = is_std),
	COUNT(S, transactions_open, "transactions_open", "transactions under way", SHOWN(9, "tx"),
	      .flags = COLUMN_DASH_0, .known = is_std),
	AGE(S, oldest_transaction_s, transaction_age, "oldest_transaction_s", "age of the oldest",
	    .age_key = "transaction_age", .of_at = OFFSET(S, transactions_open, uint64_t),
	    SHOWN(10, "oldest tx"), .flags = COLUMN_NO_REST, .known = is_std),
	COUNT(S, closed.lifetime, "closed_max_lifetime",
	      "connections closed in the window because of DB.SetConnMaxLifetime",
	      .known = closes_known),
	COUNT(S, closed.idle, "closed_max_idle", "because of DB.SetMaxIdleConns",
	      .known = closes_known),
	COUNT(S, closed.idle_time, "closed_max_idle_time", "because of DB.SetConnMaxIdleTime",
	      .known = closes_known),
	COUNT(S, closed_total.lifetime, "max_lifetime_closed_total",
	      "since the program started, as DB.Stats() has it", .known = closes_known),
	COUNT(S, closed_total.idle, "max_idle_closed_total", "likewise", .known = closes_known),
	COUNT(S, closed_total.idle_time, "max_idle_time_closed_total", "likewise",
	      .known = closes_known),
	REAL(S, max_lifetime_s, "max_lifetime_s", 0.001, "DB.SetConnMaxLifetime; 0 is unlimited",
	     .known = closes_known, .flags = COLUMN_NO_REST),
	COUNT(S, held_by_waiters, "held_by_waiters",
	      "connections in use by who waits for another one of this pool", .known = is_std),
	ROWS(S, holder, nholder, "holders", &sql_holders, "who holds connections",
	     .flags = COLUMN_NO_REST),
	GOT(COLUMN_EXACTNESS, "exactness", schema_exact, "the same numbers as DB.Stats()"),
};
#undef S

static void pools_sentence(const struct window *w, struct buf *out)
{
	uint64_t in_use = 0, open = 0, waiters = 0, transactions = 0;

	for (int i = 0; i < w->sql->npool; i++) {
		in_use += w->sql->pool[i].in_use;
		open += w->sql->pool[i].open;
		waiters += w->sql->pool[i].waiters;
		transactions += w->sql->pool[i].transactions_open;
	}
	sentence_counted(out, "", (uint64_t)w->sql->npool, "database pool");
	sentence_counted(out, ": ", open, "connection");
	sentence_count(out, ", ", in_use, " in use");
	if (waiters)
		sentence_count(out, ", ", waiters, " waiting for one");
	if (transactions)
		sentence_counted(out, ", ", transactions, "open transaction");
}

const struct table sql_pools = {
	.name = "pool",
	.what = "One row per sql.DB, and per pool of pgxpool and go-redis, from its memory.",
	TABLE_ROWS(struct sql_pool, pool_column),
	.of = &sql_object,
	.label = "sql",
	.title = "Database pools",
	.sentence = pools_sentence,
	.max_rows = 10,
	.diff_title = "database connections in use",
	.diff_key = "in_use",
};

/* ---- calls under way ---- */

#define S struct sql_query
static const struct column query_column[] = {
	PLACE(S, place, "place", "the call", SHOWN(5, "at"), .min = 24, .flags = COLUMN_NO_REST,
	      .id = 1),
	COUNT(S, in_flight, "in_flight", "queries, Begins, Pings and Prepares that the driver has",
	      SHOWN(1, "in flight"), .flags = COLUMN_DASH_0),
	AGE(S, longest_in_flight_s, age, "longest_in_flight_s", "age of the oldest of them",
	    .of_at = OFFSET(S, in_flight, uint64_t), SHOWN(2, "longest"), .flags = COLUMN_NO_REST),
	COUNT(S, waiting, "waiting", "goroutines that wait for a connection there",
	      SHOWN(3, "waiting"), .flags = COLUMN_DASH_0),
	COUNT(S, hanging, "hanging",
	      "of those in flight: for over 3 s, with a context that has no deadline and cannot be "
	      "cancelled",
	      SHOWN(4, "hanging"), .flags = COLUMN_DASH_0),
	AGE(S, longest_hanging_s, hanging_age, "longest_hanging_s", "age of the oldest of those",
	    .age_key = "hanging_age", .of_at = OFFSET(S, hanging, uint64_t),
	    .flags = COLUMN_NO_REST),
	REAL(S, came_back_s, "came_back_s", 0.001,
	     "what a call of this place took, at least, that looks saw come back; absent: none",
	     .flags = COLUMN_NO_REST | COLUMN_ABSENT_0),
	GOT(COLUMN_EXACTNESS, "exactness", schema_exact, "read from memory"),
};
#undef S

static bool any_queries(const struct window *w)
{
	return w->sql->known && w->sql->nquery;
}

static void queries_sentence(const struct window *w, struct buf *out)
{
	uint64_t in_flight = 0, hanging = 0;

	for (int i = 0; i < w->sql->nquery; i++) {
		in_flight += w->sql->query[i].in_flight;
		hanging += w->sql->query[i].hanging;
	}
	sentence_counted(out, "", in_flight, "database query");
	buf_puts(out, " in flight");
	if (hanging)
		sentence_count(out, ", ", hanging, " hanging without a deadline");
}

const struct table sql_queries = {
	.name = "query",
	.what = "Queries by the place that calls, from memory: what is under way.",
	TABLE_ROWS(struct sql_query, query_column),
	.of = &sql_object,
	.label = "queries",
	.title = "Database queries by place",
	.any = any_queries,
	.sentence = queries_sentence,
	.max_rows = 10,
};

/* ---- statements, as probes saw them ---- */

static bool statements_known(const struct row *r)
{
	return ((const struct sql_window *)r->row)->statements_known;
}

#define S struct sql_statement
static const struct column statement_column[] = {
	PLACE(S, place, "place", "the call", SHOWN(1, "called at"), .min = 24, .none = "?",
	      .flags = COLUMN_NAME_REST, .id = 1),
	COUNT(S, count, "count",
	      "statements begun in this window: queries, Execs, also of a Stmt, "
	      "a Tx or a Conn; each try of one that database/sql repeats",
	      SHOWN(2, "statements"), .flags = COLUMN_MARK),
	COUNT(S, errors, "errors", "of them, failed", SHOWN(3, "errors"), .flags = COLUMN_DASH_0),
	MARGIN(S, margin, "count"),
	ERRORS_MARGIN(S, errors_margin),
	P50_NS(S, p50_ns, timed, "p50_ns",
	       "from when it has a connection to its rows or result, median", SHOWN(4, "p50")),
	P99_NS(S, p99_ns, timed, "p99_ns", "99th percentile", SHOWN(5, "p99")),
	NS(S, max_ns, "max_ns", "longest", SHOWN(6, "max"),
	   .flags = COLUMN_MAX_REST | COLUMN_ABSENT_0),
	EXACTNESS(S, exactness, RATE(S, rate)),
};
#undef S

static bool any_statements(const struct window *w)
{
	return w->sql->known && w->sql->nstatement;
}

static void statements_sentence(const struct window *w, struct buf *out)
{
	uint64_t n = 0, errors = 0;

	for (int i = 0; i < w->sql->nstatement; i++) {
		n += w->sql->statement[i].count;
		errors += w->sql->statement[i].errors;
	}
	sentence_counted(out, "", n, "database statement");
	if (errors)
		sentence_count(out, ", ", errors, " failed");
}

const struct table sql_statements = {
	.name = "statement",
	.what = "Statements of database/sql and pgx by the place that calls, as probes saw them; "
		"sensor `statements`.",
	TABLE_ROWS(struct sql_statement, statement_column),
	.other_at = OFFSET(struct sql_statement, other, bool),
	.exactness_at = OFFSET(struct sql_statement, exactness, enum exactness),
	.of = &sql_object,
	.label = "statements",
	.title = "Database statements by place",
	.any = any_statements,
	.sentence = statements_sentence,
	.max_rows = 10,
	.diff_title = "database statements",
	.diff_key = "count",
};

/* ---- the object ---- */

static const struct column sql_column[] = {
	ROWS(struct sql_window, pool, npool, "pools", &sql_pools, "pools of connections"),
	ROWS(struct sql_window, query, nquery, "queries", &sql_queries,
	     "queries by the place that calls"),
	ROWS(struct sql_window, statement, nstatement, "statements", &sql_statements,
	     "statements of the window by the place that calls", .known = statements_known),
};

static const void *sql_part(const struct window *w)
{
	return w->sql->known ? w->sql : NULL;
}

const struct table sql_object = TABLE("sql", "database/sql, read from memory.", struct sql_window,
				      sql_column, .part = sql_part);

void sql_brief(const struct window *w, struct buf *out)
{
	const struct sql_pool *p = w->sql->known && w->sql->npool ? &w->sql->pool[0] : NULL;

	for (int i = 1; p && i < w->sql->npool; i++)
		if (w->sql->pool[i].waiters > p->waiters ||
		    (w->sql->pool[i].waiters == p->waiters && w->sql->pool[i].in_use > p->in_use))
			p = &w->sql->pool[i];
	if (!p)
		return;
	sentence_name(out, "", p->driver, 32);
	sentence_count(out, " ", p->in_use, "");
	if (p->max_open > 0)
		sentence_count(out, " of ", (uint64_t)p->max_open, "");
	buf_puts(out, " in use");
	if (p->waiters)
		sentence_count(out, ", ", p->waiters, " waiting");
	if (p->waiters && p->age != AGE_UNKNOWN)
		sentence_seconds(out, p->age == AGE_AT_LEAST ? " (>" : " (", p->longest_wait_s,
				 ")");
	if (p->transactions_open)
		sentence_counted(out, ", ", p->transactions_open, "open transaction");
	if (p->transactions_open && p->transaction_age != AGE_UNKNOWN)
		sentence_seconds(out, p->transaction_age == AGE_AT_LEAST ? " (>" : " (",
				 p->oldest_transaction_s, ")");
	if (w->sql->npool > 1)
		sentence_counted(out, "; ", (uint64_t)w->sql->npool - 1, "more pool");
}
