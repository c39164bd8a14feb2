/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of the text that only snapshots have. */
#include "report/summary.h"

#include <stdio.h>
#include <string.h>

#include "base/human.h"
#include "base/text.h"
#include "model/place.h"
#include "model/stacktable.h"
#include "report/snapshot_rows.h"
#include "report/summary_priv.h"

#define INDENT    2
#define MAX_LINES 512
#define CALLERS   4 /* functions of a stack that one line shows */

/* ---- leaks ---- */

static uint64_t leaked(const struct leaks_window *l, bool by_design)
{
	uint64_t n = 0;

	for (int i = 0; i < l->nrow; i++)
		n += l->row[i].by_design == by_design ? l->row[i].count : 0;
	return n;
}

void summary_leaks(const struct window *w, struct buf *out)
{
	const struct leaks_window *l = &w->goroutines->leaks;

	if (l->verdict == LEAKS_VERDICT_OFF) {
		summary_add_name(out, "not judged: ", l->why, 220);
		return;
	}
	if (leaked(l, false))
		summary_add_count(out, "", leaked(l, false),
				  leaked(l, false) == 1 ? " goroutine can never run again"
							: " goroutines can never run again");
	else
		buf_puts(out, "none found");
	summary_add_count(out, " (of ", l->candidates, " blocked ones), ");
	if (l->verdict == LEAKS_VERDICT_PROVEN)
		buf_puts(out, "proven");
	else if (leaked(l, false))
		buf_printf(out, "leaked in %d of %d passes", l->passes, l->passes);
	else
		buf_printf(out, "%d pass%s over the running process", l->passes,
			   l->passes == 1 ? "" : "es");
	if (l->stop_ms >= 0)
		summary_add_seconds(out, "; the process stood still for ", l->stop_ms / 1e3, "");
	if (leaked(l, true))
		summary_add_count(out, "; ", leaked(l, true),
				  leaked(l, true) == 1 ? " waits for ever by design"
						       : " wait for ever by design");
	if (l->why[0])
		summary_add_name(out, "; not proven: ", l->why, 200);
}

#define MAX_RUNNING 8 /* lines */

/* One line for each goroutine that ran when the process was frozen. */
void summary_running(const struct window *w, struct buf *out)
{
	const struct leaks_window *l = &w->goroutines->leaks;
	char place[WORDS_PLACE_MAX];

	for (size_t i = 0; i < l->nrunning && i < MAX_RUNNING; i++) {
		const struct place *at = stack_table_place(&l->stacks, l->running[i].stack, true);

		if (at)
			buf_printf(out, "  goroutine %llu ran at %s when it was frozen\n",
				   (unsigned long long)l->running[i].goid,
				   words_place_short(at, place, sizeof(place)));
	}
}

static void more_row(struct table *t, int more, int columns)
{
	char n[HUMAN_MAX], cell[HUMAN_MAX + 8];

	snprintf(cell, sizeof(cell), "%s more", human_count((uint64_t)more, n));
	for (int i = 0; i < columns - 1; i++)
		table_cell(t, "");
	table_cell(t, cell);
}

void summary_leak_rows(const struct window *w, int max, int width, struct buf *out)
{
	static const struct table_column column[] = {
		{ .head = "leaked", .right = true },
		{ .head = "oldest", .right = true },
		{ .head = "waiting for", .min = 12 },
		{ .head = "at", .min = 20, .keep_end = true },
		{ .head = "created at", .min = 24, .keep_end = true },
	};
	const struct leaks_window *l = &w->goroutines->leaks;
	struct table t;
	char text[400];

	if (!l->nrow)
		return;
	table_init(&t, column, sizeof(column) / sizeof(*column));
	for (int i = 0; i < l->nrow && i < max; i++) {
		const struct leak_row *r = &l->row[i];

		summary_cell_count(&t, true, EXACT, r->count);
		summary_cell_age(&t, r->age, r->oldest_s);
		snprintf(text, sizeof(text), "%s%s", r->reason, r->by_design ? " (by design)" : "");
		table_cell(&t, text);
		summary_cell_place(&t, r->at.function ? &r->at : NULL);
		summary_cell_place(&t, &r->place);
	}
	if (l->nrow > max)
		more_row(&t, l->nrow - max, (int)(sizeof(column) / sizeof(*column)));
	table_print(&t, INDENT, width, out);
	table_deinit(&t);
}

