/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/tables.h"

#include "cpu/window.h"
#include "model/sentence.h"

static void percent_cell(struct buf *out, double pct)
{
	buf_printf(out, "%.1f", pct);
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
		   SHOWN(4, "function"), .min = 30, .none = "?", .flags = COLUMN_NAME_REST,
		   .id = 1),
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

static uint64_t percent(uint64_t n, uint64_t of)
{
	return of ? (100 * n + of / 2) / of : 0;
}

static void cpu_sentence(const struct window *w, struct buf *out)
{
	const struct cpu_window *c = w->cpu;
	const char *before = ":";

	sentence_counted(out, "", c->samples, "sample");
	buf_printf(out, " at %u Hz", c->hz);
	for (int i = 0; i < CPU_KINDS && c->placed; i++)
		if (c->kind[i]) {
			buf_printf(out, "%s %s %llu%%", before, cpu_kind_word[i],
				   (unsigned long long)percent(c->kind[i], c->placed));
			before = ",";
		}
	if (c->placed && c->whole < c->placed)
		buf_printf(out, "; %llu%% of the stacks are whole",
			   (unsigned long long)(100 * c->whole / c->placed));
}

static bool any_cpu(const struct window *w)
{
	return w->cpu->known;
}

const struct table cpu_functions = {
	.name = "cpu_function",
	.what = "CPU time by function, from samples.",
	TABLE_ROWS(struct cpu_function, function_column),
	.other_at = OFFSET(struct cpu_function, other, bool),
	.of = &cpu_object,
	.label = "cpu",
	.title = "CPU time by function",
	.any = any_cpu,
	.sentence = cpu_sentence,
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

const struct table cpu_sites = {
	.name = "cpu_site",
	.what = "CPU time by where goroutines were created, from samples.",
	TABLE_ROWS(struct cpu_site, site_column),
	.other_at = OFFSET(struct cpu_site, other, bool),
	.of = &cpu_object,
	.label = "cpu by go",
	.title = "CPU time by creation site",
	.any = any_cpu,
	.sentence = sites_sentence,
	.max_rows = 10,
};

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
	COUNT(S, kind[CPU_FOREIGN], "c", "samples in C, of no goroutine that is known"),
	ROWS(S, function, nfunction, "functions", &cpu_functions,
	     "by function, most in itself first"),
	ROWS(S, site, nsite, "by_site", &cpu_sites, "by where the goroutine was created"),
};
#undef S

static const void *cpu_part(const struct window *w)
{
	return w->cpu->known ? w->cpu : NULL;
}

const struct table cpu_object =
	TABLE("cpu", "CPU time, from samples of the kernel's timers: shares, not measurements.",
	      struct cpu_window, cpu_column, .part = cpu_part);
