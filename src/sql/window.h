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
};

struct sql_pool {
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
	struct sql_holder *holder;
	int nholder; /* owned; most connections first */
};

struct sql_window {
	bool known;
	struct sql_pool *pool;
	int npool; /* owned */
};

/* Frees what it owns; it is then empty. */
void sql_window_deinit(struct sql_window *s);

#endif
