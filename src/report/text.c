/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The report as text: one line about the target and the cost, what was found
 * (worst first, three to five lines each), then the tables.  No line is wider
 * than asked for.
 */
#include "report/report.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/human.h"
#include "base/text.h"
#include "crash/window.h"
#include "report/cells.h"
#include "report/document.h"
#include "report/summary.h"

#define SENTENCE_MAX   8192 /* bytes of one part before it is wrapped */
#define FINDING_INDENT 10
#define FINDING_LINES  5
#define TITLE_LINES    3 /* most have one or two */
#define LABEL_COLUMNS  12
#define EXE_LEAST      40 /* columns: a line more rather than a name that tells nothing */

struct text {
	const struct report *report;
	const struct report_text_options *options;
	struct buf *out;
	int width;
};

static void color(struct text *t, const char *sequence)
{
	if (t->options->color)
		buf_printf(t->out, "\x1b[%sm", sequence);
}

/* "label:     sentence", further lines under the sentence. */
static void labelled(struct text *t, const char *label, const char *sentence, int max_lines)
{
	char head[64];
	int n = snprintf(head, sizeof(head), "%s:", label), indent = LABEL_COLUMNS;

	if (n >= LABEL_COLUMNS)
		indent = n + 1;
	color(t, "1");
	buf_puts(t->out, head);
	color(t, "0");
	buf_printf(t->out, "%*s", indent - n, "");
	wrap_text(t->out, sentence, indent, indent, t->width, max_lines);
}

static void labelled_summary(struct text *t, const char *label, summary_fn summary, int max_lines)
{
	struct buf sentence;

	buf_init(&sentence, SENTENCE_MAX);
	summary(&t->report->window, &sentence);
	if (sentence.len)
		labelled(t, label, sentence.data, max_lines);
	buf_deinit(&sentence);
}

static void head(struct text *t)
{
	const struct window *w = &t->report->window;
	struct buf line;

	buf_init(&line, SENTENCE_MAX);
	if (w->crash->known) /* what everybody wants to know first */
		wrap_text(t->out, w->crash->ended, 0, 2, t->width, 0);
	summary_target(w, t->width, EXE_LEAST, &line);
	color(t, "1");
	/* bold ends on the same line */
	wrap_text(t->out, line.data, 0, 2, t->width, 0);
	if (t->options->color && t->out->len && !t->out->err) {
		t->out->len--;
		buf_puts(t->out, "\x1b[0m\n");
	}
	buf_reset(&line);
	buf_puts(&line, "");
	summary_agent(w, &line);
	wrap_text(t->out, line.data, 0, 2, t->width, 0);
	buf_deinit(&line);
	if (w->memory_only) {
		static const char label[] =
			"no probes: "; /* most of the reasons begin with it, too */
		bool twice = !strncmp(w->memory_only, label, sizeof(label) - 1);

		labelled(t, "no probes", w->memory_only + (twice ? sizeof(label) - 1 : 0), 0);
	}
	if (w->last && w->end_reason && !w->crash->known)
		labelled(t, "final report", w->end_reason, 0);
}

static const char *severity_color(enum severity s)
{
	return s >= SEVERITY_HIGH ? "1;31" : s == SEVERITY_MEDIUM ? "1;33" : "1;36";
}

/* At most FINDING_LINES lines: title, then evidence as far as there is room,
 * then what to do. */
