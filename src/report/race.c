/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/race.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/human.h"
#include "model/sentence.h"
#include "race/tables.h"
#include "report/cells.h"
#include "report/document.h"
#include "report/html.h"

#define S struct race_report
static void schema_name(const struct row *r, struct value *v)
{
	(void)r;
	v->text = WATCH_SCHEMA;
}

static const struct column race_column[] = {
	GOT(COLUMN_TEXT, "schema", schema_name, WATCH_SCHEMA),
	INT(S, pid, "pid", "the process"),
	EXECUTABLE_COLUMNS(S, of.),
	TEXT(S, end_reason, "end_reason", "why it is over before it was done",
	     .flags = COLUMN_SOMETIMES),
	ROWS(S, race.row, race.nrow, "shared_memory", &shared_memory_rows,
	     "words that were named; of a sweep, those that were touched", .flags = COLUMN_STREAM),
	COLUMN(COLUMN_OBJECT, "watched", offsetof(S, race), "what was watched",
	       .sub = &watched_object, .flags = COLUMN_INSIDE),
	ROWS(S, findings.f, findings.n, "findings", &report_findings, "what is wrong, worst first",
	     .flags = COLUMN_STREAM),
	COUNT(S, findings.dropped, "findings_dropped", "findings beyond the most that are kept",
	      .flags = COLUMN_ABSENT_0),
};
#undef S

const struct table race_document =
	TABLE("watch", "What `gospect watch` prints: words of memory, and what touched them.",
	      struct race_report, race_column);

void report_race_json(const struct race_report *r, struct buf *out)
{
	report_json_row(&race_document, &(struct row){ .row = r }, out);
}

/* ---- for people ---- */

#define MAX_ACCESSES 40 /* in a table for people */

static void fill_cells(struct cells *cells, const struct race *r)
{
	int n = 0;

	cells_init(cells, &shared_access_rows, NULL);
	for (int i = 0; i < r->nrow; i++)
		for (int k = 0; k < r->row[i].naccess && n < MAX_ACCESSES; k++, n++)
			cells_rows(cells, &shared_access_rows,
				   &(struct row){ .row = &r->row[i].access[k] }, 1);
}

/* Never "free of races": what was watched, for how long, and what that is worth. */
static void say_watched(const struct race *r, struct buf *out)
{
	char n[HUMAN_MAX];
	uint64_t maps = 0, gone = 0, overlaps = 0;

	for (size_t i = 0; i < r->words.n; i++) {
		maps += r->watch[i].is_map;
		gone += r->watch[i].is_gone;
		overlaps += r->watch[i].overlaps;
	}
	if (r->sweeps)
		buf_printf(out, "%s of ", human_count(r->swept, n));
	sentence_counted(out, "", r->words.n, r->sweeps ? "candidate" : "word");
	sentence_counted(out, ", in ", r->slices, "slice");
	sentence_seconds(out, " of ", (double)r->watched_ns / (double)NS_PER_S, " in all");
	sentence_seconds(out, " within ", r->for_s, "");
	sentence_counted(out, "; ", r->hits, "access");
	sentence_counted(out, " seen, ", overlaps, "overlap");
	buf_printf(out, ", %s to be expected had they been at random times",
		   human_rate(r->expected, n));
	if (r->held)
		sentence_counted(out, "; held behind a store: ", r->held, "time");
	if (maps)
		sentence_counted(out, "; not watched any more, being a map's own memory: ", maps,
				 "word");
	if (gone)
		sentence_counted(out, "; behind a pointer that is nil: ", gone, "word");
	if (r->registers < GS_WATCH_WORDS)
		buf_printf(out, "; only %d words at a time: a debugger has the other registers",
			   r->registers);
	if (r->missed)
		sentence_counted(out, "; not watched: ", (uint64_t)r->missed, "thread");
	if (!r->comparable)
		buf_puts(out, "; the kernel does not take its time from a TSC that is the same on "
			      "all CPUs, so nothing can be proven");
}

static void say_nothing(const struct race *r, struct buf *out)
{
	buf_puts(out, r->hits ? "nothing found: no two accesses overlapped, which proves no order"
			      : "nothing found: nothing touched what was watched");
}

static void say_program(const struct race_report *r, struct buf *out)
{
	buf_printf(out, "process %d (%s%s%s%s)", r->pid,
		   r->of.go ? r->of.go : "Go (release not recorded)", r->of.arch ? ", " : "",
		   r->of.arch ? r->of.arch : "", r->of.stripped ? ", stripped" : "");
	if (r->end_reason)
		buf_printf(out, "; %s", r->end_reason);
}

static void labelled(const char *label, void (*say)(const struct race *r, struct buf *out),
		     const struct race *r, int columns, struct buf *out)
{
	struct buf line;

	buf_init(&line, 4096);
	buf_printf(&line, "%-12s", label);
	say(r, &line);
	buf_puts(out, "\n");
	wrap_text(out, line.data, 0, 12, columns, 0);
	buf_deinit(&line);
}

void report_race_text(const struct race_report *r, const struct report_text_options *o,
		      struct buf *out)
{
	struct cells cells;
	struct buf line;

	buf_init(&line, 4096);
	say_program(r, &line);
	wrap_text(out, line.data, 0, 2, o->columns, 0);
	buf_deinit(&line);
	report_text_findings(&r->findings, o, out);
	if (!r->findings.n)
		labelled("findings:", say_nothing, &r->race, o->columns, out);
	fill_cells(&cells, &r->race);
	if (cells.grid.ncell) {
		buf_puts(out, "\n");
		grid_print(&cells.grid, 2, o->columns, out);
	}
	cells_deinit(&cells);
	labelled("watched:", say_watched, &r->race, o->columns, out);
}

static void paragraph(void (*say)(const struct race *r, struct buf *out), const struct race *r,
		      struct buf *out)
{
	struct buf line;

	buf_init(&line, 4096);
	say(r, &line);
	html_text(out, "<p>", line.data, 1000, "</p>\n");
	buf_deinit(&line);
}

void report_race_html(const struct race_report *r, struct buf *out)
{
	struct cells cells;
	struct buf line;

	buf_init(&line, 4096);
	say_program(r, &line);
	buf_puts(out, html_head);
	html_text(out, "<title>gospect watch: ", line.data, 80, "</title>\n");
	buf_puts(out, html_style);
	html_text(out, "</style></head><body>\n<h1>", line.data, 200, "</h1>\n");
	buf_deinit(&line);
	html_findings(&r->findings, out);
	buf_puts(out, "<h2>Accesses</h2>\n");
	fill_cells(&cells, &r->race);
	if (cells.grid.ncell)
		html_table(&cells.grid, out);
	cells_deinit(&cells);
	buf_puts(out, "<h2>Watched</h2>\n");
	paragraph(say_watched, &r->race, out);
	buf_puts(out, "</body></html>\n");
}
