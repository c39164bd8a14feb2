/* SPDX-License-Identifier: BSD-2-Clause */
#include "locks/tables.h"

#include "locks/window.h"
#include "model/sentence.h"

/* ---- waits under way ---- */

static void holder_at(const struct row *r, struct buf *out)
{
	sentence_place(out, &((const struct lock_wait_row *)r->row)->holder_at,
		       r->nrest ? "" : "-");
}

#define S struct lock_wait_row
static const struct column wait_column[] = {
	TEXT(S, kind, "kind", "sync.Mutex, sync.RWMutex, …", SHOWN(4, "lock"), .none = "?",
	     .flags = COLUMN_NO_REST | COLUMN_SOMETIMES),
	COLUMN(COLUMN_ADDRESS, "lock", AT(S, lock, uint64_t), "address of the lock",
	       .flags = COLUMN_NO_REST),
	PLACE(S, place, "place", "where they wait", SHOWN(5, "at"), .min = 22, .none = "?",
	      .flags = COLUMN_NAME_REST, .id = 1),
	COUNT(S, waiters, "waiters", "goroutines that wait", SHOWN(1, "waiting"),
	      .flags = COLUMN_DASH_0 | COLUMN_MARK),
	COUNT(S, waiters_before, "waiters_before", "of them, at the look before",
	      SHOWN(2, "before"), .flags = COLUMN_DASH_0),
	AGE(S, longest_s, age, "longest_wait_s", "how long the first of them has waited",
	    .of_at = OFFSET(S, waiters, uint64_t), SHOWN(3, "longest")),
	GOID(S, holder, "holder", "the goroutine that holds the lock, inferred",
	     .flags = COLUMN_NO_REST),
	COUNT(S, holders, "holders", "goroutines that hold it, of an RWMutex for reading",
	      .flags = COLUMN_ABSENT_0 | COLUMN_NO_REST),
	CHARS(S, holder_does, "holder_does", "what the holder does, in words",
	      .flags = COLUMN_NO_REST | COLUMN_ABSENT_0),
	PLACE(S, holder_at, "holder_at", "where the holder stands", .cell = holder_at,
	      SHOWN(6, "holder is now at"), .min = 20),
	EXACTNESS(S, exactness, RATE(S, rate)),
};
#undef S

static bool any_locks(const struct window *w)
{
	return (w->locks->known && w->locks->nrow) || (w->locks->waits_known && w->locks->waits);
}

static void locks_sentence(const struct window *w, struct buf *out)
{
	const struct locks_window *l = w->locks;
	uint64_t waiters = 0;

	for (int i = 0; i < l->nrow; i++)
		waiters += l->row[i].waiters;
	if (l->known)
		sentence_counted(out, "", waiters, "goroutine");
	if (l->known)
		buf_puts(out, waiters == 1 ? " waits for a lock" : " wait for locks");
	if (!l->waits_known || !l->waits)
		return;
	sentence_counted(out, l->known ? (l->exactness == EXACT ? "; " : "; ~") : "", l->waits,
			 "wait");
	buf_puts(out, " ended");
	sentence_percentiles(out, l->timed, l->p50_ns, l->p99_ns, l->max_ns);
}

const struct table locks_rows = {
	.name = "lock",
	.what = "Goroutines that wait for one mutex or RWMutex at one place.",
	TABLE_ROWS(struct lock_wait_row, wait_column),
	.other_at = OFFSET(struct lock_wait_row, other, bool),
	.exactness_at = OFFSET(struct lock_wait_row, exactness, enum exactness),
	.of = &locks_object,
	.label = "locks",
	.title = "Waits for locks",
	.any = any_locks,
	.sentence = locks_sentence,
	.max_rows = 10,
};

/* ---- waits in what looks like a pool ---- */

static void pool_place(const struct row *r, struct buf *out)
{
	sentence_place(out, &((const struct pool_wait_row *)r->row)->place, "?");
}

#define S struct pool_wait_row
static const struct column pool_wait_column[] = {
	PLACE(S, place, "place", "the call: the innermost frame outside of libraries and the pool",
	      SHOWN(3, "called at"), .min = 22, .none = "?", .cell = pool_place, .id = 1),
	TEXT(S, function, "function", "the pool's function that they are in", SHOWN(4, "in"),
	     .min = 22, .none = "?", .flags = COLUMN_NO_REST | COLUMN_SOMETIMES, .id = 2),
	COUNT(S, waiting, "waiting", "goroutines that wait there", SHOWN(1, "waiting")),
	AGE(S, longest_s, age, "longest_wait_s", "how long the first of them has waited",
	    .of_at = OFFSET(S, waiting, uint64_t), SHOWN(2, "longest")),
	REAL(S, quiet_s, "quiet_s", 0.001,
	     "for how long none of them has come through, as looks saw it, at least",
	     .flags = COLUMN_MAX_REST),
	GOT(COLUMN_EXACTNESS, "exactness", schema_exact, "read from memory"),
};
#undef S

static bool any_pool_waits(const struct window *w)
{
	return w->locks->known && w->locks->npool_wait;
}

static void pool_waits_sentence(const struct window *w, struct buf *out)
{
	uint64_t n = 0;

	for (int i = 0; i < w->locks->npool_wait; i++)
		n += w->locks->pool_wait[i].waiting;
	sentence_counted(out, "", n, "goroutine");
	buf_puts(out,
		 n == 1 ? " waits in what looks like a pool" : " wait in what looks like a pool");
}

const struct table locks_pool_waits = {
	.name = "pool_wait",
	.what = "Goroutines that wait in what looks like a pool by its name (Acquire, Get, Borrow "
		"… "
		"of a pool or semaphore), other than those of `sql.pools`.",
	TABLE_ROWS(struct pool_wait_row, pool_wait_column),
	.label = "pool waits",
	.title = "Waits in other pools",
	.any = any_pool_waits,
	.sentence = pool_waits_sentence,
	.of = &locks_object,
	.max_rows = 6,
};

static const struct column locks_column[] = {
	ROWS(struct locks_window, row, nrow, "locks", &locks_rows, "waits for locks, by place",
	     .known_at = OFFSET(struct locks_window, known, bool)),
	ROWS(struct locks_window, pool_wait, npool_wait, "pool_waits", &locks_pool_waits,
	     "waits in what looks like a pool, by place",
	     .known_at = OFFSET(struct locks_window, known, bool)),
};

static const void *locks_part(const struct window *w)
{
	return w->locks;
}

const struct table locks_object = {
	.name = "locks",
	TABLE_ROWS(struct locks_window, locks_column),
	.part = locks_part,
};

/* ---- waits that ended ---- */

#define S struct locks_window
static const struct column waits_column[] = {
	COUNT(S, waits, "count", "waits"),
	MARGIN(S, margin, "count"),
	P50_NS(S, p50_ns, timed, "p50_ns", "median"),
	P99_NS(S, p99_ns, timed, "p99_ns", "99th percentile"),
	NS(S, max_ns, "max_ns", "longest", .flags = COLUMN_ABSENT_0),
	EXACTNESS(S, exactness, RATE(S, rate)),
};
#undef S

static const void *waits_part(const struct window *w)
{
	return w->locks->waits_known ? w->locks : NULL;
}

const struct table lock_waits_object =
	TABLE("lock_waits", "Waits for locks that ended in this window.", struct locks_window,
	      waits_column, .part = waits_part);
