/* SPDX-License-Identifier: BSD-2-Clause */
#include "sql/pools.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "model/place.h"
#include "model/age.h"
#include "sql/read.h"
#include "gort/goslots.h"
#include "trace/trace.h"
#include "sql/window.h"

#define MAX_ROLE_PCS    65536 /* remembered; beyond: looked up anew */
#define MAX_FRAMES      128   /* of one stack that are looked at */
#define MAX_WAITERS     20000 /* goroutines in (*DB).conn that are read at one look, of all pools */
#define MAX_PARENTS     65536 /* goroutines whose place is asked for at once */
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

static const struct {
	const char *function;
	unsigned int word;
} roles[ROLE_COUNT] = {
	[ROLE_OPENER] = { "database/sql.(*DB).connectionOpener", 0 }, /* db */
	[ROLE_CONN] = { "database/sql.(*DB).conn", 0 },               /* db */
	[ROLE_TX] = { "database/sql.(*Tx).awaitDone", 0 },
	[ROLE_ROWS] = { "database/sql.(*Rows).awaitDone", 0 }, /* in memory since 1.21 */
	/* db, ctx (and txctx of a query), then the driverConn */
	[ROLE_EXEC] = { "database/sql.(*DB).execDC", 3 },
	[ROLE_QUERY] = { "database/sql.(*DB).queryDC", 5 },
	[ROLE_BEGIN] = { "database/sql.(*DB).beginDC", 3 },
	[ROLE_PING] = { "database/sql.(*DB).pingDC", 3 },
	[ROLE_PREPARE] = { "database/sql.(*DB).prepareDC", 3 },
	/* ctx, ci, then the driverStmt */
	[ROLE_STMT_EXEC] = { "database/sql.resultFromStatement", 4 },
	[ROLE_STMT_QUERY] = { "database/sql.rowsiFromStatement", 4 },
};

/* Who keeps a connection. */
struct keeper {
	bool found;
	enum sql_holding what;
	struct place place;
	bool is_now;
	uint64_t goid;
	uint64_t ask_parent; /* goid whose place is wanted; 0: none */
	struct since since;
};

struct pool {
	struct sqldb db;
	struct keeper *keeper; /* owned; per connection */
	struct sql_pool row;   /* its holders are owned */
	struct since longest_wait, oldest_tx;
	struct {
		struct place place;
		uint64_t n;
	} waits[MAX_WAIT_PLACES];
	int nwaits;
};

/* What is remembered: connections by driverConn, waiters and dialers by goid, transactions by
 * goid of awaitDone, pools and connectionOpeners by goid of the latter. */
enum known_kind {
	KNOWN_CONNS,
	KNOWN_WAITS,
	KNOWN_DIALS,
	KNOWN_TXS,
	KNOWN_POOLS,
	KNOWN_OPENERS,
	KNOWN_COUNT
};

struct sqlpools {
	struct goruntime *rt;
	struct gotypes *types;
	uint64_t entry[ROLE_COUNT]; /* link-time; 0 absent */
	uint64_t selectgo;
	bool present;             /* database/sql is linked */
	struct u64map driver_of;  /* a connector's type -> name of the driver's, or 0 */
	struct u64map role_of_pc; /* run-time pc -> role + 1; 0: none */
	struct pool *pool;        /* owned, of the latest look */
	int npool;
	struct u64map pool_at;            /* sql.DB -> number in pool */
	struct u64map conn_at;            /* driverConn -> pool << 32 | number */
	struct recall known[KNOWN_COUNT]; /* as of the latest look */
	uint64_t losses;
	char why[200];
	/* of the look that goes on */
	const struct gowalk *walk;
	const struct gostacks *gs;
	const uint32_t *stack_of;
	struct trace *trace;
	uint64_t now_ns;
	int64_t real_offset_ns; /* CLOCK_REALTIME − our monotonic clock */
	struct recall now[KNOWN_COUNT];
	int waiters_read;
	int unread;
};

static uint64_t keep(struct sqlpools *p, enum known_kind kind, uint64_t key, uint64_t mark0,
		     uint64_t mark1)
{
	return recall_keep(&p->known[kind], &p->now[kind], key, mark0, mark1, p->now_ns);
}

/* ---- roles ---- */

