/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pools of go-redis v8 and v9 (internal/pool.ConnPool).  A pool has no goroutine of its own (v8:
 * a reaper, by default), so it is found by whoever is in it, and remembered.
 *
 * Whoever takes a connection takes a turn first: up to 9.16 an entry of the channel `queue`, then
 * one of those that are in the channel of `semaphore`.  The channel's capacity is PoolSize: that,
 * and that the options say the same, is what a pool is known by.
 *
 * A subscription (PubSub) has a connection and no turn.  A Conn has a turn until it is closed, and
 * so has a Watch until its function returns.
 */
#include "sql/libpools.h"

#include <errno.h>
#include <string.h>

#include "gort/gotypes.h"

#define MAX_SIZE  (1u << 20) /* connections that anybody has */
#define MAX_TRIES 4

#define V9 "github.com/redis/go-redis/v9"
#define V8 "github.com/go-redis/redis/v8"
#define FUNCTIONS(v)                                                                         \
	{                                                                                    \
		v "/internal/pool.(*ConnPool).waitTurn", v "/internal/pool.(*ConnPool).Get", \
			v "/internal/pool.(*ConnPool).getConn",                              \
			v "/internal/pool.(*ConnPool).reaper", v ".(*baseClient).withConn",  \
			v ".(*Client).Watch", v ".(*baseClient).withPipelineConn",           \
	}

enum { FN_WAIT, FN_GET, FN_GETCONN, FN_REAPER, FN_WITH, FN_WATCH, FN_PIPELINE };
enum { TURNS, TOKENS, CONNS, IDLE, OPTIONS, SIZE, CLOSED, /* of a client: */ POOL, STICKY, BASE };
/* What differs between releases: bits of p->shape. */
enum { HAS_SEMAPHORE = 1, CONNS_MAP = 2, SIZE_INT32 = 4 };

static bool find(struct libpools *p, uint64_t type, const char *name, int field, uint64_t *of)
{
	return type && !gotypes_field(p->types, type, name, &p->field[field], of);
}

static bool type_begins(struct libpools *p, uint64_t type, const char *with)
{
	const char *name = gotypes_name(p->types, type);

	return name && !strncmp(name, with, strlen(with));
}

static bool find_pool(struct libpools *p, const char *path)
{
	uint64_t pool = gotypes_find(p->types, "pool.ConnPool", path), turns, conns, options, size;

	if (!pool || !find(p, pool, "conns", CONNS, &conns) ||
	    !find(p, pool, "idleConns", IDLE, NULL) || !find(p, pool, "_closed", CLOSED, NULL))
		return false;
	if (!find(p, pool, "cfg", OPTIONS, &options) && !find(p, pool, "opt", OPTIONS, &options))
		return false;
	if (!find(p, options, "PoolSize", SIZE, &size))
		return false;
	if (find(p, pool, "semaphore", TURNS, &turns)) {
		p->shape |= HAS_SEMAPHORE;
		if (!find(p, turns, "tokens", TOKENS, &turns))
			return false;
	} else if (!find(p, pool, "queue", TURNS, &turns)) {
		return false;
	}
	p->shape |= type_begins(p, conns, "map[") ? CONNS_MAP : 0u;
	p->shape |= type_begins(p, size, "int32") ? SIZE_INT32 : 0u;
	return type_begins(p, turns, "chan struct {}") &&
	       (p->shape & CONNS_MAP || type_begins(p, conns, "[]")) &&
	       (p->shape & SIZE_INT32 || type_begins(p, size, "int"));
}

/* Who has a connection is told by the clients: without them, only who waits. */
static void find_clients(struct libpools *p, const char *sticky, const char *client)
{
	uint64_t base, of = gotypes_find(p->types, "redis.Client", client);

	if (!find(p, of, "baseClient", BASE, &base) || !find(p, base, "connPool", POOL, NULL) ||
	    !find(p, gotypes_find(p->types, "pool.StickyConnPool", sticky), "pool", STICKY, NULL))
		p->entry[FN_WITH] = p->entry[FN_WATCH] = 0;
}

