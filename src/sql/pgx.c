/* SPDX-License-Identifier: BSD-2-Clause */
#include "sql/pgx.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/vec.h"
#include "gort/goslots.h"
#include "gort/gostacks.h"
#include "gort/gotypes.h"
#include "model/age.h"

#define MAX_FRAMES 64
#define MAX_OPEN   (1u << 20) /* connections that anybody has */
#define MAX_TRIES  4
#define MAX_ASKED  2000 /* waiters whose pool is read at one look */

#define PGX "github.com/jackc/pgx/v5/pgxpool."

enum { FN_HEALTH, FN_ACQUIRE, FN_SEMAPHORE, FN_COUNT };

static const char *const functions[FN_COUNT] = {
	PGX "(*Pool).backgroundHealthCheck",
	PGX "(*Pool).Acquire",
	"golang.org/x/sync/semaphore.(*Weighted).Acquire",
};

struct pgx_pool {
	uint64_t addr;
	struct sql_pool row;
	struct since longest;
};

struct pgxpools {
	struct goruntime *rt;
	struct gotypes *types;
	uint64_t entry[FN_COUNT];
	/* offsets: of pgxpool.Pool, puddle's Pool, its semaphore */
	uint32_t pool, resources, semaphore, closed, cur, size, nwaiters;
	bool known;
	struct pgx_pool at[PGXPOOLS_MAX];
	int n, unread, asked;
	struct recall waits, now;
	char why[160];
};

bool pgxpools_linked(const struct look *l)
{
	return look_linked(l, functions, 1);
}

/* Where the fields are, by their names. */
static bool find_fields(struct pgxpools *p)
{
	uint64_t pool = gotypes_find(p->types, "pgxpool.Pool", PGX "Pool"), puddle, weighted, list;
	uint32_t waiters, len;

	if (!pool || gotypes_field(p->types, pool, "p", &p->pool, &puddle) ||
	    gotypes_field(p->types, puddle, "allResources", &p->resources, NULL) ||
	    gotypes_field(p->types, puddle, "closed", &p->closed, NULL) ||
	    gotypes_field(p->types, puddle, "acquireSem", &p->semaphore, &weighted) ||
	    gotypes_field(p->types, weighted, "size", &p->size, NULL) ||
	    gotypes_field(p->types, weighted, "cur", &p->cur, NULL) ||
	    gotypes_field(p->types, weighted, "waiters", &waiters, &list) ||
	    gotypes_field(p->types, list, "len", &len, NULL))
		return false;
	p->nwaiters = waiters + len;
	return true;
}

int pgxpools_new(struct pgxpools **out, const struct look *l)
{
	struct pgxpools *p = calloc(1, sizeof(*p));
	struct gofunc fn[FN_COUNT];

	*out = p;
	if (!p)
		return -ENOMEM;
	p->rt = l->rt;
	p->types = l->types;
	recall_init(&p->waits);
	recall_init(&p->now);
	if (!pclntab_find_names(l->rt->gb->pcln, functions, FN_COUNT, fn))
		for (int i = 0; i < FN_COUNT; i++)
			p->entry[i] = fn[i].entry;
	p->known = p->entry[FN_HEALTH] && p->types && find_fields(p);
	return 0;
}

void pgxpools_free(struct pgxpools *p)
{
	if (!p)
		return;
	recall_deinit(&p->waits);
	recall_deinit(&p->now);
	free(p);
}

/* ---- one pool ---- */

struct numbers {
	uint64_t open, max, in_use, waiters;
	bool closed;
};

static int read_numbers(struct pgxpools *p, uint64_t addr, struct numbers *out)
{
	struct memreader *m = p->rt->mem;
	uint64_t puddle, sem;
	uint8_t closed;
	int err = mem_read_u64(m, addr + p->pool, &puddle);

	err = err ? err : mem_read_u64(m, puddle + p->semaphore, &sem);
	err = err ? err : mem_read_u64(m, puddle + p->resources + 8, &out->open);
	err = err ? err : mem_read(m, puddle + p->closed, &closed, 1);
	err = err ? err : mem_read_u64(m, sem + p->size, &out->max);
	err = err ? err : mem_read_u64(m, sem + p->cur, &out->in_use);
	err = err ? err : mem_read_u64(m, sem + p->nwaiters, &out->waiters);
	if (!err && (closed > 1 || !out->max || out->max > MAX_OPEN || out->open > out->max ||
		     out->in_use > out->max || out->waiters > MAX_OPEN * 16ull))
		return -EBADMSG;
	out->closed = closed;
	return err;
}

/* Believed when it is the same twice, or fits at the last try. */
static int read_pool(struct pgxpools *p, uint64_t addr, struct numbers *out)
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

static int add_pool(struct pgxpools *p, uint64_t addr)
{
	struct pgx_pool *q = &p->at[p->n];
	struct numbers n = { 0 };
	int err;

	if (p->n == PGXPOOLS_MAX) {
		p->unread++;
		return 0;
	}
	err = read_pool(p, addr, &n);
	if (err) {
		p->unread++;
		return err == -ESRCH ? err : 0;
	}
	if (n.closed)
		return 0;
	*q = (struct pgx_pool){ .addr = addr };
	q->row.library = SQL_PGX;
	snprintf(q->row.driver, sizeof(q->row.driver), "pgxpool");
	q->row.max_open = (int64_t)n.max;
	q->row.open = n.open > n.in_use ? n.open : n.in_use;
	q->row.in_use = n.in_use;
	q->row.idle = q->row.open - n.in_use;
	q->row.waiters = n.waiters;
	p->n++;
	return 0;
}