static int role_at(struct sqlpools *p, uint64_t pc)
{
	uint64_t *at = u64map_find(&p->role_of_pc, pc);
	struct gofunc fn = { .name = NULL };
	int role = -1;

	if (at)
		return (int)*at - 1;
	if (!pclntab_find_pc(p->rt->gb->pcln, pc - p->rt->bias, &fn))
		for (int i = 0; i < ROLE_COUNT; i++)
			if (p->entry[i] && p->entry[i] == fn.entry)
				role = i;
	if (role < 0 && fn.name && !strncmp(fn.name, "database/sql.", 13))
		role = ROLE_INSIDE;
	if (p->role_of_pc.len == MAX_ROLE_PCS)
		u64map_clear(&p->role_of_pc);
	u64map_put(&p->role_of_pc, pc, (uint64_t)(role + 1), NULL);
	return role;
}

/* The innermost role of a stack, or -1. */
static int role_of_stack(struct sqlpools *p, const struct gostack *s)
{
	for (uint32_t i = 0; i < s->n; i++) {
		int role = role_at(p, p->gs->pc[s->first + i]);

		if (role >= 0 && role != ROLE_INSIDE)
			return role;
	}
	return -1;
}

/*
 * The word that leads to what the goroutine does.  *waits: the function's frame
 * is right behind a select.
 */
static bool role_word(struct sqlpools *p, const struct goroutine *g, int role, uint64_t *out,
		      bool *waits)
{
	struct gostack_frame f[MAX_FRAMES];
	int n = goruntime_stack_frames(p->rt, g, f, MAX_FRAMES);
	struct gofunc fn;
	int32_t slot;

	*waits = false;
	for (int i = 0; i < n; i++) {
		if (role_at(p, f[i].pc) != role)
			continue;
		if (goslot_arg(p->rt, f[i].pc, !i, roles[role].word, &slot) || !f[i].argp ||
		    mem_read_u64(p->rt->mem, f[i].argp + (uint64_t)slot, out))
			return false;
		*waits = i && !pclntab_find_pc(p->rt->gb->pcln, f[i - 1].pc - p->rt->bias, &fn) &&
			 fn.entry == p->selectgo;
		return true;
	}
	return false;
}

/* Who called database/sql: the driver's own frames are further in. */
static bool place_now(struct sqlpools *p, size_t g, struct place *out)
{
	const struct gostack *s;
	uint32_t from = 0;

	*out = (struct place){ 0 };
	if (p->stack_of[g] >= GOSTACK_MAX || p->stack_of[g] >= p->gs->n)
		return false;
	s = &p->gs->stack[p->stack_of[g]];
	for (uint32_t i = 0; i < s->n; i++)
		if (role_at(p, p->gs->pc[s->first + i]) >= 0)
			from = i;
	return netplace_of_pcs(p->rt, p->gs->pc + s->first + from, (int)(s->n - from), false, out);
}

/* ---- pools ---- */

static void pool_deinit(struct pool *q)
{
	sqldb_deinit(&q->db);
	free(q->keeper);
	free(q->row.holder);
}

static void forget_pools(struct sqlpools *p)
{
	for (int i = 0; i < p->npool; i++)
		pool_deinit(&p->pool[i]);
	p->npool = 0;
	u64map_clear(&p->pool_at);
	u64map_clear(&p->conn_at);
}

/* Waits only ever grow: with fewer ones it was no sql.DB that was read.  By its
 * connectionOpener: another pool may have come to the address. */
static bool waits_grow(struct sqlpools *p, const struct sqldb *db, uint64_t opener)
{
	const struct recalled *before = recall_find(&p->known[KNOWN_POOLS], opener);
	bool grow =
		!before || (db->wait_count >= before->mark[0] && db->wait_ns >= before->mark[1]);

	keep(p, KNOWN_POOLS, opener, db->wait_count, db->wait_ns);
	return grow;
}

/* Where the connector does not say what its driver is: the registered one. */
static void name_driver(struct sqlpools *p, struct sqldb *db)
{
	uint64_t *at = u64map_find(&p->driver_of, db->connector);
	const char *name;

	if (!at) {
		name = sqlread_registered(p->rt, p->types, db->connector);
		at = u64map_put(&p->driver_of, db->connector, (uint64_t)(uintptr_t)name, NULL);
	}
	name = at ? (const char *)(uintptr_t)*at : NULL;
	if (name)
		snprintf(db->driver, sizeof(db->driver), "%s", name);
}

