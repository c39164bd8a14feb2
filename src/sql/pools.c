/* SPDX-License-Identifier: BSD-2-Clause */
#include "sql/priv.h"

#include <stdio.h>

#include "base/clock.h"

uint64_t sqlpools_keep(struct sqlpools *p, enum known_kind kind, uint64_t key, uint64_t mark0,
		       uint64_t mark1)
{
	return recall_keep(&p->known[kind], &p->now[kind], key, mark0, mark1, p->look->now_ns);
}

uint64_t sqlpools_keep_stop(struct sqlpools *p, enum known_kind kind, const struct goroutine *g,
			    uint64_t mark)
{
	return recall_keep_stop(&p->known[kind], &p->now[kind], g, mark, p->look->now_ns);
}

static void pool_deinit(struct pool *q)
{
	sqldb_deinit(&q->db);
	free(q->holder);
	free(q->row.holder);
}

static void forget_pools(struct sqlpools *p)
{
	for (int i = 0; i < p->npool; i++)
		pool_deinit(&p->pool[i]);
	p->npool = p->nquery = 0;
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

	sqlpools_keep(p, KNOWN_POOLS, opener, db->wait_count, db->wait_ns);
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
		p->no_room++;
		return 0;
	}
	memset(q, 0, sizeof(*q));
	q->opener = opener;
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
	q->holder = calloc(q->db.nconn + 1, sizeof(*q->holder));
	if (!q->holder) {
		sqldb_deinit(&q->db);
		return -ENOMEM;
	}
	if (q->db.connector)
		name_driver(p, &q->db);
	p->no_room += !u64map_put(&p->pool_at, addr, (uint64_t)p->npool, NULL);
	for (size_t i = 0; i < q->db.nconn; i++)
		p->no_room += !u64map_put(&p->conn_at, q->db.conn[i].addr,
					  (uint64_t)p->npool << 32 | i, NULL);
	p->npool++;
	return 0;
}

struct pool *sqlpools_of(struct sqlpools *p, uint64_t db)
{
	const uint64_t *at = u64map_find(&p->pool_at, db);

	return at ? &p->pool[*at] : NULL;
}

static void say_what_is_missing(struct sqlpools *p)
{
	int without = 0;

	for (int i = 0; i < p->npool; i++)
		without += !p->pool[i].db.conns_known;
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
	const struct goroutine *g = &p->look->walk->g[i];
	const struct recalled *before = NULL;
	bool waits;

	if (p->look->stack_of[i] < p->look->stacks->n) {
		if (role[p->look->stack_of[i]] != ROLE_OPENER)
			return false;
		if (sqlroles_word(p, g, ROLE_OPENER, db, &waits))
			return true;
	}
	before = recall_find(&p->known[KNOWN_OPENERS], g->goid);
	if (!before && p->look->stack_of[i] < p->look->stacks->n)
		p->unread++;
	if (before)
		*db = before->mark[0];
	return before;
}

static int find_pools(struct sqlpools *p, const int8_t *role)
{
	int err = 0;

	for (size_t i = 0; i < p->look->walk->n && !err; i++) {
		uint64_t db;

		if (!opened_by(p, role, i, &db))
			continue;
		sqlpools_keep(p, KNOWN_OPENERS, p->look->walk->g[i].goid, db, 0);
		err = add_pool(p, db, p->look->walk->g[i].goid);
	}
	return err;
}

static int look(struct sqlpools *p, const int8_t *role)
{
	int err = find_pools(p, role);

	if (err)
		return err;
	sqlholders_begin(p);
	err = sqlholders_take(p, role, false);
	if (!err)
		err = sqlholders_take(p, role, true);
	if (err)
		return err;
	sqlholders_ask_parents(p);
	err = sqlowners_waiters(p);
	for (int i = 0; i < p->npool && !err; i++)
		err = sqlholders_row(p, &p->pool[i]);
	return err;
}

