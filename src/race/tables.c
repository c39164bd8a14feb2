/* SPDX-License-Identifier: BSD-2-Clause */
#include "race/tables.h"

#include "model/sentence.h"
#include "race/race.h"

/* ---- locks ---- */

#define S struct lock_seen
static void lock_address(const struct row *r, struct value *v)
{
	v->count = ((const S *)r->row)->lock->addr;
}

static void lock_kind(const struct row *r, struct value *v)
{
	v->text = ((const S *)r->row)->lock->rw ? "rwmutex" : "mutex";
}

static void lock_taken(const struct row *r, struct value *v)
{
	v->place = &((const S *)r->row)->lock->taken;
}

static const struct column lock_column[] = {
	GOT(COLUMN_ADDRESS, "address", lock_address,
	    "of what says whether it is held: a mutex's state, an RWMutex's readerCount"),
	GOT(COLUMN_TEXT, "kind", lock_kind, "mutex or rwmutex"),
	GOT(COLUMN_PLACE, "taken", lock_taken, "one of the lines that take it"),
	COUNT(S, held, "held",
	      "accesses at which somebody held it, to read or to write, not only who touched the "
	      "word"),
	COUNT(S, sampled, "sampled", "accesses at which that was looked at"),
};
#undef S

static const struct table lock_rows =
	TABLE("lock_held", "A lock, and how often it was held.", struct lock_seen, lock_column);

/* ---- accesses ---- */

#define S struct shared_access
static void variable_cell(const struct row *r, struct buf *out)
{
	const struct word_watch *w = ((const S *)r->row)->word;

	if (&w->access[0] != r->row)
		return;
	if (w->word->name)
		buf_puts(out, w->name);
	else
		buf_printf(out, "%#llx", (unsigned long long)w->address);
}

static void kind_cell(const struct row *r, struct buf *out)
{
	const S *a = r->row;

	buf_printf(out, "%s%s", a->atomic ? "atomic " : "", a->kind);
}

static void locks_cell(const struct row *r, struct buf *out)
{
	const S *a = r->row;

	for (int i = 0; i < a->nlock; i++)
		buf_printf(out, "%s%llu of %llu: %s:%d", i ? ", " : "",
			   (unsigned long long)a->locks[i].held,
			   (unsigned long long)a->locks[i].sampled, a->locks[i].lock->taken.file,
			   a->locks[i].lock->taken.line);
}

static const struct column access_column[] = {
	CELL("variable", 1, variable_cell, .min = 16),
	PLACE(S, place, "place", "the line", SHOWN(4, "access"), .min = 20),
	STACK_INSIDE(S, frame, nframe, "the line, and those that it is inlined into"),
	TEXT(S, kind, "kind",
	     "read, write, or update: both in one instruction; map read, map write: the map is "
	     "loaded here, and read or written straight on"),
	CELL("kind", 2, kind_cell),
	FLAG(S, atomic, "atomic",
	     "by package sync/atomic; of a load it is not always known: it is a plain one to the "
	     "CPU"),
	GOID(S, goid, "goroutine", "one that did it; where there were overlaps, in the first",
	     SHOWN(5, "goroutine")),
	PLACE(S, created, "created", "the go statement of these goroutines", SHOWN(6, "created at"),
	      .min = 16),
	COUNT(S, count, "count", "how often it was seen, in the slices", SHOWN(3, "seen")),
	COUNT(S, overlaps, "overlaps", "overlaps that it was one of"),
	ROWS(S, locks, nlock, "locks_held", &lock_rows,
	     "locks that code around accesses to the word takes, and how often they were held",
	     .flags = COLUMN_STREAM),
	CELL("locks held", 7, locks_cell, .min = 12),
};
#undef S

const struct table shared_access_rows =
	TABLE("shared_access", "A line that touches a word, in goroutines of one go statement.",
	      struct shared_access, access_column);

/* ---- words ---- */