static int add_pool(struct sqlpools *p, uint64_t addr, uint64_t opener)
{
	struct pool *q = &p->pool[p->npool];
	int err;

	if (u64map_find(&p->pool_at, addr))
		return 0;
	if (p->npool == SQLPOOLS_MAX) {
		p->unread++;
		return 0;
	}
	memset(q, 0, sizeof(*q));
	err = sqlread_db(p->rt, p->types, addr, &q->db);
	if (err == -ENOENT) /* closed */
		return 0;
	if (!err && !waits_grow(p, &q->db, opener)) {
		sqldb_deinit(&q->db);
		err = -EBADMSG;
	}
	if (err) {
		p->unread++;
		return err == -ESRCH || err == -EPERM || err == -ENOMEM ? err : 0;
	}
	q->keeper = calloc(q->db.nconn + 1, sizeof(*q->keeper));
	if (!q->keeper) {
		sqldb_deinit(&q->db);
		return -ENOMEM;
	}
	if (q->db.connector)
		name_driver(p, &q->db);
	u64map_put(&p->pool_at, addr, (uint64_t)p->npool, NULL);
	for (size_t i = 0; i < q->db.nconn; i++)
		u64map_put(&p->conn_at, q->db.conn[i].addr, (uint64_t)p->npool << 32 | i, NULL);
	p->npool++;
	return 0;
}

static struct pool *pool_of(struct sqlpools *p, uint64_t db)
{
	const uint64_t *at = u64map_find(&p->pool_at, db);

	return at ? &p->pool[*at] : NULL;
}

/* The keeper of a connection in use; NULL: no such connection, or it is free. */
static struct keeper *keeper_of(struct sqlpools *p, uint64_t conn, struct pool **q)
{
	const uint64_t *at = u64map_find(&p->conn_at, conn);

	if (!at)
		return NULL;
	*q = &p->pool[*at >> 32];
	if (!(*q)->db.conn[(uint32_t)*at].in_use)
		return NULL;
	return &(*q)->keeper[(uint32_t)*at];
}

/* ---- who took it, as probes saw ---- */

/*
 * Taken later than it was given back, else the probes missed an end and it is
 * of an earlier one.  The two clocks may have drifted since: 20 ms and 100 ppm.
 */
static bool is_of_now(const struct sqlpools *p, const struct sqlconn *c, uint64_t start_ns)
{
	int64_t back = sqlread_time_ns(c->wall, c->ext) - p->real_offset_ns;
	int64_t slack = 20000000 + ((int64_t)p->now_ns - back) / 10000;

	return (int64_t)start_ns >= back - slack;
}

static void ask_probes(struct sqlpools *p, const struct sqlconn *c, struct keeper *k)
{
	struct trace_open o;

	if (!p->trace || !trace_open_find(p->trace, OPEN_SQL_GRAB, c->addr, &o) ||
	    !is_of_now(p, c, o.start_ns))
		return;
	k->what = (enum sql_holding)o.state;
	k->goid = o.goid;
	k->since = (struct since){ o.start_ns, AGE_EXACT };
	k->found = netplace_of_pcs(p->rt, o.pcs, (int)o.npcs, false, &k->place);
}

static void look_at_conns(struct sqlpools *p)
{
	for (int i = 0; i < p->npool; i++) {
		struct pool *q = &p->pool[i];

		for (size_t k = 0; k < q->db.nconn; k++) {
			const struct sqlconn *c = &q->db.conn[k];

			if (!c->in_use)
				continue;
			/* in use, and not given back since: the same hold */
			q->keeper[k].since.ns = keep(p, KNOWN_CONNS, c->addr, c->wall, c->ext);
			q->keeper[k].since.kind = AGE_AT_LEAST;
			ask_probes(p, c, &q->keeper[k]);
		}
	}
}

/* ---- what goroutines say ---- */

static void count_wait_place(struct pool *q, const struct place *at)
{
	int i = 0;

	while (i < q->nwaits &&
	       (q->waits[i].place.function != at->function || q->waits[i].place.line != at->line))
		i++;
	if (i == MAX_WAIT_PLACES)
		return;
	if (i == q->nwaits)
		q->waits[q->nwaits++].place = *at;
	q->waits[i].n++;
}

