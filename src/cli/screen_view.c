/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/screen_view.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "goroutines/tables.h"
#include "memory/tables.h"
#include "net/tables.h"
#include "report/cells.h"
#include "report/summary.h"
#include "sql/tables.h"

#define VIEW_BYTES_MAX (1u << 20)
#define SENTENCE_MAX   8192
#define WIDTH_LEAST    20 /* narrower ones stay empty */
#define FINDINGS_SHOWN 3  /* without details */
#define ALLOCS_SHOWN   5
#define SITES_LEAST    4 /* rows of goroutines that findings may not take away */
#define LABEL_COLUMNS  12
#define FINDING_INDENT 10

void screen_view_init(struct screen_view *v)
{
	memset(v, 0, sizeof(*v));
	buf_init(&v->text, VIEW_BYTES_MAX);
}

void screen_view_deinit(struct screen_view *v)
{
	buf_deinit(&v->text);
}

/* Takes lines that end in '\n' from b; at most max of them. */
static void take_lines(struct screen_view *v, const struct buf *b, enum screen_style style, int max)
{
	const char *p = b->data, *end;

	for (; p && *p && max > 0 && v->nline < SCREEN_MAX_LINES; p = end + 1, max--) {
		end = strchr(p, '\n');
		if (!end)
			break;
		v->line[v->nline].start = v->text.len;
		v->line[v->nline].style = style;
		buf_add(&v->text, p, (size_t)(end - p));
		buf_add(&v->text, "", 1);
		if (v->text.err)
			return;
		v->nline++;
	}
}

/* One sentence behind a label, cut to the width. */
static void sentence(struct screen_view *v, const char *label, const char *text,
		     enum screen_style style, int width, int max_lines)
{
	struct buf b;

	buf_init(&b, SENTENCE_MAX);
	buf_printf(&b, label[0] ? "%-*s" : "%.*s", label[0] ? LABEL_COLUMNS : 0, label);
	wrap_text(&b, text, (int)b.len, (int)b.len, width, max_lines);
	take_lines(v, &b, style, max_lines);
	buf_deinit(&b);
}

static void summary(struct screen_view *v, const char *label, summary_fn fn, const struct window *w,
		    enum screen_style style, int width)
{
	struct buf b;

	buf_init(&b, SENTENCE_MAX);
	fn(w, &b);
	if (b.len)
		sentence(v, label, b.data, style, width, 1);
	buf_deinit(&b);
}

static void head(struct screen_view *v, const struct window *w, const struct screen_state *st,
		 int width)
{
	struct buf b;

	buf_init(&b, SENTENCE_MAX);
	buf_puts(&b, st->paused ? "PAUSED " : "");
	summary_target(w, width - (int)b.len, 8, &b);
	sentence(v, "", b.data, STYLE_TITLE, width, 1);
	buf_deinit(&b);
	summary(v, "", summary_agent, w, STYLE_DIM, width);
	if (w->memory_only)
		sentence(v, "", w->memory_only, STYLE_WARN, width, 1);
	if (w->lost_events || w->lost_map_full || w->lost_read_failures || w->stopped_s > 0)
		summary(v, "", summary_losses, w, STYLE_WARN, width);
}

static enum screen_style severity_style(enum severity s)
{
	return s >= SEVERITY_HIGH ? STYLE_BAD : s == SEVERITY_MEDIUM ? STYLE_WARN : STYLE_NOTE;
}