#define S struct word_watch
static const struct column variable_column[] = {
	CHARS(S, name, "name", "as it was asked for, or by what touches it"),
	TEXT(S, how, "how", "named: by the user; code: found in the program's code"),
	COLUMN(COLUMN_ADDRESS, "address", AT(S, address, uint64_t), "where it was last"),
	COUNT(S, offset, "offset", "behind the pointer that leads to it; absent where none does",
	      .known_at = OFFSET(S, via, bool)),
	INT(S, size, "size", "bytes that were watched"),
};

static const struct table variable =
	TABLE("variable", "A word of memory.", struct word_watch, variable_column);

static bool has_overlaps(const struct row *r)
{
	return ((const S *)r->row)->overlaps > 0;
}

static const struct column word_column[] = {
	COLUMN(COLUMN_OBJECT, "variable", 0, "what was watched", .sub = &variable,
	       .flags = COLUMN_INSIDE),
	WORD(S, verdict, "verdict", race_verdict_word,
	     "proven: two threads touched it at the same time, one of them storing plainly; "
	     "suspected: the same, but the clocks of this machine's CPUs cannot be compared; "
	     "no common lock seen: a lock was held at every store, and not at an access by another "
	     "goroutine; unproven: nothing of this, which says nothing"),
	COUNT(S, overlaps, "overlaps", "pairs of accesses that were at the same time"),
	INTEGER(S, closest_ns, "closest_ns",
		"of these, from the end of one trap to the beginning of the other, at the least: "
		"less "
		"than 0 where one began within the other",
		.known = has_overlaps),
	REAL(S, expected, "expected_overlaps", 0.01,
	     "pairs that would have overlapped had the accesses been at random times, and all "
	     "threads running"),
	COUNT(S, hits, "hits", "accesses of the program's that were seen"),
	COUNT(S, others, "others",
	      "accesses by the runtime and by package sync, which do not count"),
	COUNT(S, unclear, "unclear",
	      "accesses left out: of which instruction or goroutine they are "
	      "cannot be told"),
	COUNT(S, dropped, "dropped", "accesses by more lines than are kept",
	      .flags = COLUMN_ABSENT_0),
	COUNT(S, watched_ns, "watched_ns", "how long it was watched"),
	FLAG(S, is_map, "is_map",
	     "it is a map's own memory, and is not watched: that would lengthen the moments in "
	     "which the runtime ends a program for a race on the map",
	     .flags = COLUMN_ABSENT_0),
	FLAG(S, is_gone, "is_gone", "it could not be read: a pointer to it is nil",
	     .flags = COLUMN_ABSENT_0),
	ROWS(S, access, naccess, "accesses", &shared_access_rows, "what touched it",
	     .flags = COLUMN_STREAM),
};
#undef S

const struct table shared_memory_rows =
	TABLE("shared_memory", "A word that was watched.", struct word_watch, word_column);

/* ---- the whole ---- */

#define S struct race
static void words_value(const struct row *r, struct value *v)
{
	v->count = ((const S *)r->row)->words.n;
}

static const struct column watched_column[] = {
	GOT(COLUMN_COUNT, "words", words_value, "named, or candidates in the code"),
	COUNT(S, swept, "swept", "candidates that were watched for stores"),
	COUNT(S, slices, "slices", "times at which up to 4 words were watched"),
	COUNT(S, hits, "hits", "accesses that trapped"),
	COUNT(S, held, "held", "times that a thread was held behind a store, with --prove",
	      .flags = COLUMN_ABSENT_0),
	REAL(S, expected, "expected_overlaps", 0.01,
	     "pairs that would have overlapped had the accesses been at random times, and all "
	     "threads running"),
	REAL(S, for_s, "for_s", 0.001, "how long it took"),
	COUNT(S, watched_ns, "watched_ns", "of that, slices"),
	COUNT(S, cost_ns, "cost_ns", "what it took of the process's time, estimated"),
	INT(S, registers, "registers", "words at a time; 4 unless somebody else watches, too"),
	INT(S, missed, "missed_threads", "threads that could not be watched",
	    .flags = COLUMN_ABSENT_0),
};
#undef S

const struct table watched_object =
	TABLE("watched", "What was watched.", struct race, watched_column);
