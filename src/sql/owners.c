/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whose stack has what keeps a connection: a Tx, a Conn, or Rows that are not
 * closed.  A goroutine that has one and waits for another connection of the same
 * pool waits for itself; one that began a transaction and has it no more went on
 * without it.
 *
 * Only words that are alive count, as the compiler's stack maps tell the collector:
 * others may be left over from a call that has returned.  What they point to is
 * believed when it is that object now: its pool and connection are the pool's,
 * and it is not over.
 */
#include "sql/priv.h"

#include "base/cursor.h"
#include "base/vec.h"
#include "gort/goslots.h"
#include "prove/stackmap.h"

#define MAX_FRAMES    128
#define MAX_STACK     (32u << 10) /* bytes of one stack; what is further out is not seen */
#define MAX_WORDS     1024        /* of it that may point to something */
#define OBJECT_BYTES  192         /* of what they point to */
#define SURE_BYTES    16          /* of them that are the object's own */
#define MAX_SCANS     256         /* stacks at one look; the others' turn comes */
#define LEAST_WAIT_S  0.5         /* a shorter wait is not looked into */
#define LEAST_POINTER 65536

#define MAX_OBJECTS 512 /* variables of one stack that are pointed to */

struct variable {
	uint64_t addr;
	uint32_t size, ptr_bytes;
};

struct scan {
	struct variable obj[MAX_OBJECTS];
	uint64_t into[MAX_WORDS]; /* live words that point into the stack itself */
	size_t nobj, ninto;
	struct gostack_frame f[MAX_FRAMES];
	int n;
	uint64_t lo, hi; /* of the goroutine's stack */
	uint64_t at[MAX_WORDS], word[MAX_WORDS];
	size_t nword, len;
	bool whole;
	struct mem_piece piece[MAX_WORDS];
	uint8_t object[MAX_WORDS][OBJECT_BYTES];
	uint8_t stack[MAX_STACK];
};

static int32_t off(const struct sqlpools *p, enum layout_field f)
{
	return layout_off(p->rt->gb->layout, f);
}

static bool fits(const struct sqlpools *p, enum layout_field f, int32_t more)
{
	return off(p, f) >= 0 && off(p, f) + more <= OBJECT_BYTES;
}

static bool is_known(const struct sqlpools *p)
{
	return fits(p, LAYOUT_SQL_ROWS_CLOSED, 8) && fits(p, LAYOUT_SQL_ROWS_DC, 8) &&
	       fits(p, LAYOUT_SQL_ROWS_RELEASECONN, 16) && fits(p, LAYOUT_SQL_TX_DONE, 8) &&
	       fits(p, LAYOUT_SQL_TX_DC, 16) && fits(p, LAYOUT_SQL_CONN_DC, 8) &&
	       fits(p, LAYOUT_SQL_CONN_DB, 8) && fits(p, LAYOUT_SQL_CONN_DONE, 8);
}

static bool may_point(const struct scan *s, uint64_t w)
{
	return w >= LEAST_POINTER && w % 8 == 0 && (w < s->lo || w >= s->hi) && w < 1ull << 47;
}

static void take_word(struct scan *s, uint64_t addr)
{
	uint64_t i = addr - s->f[0].sp, w;

	if (addr < s->f[0].sp || i + 8 > s->len || s->nword == MAX_WORDS)
		return;
	w = load_u64(s->stack + i);
	if (w >= s->lo && w < s->hi && s->ninto < MAX_WORDS)
		s->into[s->ninto++] = w;
	if (!may_point(s, w))
		return;
	s->at[s->nword] = addr;
	s->word[s->nword] = w;
	s->piece[s->nword] =
		(struct mem_piece){ .addr = w, .dst = s->object[s->nword], .len = OBJECT_BYTES };
	s->nword++;
}

static void take_masked(struct scan *s, uint64_t from, const uint8_t *bits, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (stackmap_bit(bits, i))
			take_word(s, from + 8ull * i);
}

/* The live words of a frame, and its variables that are pointed to (runtime/stkframe.go);
 * false: its map is not known. */
static bool take_frame(struct sqlpools *p, struct scan *s, const struct gostack_frame *f)
{
	const struct framemap *m = stackmaps_at(&p->maps, f->pc - p->rt->bias);
	uint64_t varp = f->argp - 8; /* return address */

	if (!m || m->no_locals || m->no_args || m->injected || m->unknown_args || !f->argp)
		return false;
	if (varp > f->sp)
		varp -= 8; /* saved frame pointer */
	if (m->nlocals && varp > f->sp)
		take_masked(s, varp - 8ull * m->nlocals, p->maps.bits + m->locals, m->nlocals);
	if (m->nargs)
		take_masked(s, f->argp, p->maps.bits + m->args, m->nargs);
	for (uint32_t i = 0; i < m->nobjects && s->nobj < MAX_OBJECTS; i++) {
		const struct stackobj *o = &p->maps.object[m->first_object + i];
		uint64_t at = (o->off < 0 ? varp : f->argp) + (uint64_t)(int64_t)o->off;

		s->obj[s->nobj++] = (struct variable){ at, o->size, o->ptr_bytes };
	}
	return true;
}

