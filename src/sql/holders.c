/* SPDX-License-Identifier: BSD-2-Clause */
/* Who holds the connections of pools, and who waits for one. */
#include "sql/priv.h"

#include "base/clock.h"
#include "base/vec.h"
#include "gort/gotime.h"
#include "trace/opens.h"

#define LEAST_KEPT_S 1.0
#define MAX_WAITERS  20000 /* goroutines in (*DB).conn that are read at one look, of all pools */
#define MAX_PARENTS  65536 /* goroutines whose place is asked for at once */

static struct holder *holder_of(struct sqlpools *p, uint64_t conn, struct pool **q)
{
	const uint64_t *at = u64map_find(&p->conn_at, conn);

	if (!at)
		return NULL;
	*q = &p->pool[*at >> 32];
	if (!(*q)->db.conn[(uint32_t)*at].in_use)
		return NULL;
	return &(*q)->holder[(uint32_t)*at];
}

/* ---- who took it, as probes saw ---- */

/*
 * Whether what probes saw begin is the hold that memory shows.  It began after
 * the connection was given back last, else the probes missed an end; the two
 * clocks may have drifted since: 20 ms and 100 ppm.  And it was given back
 * before the probes were asked: one that was taken since is not in their
 * answer, but the hold before it may be.
 */
static bool is_of_now(const struct sqlpools *p, const struct sqlconn *c, uint64_t start_ns)
{
	int64_t back = gotime_unix_ns(c->wall, c->ext) - p->real_offset_ns;
	int64_t drift = ((int64_t)p->look->now_ns - back) / 10000;

	return (int64_t)start_ns >= back - 20 * (int64_t)NS_PER_MS - drift &&
	       back + (int64_t)NS_PER_MS <= (int64_t)p->look->opens_ns;
}

static void ask_probes(struct sqlpools *p, const struct sqlconn *c, struct holder *k)
{
	struct trace_open o;

	if (!trace_opens_find(p->look->opens, OPEN_SQL_GRAB, c->addr, &o) ||
	    !is_of_now(p, c, o.start_ns))
		return;
	k->what = (enum sql_holding)o.state;
	k->goid = o.goid;
	k->since = (struct since){ o.start_ns, AGE_EXACT };
	k->found = place_of_pcs(p->rt, o.pcs, (int)o.npcs, false, &k->place);
}

void sqlholders_begin(struct sqlpools *p)
{
	for (int i = 0; i < p->npool; i++) {
		struct pool *q = &p->pool[i];

		for (size_t k = 0; k < q->db.nconn; k++) {
			const struct sqlconn *c = &q->db.conn[k];

			if (!c->in_use)
				continue;
			/* in use, and not given back since: the same hold */
			q->holder[k].since.ns =
				sqlpools_keep(p, KNOWN_CONNS, c->addr, c->wall, c->ext);
			q->holder[k].since.kind = AGE_AT_LEAST;
			ask_probes(p, c, &q->holder[k]);
		}
	}
}

/* ---- what goroutines say ---- */

static void count_wait_place(struct pool *q, const struct place *at)
{
	int i = 0;

	while (i < q->nwaits && !place_equal(&q->waits[i].place, at))
		i++;
	if (i == MAX_WAIT_PLACES)
		return;
	if (i == q->nwaits)
		q->waits[q->nwaits++].place = *at;
	q->waits[i].n++;
}

static void add_waiter(struct sqlpools *p, struct pool *q, size_t i)
{
	const struct goroutine *g = &p->look->walk->g[i];
	struct since since = since_parked(g, sqlpools_keep_stop(p, KNOWN_WAITS, g, q->db.addr));
	struct trace_open o;
	struct place at;

	if (trace_opens_find(p->look->opens, OPEN_SQL_WAIT, g->addr, &o) &&
	    (!o.goid || o.goid == g->goid))
		since = (struct since){ o.start_ns, AGE_EXACT };
	q->longest_wait = since_earlier(q->longest_wait, since);
	if (sqlroles_place(p, i, &at)) {
		count_wait_place(q, &at);
		sqlcalls_waits(p, &at);
	}
	if (array_room(&p->waiter, p->nwaiter, &p->waiter_cap, sizeof(*p->waiter)))
		return;
	p->waiter[p->nwaiter++] =
		(struct waiter){ .g = i, .pool = (int)(q - p->pool), .since = since, .at = at };
}

static int add_holder(struct sqlpools *p, struct pool *q, const struct holder *k);

