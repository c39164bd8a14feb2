/* SPDX-License-Identifier: BSD-2-Clause */
#include "memory/tables.h"

#include "memory/window.h"
#include "model/sentence.h"

/* ---- large allocations ---- */

static enum exactness alloc_exactness(const struct window *w)
{
	return w->memory->alloc_exactness;
}

static void per_s_cell(const struct row *r, struct buf *out)
{
	const struct alloc_row *a = r->row;

	sentence_bytes(out, exactness_mark(alloc_exactness(r->w)), window_per_s(r->w, a->bytes),
		       "/s");
}

static void share_cell(const struct row *r, struct buf *out)
{
	const struct memory_window *m = r->w->memory;

	sentence_percent(out, "",
			 m->large_bytes
				 ? 100.0 * (double)((const struct alloc_row *)r->row)->bytes /
					   (double)m->large_bytes
				 : 0,
			 0, "");
}

static void caller_cell(const struct row *r, struct buf *out)
{
	const struct place *caller = alloc_caller(r->row);

	if (caller)
		sentence_place(out, caller, "?");
}

#define S struct alloc_row
static const struct column alloc_column[] = {
	PLACE_FLAT(S, place,
		   "the user's innermost; `in` is the library's function that it has called",
		   SHOWN(1, "allocated at"), .min = 24, .flags = COLUMN_NAME_REST),
	COUNT(S, count, "count", "objects", SHOWN(2, "count"), .flags = COLUMN_MARK),
	BYTES(S, bytes, "bytes", "in all", SHOWN(3, "bytes"), .flags = COLUMN_MARK),
	BYTES(S, max_bytes, "max_bytes", "the largest", SHOWN(5, "largest"),
	      .flags = COLUMN_MAX_REST),
	STACK_INSIDE(S, stack, nstack, "the busiest stack there, innermost first"),
	EXACTNESS(S, exactness),
	CELL("bytes/s", 4, per_s_cell, .flags = COLUMN_RIGHT),
	CELL("share", 6, share_cell, .flags = COLUMN_RIGHT),
	CELL("called from", 7, caller_cell, .min = 18, .flags = COLUMN_NO_REST | COLUMN_END),
};
#undef S

void alloc_sentence(const struct window *w, struct buf *out)
{
	const struct memory_window *a = w->memory;
	const char *m = exactness_mark(a->alloc_exactness);

	buf_puts(out, m);
	sentence_counted(out, "", a->large_count, "object");
	sentence_bytes(out, " over ", (double)a->large_threshold_bytes, "");
	buf_printf(out, ", %s", m);
	sentence_bytes(out, "", (double)a->large_bytes, "");
	sentence_bytes(out, ", ", window_per_s(w, a->large_bytes), "/s");
	if (a->total_alloc_bytes && a->large_bytes <= a->total_alloc_bytes)
		sentence_percent(out, ", ",
				 100.0 * (double)a->large_bytes / (double)a->total_alloc_bytes, 0,
				 " of all allocation");
	if (a->other_count)
		sentence_count(out, "; ", a->other_count, " of them at places that found no room");
}

/* Some of a place's may be in the row of the others. */
static enum exactness rows_exactness(const struct window *w)
{
	enum exactness e = w->memory->alloc_exactness;

	return w->memory->other_count && e == EXACT ? PARTIAL : e;
}

const struct table alloc_sites = {
	.name = "alloc_site",
	.what = "Large allocations by place.",
	TABLE_ROWS(struct alloc_row, alloc_column),
	.other_at = OFFSET(struct alloc_row, other, bool),
	.exactness = rows_exactness,
	.of = &alloc_object,
	.label = "large allocations",
	.title = "Large allocations",
	.with_part = true,
	.sentence = alloc_sentence,
};

#define S struct memory_window
static const struct column large_column[] = {
	BYTES(S, large_threshold_bytes, "large_threshold_bytes", "what is larger counts"),
	COUNT(S, large_count, "large_count", "objects in this window"),
	BYTES(S, large_bytes, "large_bytes", "in all"),
	BYTES(S, total_alloc_bytes, "all_bytes",
	      "all allocation of the window, small ones included", .flags = COLUMN_ABSENT_0),
	EXACTNESS(S, alloc_exactness),
	ROWS(S, alloc, nalloc, "by_site", &alloc_sites, "by place"),
};
#undef S

static const void *alloc_part(const struct window *w)
{
	return w->memory->alloc_known ? w->memory : NULL;
}

const struct table alloc_object =
	TABLE("alloc",
	      "What the runtime allocates as a large object (over 32 KiB; with pointers from "
	      "32,761 bytes since Go 1.22).",
	      struct memory_window, large_column, .part = alloc_part);

/* ---- the garbage collector ---- */

static void pauses_source(const struct row *r, struct value *v)
{
	v->text = ((const struct gc_window *)r->row)->pauses_from_memory ? "memory" : NULL;
}