/* The variables that live words point to, and those that these point to. */
static void take_variables(struct scan *s)
{
	for (size_t i = 0; i < s->ninto; i++)
		for (size_t k = 0; k < s->nobj; k++) {
			struct variable *v = &s->obj[k];
			uint32_t bytes = v->ptr_bytes;

			if (s->into[i] < v->addr || s->into[i] - v->addr >= v->size)
				continue;
			v->ptr_bytes = 0;
			for (uint32_t at = 0; at + 8 <= bytes; at += 8)
				take_word(s, v->addr + at);
		}
}

/*
 * The live words of its stack, and what they point to: 0, or -ENOENT where they
 * cannot be read.  s->whole: all of them, as far as is known.
 */
static int scan_read(struct sqlpools *p, const struct goroutine *g, struct scan *s)
{
	struct goroutine now;

	s->n = goruntime_stack_frames(p->rt, g, s->f, MAX_FRAMES);
	s->lo = g->stack_lo;
	s->hi = g->stack_hi;
	s->nword = s->ninto = s->nobj = 0;
	if (s->n <= 0 || s->f[0].sp >= s->hi)
		return -ENOENT;
	s->len = s->hi - s->f[0].sp < MAX_STACK ? s->hi - s->f[0].sp : MAX_STACK;
	if (mem_read(p->rt->mem, s->f[0].sp, s->stack, s->len) ||
	    goruntime_read_g(p->rt, g->addr, &now) || goroutine_stop(&now) != goroutine_stop(g))
		return -ENOENT;
	stackmaps_trim(&p->maps);
	s->whole = s->n < MAX_FRAMES && s->len == s->hi - s->f[0].sp;
	/* where it stands itself is the runtime's */
	for (int i = 1; i < s->n; i++)
		s->whole &= take_frame(p, s, &s->f[i]);
	take_variables(s);
	s->whole &= s->nword < MAX_WORDS && s->ninto < MAX_WORDS && s->nobj < MAX_OBJECTS;
	return mem_read_many(p->rt->mem, s->piece, s->nword) < 0 ? -ENOENT : 0;
}

/* ---- what an object is ---- */

static bool in_use(struct sqlpools *p, uint64_t conn, uint64_t *at)
{
	const uint64_t *found = u64map_find(&p->conn_at, conn);

	if (!found || !p->pool[*found >> 32].db.conn[(uint32_t)*found].in_use)
		return false;
	*at = *found;
	return true;
}

static bool is_rows(struct sqlpools *p, const uint8_t *b, uint64_t *at)
{
	/* dc, releaseConn, rowsi: the same in 1.18 to 1.27 */
	return in_use(p, load_u64(b + off(p, LAYOUT_SQL_ROWS_DC)), at) &&
	       !b[off(p, LAYOUT_SQL_ROWS_CLOSED)] &&
	       gotypes_of_itab(p->types, load_u64(b + off(p, LAYOUT_SQL_ROWS_RELEASECONN) + 8));
}

/* Of a Tx and of a Conn: both begin with the pool, and have the connection. */
static bool is_of_pool(struct sqlpools *p, const uint8_t *b, enum layout_field db,
		       enum layout_field dc, uint64_t *at)
{
	return in_use(p, load_u64(b + off(p, dc)), at) &&
	       load_u64(b + off(p, db)) == p->pool[*at >> 32].db.addr;
}

static bool is_tx(struct sqlpools *p, const uint8_t *b, uint64_t *at)
{
	/* behind the connection comes the driver's Tx, an interface */
	return is_of_pool(p, b, LAYOUT_SQL_TX_DB, LAYOUT_SQL_TX_DC, at) &&
	       !load_u32(b + off(p, LAYOUT_SQL_TX_DONE)) &&
	       gotypes_of_itab(p->types, load_u64(b + off(p, LAYOUT_SQL_TX_DC) + 8));
}

static bool is_conn(struct sqlpools *p, const uint8_t *b, uint64_t *at)
{
	return is_of_pool(p, b, LAYOUT_SQL_CONN_DB, LAYOUT_SQL_CONN_DC, at) &&
	       !load_u32(b + off(p, LAYOUT_SQL_CONN_DONE));
}

/* What keeps an in-use connection there: its number in *at. */
static bool what_is(struct sqlpools *p, const uint8_t *b, enum sql_holding *what, uint64_t *at)
{
	if (is_rows(p, b, at))
		*what = SQL_ROWS;
	else if (is_tx(p, b, at))
		*what = SQL_TRANSACTION;
	else if (is_conn(p, b, at))
		*what = SQL_CONN;
	else
		return false;
	return true;
}

