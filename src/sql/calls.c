/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls under way, by the place that calls: queries and what else waits for a
 * database, and whether anything will end them but the database.
 */
#include "sql/priv.h"

#include "base/clock.h"
#include "base/vec.h"
#include "gort/gocontext.h"
#include "gort/goslots.h"

#define MAX_FRAMES 64   /* of one stack that are looked at */
#define MAX_ASKED  2000 /* goroutines whose context is read at one look */
#define LOOKS_OLD  0.9  /* seconds from which on the context is asked for */

/* What a context is known to have; bits of what is remembered. */
enum { LIMITS_ASKED = 1, LIMITS_WHOLE = 2, LIMITS_DEADLINE = 4, LIMITS_CANCEL = 8 };

/* Functions that are given a context, and its first word. */
static const struct {
	const char *function;
	unsigned int word;
} given[] = {
	{ "database/sql.ctxDriverPrepare", 0 },
	{ "database/sql.ctxDriverExec", 0 },
	{ "database/sql.ctxDriverQuery", 0 },
	{ "database/sql.ctxDriverStmtExec", 0 },
	{ "database/sql.ctxDriverStmtQuery", 0 },
	{ "database/sql.ctxDriverBegin", 0 },
	{ "database/sql.resultFromStatement", 0 },
	{ "database/sql.rowsiFromStatement", 0 },
	{ "database/sql.(*DB).conn", 1 },
	{ "database/sql.(*DB).execDC", 1 },
	{ "database/sql.(*DB).queryDC", 1 },
	{ "database/sql.(*DB).beginDC", 1 },
	{ "database/sql.(*DB).pingDC", 1 },
	{ "database/sql.(*DB).prepareDC", 1 },
	{ "database/sql.(*DB).exec", 1 },
	{ "database/sql.(*DB).query", 1 },
	{ "database/sql.(*DB).begin", 1 },
	{ "database/sql.(*DB).prepare", 1 },
	{ "database/sql.(*DB).ExecContext", 1 },
	{ "database/sql.(*DB).QueryContext", 1 },
	{ "database/sql.(*DB).QueryRowContext", 1 },
	{ "database/sql.(*DB).BeginTx", 1 },
	{ "database/sql.(*DB).PingContext", 1 },
	{ "database/sql.(*DB).PrepareContext", 1 },
	{ "database/sql.(*DB).Conn", 1 },
	{ "database/sql.(*Tx).ExecContext", 1 },
	{ "database/sql.(*Tx).QueryContext", 1 },
	{ "database/sql.(*Tx).PrepareContext", 1 },
	{ "database/sql.(*Conn).ExecContext", 1 },
	{ "database/sql.(*Conn).QueryContext", 1 },
	{ "database/sql.(*Conn).PrepareContext", 1 },
	{ "database/sql.(*Conn).BeginTx", 1 },
	{ "database/sql.(*Stmt).ExecContext", 1 },
	{ "database/sql.(*Stmt).QueryContext", 1 },
};

/* Those that take context.Background() themselves. */
static const char *const background[] = {
	"database/sql.(*DB).Exec",       "database/sql.(*DB).Query",  "database/sql.(*DB).QueryRow",
	"database/sql.(*DB).Begin",      "database/sql.(*DB).Ping",   "database/sql.(*DB).Prepare",
	"database/sql.(*Tx).Exec",       "database/sql.(*Tx).Query",  "database/sql.(*Tx).QueryRow",
	"database/sql.(*Tx).Prepare",    "database/sql.(*Stmt).Exec", "database/sql.(*Stmt).Query",
	"database/sql.(*Stmt).QueryRow",
};

/* The first word of the context that the function at pc is given; -1: none. */
static int context_word(struct sqlpools *p, uint64_t pc)
{
	struct gofunc fn;

	if (sqlroles_at(p, pc) < 0 || pclntab_find_pc(p->rt->gb->pcln, pc - p->rt->bias, &fn))
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(given); i++)
		if (!strcmp(fn.name, given[i].function))
			return (int)given[i].word;
	return -1;
}

/* Whether it, or what is inlined into it, asks with context.Background(). */
static bool is_background(struct sqlpools *p, uint64_t pc)
{
	struct goframe f[16];
	bool injected = false;
	int n = goruntime_frames_at(p->rt, pc, &injected, f, ARRAY_SIZE(f));

	for (int i = 0; i < n; i++)
		for (size_t k = 0; k < ARRAY_SIZE(background); k++)
			if (!strcmp(f[i].function, background[k]))
				return true;
	return false;
}

