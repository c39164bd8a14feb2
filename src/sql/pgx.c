/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pools of pgxpool (github.com/jackc/pgx/v5 and v4): each is found by its health check's
 * goroutine.  v5 keeps its connections in puddle v2, whose semaphore counts what is in use and
 * who waits; v4 in puddle v1, where the lists say the first and the stacks the second.
 */
#include "sql/libpools.h"

#include <errno.h>

#include "gort/gotypes.h"

#define MAX_OPEN  (1u << 20) /* connections that anybody has */
#define MAX_TRIES 4

#define PGX5 "github.com/jackc/pgx/v5/pgxpool."
#define PGX4 "github.com/jackc/pgx/v4/pgxpool."

enum { FN_HEALTH, FN_ACQUIRE, FN_INNER };
enum { POOL, RESOURCES, CLOSED, MAX, /* v5: */ SEMAPHORE, CUR, WAITERS, /* v4: */ IDLE, STATUS };

struct numbers {
	uint64_t open, max, in_use, waiters, unfinished;
	bool closed;
};

static bool find(struct libpools *p, uint64_t type, const char *name, int field, uint64_t *of)
{
	return !gotypes_field(p->types, type, name, &p->field[field], of);
}

static bool open_v5(struct libpools *p)
{
	uint64_t pool = gotypes_find(p->types, "pgxpool.Pool", PGX5 "Pool"), puddle, weighted, list;
	uint32_t len;

	if (!pool || !find(p, pool, "p", POOL, &puddle) ||
	    !find(p, puddle, "allResources", RESOURCES, NULL) ||
	    !find(p, puddle, "closed", CLOSED, NULL) ||
	    !find(p, puddle, "acquireSem", SEMAPHORE, &weighted) ||
	    !find(p, weighted, "size", MAX, NULL) || !find(p, weighted, "cur", CUR, NULL) ||
	    !find(p, weighted, "waiters", WAITERS, &list) ||
	    gotypes_field(p->types, list, "len", &len, NULL))
		return false;
	p->field[WAITERS] += len;
	return true;
}

static bool open_v4(struct libpools *p)
{
	uint64_t pool = gotypes_find(p->types, "pgxpool.Pool", PGX4 "Pool"), puddle,
		 resource = gotypes_find(p->types, "puddle.Resource",
					 "github.com/jackc/puddle.Resource");

	return pool && resource && find(p, pool, "p", POOL, &puddle) &&
	       find(p, puddle, "allResources", RESOURCES, NULL) &&
	       find(p, puddle, "idleResources", IDLE, NULL) &&
	       find(p, puddle, "maxSize", MAX, NULL) && find(p, puddle, "closed", CLOSED, NULL) &&
	       find(p, resource, "status", STATUS, NULL);
}

/* ---- one pool ---- */

static int read_v5(struct libpools *p, uint64_t puddle, struct numbers *out)
{
	struct memreader *m = p->rt->mem;
	uint64_t sem;
	int err = mem_read_u64(m, puddle + p->field[SEMAPHORE], &sem);

	err = err ? err : mem_read_u64(m, puddle + p->field[RESOURCES] + 8, &out->open);
	err = err ? err : mem_read_u64(m, sem + p->field[MAX], &out->max);
	err = err ? err : mem_read_u64(m, sem + p->field[CUR], &out->in_use);
	return err ? err : mem_read_u64(m, sem + p->field[WAITERS], &out->waiters);
}

/* Connections being made: whoever makes one stands in Acquire as those who wait do. */
static int count_unfinished(struct libpools *p, uint64_t list, uint64_t n, uint64_t *out)
{
	*out = 0;
	for (uint64_t i = 0; i < n && i < LIBPOOLS_MAX_UNFINISHED; i++) {
		uint64_t resource;
		uint8_t status;
		int err = mem_read_u64(p->rt->mem, list + 8 * i, &resource);

		err = err ? err : mem_read(p->rt->mem, resource + p->field[STATUS], &status, 1);
		if (err)
			return err;
		*out += !status; /* resourceStatusConstructing */
	}
	return 0;
}

static int read_v4(struct libpools *p, uint64_t puddle, struct numbers *out)
{
	struct memreader *m = p->rt->mem;
	uint64_t idle, list;
	uint32_t max;
	int err = mem_read_u64(m, puddle + p->field[RESOURCES] + 8, &out->open);

	err = err ? err : mem_read_u64(m, puddle + p->field[RESOURCES], &list);
	err = err ? err : mem_read_u64(m, puddle + p->field[IDLE] + 8, &idle);
	err = err ? err : mem_read(m, puddle + p->field[MAX], &max, 4);
	if (err)
		return err;
	if (idle > out->open || out->open > MAX_OPEN)
		return -EBADMSG;
	out->in_use = out->open - idle;
	out->max = max;
	return count_unfinished(p, list, out->open, &out->unfinished);
}