/* ---- who waits for himself ---- */

/* The user's line in the frame that a word is in. */
static bool place_of_word(struct sqlpools *p, const struct scan *s, size_t word, struct place *out)
{
	uint64_t pcs[MAX_FRAMES];
	int i = 0;

	while (i + 1 < s->n && s->f[i + 1].sp <= s->at[word])
		i++;
	/* what the library itself has at hand is not the user's */
	if (sqlroles_at(p, s->f[i].pc) >= 0)
		return false;
	for (int k = i; k < s->n; k++)
		pcs[k - i] = s->f[k].pc;
	return place_of_pcs(p->rt, pcs, s->n - i, !i, out);
}

/* A transaction has what is queried within it, and so has a Conn. */
static bool outranks(enum sql_holding a, enum sql_holding b)
{
	static const int rank[] = { [SQL_TRANSACTION] = 3, [SQL_CONN] = 2, [SQL_ROWS] = 1 };

	return b == SQL_CALL || rank[a] >= rank[b];
}

/* The goroutine of a waiter has a connection: the outermost frame that has it is said last. */
static void take_own(struct sqlpools *p, const struct scan *s, size_t word, const struct waiter *w,
		     enum sql_holding what, uint64_t at)
{
	struct holder *k = &p->pool[at >> 32].holder[(uint32_t)at];
	struct place place;

	if ((int)(at >> 32) != w->pool || (k->waits && !outranks(what, k->what)))
		return;
	if (!place_of_word(p, s, word, &place))
		return;
	if (!k->found || k->is_now || k->what == SQL_CALL) {
		k->found = k->is_now = true;
		k->place = place;
		k->what = what;
	}
	k->goid = p->look->walk->g[w->g].goid;
	k->ask_parent = 0;
	k->waits = true;
	k->waits_at = w->at;
}

static bool scan_waiter(struct sqlpools *p, struct scan *s, const struct waiter *w)
{
	const struct goroutine *g = &p->look->walk->g[w->g];
	bool has = false;

	if (scan_read(p, g, s))
		return false;
	for (size_t i = 0; i < s->nword; i++) {
		enum sql_holding what;
		uint64_t at;

		if (s->piece[i].status || !what_is(p, s->object[i], &what, &at))
			continue;
		take_own(p, s, i, w, what, at);
		has = true;
	}
	return has;
}

/* Of one that has waited for a while in a pool that is full; once, where it has nothing. */
static bool is_worth(struct sqlpools *p, const struct waiter *w)
{
	const struct goroutine *g = &p->look->walk->g[w->g];
	const struct sqldb *db = &p->pool[w->pool].db;
	const struct recalled *before = recall_find(&p->known[KNOWN_WITHOUT], g->goid);
	enum age_kind kind;

	if (db->max_open <= 0 || db->open - db->idle < (uint64_t)db->max_open ||
	    since_age_s(w->since, p->look->now_ns, &kind) < LEAST_WAIT_S)
		return false;
	if (!before || before->mark[1] != goroutine_stop(g))
		return true;
	sqlpools_keep(p, KNOWN_WITHOUT, g->goid, 0, goroutine_stop(g));
	return false;
}

int sqlowners_waiters(struct sqlpools *p)
{
	struct scan *s = p->nwaiter && is_known(p) ? malloc(sizeof(*s)) : NULL;
	int scans = 0;

	if (p->nwaiter && is_known(p) && !s)
		return -ENOMEM;
	for (size_t i = 0; s && i < p->nwaiter && scans < MAX_SCANS; i++) {
		const struct goroutine *g = &p->look->walk->g[p->waiter[i].g];

		if (!is_worth(p, &p->waiter[i]))
			continue;
		scans++;
		if (!scan_waiter(p, s, &p->waiter[i]))
			sqlpools_keep(p, KNOWN_WITHOUT, g->goid, 0, goroutine_stop(g));
	}
	free(s);
	return 0;
}

/* ---- who went on without it ---- */

enum known sqlowners_has(struct sqlpools *p, const struct goroutine *g, uint64_t object)
{
	struct scan *s = p->has_asked++ < MAX_SCANS ? malloc(sizeof(*s)) : NULL;
	enum known has = UNKNOWN;

	if (s && !scan_read(p, g, s) && s->nword < MAX_WORDS && s->hi - s->f[0].sp <= MAX_STACK)
		has = KNOWN_NO;
	for (size_t i = 0; has == KNOWN_NO && i < s->nword; i++) {
		if (s->word[i] == object)
			has = KNOWN_YES;
		/* or in what something of the stack points to: a struct of the user's; further
		 * on it may be another object's already */
		for (size_t k = 0; !s->piece[i].status && k < OBJECT_BYTES && has != KNOWN_YES;
		     k += 8)
			if (load_u64(s->object[i] + k) == object)
				has = k < SURE_BYTES ? KNOWN_YES : UNKNOWN;
	}
	free(s);
	return has;
}