/* ---- the goroutines ---- */

/* Which of the functions are in a stack: bits. */
static unsigned functions_in(struct pgxpools *p, const struct look *l, uint32_t stack)
{
	const struct gostack *s;
	unsigned in = 0;

	if (stack >= l->stacks->n)
		return 0;
	s = &l->stacks->stack[stack];
	for (uint32_t i = 0; i < s->n; i++) {
		struct gofunc fn;

		if (pclntab_find_pc(p->rt->gb->pcln, l->stacks->pc[s->first + i] - p->rt->bias,
				    &fn))
			continue;
		for (int k = 0; k < FN_COUNT; k++)
			if (p->entry[k] && p->entry[k] == fn.entry)
				in |= 1u << k;
	}
	return in;
}

/* The receiver of a function on a goroutine's stack. */
static bool receiver(struct pgxpools *p, const struct goroutine *g, int which, uint64_t *out)
{
	struct gostack_frame f[MAX_FRAMES];
	int n = goruntime_stack_frames(p->rt, g, f, MAX_FRAMES);
	struct gofunc fn;
	int32_t slot;

	for (int i = 0; i < n; i++)
		if (!pclntab_find_pc(p->rt->gb->pcln, f[i].pc - p->rt->bias, &fn) &&
		    fn.entry == p->entry[which])
			return f[i].argp && !goslot_arg(p->rt, f[i].pc, !i, 0, &slot) &&
			       !mem_read_u64(p->rt->mem, f[i].argp + (uint64_t)slot, out);
	return false;
}

static struct pgx_pool *pool_of(struct pgxpools *p, const struct goroutine *g)
{
	uint64_t addr;

	if (p->n == 1 && !p->unread)
		return &p->at[0];
	if (p->asked++ >= MAX_ASKED || !receiver(p, g, FN_ACQUIRE, &addr))
		return NULL;
	for (int i = 0; i < p->n; i++)
		if (p->at[i].addr == addr)
			return &p->at[i];
	return NULL;
}

/* Who called the pool: what that calls is further in. */
static void place_of(struct pgxpools *p, const struct look *l, uint32_t stack, struct place *out)
{
	const struct gostack *s = &l->stacks->stack[stack];
	const uint64_t *pc = l->stacks->pc + s->first;
	uint32_t from = 0;
	struct gofunc fn;

	for (uint32_t i = 0; i < s->n; i++)
		if (!pclntab_find_pc(p->rt->gb->pcln, pc[i] - p->rt->bias, &fn) &&
		    fn.entry == p->entry[FN_ACQUIRE])
			from = i;
	place_of_pcs(p->rt, pc + from, (int)(s->n - from), false, out);
}

static void add_waiter(struct pgxpools *p, const struct look *l, size_t i)
{
	const struct goroutine *g = &l->walk->g[i];
	struct pgx_pool *q = pool_of(p, g);
	struct since since;

	if (!q)
		return;
	since = since_parked(g, recall_keep_stop(&p->waits, &p->now, g, q->addr, l->now_ns));
	q->longest = since_earlier(q->longest, since);
	if (!q->row.waits_at.function)
		place_of(p, l, l->stack_of[i], &q->row.waits_at);
}

int pgxpools_look(struct pgxpools *p, const struct look *l)
{
	const unsigned waiting = 1u << FN_ACQUIRE | 1u << FN_SEMAPHORE;
	unsigned char *in = p->known ? malloc(l->stacks->n + 1) : NULL;
	int err = 0;

	p->n = p->unread = p->asked = 0;
	if (!p->known)
		return 0;
	if (!in)
		return -ENOMEM;
	for (size_t i = 0; i < l->stacks->n; i++)
		in[i] = (unsigned char)functions_in(p, l, (uint32_t)i);
	for (size_t i = 0; i < l->walk->n && !err; i++) {
		uint32_t s = l->stack_of[i];
		uint64_t addr;

		if (s >= l->stacks->n || !(in[s] & 1u << FN_HEALTH))
			continue;
		if (receiver(p, &l->walk->g[i], FN_HEALTH, &addr))
			err = add_pool(p, addr);
		else
			p->unread++;
	}
	for (size_t i = 0; i < l->walk->n && !err; i++)
		if (l->stack_of[i] < l->stacks->n && (in[l->stack_of[i]] & waiting) == waiting)
			add_waiter(p, l, i);
	free(in);
	recall_swap(&p->waits, &p->now);
	for (int i = 0; i < p->n; i++)
		p->at[i].row.longest_wait_s =
			since_age_s(p->at[i].longest, l->now_ns, &p->at[i].row.age);
	return err;
}

int pgxpools_fill(const struct pgxpools *p, struct sql_window *out)
{
	struct sql_pool *pool;

	if (!p->n)
		return 0;
	pool = realloc(out->pool, (size_t)(out->npool + p->n) * sizeof(*pool));
	if (!pool)
		return -ENOMEM;
	out->pool = pool;
	for (int i = 0; i < p->n; i++)
		pool[out->npool++] = p->at[i].row;
	return 0;
}

const char *pgxpools_why(const struct pgxpools *p)
{
	if (!p->known)
		return "the pools of pgxpool are not as known: they are not read";
	return p->unread ? "not all pools of pgxpool could be read" : "";
}