/* ---- the heap ---- */

static void add_grown(struct buf *out, int64_t grown)
{
	char text[HUMAN_MAX];

	buf_printf(out, "%s%s", grown < 0 ? "-" : "+",
		   human_bytes((double)(grown < 0 ? -grown : grown), text));
}

void summary_heap(const struct window *w, struct buf *out)
{
	const struct heap_window *h = &w->memory->heap;
	const char *about = h->rate > 1 ? "about " : "";

	summary_add_bytes(out, about, (double)h->in_use_bytes, " in use");
	summary_add_count(out, " in ", h->in_use_count, " objects");
	if (h->grown_bytes && w->window_s > 0) {
		buf_puts(out, " (");
		add_grown(out, h->grown_bytes);
		buf_puts(out, " in this window)");
	}
	summary_add_bytes(out, ", ", (double)h->alloc_bytes, " allocated ever");
	if (h->rate > 1)
		summary_add_bytes(out, "; the runtime's own sample, one per ", (double)h->rate, "");
	if (h->why[0])
		summary_add_name(out, "; ", h->why, 160);
}

static void cell_grown(struct table *t, const struct window *w, int64_t grown)
{
	struct buf b;

	if (w->window_s <= 0 || !grown) {
		table_cell(t, w->window_s <= 0 ? "-" : "0");
		return;
	}
	buf_init(&b, 64);
	add_grown(&b, grown);
	table_cell(t, b.data ? b.data : "");
	buf_deinit(&b);
}

void summary_heap_rows(const struct window *w, int max, int width, struct buf *out)
{
	static const struct table_column column[] = {
		{ .head = "in use", .right = true },
		{ .head = "objects", .right = true },
		{ .head = "grown", .right = true },
		{ .head = "allocated", .right = true },
		{ .head = "allocated at", .min = 24, .keep_end = true },
	};
	const struct heap_window *h = &w->memory->heap;
	enum exactness e = h->rate > 1 ? ESTIMATED : EXACT;
	struct table t;

	if (!h->nrow)
		return;
	table_init(&t, column, sizeof(column) / sizeof(*column));
	for (int i = 0; i < h->nrow && i < max; i++) {
		const struct heap_row *r = &h->row[i];

		summary_cell_bytes(&t, e, (double)r->in_use_bytes, "");
		summary_cell_count(&t, true, e, r->in_use_count);
		cell_grown(&t, w, r->grown_bytes);
		summary_cell_bytes(&t, e, (double)r->alloc_bytes, "");
		summary_cell_place(&t, &r->place);
	}
	if (h->nrow > max)
		more_row(&t, h->nrow - max, (int)(sizeof(column) / sizeof(*column)));
	table_print(&t, INDENT, width, out);
	table_deinit(&t);
}

/* ---- stacks ---- */

/* "main.worker notify.go:57 < main.run notify.go:30": the user's functions, innermost first. */
static void cell_stack(struct table *t, const struct stack_table *s, uint32_t stack)
{
	const struct place *line[MAX_LINES];
	int n = stack_lines(s, stack, line, MAX_LINES), from = stack_user_line(line, n);
	char place[WORDS_PLACE_MAX];
	struct buf b;

	buf_init(&b, 4 * WORDS_PLACE_MAX);
	if (from < 0)
		from = 0;
	for (int i = from; i < n && i < from + CALLERS; i++)
		buf_printf(&b, "%s%s", i > from ? " < " : "",
			   words_place_short(line[i], place, sizeof(place)));
	if (n > from + CALLERS)
		buf_puts(&b, " < …");
	table_cell(t, b.len ? b.data : "-");
	buf_deinit(&b);
}