int sqlpools_look(struct sqlpools *p, const struct look *l)
{
	int8_t *role;
	int err;

	if (!p->present)
		return 0;
	role = malloc(l->stacks->n + 1);
	if (!role)
		return -ENOMEM;
	p->look = l;
	p->real_offset_ns = clock_real_offset_ns();
	p->waiters_read = p->unread = p->asked = p->has_asked = 0;
	p->nwaiter = 0;
	forget_pools(p);
	for (size_t i = 0; i < l->stacks->n; i++)
		role[i] = (int8_t)sqlroles_of_stack(p, &l->stacks->stack[i]);
	err = look(p, role);
	free(role);
	if (!err)
		sqlcalls_ended(p);
	p->looked_ns = l->now_ns;
	for (int i = 0; i < KNOWN_COUNT; i++)
		recall_swap(&p->known[i], &p->now[i]);
	say_what_is_missing(p);
	lose(l->losses, LOSS_SQL_UNREAD, (uint64_t)p->unread);
	lose(l->losses, LOSS_SQL_ROOM, p->no_room);
	p->no_room = 0;
	p->look = NULL;
	return err;
}

void sqlpools_begin(struct sqlpools *p)
{
	p->nbase = 0;
	for (int i = 0; i < p->npool; i++)
		if (p->pool[i].db.closes_known) {
			p->base[p->nbase].opener = p->pool[i].opener;
			p->base[p->nbase++].closed = p->pool[i].db.closed;
		}
}

/* What limits closed in the window; of a pool that is younger, all. */
static void fill_closes(const struct sqlpools *p, const struct pool *q, struct sql_pool *to)
{
	struct sql_closes base = { 0 }, *c = &to->closed;

	to->closes_known = q->db.closes_known;
	to->closed_total = *c = q->db.closed;
	to->max_idle = q->db.max_idle;
	to->max_lifetime_s = (double)q->db.max_lifetime_ns / 1e9;
	to->max_idle_time_s = (double)q->db.max_idle_time_ns / 1e9;
	for (int i = 0; i < p->nbase; i++)
		if (p->base[i].opener == q->opener)
			base = p->base[i].closed;
	c->lifetime -= base.lifetime < c->lifetime ? base.lifetime : c->lifetime;
	c->idle -= base.idle < c->idle ? base.idle : c->idle;
	c->idle_time -= base.idle_time < c->idle_time ? base.idle_time : c->idle_time;
}

int sqlpools_fill(const struct sqlpools *p, struct sql_window *out)
{
	out->known = true;
	if (p->nquery) {
		out->query = malloc((size_t)p->nquery * sizeof(*out->query));
		if (!out->query)
			return -ENOMEM;
		memcpy(out->query, p->query, (size_t)p->nquery * sizeof(*out->query));
		out->nquery = p->nquery;
	}
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
		fill_closes(p, &p->pool[i], to);
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

const char *sqlpools_why(const struct sqlpools *p)
{
	return p->why;
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
	stackmaps_init(&p->maps, rt->gb);
	u64map_init(&p->role_of_pc, MAX_ROLE_PCS);
	u64map_init(&p->driver_of, SQLPOOLS_MAX);
	u64map_init(&p->pool_at, SQLPOOLS_MAX);
	u64map_init(&p->came_back, SQLPOOLS_MAX_QUERIES);
	u64map_init(&p->conn_at, SQLPOOLS_MAX * SQLREAD_MAX_CONNS);
	for (int i = 0; i < KNOWN_COUNT; i++) {
		recall_init(&p->known[i]);
		recall_init(&p->now[i]);
	}
	err = sqlroles_find(p);
	if (!err && p->present) {
		p->pool = calloc(SQLPOOLS_MAX, sizeof(*p->pool));
		p->query = calloc(SQLPOOLS_MAX_QUERIES, sizeof(*p->query));
		p->base = calloc(SQLPOOLS_MAX, sizeof(*p->base));
		err = p->pool && p->query && p->base ? 0 : -ENOMEM;
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
	u64map_deinit(&p->came_back);
	u64map_deinit(&p->conn_at);
	for (int i = 0; i < KNOWN_COUNT; i++) {
		recall_deinit(&p->known[i]);
		recall_deinit(&p->now[i]);
	}
	free(p->pool);
	stackmaps_deinit(&p->maps);
	free(p->query);
	free(p->base);
	free(p->waiter);
	free(p);
}