#define S struct gc_window
static const struct column pause_column[] = {
	COUNT(S, pause_count, "count", "pauses"),
	P50_NS(S, pause_p50_ns, pause_count, "p50_ns", "median"),
	P99_NS(S, pause_p99_ns, pause_count, "p99_ns", "99th percentile"),
	NS(S, pause_max_ns, "max_ns", "longest"),
	NS(S, pause_total_ns, "total_ns", "in all"),
	GOT(COLUMN_TEXT, "source", pauses_source,
	    "memory: one sum per cycle, not each stop-the-world", .flags = COLUMN_SOMETIMES),
	FLAG(S, pauses_partial, "partial", "there were more than the runtime remembers",
	     .flags = COLUMN_ABSENT_0),
};
#undef S

static const struct table pauses =
	TABLE("pauses", "Each stop-the-world of this window.", struct gc_window, pause_column);

/* null: the program is known to have no limit. */
static void memory_limit(const struct row *r, struct value *v)
{
	v->integer = ((const struct gc_window *)r->row)->memory_limit_bytes;
	if (v->integer < 0)
		v->is = VALUE_ABSENT;
	else if (v->integer == INT64_MAX)
		v->is = VALUE_NULL;
}

#define S      struct gc_window
#define CYCLES .known_at = OFFSET(S, known, bool)
#define HEAP   .known_at = OFFSET(S, heap_known, bool)
static const struct column gc_column[] = {
	COUNT(S, cycles_total, "cycles_total", "since the process started", CYCLES),
	COUNT(S, cycles, "cycles", "that ended in this window", CYCLES),
	BYTES(S, heap_live_bytes, "heap_live_bytes",
	      "marked by the last collection plus allocated since", HEAP),
	BYTES(S, heap_goal_bytes, "heap_goal_bytes", "the next cycle ends before this", HEAP),
	COLUMN(COLUMN_OBJECT, "pauses", 0, "stop-the-world pauses", .sub = &pauses,
	       .flags = COLUMN_INSIDE, .known_at = OFFSET(S, pauses_known, bool)),
	BYTES(S, heap_marked_bytes, "heap_marked_bytes", "marked by the last collection", HEAP),
	INT(S, gogc, "gogc", "GOGC in percent; -1 is off", HEAP),
	GOT(COLUMN_INTEGER, "memory_limit_bytes", memory_limit, "GOMEMLIMIT; null: there is none",
	    HEAP, .flags = COLUMN_NULL),
	COUNT(S, forced_total, "forced_total", "by runtime.GC(), since the process started",
	      CYCLES),
	COUNT(S, forced, "forced", "by runtime.GC(), in this window", CYCLES),
	REAL(S, cpu_pct, "cpu_pct", 0.001, "share of the CPU since the process started", CYCLES,
	     .flags = COLUMN_POSITIVE),
	REAL(S, window_cpu_pct, "window_cpu_pct", 0.1,
	     "share of the CPU time of this window, from samples; absent: they are too few",
	     .known_at = OFFSET(S, window_cpu_known, bool)),
};
#undef S

static bool any_gc(const struct window *w)
{
	const struct gc_window *g = &w->memory->gc;

	return g->known || g->heap_known || g->pauses_known;
}

static const void *gc_part(const struct window *w)
{
	return any_gc(w) ? &w->memory->gc : NULL;
}

const struct table gc_object =
	TABLE("gc", "The garbage collector.", struct gc_window, gc_column, .part = gc_part);

static void cycles_words(const struct window *w, struct buf *out)
{
	const struct gc_window *g = &w->memory->gc;

	if (w->window_s > 0) {
		sentence_counted(out, "", g->cycles, "cycle");
		sentence_rate(out, " (", window_per_s(w, g->cycles), "/s)");
		if (g->forced)
			sentence_count(out, ", ", g->forced, " forced");
		sentence_count(out, ", ", g->cycles_total, " in all");
	} else {
		sentence_counted(out, "", g->cycles_total, "cycle");
		buf_puts(out, " in all");
		if (g->forced_total)
			sentence_count(out, ", ", g->forced_total, " forced");
	}
	if (g->cpu_pct >= 0)
		sentence_percent(out, ", ", g->cpu_pct, 1, " of the CPU since the start");
}

void gc_sentence(const struct window *w, struct buf *out)
{
	const struct gc_window *g = &w->memory->gc;

	if (g->known)
		cycles_words(w, out);
	else
		buf_puts(out, "cycles not known");
	if (!g->heap_known)
		return;
	sentence_bytes(out, "; heap ", (double)g->heap_live_bytes, " live");
	sentence_bytes(out, ", goal ", (double)g->heap_goal_bytes, "");
	if (g->gogc < 0)
		buf_puts(out, ", GOGC off");
	else if (g->gogc != 100)
		buf_printf(out, ", GOGC %d", g->gogc);
	if (g->memory_limit_bytes >= 0 && g->memory_limit_bytes != INT64_MAX)
		sentence_bytes(out, ", memory limit ", (double)g->memory_limit_bytes, "");
}