/* The context in a frame's slots; false: it is not in memory there. */
static bool context_at(struct sqlpools *p, const struct gostack_frame *f, bool innermost, int word,
		       uint64_t context[2])
{
	int32_t slot;

	for (int i = 0; i < 2; i++)
		if (!f->argp ||
		    goslot_arg(p->rt, f->pc, innermost, (unsigned int)(word + i), &slot) ||
		    mem_read_u64(p->rt->mem, f->argp + (uint64_t)slot, &context[i]))
			return false;
	return gotypes_of_itab(p->types, context[0]);
}

static uint64_t limits_of(struct sqlpools *p, const struct goroutine *g)
{
	struct gostack_frame f[MAX_FRAMES];
	int n = goruntime_stack_frames(p->rt, g, f, MAX_FRAMES);

	for (int i = 0; i < n; i++) {
		int word = context_word(p, f[i].pc);
		uint64_t context[2];
		struct gocontext_limits l;

		if (is_background(p, f[i].pc))
			return LIMITS_ASKED | LIMITS_WHOLE;
		if (word < 0 || !context_at(p, &f[i], !i, word, context))
			continue;
		l = gocontext_limits(p->rt, p->types, context[0], context[1]);
		return LIMITS_ASKED | (l.whole ? LIMITS_WHOLE : 0u) |
		       (l.deadline ? LIMITS_DEADLINE : 0u) | (l.cancel ? LIMITS_CANCEL : 0u);
	}
	return LIMITS_ASKED;
}

/* They are the same as long as the goroutine has not run. */
static uint64_t limits(struct sqlpools *p, const struct goroutine *g)
{
	const struct recalled *before = recall_find(&p->known[KNOWN_LIMITS], g->goid);
	uint64_t stop = goroutine_stop(g), l = 0;

	if (before && before->mark[1] == stop)
		l = before->mark[0];
	else if (p->asked++ < MAX_ASKED)
		l = limits_of(p, g);
	if (l)
		sqlpools_keep(p, KNOWN_LIMITS, g->goid, l, stop);
	return l;
}

static struct sql_query *row_at(struct sqlpools *p, const struct place *at)
{
	struct sql_query *q;

	for (int i = 0; i < p->nquery; i++)
		if (place_equal(&p->query[i].place, at))
			return &p->query[i];
	if (p->nquery == SQLPOOLS_MAX_QUERIES) {
		p->no_room++;
		return NULL;
	}
	q = &p->query[p->nquery++];
	*q = (struct sql_query){ .place = *at };
	return q;
}

void sqlcalls_waits(struct sqlpools *p, const struct place *at)
{
	struct sql_query *q = row_at(p, at);

	if (q)
		q->waiting++;
}

static uint64_t hash_of(const struct place *at)
{
	return hash_bytes(at->function, strlen(at->function)) ^ hash_u64(at->line);
}

/* A goroutine that has moved on has had its answer, or what may be a part of it. */
void sqlcalls_ended(struct sqlpools *p)
{
	const struct recall *was = &p->known[KNOWN_CALLS], *is = &p->now[KNOWN_CALLS];
	uint64_t goid, *number;
	size_t pos = 0;

	while (u64map_next(&was->at, &pos, &goid, &number)) {
		const struct recalled *f = &was->fact[*number], *now = recall_find(is, goid);
		uint64_t took = p->looked_ns - f->first_ns, *at;

		if (now && now->mark[0] == f->mark[0] && now->mark[1] == f->mark[1])
			continue;
		at = u64map_put(&p->came_back, f->mark[0], 0, NULL);
		if (at && took > *at)
			*at = took;
	}
	for (int i = 0; i < p->nquery; i++) {
		const uint64_t *took = u64map_find(&p->came_back, hash_of(&p->query[i].place));

		p->query[i].came_back_s = took ? (double)*took / NS_PER_S : 0;
	}
}

/* The database has it, or is to give a connection for it. */
void sqlcalls_take(struct sqlpools *p, size_t i)
{
	const struct goroutine *g = &p->look->walk->g[i];
	struct sql_query *q;
	struct since since;
	enum age_kind kind;
	struct place at;
	double age;

	if (!sqlroles_place(p, i, &at) || !(q = row_at(p, &at)))
		return;
	since = since_parked(g, sqlpools_keep_stop(p, KNOWN_CALLS, g, hash_of(&at)));
	q->in_flight++;
	age = since_age_s(since, p->look->now_ns, &kind);
	age_max(&q->longest_in_flight_s, &q->age, age, kind);
	if (kind == AGE_UNKNOWN || age < LOOKS_OLD ||
	    limits(p, g) != (LIMITS_ASKED | LIMITS_WHOLE) || age <= SQL_HANGS_S)
		return;
	q->hanging++;
	age_max(&q->longest_hanging_s, &q->hanging_age, age, kind);
}