static void add_waiter(struct sqlpools *p, struct pool *q, size_t i)
{
	const struct goroutine *g = &p->walk->g[i];
	struct since since =
		since_parked(p->rt, g, keep(p, KNOWN_WAITS, g->goid, q->db.addr, g->tracking_seq));
	struct trace_open o;
	struct place at;

	if (p->trace && trace_open_find(p->trace, OPEN_SQL_WAIT, g->addr, &o) &&
	    (!o.goid || o.goid == g->goid))
		since = (struct since){ o.start_ns, AGE_EXACT };
	q->longest_wait = since_earlier(q->longest_wait, since);
	if (place_now(p, i, &at))
		count_wait_place(q, &at);
}

static int add_holder(struct sqlpools *p, struct pool *q, const struct keeper *k);

/* In no driverConn yet: a connection is being opened, and counts as in use. */
static int add_dialer(struct sqlpools *p, struct pool *q, size_t i)
{
	const struct goroutine *g = &p->walk->g[i];
	struct keeper k = { .what = SQL_CALL, .goid = g->goid };

	k.since =
		since_parked(p->rt, g, keep(p, KNOWN_DIALS, g->goid, q->db.addr, g->tracking_seq));
	k.found = place_now(p, i, &k.place);
	return k.found ? add_holder(p, q, &k) : 0;
}

static int take_conn(struct sqlpools *p, size_t i)
{
	const struct goroutine *g = &p->walk->g[i];
	const struct recalled *before = recall_find(&p->known[KNOWN_WAITS], g->goid);
	bool waits = true;
	struct pool *q;
	uint64_t db;

	/* a stop that was seen at the look before, or one more to be read */
	if (before && before->mark[1] == g->tracking_seq) {
		db = before->mark[0];
	} else {
		if (p->waiters_read == MAX_WAITERS)
			return 0;
		p->waiters_read++;
		if (!role_word(p, g, ROLE_CONN, &db, &waits))
			return 0;
	}
	q = pool_of(p, db);
	if (!q)
		return 0;
	if (!waits)
		return add_dialer(p, q, i);
	add_waiter(p, q, i);
	return 0;
}

/* Begun by the goroutine that started awaitDone. */
static void take_tx(struct sqlpools *p, size_t i)
{
	const struct goroutine *g = &p->walk->g[i];
	struct sqltx tx;
	struct keeper *k;
	struct pool *q, *of;
	struct since since;
	uint64_t addr, born;
	bool waits;

	if (!role_word(p, g, ROLE_TX, &addr, &waits) || sqlread_tx(p->rt, addr, &tx) || tx.done)
		return;
	q = pool_of(p, tx.db);
	if (!q)
		return;
	since = since_parked(p->rt, g, keep(p, KNOWN_TXS, g->goid, addr, 0));
	born = p->trace ? trace_birth_time(p->trace, g->goid) : 0;
	if (born)
		since = (struct since){ born, AGE_EXACT };
	k = keeper_of(p, tx.conn, &of);
	if (k && of == q) {
		if (k->since.kind == AGE_EXACT && k->what == SQL_TRANSACTION)
			since = k->since;
		else
			k->since = since.kind == AGE_EXACT ? since : since_earlier(k->since, since);
		k->what = SQL_TRANSACTION;
		k->ask_parent = k->found ? 0 : g->parent_goid;
	}
	q->row.transactions_open++;
	q->oldest_tx = since_earlier(q->oldest_tx, since);
}

static void take_rows(struct sqlpools *p, size_t i)
{
	const struct goroutine *g = &p->walk->g[i];
	uint64_t rows, conn, born;
	struct keeper *k;
	struct pool *q;
	bool waits;

	if (!role_word(p, g, ROLE_ROWS, &rows, &waits) || sqlread_rows(p->rt, rows, &conn))
		return;
	k = keeper_of(p, conn, &q);
	if (!k || k->found || k->ask_parent) /* in a transaction: that one has it */
		return;
	k->what = SQL_ROWS;
	k->ask_parent = g->parent_goid;
	k->since = since_earlier(k->since, since_parked(p->rt, g, p->now_ns));
	born = p->trace ? trace_birth_time(p->trace, g->goid) : 0;
	if (born)
		k->since = (struct since){ born, AGE_EXACT };
}