void pauses_sentence(const struct window *w, struct buf *out)
{
	const struct gc_window *g = &w->memory->gc;

	if (!g->pauses_known)
		return;
	sentence_count(out, g->pauses_partial ? "at least " : "", g->pause_count, "");
	buf_puts(out, g->pauses_from_memory ? " (one sum per cycle)" : "");
	if (!g->pause_count)
		return;
	sentence_percentiles(out, g->pause_count, g->pause_p50_ns, g->pause_p99_ns,
			     g->pause_max_ns);
	sentence_seconds(out, ", ", (double)g->pause_total_ns / 1e9, " in all");
}

/* For people: two sentences, no table. */
const struct table gc_summary = {
	.name = "gc",
	.label = "gc",
	.title = "Garbage collection",
	.any = any_gc,
	.sentence = gc_sentence,
	.label2 = "  pauses",
	.sentence2 = pauses_sentence,
	.lines2 = 1,
};

/* ---- the heap profile ---- */

static enum exactness heap_exactness(const struct window *w)
{
	return w->memory->heap.rate > 1 ? ESTIMATED : EXACT;
}

static void exactness_value(const struct row *r, struct value *v)
{
	v->exactness = heap_exactness(r->w);
}

static const struct stack_table *heap_stacks(const struct window *w)
{
	return &w->memory->heap.stacks;
}

static void grown_words(struct buf *out, int64_t grown)
{
	sentence_bytes(out, grown < 0 ? "-" : "+", (double)(grown < 0 ? -grown : grown), "");
}

static void grown_cell(const struct row *r, struct buf *out)
{
	int64_t grown = ((const struct heap_row *)r->row)->grown_bytes;

	if (r->w->window_s > 0 && grown)
		grown_words(out, grown);
	else
		buf_puts(out, r->w->window_s <= 0 ? "-" : "0");
}

#define WHAT_GROWN "what is in use has grown in this window"
#define S          struct heap_row
static const struct column heap_column[] = {
	PLACE_FLAT(S, place, "as `place`"),
	PLACE(S, place, "place",
	      "the user's innermost; `in` is the library's function that it has called",
	      SHOWN(5, "allocated at"), .min = 24, .none = "?", .flags = COLUMN_NAME_REST, .id = 1),
	BYTES(S, in_use_bytes, "in_use_bytes", "not freed yet", SHOWN(1, "in use"),
	      .flags = COLUMN_MARK),
	COUNT(S, in_use_count, "in_use_count", "objects not freed yet", SHOWN(2, "objects"),
	      .flags = COLUMN_MARK),
	BYTES(S, alloc_bytes, "alloc_bytes", "since the process started", SHOWN(4, "allocated"),
	      .flags = COLUMN_MARK),
	COUNT(S, alloc_count, "alloc_count", "objects since the process started"),
	INTEGER(S, grown_bytes, "grown_bytes", WHAT_GROWN, .cell = grown_cell, SHOWN(3, "grown")),
	STACK(S, stack, heap_stacks, "the busiest stack there, innermost first"),
};
#undef S

static void heap_sentence(const struct window *w, struct buf *out)
{
	const struct heap_window *h = &w->memory->heap;

	sentence_bytes(out, h->rate > 1 ? "about " : "", (double)h->in_use_bytes, " in use");
	sentence_counted(out, " in ", h->in_use_count, "object");
	if (h->grown_bytes && w->window_s > 0) {
		buf_puts(out, " (");
		grown_words(out, h->grown_bytes);
		buf_puts(out, " in this window)");
	}
	sentence_bytes(out, ", ", (double)h->alloc_bytes, " allocated in total");
	if (h->rate > 1)
		sentence_bytes(out, "; the runtime's own sample, one per ", (double)h->rate, "");
	if (h->why[0])
		sentence_name(out, "; ", h->why, 160);
}

const struct table heap_sites = {
	.name = "heap_site",
	.what = "The heap profile by place.",
	TABLE_ROWS(struct heap_row, heap_column),
	.other_at = OFFSET(struct heap_row, other, bool),
	.exactness = heap_exactness,
	.of = &heap_profile,
	.label = "heap",
	.title = "Heap",
	.with_part = true,
	.sentence = heap_sentence,
	.lines = 3,
	.max_rows = 10,
	.diff_title = "memory in use",
	.diff_key = "in_use_bytes",
};

#define S struct heap_window
static const struct column profile_column[] = {
	COUNT(S, rate, "rate", "bytes per sample, mean"),
	BYTES(S, in_use_bytes, "in_use_bytes", "not freed yet"),
	COUNT(S, in_use_count, "in_use_count", "objects not freed yet"),
	BYTES(S, alloc_bytes, "alloc_bytes", "since the process started"),
	COUNT(S, alloc_count, "alloc_count", "objects since the process started"),
	INTEGER(S, grown_bytes, "grown_bytes", WHAT_GROWN),
	GOT(COLUMN_EXACTNESS, "exactness", exactness_value, "estimated from the samples"),
	ROWS(S, row, nrow, "by_site", &heap_sites, "by place"),
};
#undef S

static const void *heap_part(const struct window *w)
{
	return w->memory->heap.known ? &w->memory->heap : NULL;
}

const struct table heap_profile = TABLE("heap", "The runtime's own sampled heap profile.",
					struct heap_window, profile_column, .part = heap_part);
