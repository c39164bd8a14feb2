/* SPDX-License-Identifier: BSD-2-Clause */
/* database/sql in a window: its pools and who holds their connections. */
#ifndef GOSPECT_SQL_WINDOW_H
#define GOSPECT_SQL_WINDOW_H

#include "gospect/kinds.h"
#include "model/window.h"

/* Connections in use, by who keeps them. */
struct sql_holder {
	struct place place;
	bool place_is_now; /* older than us: where its goroutine stands, not the call */
	enum sql_holding what;
	uint64_t count;
	double held_s;
	enum age_kind age;
	uint64_t goroutine; /* of the oldest; 0 not known */
	bool out_of_sight;  /* whoever began it ended, or has it no more */
	bool waits;         /* and waits for another connection of the same pool: */
	struct place waits_at;
};

/* Connections closed because of SetConnMaxLifetime, SetMaxIdleConns, SetConnMaxIdleTime. */
struct sql_closes {
	uint64_t lifetime, idle, idle_time;
};

enum sql_library { SQL_STD, SQL_PGX, SQL_REDIS };

struct sql_pool {
	enum sql_library library;
	char driver[96];  /* dynamic type: "*pq.Driver" */
	int64_t max_open; /* 0 unlimited */
	uint64_t open, in_use, idle;
	uint64_t waiters;
	double longest_wait_s;
	enum age_kind age;
	struct place waits_at; /* where most of the waiters stand; may have no function */
	uint64_t wait_count_total, wait_ns_total;
	uint64_t transactions_open;
	double oldest_transaction_s;
	enum age_kind transaction_age;
	/* Of them, those that are in no holder; forgotten: nobody has them on his stack any more. */
	uint64_t transactions_without_place, transactions_out_of_sight;
	double oldest_without_place_s;
	enum age_kind without_place_age;
	bool closes_known;
	struct sql_closes closed_total, closed; /* since the program started, in the window */
	int64_t max_idle;
	double max_lifetime_s, max_idle_time_s; /* 0 none */
	/* In use for over a second, the driver not at it, and by whom is not known; of go-redis:
	 * in use, and in no holder, where all holders are known. */
	uint64_t kept;
	double longest_kept_s;
	enum age_kind kept_age;
	uint64_t held_by_waiters; /* connections in use by who waits for another one of the pool */
	struct sql_holder *holder;
	int nholder; /* owned; most connections first */
};

/* Queries, transactions that begin, pings and prepares, by the place that calls. */
struct sql_query {
	struct place place;
	uint64_t in_flight; /* the driver has them, or opens a connection for them */
	double longest_in_flight_s;
	enum age_kind age;
	uint64_t waiting; /* for a connection of the pool */
	/* of those in flight: for over SQL_HANGS_S, and their context has no deadline and
	 * cannot be cancelled */
	uint64_t hanging;
	double longest_hanging_s;
	enum age_kind hanging_age;
	double came_back_s; /* what one of this place took at least that came back; 0: none seen */
};

#define SQL_HANGS_S 3.0

/* Statements of the window by the place that calls, as probes saw them. */
struct sql_statement {
	bool other;
	struct place place;
	uint64_t count, errors; /* begun, and failed: each try of one that database/sql repeats */
	uint64_t margin;        /* of count, SAMPLED: see struct trace_sample */
	uint64_t errors_margin; /* of errors */
	uint64_t timed, p50_ns, p99_ns, max_ns; /* of so many: connection had, to rows or result */
	enum exactness exactness;
	double rate; /* SAMPLED: 0..1 */
};

struct sql_window {
	bool known;
	struct sql_pool *pool;
	int npool; /* owned */
	struct sql_query *query;
	int nquery; /* owned */
	bool statements_known;
	struct sql_statement *statement;
	int nstatement; /* owned; most first */
};

/* Frees what it owns; it is then empty. */
void sql_window_deinit(struct sql_window *s);

#endif