static void take_call(struct sqlpools *p, size_t i, int role)
{
	const struct goroutine *g = &p->walk->g[i];
	struct keeper *k;
	struct pool *q;
	uint64_t conn;
	bool waits;

	if (!role_word(p, g, role, &conn, &waits) ||
	    ((role == ROLE_STMT_EXEC || role == ROLE_STMT_QUERY) &&
	     sqlread_stmt(p->rt, conn, &conn)))
		return;
	k = keeper_of(p, conn, &q);
	if (!k || k->found || k->ask_parent)
		return;
	k->what = SQL_CALL;
	k->goid = g->goid;
	k->found = place_now(p, i, &k->place);
}

/* In two passes: calls are only asked where no transaction has the connection. */
static int take_goroutines(struct sqlpools *p, const int8_t *role, bool calls)
{
	int err = 0;

	for (size_t i = 0; i < p->walk->n && !err; i++) {
		int r = p->stack_of[i] < p->gs->n ? role[p->stack_of[i]] : -1;

		if (r < 0 || r == ROLE_OPENER)
			continue;
		if (calls && r > ROLE_ROWS)
			take_call(p, i, r);
		else if (calls && r == ROLE_ROWS)
			take_rows(p, i);
		else if (!calls && r == ROLE_TX)
			take_tx(p, i);
		else if (!calls && r == ROLE_CONN)
			err = take_conn(p, i);
	}
	return err;
}

/* Where the goroutines stand that began what is still there. */
static void ask_parents(struct sqlpools *p)
{
	struct u64map wanted; /* goid -> number in the walk + 1 */

	u64map_init(&wanted, MAX_PARENTS);
	for (int i = 0; i < p->npool; i++)
		for (size_t k = 0; k < p->pool[i].db.nconn; k++)
			if (p->pool[i].keeper[k].ask_parent)
				u64map_put(&wanted, p->pool[i].keeper[k].ask_parent, 0, NULL);
	for (size_t i = 0; i < p->walk->n && wanted.len; i++) {
		uint64_t *at = u64map_find(&wanted, p->walk->g[i].goid);

		if (at)
			*at = i + 1;
	}
	for (int i = 0; i < p->npool; i++)
		for (size_t k = 0; k < p->pool[i].db.nconn; k++) {
			struct keeper *who = &p->pool[i].keeper[k];
			uint64_t *at =
				who->ask_parent ? u64map_find(&wanted, who->ask_parent) : NULL;

			if (!at || !*at)
				continue;
			who->found = place_now(p, (size_t)*at - 1, &who->place);
			who->is_now = true;
			who->goid = who->ask_parent;
		}
	u64map_deinit(&wanted);
}

/* ---- rows ---- */

static bool same_place(const struct place *a, const struct place *b)
{
	return a->function == b->function && a->path == b->path && a->line == b->line;
}

static int add_holder(struct sqlpools *p, struct pool *q, const struct keeper *k)
{
	struct sql_pool *row = &q->row;
	struct sql_holder *h;
	enum age_kind kind;
	double held;
	int i = 0;

	while (i < row->nholder &&
	       (row->holder[i].what != k->what || row->holder[i].place_is_now != k->is_now ||
		!same_place(&row->holder[i].place, &k->place)))
		i++;
	if (i == row->nholder) {
		h = realloc(row->holder, (size_t)(i + 1) * sizeof(*h));
		if (!h)
			return -ENOMEM;
		row->holder = h;
		row->holder[row->nholder++] = (struct sql_holder){ .place = k->place,
								   .place_is_now = k->is_now,
								   .what = k->what };
	}
	h = &row->holder[i];
	held = since_age_s(k->since, p->now_ns, &kind);
	if (!h->count++ || held > h->held_s) {
		h->held_s = held;
		h->age = kind;
		h->goroutine = k->goid;
	}
	return 0;
}

static int by_count(const void *x, const void *y)
{
	const struct sql_holder *a = x, *b = y;

	if (a->count != b->count)
		return a->count < b->count ? 1 : -1;
	return a->held_s < b->held_s ? 1 : a->held_s > b->held_s ? -1 : 0;
}