static bool open_v9(struct libpools *p)
{
	find_clients(p, V9 "/internal/pool.StickyConnPool", V9 ".Client");
	return find_pool(p, V9 "/internal/pool.ConnPool");
}

static bool open_v8(struct libpools *p)
{
	find_clients(p, V8 "/internal/pool.StickyConnPool", V8 ".Client");
	return find_pool(p, V8 "/internal/pool.ConnPool");
}

/* ---- one pool ---- */

struct numbers {
	uint64_t channel, count, capacity, size, conns, idle;
	uint32_t closed;
};

/* (runtime/chan.go: qcount and dataqsiz are a channel's first words; the count is a map's.) */
static int read_numbers(struct libpools *p, uint64_t addr, struct numbers *out)
{
	struct memreader *m = p->rt->mem;
	uint64_t options, conns;
	uint32_t size;
	int err = mem_read_u64(m, addr + p->field[TURNS], &out->channel);

	if (!err && p->shape & HAS_SEMAPHORE)
		err = mem_read_u64(m, out->channel + p->field[TOKENS], &out->channel);
	err = err ? err : mem_read_u64(m, out->channel, &out->count);
	err = err ? err : mem_read_u64(m, out->channel + 8, &out->capacity);
	err = err ? err : mem_read_u64(m, addr + p->field[OPTIONS], &options);
	err = err ? err : mem_read(m, options + p->field[SIZE], &size, 4);
	err = err ? err : mem_read_u64(m, options + p->field[SIZE], &out->size);
	if (p->shape & SIZE_INT32)
		out->size = size;
	err = err ? err : mem_read_u64(m, addr + p->field[CONNS], &conns);
	out->conns = 0;
	if (!err && !(p->shape & CONNS_MAP))
		err = mem_read_u64(m, addr + p->field[CONNS] + 8, &out->conns);
	else if (!err && conns)
		err = mem_read_u64(m, conns, &out->conns);
	err = err ? err : mem_read_u64(m, addr + p->field[IDLE] + 8, &out->idle);
	err = err ? err : mem_read(m, addr + p->field[CLOSED], &out->closed, 4);
	if (!err && (!out->size || out->size > MAX_SIZE || out->capacity != out->size ||
		     out->count > out->size || out->conns > MAX_SIZE || out->idle > MAX_SIZE ||
		     out->closed > 1))
		return -EBADMSG;
	return err;
}

/* Believed when it is the same twice, or fits at the last try. */
static int read_pool(struct libpools *p, uint64_t addr, struct numbers *out)
{
	int err = -EAGAIN;

	for (int i = 0; i < MAX_TRIES; i++) {
		struct numbers a = { 0 }, b = { 0 };

		err = read_numbers(p, addr, &a);
		err = err ? err : read_numbers(p, addr, &b);
		if (err == -ESRCH)
			return err;
		*out = b;
		if (!err && a.count == b.count && a.conns == b.conns && a.idle == b.idle)
			break;
	}
	return err;
}

/* One that was remembered and is none any more was let go: no loss. */
static int add_pool(struct libpools *p, uint64_t addr, bool remembered)
{
	struct libpool *q;
	struct numbers n = { 0 };
	int err;

	if (libpools_at(p, addr))
		return 0;
	err = read_pool(p, addr, &n);
	if (err) {
		p->unread += !remembered;
		return err == -ESRCH ? err : 0;
	}
	q = n.closed ? NULL : libpools_add(p, addr);
	if (!q)
		return 0;
	q->row.max_open = (int64_t)n.size;
	q->row.in_use = p->shape & HAS_SEMAPHORE ? n.size - n.count : n.count;
	q->row.idle = n.idle;
	/* one that is being made is in use, and in no list yet */
	q->row.open = n.conns > q->row.in_use + n.idle ? n.conns : q->row.in_use + n.idle;
	return 0;
}

/* ---- the goroutines ---- */

