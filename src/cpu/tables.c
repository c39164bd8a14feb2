/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/tables.h"

#include "cpu/window.h"
#include "model/sentence.h"

#define MOST_ROWS 10 /* of functions and of places, where all are not asked for */

static void percent_cell(struct buf *out, double pct)
{
	buf_printf(out, pct > 0 && pct < 0.05 ? "<0.1" : "%.1f", pct);
}

/* ---- by function ---- */

static void flat_cell(const struct row *r, struct buf *out)
{
	percent_cell(out, ((const struct cpu_function *)r->row)->flat_pct);
}

static void cum_cell(const struct row *r, struct buf *out)
{
	if (r->nrest)
		buf_puts(out, "-"); /* these are in each other */
	else
		percent_cell(out, ((const struct cpu_function *)r->row)->cum_pct);
}

#define S struct cpu_function
static const struct column function_column[] = {
	PLACE_FLAT(S, place, "the function, and the line where it was met first",
		   SHOWN(4, "function"), .min = 30, .none = "?",
		   .flags = COLUMN_NAME_REST | COLUMN_FUNCTION, .id = 1),
	COUNT(S, flat, "flat", "samples in the function itself", SHOWN(2, "samples"),
	      .flags = COLUMN_DASH_0),
	COUNT(S, cum, "cum", "samples in it or in what it called", .flags = COLUMN_MAX_REST),
	REAL(S, flat_pct, "flat_pct", 0.01, "share of all samples, in itself", SHOWN(1, "flat %"),
	     .cell = flat_cell, .flags = COLUMN_RIGHT),
	REAL(S, cum_pct, "cum_pct", 0.01, "share of all samples, with what it called",
	     SHOWN(3, "cum %"), .cell = cum_cell, .flags = COLUMN_RIGHT | COLUMN_MAX_REST),
	EXACTNESS(S, exactness),
};
#undef S

static double percent(uint64_t n, uint64_t of)
{
	return 100 * (double)n / (double)of;
}

static void cpu_sentence(const struct window *w, struct buf *out)
{
	const struct cpu_window *c = w->cpu;
	const char *before = ":";

	sentence_counted(out, "", c->samples, "sample");
	buf_printf(out, " at %u Hz", c->hz);
	for (int i = 0; i < CPU_KINDS && c->placed; i++)
		if (c->kind[i]) {
			buf_printf(out, "%s %s", before, cpu_kind_word[i]);
			sentence_percent(out, " ", percent(c->kind[i], c->placed), 0, "");
			before = ",";
		}
	if (c->placed && c->whole < c->placed)
		sentence_percent(out, "; ", percent(c->whole, c->placed), 0,
				 " of the stacks are whole");
}

static bool any_cpu(const struct window *w)
{
	return w->cpu->known;
}

/* The rows of a report that is no profile. */
static size_t most_rows(const struct window *w)
{
	return w->cpu->profile ? REPORT_MAX_ROWS : MOST_ROWS + 1;
}

static int add_function(void *sum, const void *row, bool first)
{
	const struct cpu_function *f = row;
	struct cpu_function *to = sum;

	(void)first;
	to->flat_pct += f->flat_pct;
	to->cum_pct = f->cum_pct > to->cum_pct ? f->cum_pct : to->cum_pct;
	return 0;
}

const struct table cpu_functions = {
	.name = "cpu_function",
	.what = "CPU time by function, from samples.",
	TABLE_ROWS(struct cpu_function, function_column),
	.other_at = OFFSET(struct cpu_function, other, bool),
	.of = &cpu_object,
	.label = "cpu",
	.title = "CPU time by function",
	.diff_title = "CPU time by function, in itself",
	.diff_key = "flat_pct",
	.diff_of = "with_stack",
	.any = any_cpu,
	.sentence = cpu_sentence,
	.most = most_rows,
	.add = add_function,
	.max_rows = 15,
};

/* ---- by place of creation ---- */

static void site_pct_cell(const struct row *r, struct buf *out)
{
	percent_cell(out, ((const struct cpu_site *)r->row)->pct);
}

static void site_place_cell(const struct row *r, struct buf *out)
{
	const struct cpu_site *s = r->row;

	if (!r->nrest && !s->place.function)
		buf_puts(out, "(the runtime's own, or not known)");
	else
		sentence_place(out, &s->place, "");
}

#define S struct cpu_site
static const struct column site_column[] = {
	PLACE_FLAT(S, place, "the go statement; absent: the runtime's own threads",
		   SHOWN(3, "goroutines created at"), .min = 30, .cell = site_place_cell,
		   .flags = COLUMN_NAME_REST, .id = 1),
	COUNT(S, samples, "samples", "samples in its goroutines", SHOWN(2, "samples")),
	REAL(S, pct, "pct", 0.01, "share of all samples", SHOWN(1, "%"), .cell = site_pct_cell,
	     .flags = COLUMN_RIGHT),
	EXACTNESS(S, exactness),
};
#undef S

static void sites_sentence(const struct window *w, struct buf *out)
{
	uint64_t n = 0;

	for (int i = 0; i < w->cpu->nsite; i++)
		n += w->cpu->site[i].place.function ? w->cpu->site[i].samples : 0;
	sentence_count(out, "goroutines that used the CPU, by where they were created: ", n,
		       " samples");
}

static int add_to_site(void *sum, const void *row, bool first)
{
	(void)first;
	((struct cpu_site *)sum)->pct += ((const struct cpu_site *)row)->pct;
	return 0;
}