/* Numbers and stacks are of two moments: no more holders than connections. */
static void fit_holders(struct sql_pool *row)
{
	uint64_t left = row->in_use;
	int n = 0;

	while (n < row->nholder && n < SQLPOOLS_MAX_HOLDERS && left) {
		struct sql_holder *h = &row->holder[n++];

		if (h->count > left)
			h->count = left;
		left -= h->count;
	}
	row->nholder = n;
}

static int make_row(struct sqlpools *p, struct pool *q)
{
	struct sql_pool *row = &q->row;
	uint64_t most = 0;
	int err = 0;

	memcpy(row->driver, q->db.driver, sizeof(row->driver));
	row->max_open = q->db.max_open;
	row->open = q->db.open;
	row->idle = q->db.idle;
	row->in_use = q->db.open - q->db.idle;
	row->waiters = q->db.waiters;
	row->wait_count_total = q->db.wait_count;
	row->wait_ns_total = q->db.wait_ns;
	row->longest_wait_s = since_age_s(q->longest_wait, p->now_ns, &row->age);
	row->oldest_transaction_s = since_age_s(q->oldest_tx, p->now_ns, &row->transaction_age);
	for (int i = 0; i < q->nwaits; i++)
		if (q->waits[i].n > most) {
			most = q->waits[i].n;
			row->waits_at = q->waits[i].place;
		}
	for (size_t i = 0; i < q->db.nconn && !err; i++)
		if (q->keeper[i].found)
			err = add_holder(p, q, &q->keeper[i]);
	if (row->nholder)
		qsort(row->holder, (size_t)row->nholder, sizeof(*row->holder), by_count);
	fit_holders(row);
	return err;
}

/* ---- a look ---- */

static void say_what_is_missing(struct sqlpools *p)
{
	int without = 0;

	for (int i = 0; i < p->npool; i++)
		without += !p->pool[i].db.conns_known;
	p->losses += (uint64_t)p->unread;
	p->why[0] = '\0';
	if (p->unread)
		snprintf(p->why, sizeof(p->why),
			 "%d of %d database pools could not be read: they changed each time, or "
			 "are not as known",
			 p->unread, p->npool + p->unread);
	else if (without)
		snprintf(p->why, sizeof(p->why),
			 "the connections of %d of %d database pools could not be read one by one",
			 without, p->npool);
}

/* The pool of a connectionOpener; of one that runs just now as at the look before. */
static bool opened_by(struct sqlpools *p, const int8_t *role, size_t i, uint64_t *db)
{
	const struct goroutine *g = &p->walk->g[i];
	const struct recalled *before = NULL;
	bool waits;

	if (p->stack_of[i] < p->gs->n) {
		if (role[p->stack_of[i]] != ROLE_OPENER)
			return false;
		if (role_word(p, g, ROLE_OPENER, db, &waits))
			return true;
	}
	before = recall_find(&p->known[KNOWN_OPENERS], g->goid);
	if (!before && p->stack_of[i] < p->gs->n)
		p->unread++;
	if (before)
		*db = before->mark[0];
	return before;
}

static int find_pools(struct sqlpools *p, const int8_t *role)
{
	int err = 0;

	for (size_t i = 0; i < p->walk->n && !err; i++) {
		uint64_t db;

		if (!opened_by(p, role, i, &db))
			continue;
		keep(p, KNOWN_OPENERS, p->walk->g[i].goid, db, 0);
		err = add_pool(p, db, p->walk->g[i].goid);
	}
	return err;
}

static int look(struct sqlpools *p, const int8_t *role)
{
	int err = find_pools(p, role);

	if (err)
		return err;
	look_at_conns(p);
	err = take_goroutines(p, role, false);
	if (!err)
		err = take_goroutines(p, role, true);
	if (err)
		return err;
	ask_parents(p);
	for (int i = 0; i < p->npool && !err; i++)
		err = make_row(p, &p->pool[i]);
	return err;
}

