/* SPDX-License-Identifier: BSD-2-Clause */
/* The verdict on leaks, described. */
#include "goroutines/tables.h"

#include <stdio.h>

#include "goroutines/window.h"
#include "model/sentence.h"

static const struct stack_table *leak_stacks(const struct window *w)
{
	return &w->goroutines->leaks.stacks;
}

static void reason_cell(const struct row *r, struct buf *out)
{
	const struct leak_row *l = r->row;

	buf_printf(out, "%s%s", l->reason ? l->reason : "?", l->by_design ? " (by design)" : "");
}

static void at_cell(const struct row *r, struct buf *out)
{
	sentence_place(out, &((const struct leak_row *)r->row)->at, "-");
}

#define S struct leak_row
static const struct column leak_column[] = {
	PLACE_FLAT(S, place, "the go statement", SHOWN(5, "created at"), .min = 24,
		   .flags = COLUMN_NAME_REST),
	TEXT(S, start, "start", "the function that it names",
	     .flags = COLUMN_NO_REST | COLUMN_SOMETIMES),
	TEXT(S, reason, "reason", "wait reason", SHOWN(3, "waiting for"), .min = 12,
	     .cell = reason_cell, .flags = COLUMN_NO_REST | COLUMN_SOMETIMES),
	COUNT(S, count, "count", "goroutines", SHOWN(1, "leaked")),
	AGE(S, oldest_s, age, "oldest_s",
	    "age of the oldest; `age` is at_least where only a lower bound is known",
	    SHOWN(2, "oldest"), .flags = COLUMN_NO_REST | COLUMN_BOUND),
	FLAG(S, by_design, "by_design",
	     "blocks forever by design: main, but not for a lock; a listener that a package began",
	     .flags = COLUMN_NO_REST | COLUMN_ABSENT_0),
	STACK(S, stack, leak_stacks, "of one of them, innermost first"),
	IDS(S, id, nid, "ids", "of some of the goroutines, the lowest"),
	CELL("at", 4, at_cell, .min = 20, .flags = COLUMN_NO_REST | COLUMN_END),
};
#undef S

static uint64_t leaked(const struct leaks_window *l, bool by_design)
{
	uint64_t n = 0;

	for (int i = 0; i < l->nrow; i++)
		n += l->row[i].by_design == by_design ? l->row[i].count : 0;
	return n;
}

const char *leaks_says(const struct leaks_window *l)
{
	static _Thread_local char text[48]; /* pages are made while others are looked at */

	snprintf(text, sizeof(text),
		 l->verdict == LEAKS_VERDICT_PROVEN ? "proven" : "leaked in %d of %d passes",
		 l->passes, l->passes);
	return text;
}

static void leaks_sentence(const struct window *w, struct buf *out)
{
	const struct leaks_window *l = &w->goroutines->leaks;
	uint64_t bad = leaked(l, false), design = leaked(l, true);

	if (l->verdict == LEAKS_VERDICT_OFF) {
		sentence_name(out, "not checked: ", l->why, 220);
		return;
	}
	if (bad) {
		sentence_counted(out, "", bad, "goroutine");
		buf_puts(out, " can never run again");
	} else
		buf_puts(out, "none found");
	sentence_count(out, " (of ", l->candidates, " blocked), ");
	if (l->verdict == LEAKS_VERDICT_PROVEN || bad)
		buf_puts(out, leaks_says(l));
	else {
		sentence_counted(out, "", (uint64_t)l->passes, "pass");
		buf_puts(out, " over the running process");
	}
	if (l->stop_ms >= 0)
		sentence_seconds(out, "; the process was stopped for ", l->stop_ms / 1e3, "");
	if (design)
		sentence_count(out, "; ", design,
			       design == 1 ? " blocks forever by design"
					   : " block forever by design");
	if (l->why[0])
		sentence_name(out, "; not proven: ", l->why, 200);
}

#define MAX_RUNNING 8 /* lines */

/* One line for each goroutine that ran when the process was frozen. */
static void running_lines(const struct window *w, struct buf *out)
{
	const struct leaks_window *l = &w->goroutines->leaks;

	for (size_t i = 0; i < l->nrunning && i < MAX_RUNNING; i++) {
		const struct place *at = stack_table_at(&l->stacks, l->running[i].stack);

		if (!at)
			continue;
		buf_printf(out, "  goroutine %llu ran at ", (unsigned long long)l->running[i].goid);
		sentence_place(out, at, "?");
		buf_puts(out, " when it was frozen\n");
	}
}

const struct table leak_sites = {
	.name = "leak",
	.what = "Leaked goroutines of one go statement that wait in the same way at one place.",
	TABLE_ROWS(struct leak_row, leak_column),
	.of = &leaks_object,
	.label = "leaks",
	.title = "Leaks",
	.with_part = true,
	.sentence = leaks_sentence,
	.lines = 3,
	.below = running_lines,
};

/* ---- one by one ---- */