/* In no driverConn yet: a connection is being opened, and counts as in use. */
static int add_dialer(struct sqlpools *p, struct pool *q, size_t i)
{
	const struct goroutine *g = &p->look->walk->g[i];
	struct holder k = { .what = SQL_CALL, .goid = g->goid };

	k.since = since_parked(g, sqlpools_keep_stop(p, KNOWN_DIALS, g, q->db.addr));
	k.found = sqlroles_place(p, i, &k.place);
	sqlcalls_take(p, i);
	return k.found ? add_holder(p, q, &k) : 0;
}

static int take_asker(struct sqlpools *p, size_t i)
{
	const struct goroutine *g = &p->look->walk->g[i];
	const struct recalled *before = recall_find(&p->known[KNOWN_WAITS], g->goid);
	bool waits = true;
	struct pool *q;
	uint64_t db;

	/* a stop that was seen at the look before, or one more to be read */
	if (before && before->mark[1] == goroutine_stop(g)) {
		db = before->mark[0];
	} else {
		if (p->waiters_read == MAX_WAITERS) {
			p->no_room++;
			return 0;
		}
		p->waiters_read++;
		if (!sqlroles_word(p, g, ROLE_CONN, &db, &waits))
			return 0;
	}
	q = sqlpools_of(p, db);
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
	const struct goroutine *g = &p->look->walk->g[i];
	struct sqltx tx;
	struct holder *k;
	struct pool *q, *of;
	struct since since;
	uint64_t addr, born;
	bool waits;

	if (!sqlroles_word(p, g, ROLE_TX, &addr, &waits) || sqlread_tx(p->rt, addr, &tx) || tx.done)
		return;
	q = sqlpools_of(p, tx.db);
	if (!q)
		return;
	since = since_parked(g, sqlpools_keep(p, KNOWN_TXS, g->goid, addr, 0));
	born = trace_births_find(p->look->births, g->goid);
	if (born)
		since = (struct since){ born, AGE_EXACT };
	k = holder_of(p, tx.conn, &of);
	if (k && of == q) {
		if (k->since.kind == AGE_EXACT && k->what == SQL_TRANSACTION)
			since = k->since;
		else
			k->since = since.kind == AGE_EXACT ? since : since_earlier(k->since, since);
		k->what = SQL_TRANSACTION;
		k->object = addr;
		k->ask_parent = k->found ? k->goid : g->parent_goid;
	}
	q->row.transactions_open++;
	q->oldest_tx = since_earlier(q->oldest_tx, since);
}

static void take_rows(struct sqlpools *p, size_t i)
{
	const struct goroutine *g = &p->look->walk->g[i];
	uint64_t rows, conn, born;
	struct holder *k;
	struct pool *q;
	bool waits;

	if (!sqlroles_word(p, g, ROLE_ROWS, &rows, &waits) || sqlread_rows(p->rt, rows, &conn))
		return;
	k = holder_of(p, conn, &q);
	if (!k || k->found || k->ask_parent) /* in a transaction: that one has it */
		return;
	k->what = SQL_ROWS;
	k->object = rows;
	k->ask_parent = g->parent_goid;
	k->since = since_earlier(k->since, since_parked(g, p->look->now_ns));
	born = trace_births_find(p->look->births, g->goid);
	if (born)
		k->since = (struct since){ born, AGE_EXACT };
}

static void take_call(struct sqlpools *p, size_t i, int role)
{
	const struct goroutine *g = &p->look->walk->g[i];
	struct holder *k;
	struct pool *q;
	uint64_t conn;
	bool waits;

	sqlcalls_take(p, i);
	if (!sqlroles_word(p, g, role, &conn, &waits) ||
	    ((role == ROLE_STMT_EXEC || role == ROLE_STMT_QUERY) &&
	     sqlread_stmt(p->rt, conn, &conn)))
		return;
	k = holder_of(p, conn, &q);
	if (!k || k->found || k->ask_parent)
		return;
	k->what = SQL_CALL;
	k->goid = g->goid;
	k->found = sqlroles_place(p, i, &k->place);
}

int sqlholders_take(struct sqlpools *p, const int8_t *role, bool calls)
{
	int err = 0;

	for (size_t i = 0; i < p->look->walk->n && !err; i++) {
		int r = p->look->stack_of[i] < p->look->stacks->n ? role[p->look->stack_of[i]] : -1;

		if (r < 0 || r == ROLE_OPENER)
			continue;
		if (calls && r > ROLE_ROWS)
			take_call(p, i, r);
		else if (calls && r == ROLE_ROWS)
			take_rows(p, i);
		else if (!calls && r == ROLE_TX)
			take_tx(p, i);
		else if (!calls && r == ROLE_CONN)
			err = take_asker(p, i);
	}
	return err;
}