int sqlpools_look(struct sqlpools *p, const struct gowalk *walk, const struct gostacks *gs,
		  const uint32_t *stack_of, struct trace *trace, uint64_t now_ns)
{
	int8_t *role;
	int err;

	if (!p->present)
		return 0;
	p->walk = walk;
	p->gs = gs;
	p->stack_of = stack_of;
	p->trace = trace;
	p->now_ns = now_ns;
	p->real_offset_ns = (int64_t)(clock_real_ns() - clock_mono_ns());
	p->waiters_read = p->unread = 0;
	forget_pools(p);
	role = malloc(gs->n + 1);
	if (!role)
		return -ENOMEM;
	for (size_t i = 0; i < gs->n; i++)
		role[i] = (int8_t)role_of_stack(p, &gs->stack[i]);
	err = look(p, role);
	free(role);
	for (int i = 0; i < KNOWN_COUNT; i++)
		recall_swap(&p->known[i], &p->now[i]);
	say_what_is_missing(p);
	return err;
}

int sqlpools_fill(const struct sqlpools *p, struct sql_window *out)
{
	out->known = true;
	if (!p->npool)
		return 0;
	out->pool = calloc((size_t)p->npool, sizeof(*out->pool));
	if (!out->pool)
		return -ENOMEM;
	for (int i = 0; i < p->npool; i++) {
		const struct sql_pool *from = &p->pool[i].row;
		struct sql_pool *to = &out->pool[out->npool++];
		size_t bytes = (size_t)from->nholder * sizeof(*from->holder);

		*to = *from;
		to->holder = NULL;
		to->nholder = 0;
		if (!bytes)
			continue;
		to->holder = malloc(bytes);
		if (!to->holder)
			return -ENOMEM;
		memcpy(to->holder, from->holder, bytes);
		to->nholder = from->nholder;
	}
	return 0;
}

uint64_t sqlpools_losses(const struct sqlpools *p)
{
	return p->losses;
}

const char *sqlpools_why(const struct sqlpools *p)
{
	return p->why;
}

/* ---- life ---- */

static int find_functions(struct sqlpools *p)
{
	const char *name[ROLE_COUNT + 1];
	struct gofunc fn[ROLE_COUNT + 1];
	int err;

	for (int i = 0; i < ROLE_COUNT; i++)
		name[i] = roles[i].function;
	name[ROLE_COUNT] = "runtime.selectgo";
	err = pclntab_find_names(p->rt->gb->pcln, name, ROLE_COUNT + 1, fn);
	for (int i = 0; i < ROLE_COUNT && !err; i++)
		p->entry[i] = fn[i].entry;
	p->selectgo = err ? 0 : fn[ROLE_COUNT].entry;
	p->present = !err && p->entry[ROLE_OPENER];
	return err;
}

int sqlpools_new(struct sqlpools **out, struct goruntime *rt, struct gotypes *types)
{
	struct sqlpools *p;
	int err;

	*out = NULL;
	if (!sqlread_supported(rt) || !goruntime_has(rt, FACT_STACKS) ||
	    !goruntime_has(rt, FACT_GOROUTINES))
		return -EOPNOTSUPP;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->rt = rt;
	p->types = types;
	u64map_init(&p->role_of_pc, MAX_ROLE_PCS);
	u64map_init(&p->driver_of, SQLPOOLS_MAX);
	u64map_init(&p->pool_at, SQLPOOLS_MAX);
	u64map_init(&p->conn_at, SQLPOOLS_MAX * SQLREAD_MAX_CONNS);
	for (int i = 0; i < KNOWN_COUNT; i++) {
		recall_init(&p->known[i]);
		recall_init(&p->now[i]);
	}
	err = find_functions(p);
	if (!err && p->present) {
		p->pool = calloc(SQLPOOLS_MAX, sizeof(*p->pool));
		err = p->pool ? 0 : -ENOMEM;
	}
	if (err) {
		sqlpools_free(p);
		return err;
	}
	*out = p;
	return 0;
}

void sqlpools_free(struct sqlpools *p)
{
	if (!p)
		return;
	forget_pools(p);
	u64map_deinit(&p->role_of_pc);
	u64map_deinit(&p->driver_of);
	u64map_deinit(&p->pool_at);
	u64map_deinit(&p->conn_at);
	for (int i = 0; i < KNOWN_COUNT; i++) {
		recall_deinit(&p->known[i]);
		recall_deinit(&p->now[i]);
	}
	free(p->pool);
	free(p);
}