const struct table cpu_sites = {
	.name = "cpu_site",
	.what = "CPU time by where goroutines were created, from samples.",
	TABLE_ROWS(struct cpu_site, site_column),
	.other_at = OFFSET(struct cpu_site, other, bool),
	.of = &cpu_object,
	.label = "cpu by go",
	.title = "CPU time by creation site",
	.diff_title = "CPU time by creation site",
	.diff_key = "pct",
	.diff_of = "with_stack",
	.any = any_cpu,
	.sentence = sites_sentence,
	.most = most_rows,
	.add = add_to_site,
	.max_rows = 10,
};

/* ---- by goroutine ---- */

#define S struct cpu_goroutine
static bool place_is_known(const struct row *r)
{
	return ((const S *)r->row)->at.function;
}

static const struct column goroutine_column[] = {
	GOID(S, goid, "goroutine", "its id"),
	COUNT(S, samples, "samples", "samples of it"),
	REAL(S, pct, "pct", 0.01, "share of all samples"),
	PLACE(S, created, "created", "where it was created"),
	PLACE(S, at, "at", "the innermost function that is in all of its stacks"),
	COUNT(S, last_line, "last_line", "where it stood there: from the line of `at` to this one",
	      .known = place_is_known),
	COUNT(S, forced, "preempted", "of the samples: it had been preempted before it ran on"),
	COUNT(S, parked, "waited", "of the samples: it had waited before it ran on"),
	COUNT(S, ran, "ran", "samples since it was seen to wait last, also of windows before"),
	FLAG(S, never_waits, "never_waits",
	     "these are a second of CPU time and more, and it is the scheduler that stops it"),
	EXACTNESS(S, exactness),
};
#undef S

static const struct table cpu_goroutines =
	TABLE("cpu_goroutine", "A goroutine that used much of the CPU, from samples.",
	      struct cpu_goroutine, goroutine_column);

/* ---- waiting to run ---- */

#define S struct cpu_waits
static const struct column waits_column[] = {
	COUNT(S, timed, "timed", "waits that the runtime timed: one in eight"),
	P50_NS(S, p50_ns, timed, "p50_ns", "of these"),
	P99_NS(S, p99_ns, timed, "p99_ns", "of these"),
	COUNT(S, slow, "slow", "of these, of 8.4 ms and more"),
};
#undef S

static const struct table cpu_waits =
	TABLE("cpu_run_wait",
	      "How long goroutines that were ready waited to run (Go 1.20 and newer).",
	      struct cpu_waits, waits_column);

#define S struct cpu_throttle
static const struct column throttle_column[] = {
	COUNT(S, periods, "periods", "periods of the quota in this window",
	      .known_at = OFFSET(S, known, bool)),
	COUNT(S, throttled, "throttled", "of these, in which it was used up"),
	NS(S, ns, "throttled_ns",
	   "for which threads of the control group were kept from running, summed"),
};
#undef S

static const struct table cpu_throttle =
	TABLE("cpu_throttle", "What the quota of the control group did.", struct cpu_throttle,
	      throttle_column);

/* ---- the object ---- */

#define S struct cpu_window
static void hz(const struct row *r, struct value *v)
{
	v->is = VALUE_THERE;
	v->count = ((const S *)r->row)->hz;
}

static const struct column cpu_column[] = {
	GOT(COLUMN_COUNT, "hz", hz, "samples per second of each CPU that the process runs on"),
	COUNT(S, samples, "samples", "samples of the process in this window"),
	COUNT(S, placed, "with_stack", "of them, those whose stack is known"),
	COUNT(S, whole, "whole_stacks", "of these, down to where the stack begins"),
	COUNT(S, kind[CPU_GO], "go",
	      "samples in Go's code (the collector's and the scheduler's apart)"),
	COUNT(S, kind[CPU_GC], "gc", "samples of the garbage collector"),
	COUNT(S, kind[CPU_SCHEDULER], "scheduler", "samples of a thread without a goroutine"),
	COUNT(S, kind[CPU_KERNEL], "kernel", "samples in the kernel, for the program"),
	COUNT(S, kind[CPU_FOREIGN], "c", "samples in C"),
	INT(S, looks, "looks", "looks at all goroutines in this window"),
	INT(S, queued_looks, "queued_looks",
	    "of these, looks at which goroutines were ready to run and none of the CPUs took them"),
	COUNT(S, queued, "queued", "such goroutines, summed over the looks"),
	COLUMN(COLUMN_OBJECT, "run_wait", offsetof(S, waits), "waiting to run", .sub = &cpu_waits,
	       .flags = COLUMN_INSIDE | COLUMN_SOMETIMES, .known_at = OFFSET(S, waits.known, bool)),
	COLUMN(COLUMN_OBJECT, "throttle", offsetof(S, throttle), "the quota", .sub = &cpu_throttle,
	       .flags = COLUMN_INSIDE | COLUMN_SOMETIMES,
	       .known_at = OFFSET(S, throttle.known, bool)),
	ROWS(S, function, nfunction, "functions", &cpu_functions,
	     "by function, most in itself first"),
	ROWS(S, site, nsite, "by_site", &cpu_sites, "by where the goroutine was created"),
	ROWS(S, goroutine, ngoroutine, "by_goroutine", &cpu_goroutines,
	     "those that used most, at most ten", .flags = COLUMN_INSIDE),
};
#undef S

static const void *cpu_part(const struct window *w)
{
	return w->cpu->known ? w->cpu : NULL;
}

const struct table cpu_object =
	TABLE("cpu", "CPU time, from samples of the kernel's timers: shares, not measurements.",
	      struct cpu_window, cpu_column, .part = cpu_part);