static void one_finding(struct text *t, const struct finding *f)
{
	const int indent = FINDING_INDENT;
	int lines, left, columns = words_columns(f->advice) + 4;
	char word[16];

	snprintf(word, sizeof(word), "%s", severity_word[f->severity]);
	for (char *p = word; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	color(t, severity_color(f->severity));
	buf_printf(t->out, "%-*s", indent, word);
	color(t, "0");
	lines = wrap_text(t->out, f->title, indent, indent, t->width, TITLE_LINES);
	left = (f->lines ? f->lines : FINDING_LINES) - lines -
	       (columns > t->width - indent ? 2 : 1);
	for (int i = 0; i < f->nevidence && left > 0; i++) {
		buf_printf(t->out, "%*s- ", indent, "");
		left -= wrap_text(t->out, f->evidence[i], indent + 2, indent + 2, t->width, left);
	}
	if (f->advice[0]) {
		buf_printf(t->out, "%*s", indent, "");
		color(t, "1");
		buf_puts(t->out, "do:");
		color(t, "0");
		buf_puts(t->out, " ");
		wrap_text(t->out, f->advice, indent + 4, indent + 4, t->width, 2);
	}
}

/* The next thing that was looked at. */
static void looked(struct buf *out, bool known, uint64_t n, const char *what, const char *more)
{
	char text[HUMAN_MAX];

	if (known)
		buf_printf(out, "%s %s%s", strstr(out->data, " Looked at") ? "," : " Looked at",
			   human_counted(n, what, text), more);
}

static void looked_at(const struct window *w, struct buf *out)
{
	char sites[HUMAN_MAX];
	uint64_t open = 0;

	for (int i = 0; i < w->net->nconnection; i++)
		open += w->net->connection[i].open;
	looked(out, w->goroutines->known, w->goroutines->live, "goroutine", "");
	if (w->goroutines->known && w->goroutines->nsite)
		buf_printf(out, " of %s",
			   human_counted((uint64_t)w->goroutines->nsite, "site", sites));
	looked(out, w->memory->alloc_known, w->memory->large_count, "large allocation", "");
	looked(out, w->memory->gc.known, w->memory->gc.cycles, "GC cycle", "");
	looked(out, w->net->known && w->net->in_flight_total, w->net->in_flight_total, "request",
	       " in flight");
	looked(out, w->net->known && open, open, "connection", "");
	looked(out, w->sql->known && w->sql->npool, (uint64_t)w->sql->npool, "database pool", "");
}

/* Whether it takes longer to say that nothing is kept: nothing found is no verdict on it. */
static bool growth_is_open(const struct window *w)
{
	static const char yet[] = "not judged yet";

	for (int i = 0; i < w->ncoverage; i++)
		if (w->coverage[i].name && !strcmp(w->coverage[i].name, "growth") &&
		    !strncmp(w->coverage[i].why, yet, sizeof(yet) - 1))
			return true;
	return false;
}

/* "nothing found", and what was looked at. */
static void nothing_found(struct text *t)
{
	const struct window *w = &t->report->window;
	char s[HUMAN_MAX];
	struct buf line;

	buf_init(&line, SENTENCE_MAX);
	buf_puts(&line, "nothing found.");
	looked_at(w, &line);
	buf_puts(&line, strstr(line.data, " Looked at") ? ", " : " Observed ");
	if (w->observed_s > 0)
		buf_printf(&line, "for %s", human_seconds(w->observed_s, s));
	else
		buf_puts(&line, "once: growth takes a window of some seconds to see");
	if (w->observed_s > 0 && growth_is_open(w))
		buf_puts(&line, "; growth of the heap is not judged yet");
	labelled(t, "findings", line.data, 3);
	buf_deinit(&line);
}

static void listed(struct text *t, const struct findings *fs)
{
	char n[HUMAN_MAX];

	for (int i = 0; i < fs->n; i++) {
		buf_puts(t->out, i ? "" : "\n");
		one_finding(t, &fs->f[i]);
	}
	if (fs->dropped)
		buf_printf(t->out, "and %s\n", human_counted(fs->dropped, "more finding", n));
}

static void findings(struct text *t)
{
	listed(t, &t->report->findings);
	if (!t->report->findings.n) {
		buf_puts(t->out, "\n");
		nothing_found(t);
	}
}

void report_text_findings(const struct findings *fs, const struct report_text_options *o,
			  struct buf *out)
{
	struct text t = { .options = o, .out = out, .width = o->columns };

	listed(&t, fs);
}

static int max_rows(const struct text *t, const struct table *table)
{
	int max = t->options->max_rows;

	max = max <= 0 ? 20 : max > REPORT_MAX_ROWS ? REPORT_MAX_ROWS : max;
	return table->max_rows && table->max_rows < max ? table->max_rows : max;
}

/* A table and its sentences. */
static void part(struct text *t, const struct table *table)
{
	const struct window *w = &t->report->window;
	struct cells cells;

	if (!table_any(table, w))
		return;
	buf_puts(t->out, "\n");
	labelled_summary(t, table->label, table->sentence, table->lines ? table->lines : 2);
	if (table->sentence2)
		labelled_summary(t, table->label2, table->sentence2,
				 table->lines2 ? table->lines2 : 2);
	if (cells_of_window(&cells, table, w, max_rows(t, table)) && !t->out->err)
		t->out->err = -ENOMEM;
	if (cells.grid.ncell)
		grid_print(&cells.grid, 2, t->width, t->out);
	cells_deinit(&cells);
	if (table->below)
		table->below(w, t->out);
}

void report_text(const struct report *r, const struct report_text_options *o, struct buf *out)
{
	struct text t = { .report = r, .options = o, .out = out, .width = o->columns };

	if (t.width < 40)
		t.width = 40;
	head(&t);
	findings(&t);
	for (int i = 0; i < report_nparts; i++)
		part(&t, report_parts[i]);
	buf_puts(out, "\n");
	labelled_summary(&t, "coverage", summary_coverage, 0); /* a reason is never cut */
	labelled_summary(&t, "losses", summary_losses, 0);
	if (r->window.goroutines->dump)
		summary_all(&r->window, t.width, out);
}