static int read_numbers(struct libpools *p, uint64_t addr, struct numbers *out)
{
	uint64_t puddle;
	uint8_t closed;
	int err = mem_read_u64(p->rt->mem, addr + p->field[POOL], &puddle);

	err = err ? err : mem_read(p->rt->mem, puddle + p->field[CLOSED], &closed, 1);
	if (err)
		return err;
	err = p->lib == &pgx5_library ? read_v5(p, puddle, out) : read_v4(p, puddle, out);
	if (!err && (closed > 1 || !out->max || out->max > MAX_OPEN || out->open > out->max ||
		     out->in_use > out->max || out->waiters > MAX_OPEN * 16ull))
		return -EBADMSG;
	out->closed = closed;
	return err;
}

/* Believed when it is the same twice, or fits at the last try. */
static int read_pool(struct libpools *p, uint64_t addr, struct numbers *out)
{
	int err = -EAGAIN;

	for (int i = 0; i < MAX_TRIES; i++) {
		struct numbers a = { 0 }, b = { 0 };

		err = read_numbers(p, addr, &a);
		if (!err)
			err = read_numbers(p, addr, &b);
		if (err == -ESRCH)
			return err;
		*out = b;
		/* tokens are taken before a connection is made, and given back after it */
		if (!err && a.open == b.open && a.in_use == b.in_use && a.waiters == b.waiters)
			break;
	}
	return err;
}

static int add_pool(struct libpools *p, uint64_t addr)
{
	struct libpool *q;
	struct numbers n = { 0 };
	int err = read_pool(p, addr, &n);

	if (err) {
		p->unread++;
		return err == -ESRCH ? err : 0;
	}
	q = n.closed ? NULL : libpools_add(p, addr);
	if (!q)
		return 0;
	q->row.max_open = (int64_t)n.max;
	q->row.open = n.open > n.in_use ? n.open : n.in_use;
	q->row.in_use = n.in_use;
	q->row.idle = q->row.open - n.in_use;
	q->row.waiters = n.waiters;
	q->unfinished = n.unfinished;
	return 0;
}

/* ---- the goroutines ---- */

static struct libpool *pool_of(struct libpools *p, const struct goroutine *g)
{
	uint64_t addr;

	if (p->n == 1 && !p->unread)
		return &p->at[0];
	return libpools_receiver(p, g, FN_ACQUIRE, &addr) ? libpools_at(p, addr) : NULL;
}

/* v4: who stands in Acquire waits, but for those who make a connection; which of them do is
 * not told apart, and so is not since when. */
static void count_v4(struct libpool *q)
{
	q->row.waiters = q->row.waiters > q->unfinished ? q->row.waiters - q->unfinished : 0;
	if (q->unfinished || !q->row.waiters)
		q->longest = (struct since){ 0, AGE_UNKNOWN };
	if (!q->row.waiters)
		q->row.waits_at = (struct place){ 0 };
}

static int look(struct libpools *p, const struct look *l)
{
	const unsigned int waiting = 1u << FN_ACQUIRE | 1u << FN_INNER;
	int err = 0;

	for (size_t i = 0; i < l->walk->n && !err; i++) {
		uint64_t addr;

		if (!(libpools_in(p, l, i) & 1u << FN_HEALTH))
			continue;
		if (libpools_receiver(p, &l->walk->g[i], FN_HEALTH, &addr))
			err = add_pool(p, addr);
		else
			p->unread++;
	}
	for (size_t i = 0; i < l->walk->n && !err; i++) {
		struct libpool *q;

		if ((libpools_in(p, l, i) & waiting) != waiting ||
		    l->walk->g[i].status != GO_WAITING || !(q = pool_of(p, &l->walk->g[i])))
			continue;
		libpools_waits(p, l, i, q);
		q->row.waiters += p->lib == &pgx4_library;
	}
	for (int i = 0; p->lib == &pgx4_library && i < p->n; i++)
		count_v4(&p->at[i]);
	return err;
}

const struct pool_library pgx5_library = {
	.library = SQL_PGX,
	.of = "pgx",
	.name = "pgxpool",
	.module = "github.com/jackc/pgx/v5",
	.functions = { PGX5 "(*Pool).backgroundHealthCheck", PGX5 "(*Pool).Acquire",
		       "golang.org/x/sync/semaphore.(*Weighted).Acquire" },
	.open = open_v5,
	.look = look,
};

const struct pool_library pgx4_library = {
	.library = SQL_PGX,
	.of = "pgx",
	.name = "pgxpool",
	.module = "github.com/jackc/pgx/v4",
	.functions = { PGX4 "(*Pool).backgroundHealthCheck", PGX4 "(*Pool).Acquire",
		       "github.com/jackc/puddle.(*Pool).Acquire" },
	.open = open_v4,
	.look = look,
};