static void finding(struct screen_view *v, const struct finding *f, bool details, int width)
{
	enum screen_style style = severity_style(f->severity);
	char word[FINDING_INDENT + 1];
	struct buf b;

	buf_init(&b, SENTENCE_MAX);
	snprintf(word, sizeof(word), "%-*s", FINDING_INDENT, severity_word[f->severity]);
	for (char *p = word; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	buf_puts(&b, word);
	wrap_text(&b, f->title, FINDING_INDENT, FINDING_INDENT, width, details ? 3 : 1);
	take_lines(v, &b, style, 3);
	buf_reset(&b);
	for (int i = 0; details && i < f->nevidence; i++) {
		buf_printf(&b, "%*s- ", FINDING_INDENT, "");
		wrap_text(&b, f->evidence[i], FINDING_INDENT + 2, FINDING_INDENT + 2, width, 2);
	}
	if (details && f->advice[0]) {
		buf_printf(&b, "%*sdo: ", FINDING_INDENT, "");
		wrap_text(&b, f->advice, FINDING_INDENT + 4, FINDING_INDENT + 4, width, 3);
	}
	take_lines(v, &b, STYLE_PLAIN, 32);
	buf_deinit(&b);
}

static void findings(struct screen_view *v, const struct findings *fs, bool details, int width,
		     int height)
{
	char text[64];
	int i;

	if (!fs->n) {
		sentence(v, "", "nothing found so far", STYLE_DIM, width, 1);
		return;
	}
	for (i = 0; i < fs->n && (details ? v->nline < height : i < FINDINGS_SHOWN); i++)
		finding(v, &fs->f[i], details, width);
	if (i == fs->n && !fs->dropped)
		return;
	snprintf(text, sizeof(text), "and %llu more (f shows them)",
		 (unsigned long long)(fs->n - i) + (unsigned long long)fs->dropped);
	sentence(v, "", text, STYLE_DIM, width, 1);
}

static int compare_double(double a, double b)
{
	return a > b ? -1 : a < b ? 1 : 0;
}

static int compare_sites(const void *a, const void *b, void *arg)
{
	const struct row *p = a, *q = b;
	const struct site_row *x = p->row, *y = q->row;
	int r = 0;

	if (p->nrest || q->nrest)
		return p->nrest ? 1 : -1;
	switch (*(const enum screen_sort *)arg) {
	case SORT_BIRTHS:
		r = compare_double((double)x->births, (double)y->births);
		break;
	case SORT_DEATHS:
		r = compare_double((double)x->deaths, (double)y->deaths);
		break;
	case SORT_AGE:
		r = compare_double(x->age == AGE_UNKNOWN ? -1 : x->oldest_s,
				   y->age == AGE_UNKNOWN ? -1 : y->oldest_s);
		break;
	case SORT_NAME:
		r = strcmp(x->place.function ? x->place.function : "~",
			   y->place.function ? y->place.function : "~");
		break;
	case SORT_LIVE:
		break;
	}
	if (!r)
		r = compare_double((double)x->live, (double)y->live);
	return r ? r : x < y ? -1 : x > y; /* as in the window */
}

/* Head in its own style, then the rows. */
static void take_table(struct screen_view *v, const struct buf *table, int max)
{
	const char *rows = table->data ? strchr(table->data, '\n') : NULL;
	struct buf rest = { 0 };

	take_lines(v, table, STYLE_HEAD, 1);
	if (!rows || max < 2)
		return;
	rest.data = (char *)rows + 1;
	take_lines(v, &rest, STYLE_PLAIN, max - 1);
}

static void print_rows(struct screen_view *v, const struct table *t, const struct window *w,
		       const struct row *row, int n, int width)
{
	struct cells cells;
	struct buf b;

	buf_init(&b, VIEW_BYTES_MAX);
	cells_init(&cells, t, w);
	cells_rows(&cells, t, row, (size_t)n);
	grid_print(&cells.grid, 2, width, &b);
	take_table(v, &b, n + 1);
	cells_deinit(&cells);
	buf_deinit(&b);
}

static void sites(struct screen_view *v, const struct window *w, struct screen_state *st, int width,
		  int lines)
{
	int n = lines - 1, all = w->goroutines->nsite;
	struct rows rows;

	if (n < 1 || !all || rows_of_window(&rows, &goroutine_sites, w, (size_t)all))
		return;
	all = (int)rows.n;
	qsort_r(rows.row, rows.n, sizeof(*rows.row), compare_sites, &st->sort);
	if (st->scroll > all - n)
		st->scroll = all - n;
	if (st->scroll < 0)
		st->scroll = 0;
	if (n > all - st->scroll)
		n = all - st->scroll;
	st->rows_shown = n;
	print_rows(v, &goroutine_sites, w, rows.row + st->scroll, n, width);
	rows_deinit(&rows);
}

static void allocs(struct screen_view *v, const struct window *w, int width, int lines)
{
	int max = lines - 2 < ALLOCS_SHOWN ? lines - 2 : ALLOCS_SHOWN;
	struct rows rows;

	if (!w->memory->alloc_known || lines < 1)
		return;
	summary(v, "large", alloc_sentence, w, STYLE_PLAIN, width);
	if (max < 1 || rows_of_window(&rows, &alloc_sites, w, (size_t)max))
		return;
	if (rows.n)
		print_rows(v, &alloc_sites, w, rows.row, (int)rows.n, width);
	rows_deinit(&rows);
}

static void gc(struct screen_view *v, const struct window *w, int width)
{
	if (!table_any(&gc_summary, w))
		return;
	summary(v, "gc", gc_sentence, w, STYLE_PLAIN, width);
	summary(v, "pauses", pauses_sentence, w, STYLE_PLAIN, width);
}

static void help(struct screen_view *v, int width, int height)
{
	static const char *const text[] = {
		"",
		"Goroutines are sorted by",
		"  l  number alive",
		"  b  births per second",
		"  d  ends per second",
		"  a  age of the oldest",
		"  n  name",
		"",
		"  p, space     pause, resume",
		"  f            findings with evidence and advice",
		"  arrows, PgUp, PgDn, Home, End   scroll the goroutines",
		"  q            quit, with a final report",
		"  ?            this help",
		"",
		"~1,204   sampled or estimated, not counted one by one",
		">2h58m   at least that old: it began before gospect attached",
		"chan receive 95%   what most of the site's goroutines wait for",
	};

	struct buf b;

	buf_init(&b, SENTENCE_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(text); i++)
		buf_printf(&b, "%.*s\n", width, text[i]);
	take_lines(v, &b, STYLE_PLAIN, height - v->nline);
	buf_deinit(&b);
}

static void keys(struct screen_view *v, const struct screen_state *st, int width)
{
	static const char *const sorts[] = { "l live", "b births", "d ends", "a age", "n name" };
	struct buf b;

	buf_init(&b, SENTENCE_MAX);
	buf_printf(&b, "q quit  p %s  f %s  ? help  sort:", st->paused ? "resume" : "pause",
		   st->details ? "brief" : "details");
	for (int i = 0; i <= SORT_NAME; i++)
		buf_printf(&b, " %s%s", sorts[i], i == (int)st->sort ? "*" : "");
	/* not wrapped, which would close up the gaps, only cut: it is ASCII */
	if (b.len > (size_t)width)
		b.len = (size_t)width;
	while (b.len && b.data[b.len - 1] == ' ')
		b.len--;
	buf_puts(&b, "\n");
	take_lines(v, &b, STYLE_KEYS, 1);
	buf_deinit(&b);
}

/* Lines that the allocations take: their sentence, a head and some rows. */
static int alloc_lines(const struct window *w, int room)
{
	int want = !w->memory->alloc_known ? 0
		   : w->memory->nalloc ? 2 + (w->memory->nalloc < ALLOCS_SHOWN ? w->memory->nalloc
									       : ALLOCS_SHOWN)
				       : 1;
	int most = room / 3;

	return want < most ? want : most < 1 ? (want > 0) : most;
}

static int gc_lines(const struct window *w)
{
	return table_any(&gc_summary, w) + w->memory->gc.pauses_known;
}

static void body(struct screen_view *v, const struct report *r, struct screen_state *st, int width,
		 int height)
{
	const struct window *w = &r->window;
	int below, room;

	findings(v, &r->findings, st->details, width, height - SITES_LEAST);
	if (w->goroutines->known || w->goroutines->births_known)
		summary(v, "goroutines", goroutines_sentence, w, STYLE_PLAIN, width);
	if (w->goroutines->known)
		summary(v, "states", states_sentence, w, STYLE_PLAIN, width);
	summary(v, "network", net_brief, w, STYLE_PLAIN, width);
	summary(v, "sql", sql_brief, w, STYLE_PLAIN, width);
	room = height - v->nline;
	below = gc_lines(w);
	below += alloc_lines(w, room - below);
	if (room - below < SITES_LEAST)
		below = 0;
	sites(v, w, st, width, room - below);
	if (!below)
		return;
	allocs(v, w, width, below - gc_lines(w));
	gc(v, w, width);
}

void screen_view_make(struct screen_view *v, const struct report *r, struct screen_state *st,
		      int width, int height)
{
	if (height > SCREEN_MAX_LINES)
		height = SCREEN_MAX_LINES;
	buf_reset(&v->text);
	v->nline = 0;
	st->rows_shown = 0;
	if (width < WIDTH_LEAST || height < 2)
		return;
	head(v, &r->window, st, width);
	if (st->help)
		help(v, width, height - 1);
	else
		body(v, r, st, width, height - 1);
	if (v->nline > height - 1)
		v->nline = height - 1;
	keys(v, st, width);
}