static void add_labels(struct buf *out, const struct goroutine_dump *d, uint32_t set)
{
	if (set == DUMP_LABELS_UNKNOWN || set >= d->nlabel_set)
		return;
	for (uint32_t i = 0; i < d->label_set[set].n; i++) {
		const struct dump_label *l = &d->label[d->label_set[set].first + i];

		summary_add_name(out, i ? " " : "", l->key, 40);
		summary_add_name(out, "=", l->value, 40);
	}
}

static void cell_labels(struct table *t, const struct goroutine_dump *d, uint32_t set)
{
	struct buf b;

	buf_init(&b, 4096);
	add_labels(&b, d, set);
	table_cell(t, set == DUMP_LABELS_UNKNOWN ? "?" : b.len ? b.data : "-");
	buf_deinit(&b);
}

static bool has_labels(const struct goroutine_dump *d)
{
	for (size_t i = 0; i < d->ngroup; i++)
		if (d->group[i].labels)
			return true;
	return false;
}

void summary_groups(const struct window *w, int max, int width, struct buf *out)
{
	static const struct table_column column[] = {
		{ .head = "count", .right = true },
		{ .head = "oldest", .right = true },
		{ .head = "waiting for", .min = 10 },
		{ .head = "stack, innermost first", .min = 40 },
		{ .head = "labels", .min = 10 },
	};
	const struct goroutine_dump *d = w->goroutines->dump;
	int columns = has_labels(d) ? 5 : 4;
	struct table t;

	if (!d->ngroup)
		return;
	table_init(&t, column, columns);
	for (size_t i = 0; i < d->ngroup && i < (size_t)max; i++) {
		const struct dump_group *g = &d->group[i];

		summary_cell_count(&t, true, EXACT, g->count);
		summary_cell_age(&t, g->age, g->oldest_s);
		table_cell(&t, g->reason);
		cell_stack(&t, &d->stacks, g->stack);
		if (columns == 5)
			cell_labels(&t, d, g->labels);
	}
	table_print(&t, INDENT, width, out);
	table_deinit(&t);
	if (d->ngroup > (size_t)max)
		summary_add_count(out, "  and ", d->ngroup - (size_t)max, " stacks more\n");
}

/* As the runtime's own dump (GOTRACEBACK, goroutine?debug=2), so that it reads alike. */
static void one_goroutine(const struct goroutine_dump *d, const struct dump_goroutine *g, int width,
			  struct buf *out)
{
	const struct place *line[MAX_LINES];
	int n = stack_lines(&d->stacks, g->stack, line, MAX_LINES);
	char text[WORDS_PLACE_MAX], fitted[2 * WORDS_PLACE_MAX];

	buf_printf(out, "\ngoroutine %llu [", (unsigned long long)g->goid);
	summary_add_name(out, "", g->reason, 48);
	if (g->age != AGE_UNKNOWN)
		summary_add_seconds(out, g->age == AGE_AT_LEAST ? ", at least " : ", ", g->age_s,
				    "");
	buf_puts(out, g->locked ? ", locked to thread]" : "]");
	if (g->labels && g->labels != DUMP_LABELS_UNKNOWN) {
		buf_puts(out, " {");
		add_labels(out, d, g->labels);
		buf_puts(out, "}");
	}
	buf_puts(out, "\n");
	for (int i = 0; i < n; i++)
		buf_printf(out, "    %s\n",
			   words_fit_end(words_place_short(line[i], text, sizeof(text)), width - 4,
					 fitted, sizeof(fitted)));
	if (!n)
		buf_puts(out, "    (no stack: it runs)\n");
	if (!g->created.function || (!g->creator && !strcmp(g->created.function, "runtime.main")))
		return; /* the main goroutine: the runtime started it */
	buf_printf(out, "    created by %s",
		   words_fit_end(words_place_short(&g->created, text, sizeof(text)), width - 40,
				 fitted, sizeof(fitted)));
	if (g->creator)
		buf_printf(out, " in goroutine %llu", (unsigned long long)g->creator);
	buf_puts(out, "\n");
}

void summary_all(const struct window *w, int width, struct buf *out)
{
	const struct goroutine_dump *d = w->goroutines->dump;

	for (size_t i = 0; i < d->nall && !out->err; i++)
		one_goroutine(d, &d->all[i], width, out);
}