/* The pool behind a client's; a Conn and a Tx have one of their own, which has it. */
static bool pool_of_client(struct libpools *p, uint64_t base, uint64_t *out)
{
	uint64_t at = base + p->field[POOL], itab;

	for (int depth = 0; depth < 4; depth++) {
		const char *type;

		if (mem_read_u64(p->rt->mem, at, &itab) || mem_read_u64(p->rt->mem, at + 8, out))
			return false;
		type = gotypes_of_itab(p->types, itab);
		if (type && !strcmp(type, "*pool.ConnPool"))
			return true;
		if (!type || strcmp(type, "*pool.StickyConnPool"))
			return false;
		at = *out + p->field[STICKY];
	}
	return false;
}

static bool pool_at(struct libpools *p, const struct goroutine *g, unsigned int in, uint64_t *out)
{
	static const int of_pool[] = { FN_WAIT, FN_GETCONN, FN_GET, FN_REAPER };
	uint64_t client;

	for (size_t i = 0; i < sizeof(of_pool) / sizeof(of_pool[0]); i++)
		if (in & 1u << of_pool[i] && libpools_receiver(p, g, of_pool[i], out))
			return true;
	if (in & 1u << FN_WITH && libpools_receiver(p, g, FN_WITH, &client))
		return pool_of_client(p, client, out);
	return in & 1u << FN_WATCH && libpools_receiver(p, g, FN_WATCH, &client) &&
	       !mem_read_u64(p->rt->mem, client + p->field[BASE], &client) &&
	       pool_of_client(p, client, out);
}

static int take_goroutine(struct libpools *p, const struct look *l, size_t i, unsigned int in)
{
	const struct goroutine *g = &l->walk->g[i];
	struct libpool *q;
	uint64_t addr;

	if (!pool_at(p, g, in, &addr) || !(q = libpools_at(p, addr))) {
		p->untold++;
		return 0;
	}
	if (!(in & 1u << FN_WAIT))
		return libpools_holds(p, l, i, q);
	if (g->status == GO_WAITING) {
		q->row.waiters++;
		libpools_waits(p, l, i, q);
	}
	return 0;
}

/* A holder that was read before its call ended is one too many. */
static void fit(const struct libpools *p, struct libpool *q)
{
	uint64_t left = q->row.in_use;

	for (int i = 0; i < q->row.nholder; i++) {
		struct sql_holder *h = &q->row.holder[i];

		h->count = h->count < left ? h->count : left;
		left -= h->count;
	}
	while (q->row.nholder && !q->row.holder[q->row.nholder - 1].count)
		q->row.nholder--;
	q->row.kept = p->untold ? 0 : left;
}

static int look(struct libpools *p, const struct look *l)
{
	const unsigned int calls = 1u << FN_WAIT | 1u << FN_GET | 1u << FN_GETCONN | 1u << FN_WITH |
				   1u << FN_WATCH | 1u << FN_PIPELINE;
	int err = 0;

	p->untold = 0;
	for (int i = 0; i < p->nremembered && !err; i++)
		err = add_pool(p, p->remembered[i], true);
	for (size_t i = 0; i < l->walk->n && !err; i++) {
		unsigned int in = libpools_in(p, l, i);
		uint64_t addr;

		if (in && pool_at(p, &l->walk->g[i], in, &addr))
			err = add_pool(p, addr, false);
	}
	for (size_t i = 0; i < l->walk->n && !err; i++) {
		unsigned int in = libpools_in(p, l, i);

		if (in & calls)
			err = take_goroutine(p, l, i, in);
	}
	p->nremembered = 0;
	for (int i = 0; i < p->n; i++) {
		fit(p, &p->at[i]);
		p->remembered[p->nremembered++] = p->at[i].addr;
	}
	return err;
}

const struct pool_library redis9_library = {
	.library = SQL_REDIS,
	.of = "go-redis",
	.name = "go-redis",
	.by_use = true,
	.module = V9,
	.functions = FUNCTIONS(V9),
	.open = open_v9,
	.look = look,
};

const struct pool_library redis8_library = {
	.library = SQL_REDIS,
	.of = "go-redis",
	.name = "go-redis",
	.by_use = true,
	.module = V8,
	.functions = FUNCTIONS(V8),
	.open = open_v8,
	.look = look,
};
