/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pools of libraries that are no database/sql, from memory: numbers by the names of fields in
 * the program's own descriptions of the types, waiters and holders from stacks.  Knows no layout
 * of theirs; each library says in a file of its own (pgx.c, redis.c) how its pools are found and
 * read.
 */
#ifndef GOSPECT_SQL_LIBPOOLS_H
#define GOSPECT_SQL_LIBPOOLS_H

#include "model/age.h"
#include "model/look.h"
#include "sql/window.h"

struct libpools;

#define LIBPOOLS_MAX            64 /* pools of one library; beyond: counted as not read */
#define LIBPOOLS_MAX_HOLDERS    64 /* places that hold connections of one pool; beyond: not known */
#define LIBPOOLS_FUNCTIONS      8  /* of one library */
#define LIBPOOLS_FIELDS         12
#define LIBPOOLS_MAX_UNFINISHED 4096 /* connections whose state is read; beyond: taken as made */

struct pool_library {
	enum sql_library library;
	const char *of, *name; /* for people: whose pools ("pgx"), and what one is ("pgxpool") */
	const char *module;    /* its functions' names begin with it */
	const char *functions[LIBPOOLS_FUNCTIONS]; /* the first is linked where pools may be */
	bool by_use;                               /* a pool is found by those who use it */
	/* Where the fields are (p->field); false: they are not as known. */
	bool (*open)(struct libpools *p);
	/* Adds the pools of this look, their waiters and holders: 0, -ESRCH or -ENOMEM. */
	int (*look)(struct libpools *p, const struct look *l);
};

extern const struct pool_library pgx5_library, pgx4_library, redis9_library, redis8_library;

bool libpools_linked(const struct pool_library *lib, const struct look *l);
/* 0 or -ENOMEM. */
int libpools_new(struct libpools **out, const struct pool_library *lib, const struct look *l);
void libpools_free(struct libpools *p); /* NULL is fine */
/* 0, -ESRCH or -ENOMEM. */
int libpools_look(struct libpools *p, const struct look *l);
/* Adds what the latest look saw: 0 or -ENOMEM. */
int libpools_fill(const struct libpools *p, struct sql_window *out);
/* Why not all of it could be read; "" when it was. */
const char *libpools_why(const struct libpools *p);

/* ---- for a library's own file ---- */

struct libpool {
	uint64_t addr;
	struct sql_pool row; /* its holders are owned */
	struct since longest;
	size_t holder_cap;
	uint64_t
		unfinished; /* connections that are being made; where the library's file counts them */
	int64_t votes;      /* for row.waits_at: what it has more than the others so far */
};

struct libpools {
	const struct pool_library *lib;
	struct goruntime *rt;
	struct gotypes *types;
	uint64_t entry[LIBPOOLS_FUNCTIONS]; /* link-time; 0 absent */
	uint32_t field[LIBPOOLS_FIELDS];    /* offsets, as its library numbers them */
	unsigned int shape;                 /* what differs between its releases, likewise */
	bool known;
	struct libpool at[LIBPOOLS_MAX];
	int n, unread, asked;
	int untold;                        /* goroutines in a call of it whose pool is not known */
	uint64_t remembered[LIBPOOLS_MAX]; /* pools of the look before */
	int nremembered;
	unsigned char *in; /* owned, by number of a stack: which functions are in it, as bits */
	struct recall waits, waits_now, calls, calls_now;
	char why[160];
};

/* Which functions are in the stack of the walk's i-th goroutine: bits; 0 where it is not read. */
unsigned int libpools_in(const struct libpools *p, const struct look *l, size_t i);
/* The receiver of a function on a goroutine's stack. */
bool libpools_receiver(struct libpools *p, const struct goroutine *g, int which, uint64_t *out);
/* NULL: not one of this look. */
struct libpool *libpools_at(struct libpools *p, uint64_t addr);
/* A row for a pool; NULL: there is no room, which is counted. */
struct libpool *libpools_add(struct libpools *p, uint64_t addr);
/* The walk's i-th goroutine waits for a connection; it has one. */
void libpools_waits(struct libpools *p, const struct look *l, size_t i, struct libpool *q);
int libpools_holds(struct libpools *p, const struct look *l, size_t i, struct libpool *q);

#endif
