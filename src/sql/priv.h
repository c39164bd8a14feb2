/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by the files of this folder only. */
#ifndef GOSPECT_SQL_PRIV_H
#define GOSPECT_SQL_PRIV_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "gort/gotypes.h"
#include "model/age.h"
#include "model/look.h"
#include "model/place.h"
#include "prove/stackmap.h"
#include "sql/pools.h"
#include "sql/read.h"

#define MAX_ROLE_PCS    65536 /* remembered; beyond: looked up anew */
#define MAX_WAIT_PLACES 64    /* of one pool; beyond: not compared */

/* Functions whose frames say what a goroutine does, and the word that leads to it. */
enum role {
	ROLE_OPENER,
	ROLE_CONN,
	ROLE_TX,
	ROLE_ROWS,
	ROLE_EXEC,
	ROLE_QUERY,
	ROLE_BEGIN,
	ROLE_PING,
	ROLE_PREPARE,
	ROLE_STMT_EXEC,
	ROLE_STMT_QUERY,
	ROLE_COUNT,
	ROLE_INSIDE = ROLE_COUNT /* another function of database/sql */
};

/* Who holds a connection. */
struct holder {
	bool found;
	enum sql_holding what;
	struct place place;
	bool is_now;
	uint64_t goid;
	uint64_t ask_parent; /* goid whose place is wanted; 0: none */
	uint64_t object;     /* the Tx or the Rows, where it is known */
	bool out_of_sight;   /* its goroutine ended, or has the object no more */
	bool waits;          /* its goroutine waits for another connection of the pool */
	struct place waits_at;
	struct since since;
};

/* Who waits for a connection. */
struct waiter {
	size_t g; /* in the walk */
	int pool;
	struct since since;
	struct place at;
};

struct pool {
	struct sqldb db;
	uint64_t opener;       /* goid: tells it from another pool at the same address */
	struct holder *holder; /* owned; per connection */
	struct sql_pool row;   /* its holders are owned */
	struct since longest_wait, oldest_tx;
	struct {
		struct place place;
		uint64_t n;
	} waits[MAX_WAIT_PLACES];
	int nwaits;
};

/* What is remembered: connections by driverConn, waiters and dialers by goid, transactions by
 * goid of awaitDone, pools and connectionOpeners by goid of the latter; calls, and what their
 * contexts have, and waiters without a connection, by goid. */
enum known_kind {
	KNOWN_CONNS,
	KNOWN_WAITS,
	KNOWN_DIALS,
	KNOWN_TXS,
	KNOWN_POOLS,
	KNOWN_OPENERS,
	KNOWN_CALLS,
	KNOWN_LIMITS,
	KNOWN_WITHOUT,
	KNOWN_COUNT
};

struct sqlpools {
	struct goruntime *rt;
	struct gotypes *types;
	struct stackmaps maps;
	uint64_t entry[ROLE_COUNT]; /* link-time; 0 absent */
	uint64_t selectgo;
	bool present;             /* database/sql is linked */
	struct u64map driver_of;  /* a connector's type -> name of the driver's, or 0 */
	struct u64map role_of_pc; /* run-time pc -> role + 1; 0: none */
	struct pool *pool;        /* owned, of the latest look */
	int npool;
	struct sql_query *query; /* owned, of the latest look */
	int nquery;
	struct u64map pool_at; /* sql.DB -> number in pool */
	struct {
		uint64_t opener;
		struct sql_closes closed;
	} * base; /* owned, [SQLPOOLS_MAX]: at the window's start */
	int nbase;
	struct u64map came_back; /* a place's hash -> ns that one of its calls took, at least */
	uint64_t looked_ns;      /* the look before */
	struct u64map conn_at;   /* driverConn -> pool << 32 | number */
	struct recall known[KNOWN_COUNT]; /* as of the latest look */
	char why[200];
	/* of the look under way */
	const struct look *look;
	int64_t real_offset_ns; /* CLOCK_REALTIME − our monotonic clock */
	struct recall now[KNOWN_COUNT];
	int waiters_read;
	int asked;             /* contexts */
	int has_asked;         /* stacks for what they have */
	struct waiter *waiter; /* owned */
	size_t nwaiter, waiter_cap;
	int unread;       /* pools */
	uint64_t no_room; /* pools, connections or waiters beyond what is kept, or no memory */
};

/* Since when it is there with the same marks. */
uint64_t sqlpools_keep(struct sqlpools *p, enum known_kind kind, uint64_t key, uint64_t mark0,
		       uint64_t mark1);
/* Since when it waits for the same. */
uint64_t sqlpools_keep_stop(struct sqlpools *p, enum known_kind kind, const struct goroutine *g,
			    uint64_t mark);
struct pool *sqlpools_of(struct sqlpools *p, uint64_t db);

/* roles.c */
int sqlroles_find(struct sqlpools *p);
int sqlroles_at(struct sqlpools *p, uint64_t pc);
/* The innermost role of a stack, or -1. */
int sqlroles_of_stack(struct sqlpools *p, const struct gostack *s);
/*
 * The word that leads to what the goroutine does.  *waits: the function's frame
 * is right behind a select.
 */
bool sqlroles_word(struct sqlpools *p, const struct goroutine *g, int role, uint64_t *out,
		   bool *waits);
/* Who called database/sql: the driver's own frames are further in. */
bool sqlroles_place(struct sqlpools *p, size_t g, struct place *out);

/* calls.c: a goroutine in a call, one that waits for a connection at a place */
void sqlcalls_take(struct sqlpools *p, size_t i);
/* Before what is known becomes what was: those that the look before saw, and that are over. */
void sqlcalls_ended(struct sqlpools *p);
void sqlcalls_waits(struct sqlpools *p, const struct place *at);

/* owners.c: those of the waiters who have a connection already */
int sqlowners_waiters(struct sqlpools *p);
/* Whether a goroutine's stack, or what it points to, points to an object. */
enum known sqlowners_has(struct sqlpools *p, const struct goroutine *g, uint64_t object);

/* holders.c */
void sqlholders_begin(struct sqlpools *p);
/* In two passes: calls are only asked where no transaction has the connection. */
int sqlholders_take(struct sqlpools *p, const int8_t *role, bool calls);
/* Where the goroutines stand that began what is still there. */
void sqlholders_ask_parents(struct sqlpools *p);
int sqlholders_row(struct sqlpools *p, struct pool *q);

#endif