static const struct leak_row *site_of(const struct row *r)
{
	const struct leaked_goroutine *g = r->row;

	return &r->w->goroutines->leaks.row[g->row];
}

static void goid_cell(const struct row *r, struct buf *out)
{
	buf_printf(out, "%llu",
		   (unsigned long long)((const struct leaked_goroutine *)r->row)->goid);
}

static void one_reason(const struct row *r, struct value *v)
{
	v->text = site_of(r)->reason;
}

static void one_created(const struct row *r, struct value *v)
{
	v->place = &site_of(r)->place;
}

static void one_start(const struct row *r, struct value *v)
{
	v->text = site_of(r)->start;
}

static void one_at(const struct row *r, struct value *v)
{
	const struct leaked_goroutine *g = r->row;

	v->place = stack_table_at(leak_stacks(r->w), g->stack);
	v->is = v->place ? VALUE_THERE : VALUE_ABSENT;
}

static const char *const verdict_word[] = { "off", "passes", "proven" };

static void one_verdict(const struct row *r, struct value *v)
{
	v->text = verdict_word[r->w->goroutines->leaks.verdict];
}

static void one_passes(const struct row *r, struct value *v)
{
	v->integer = r->w->goroutines->leaks.passes;
}

static void one_says(const struct row *r, struct value *v)
{
	v->text = leaks_says(&r->w->goroutines->leaks);
}

#define S struct leaked_goroutine
static const struct column leaked_column[] = {
	COUNT(S, goid, "goid", "as the runtime numbers it", SHOWN(1, "LEAK"), .cell = goid_cell),
	GOT(COLUMN_TEXT, "reason", one_reason, "wait reason", SHOWN(2, ""),
	    .flags = COLUMN_SOMETIMES),
	AGE(S, age_s, age, "age_s",
	    "how long it has lived; `age` is at_least where only a lower bound is known",
	    SHOWN(3, ""), .flags = COLUMN_BOUND),
	GOT(COLUMN_PLACE, "created", one_created, "the go statement", SHOWN(4, "created by"),
	    .none = "?"),
	GOT(COLUMN_TEXT, "start", one_start, "the function that it names",
	    .flags = COLUMN_SOMETIMES),
	GOT(COLUMN_PLACE, "at", one_at, "where it waits, in the user's code", SHOWN(5, "at"),
	    .none = "?"),
	GOT(COLUMN_TEXT, "verdict", one_verdict, "proven, or passes: several agree"),
	GOT(COLUMN_INT, "passes", one_passes, "over the running process"),
	GOT(COLUMN_TEXT, "says", one_says, "the verdict in words"),
	STACK(S, stack, leak_stacks, "innermost first"),
};
#undef S

const struct table leaked_goroutines =
	TABLE("leaked_goroutine",
	      "A goroutine that can never run again: `gospect leaks --format json` prints one such "
	      "object a line.",
	      struct leaked_goroutine, leaked_column);

/* ---- the object ---- */

static const struct column running_column[] = {
	COUNT(struct running_goroutine, goid, "id", "as the runtime numbers it"),
	STACK(struct running_goroutine, stack, leak_stacks, "where it ran, innermost first"),
};

static const struct table running =
	TABLE("running", "On a CPU in the moment the process was frozen.", struct running_goroutine,
	      running_column);

static bool judged(const struct row *r)
{
	return ((const struct leaks_window *)r->row)->verdict != LEAKS_VERDICT_OFF;
}

static void leaked_value(const struct row *r, struct value *v)
{
	v->count = leaked(r->row, false);
}

static void running_value(const struct row *r, struct value *v)
{
	const struct leaks_window *l = r->row;

	v->is = l->nrunning ? VALUE_THERE : VALUE_ABSENT;
	v->rows.first = l->running;
	v->rows.n = l->nrunning;
}

#define S struct leaks_window
static const struct column leaks_column[] = {
	WORD(S, verdict, "verdict", verdict_word,
	     "proven on the frozen process, what several passes agree on, or off"),
	CHARS(S, why, "why", "why it is off, or not proven", .flags = COLUMN_ABSENT_0),
	INT(S, passes, "passes", "over the running process", .known = judged),
	COUNT(S, candidates, "candidates", "blocked goroutines that were judged", .known = judged),
	GOT(COLUMN_COUNT, "leaked", leaked_value, "of them, can never run again", .known = judged),
	REAL(S, stop_ms, "stop_ms", 0.001, "how long the process was frozen",
	     .flags = COLUMN_POSITIVE),
	GOT(COLUMN_ROWS, "running", running_value, "ran when the process was frozen",
	    .sub = &running, .flags = COLUMN_SOMETIMES | COLUMN_STREAM),
	ROWS(S, row, nrow, "by_site", &leak_sites, "by go statement and place of the wait"),
};
#undef S

static const void *leaks_part(const struct window *w)
{
	return w->goroutines->leaks.asked ? &w->goroutines->leaks : NULL;
}

const struct table leaks_object = TABLE("leaks", "Goroutines that can never run again.",
					struct leaks_window, leaks_column, .part = leaks_part);