/* The goroutine that began it, its number + 1 in the walk: where it is, if it still has it. */
static void tell_parent(struct sqlpools *p, struct holder *who, uint64_t at)
{
	enum known has = p->look->walk->failures ? UNKNOWN : KNOWN_NO;

	if (at)
		has = sqlowners_has(p, &p->look->walk->g[at - 1], who->object);
	who->out_of_sight = has == KNOWN_NO;
	if (who->found || has != KNOWN_YES)
		return;
	who->found = sqlroles_place(p, (size_t)at - 1, &who->place);
	who->is_now = true;
	who->goid = who->ask_parent;
}

void sqlholders_ask_parents(struct sqlpools *p)
{
	struct u64map wanted; /* goid -> number in the walk + 1 */

	u64map_init(&wanted, MAX_PARENTS);
	for (int i = 0; i < p->npool; i++)
		for (size_t k = 0; k < p->pool[i].db.nconn; k++)
			if (p->pool[i].holder[k].ask_parent)
				p->no_room += !u64map_put(&wanted, p->pool[i].holder[k].ask_parent,
							  0, NULL);
	for (size_t i = 0; i < p->look->walk->n && wanted.len; i++) {
		uint64_t *at = u64map_find(&wanted, p->look->walk->g[i].goid);

		if (at)
			*at = i + 1;
	}
	for (int i = 0; i < p->npool; i++)
		for (size_t k = 0; k < p->pool[i].db.nconn; k++) {
			struct holder *who = &p->pool[i].holder[k];
			uint64_t *at =
				who->ask_parent ? u64map_find(&wanted, who->ask_parent) : NULL;

			if (at)
				tell_parent(p, who, *at);
		}
	u64map_deinit(&wanted);
}

/* ---- rows ---- */

static bool is_alike(const struct sql_holder *h, const struct holder *k)
{
	return h->what == k->what && h->place_is_now == k->is_now && h->waits == k->waits &&
	       h->out_of_sight == k->out_of_sight && place_equal(&h->place, &k->place) &&
	       (!k->waits || place_equal(&h->waits_at, &k->waits_at));
}

static int add_holder(struct sqlpools *p, struct pool *q, const struct holder *k)
{
	struct sql_pool *row = &q->row;
	struct sql_holder *h;
	enum age_kind kind;
	double held;
	int i = 0;

	while (i < row->nholder && !is_alike(&row->holder[i], k))
		i++;
	if (i == row->nholder) {
		h = realloc(row->holder, (size_t)(i + 1) * sizeof(*h));
		if (!h)
			return -ENOMEM;
		row->holder = h;
		row->holder[row->nholder++] = (struct sql_holder){ .place = k->place,
								   .place_is_now = k->is_now,
								   .what = k->what,
								   .out_of_sight = k->out_of_sight,
								   .waits = k->waits,
								   .waits_at = k->waits_at };
	}
	h = &row->holder[i];
	held = since_age_s(k->since, p->look->now_ns, &kind);
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

/* Nobody knows where it was taken. */
static void count_without_holder(struct sqlpools *p, struct sql_pool *row, const struct holder *k,
				 bool idle)
{
	enum age_kind kind;
	double age = since_age_s(k->since, p->look->now_ns, &kind);

	if (k->what == SQL_TRANSACTION && k->object) {
		row->transactions_without_place++;
		row->transactions_out_of_sight += k->out_of_sight;
		age_max(&row->oldest_without_place_s, &row->without_place_age, age, kind);
	} else if (idle && kind != AGE_UNKNOWN && age > LEAST_KEPT_S) {
		row->kept++;
		age_max(&row->longest_kept_s, &row->kept_age, age, kind);
	}
}

int sqlholders_row(struct sqlpools *p, struct pool *q)
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
	row->longest_wait_s = since_age_s(q->longest_wait, p->look->now_ns, &row->age);
	row->oldest_transaction_s =
		since_age_s(q->oldest_tx, p->look->now_ns, &row->transaction_age);
	for (int i = 0; i < q->nwaits; i++)
		if (q->waits[i].n > most) {
			most = q->waits[i].n;
			row->waits_at = q->waits[i].place;
		}
	for (size_t i = 0; i < q->db.nconn && !err; i++) {
		row->held_by_waiters += q->holder[i].waits;
		if (q->holder[i].found)
			err = add_holder(p, q, &q->holder[i]);
		else if (q->db.conn[i].in_use)
			count_without_holder(p, row, &q->holder[i], q->db.conn[i].idle);
	}
	if (!q->db.conns_known) { /* and so it is not known either which of them has which */
		row->transactions_without_place = row->transactions_open;
		row->oldest_without_place_s = row->oldest_transaction_s;
		row->without_place_age = row->transaction_age;
	}
	if (row->nholder)
		qsort(row->holder, (size_t)row->nholder, sizeof(*row->holder), by_count);
	fit_holders(row);
	return err;
}
