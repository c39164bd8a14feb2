/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/lint.h"

#include "base/human.h"
#include "lint/tables.h"
#include "model/sentence.h"
#include "report/document.h"
#include "report/grid.h"

#define S struct lint_report
static void schema_name(const struct row *r, struct value *v)
{
	(void)r;
	v->text = LINT_SCHEMA;
}

static void state_name(const struct row *r, struct value *v)
{
	v->text = exactness_word[((const S *)r->row)->partial ? PARTIAL : EXACT];
}

static const struct column lint_column[] = {
	GOT(COLUMN_TEXT, "schema", schema_name, LINT_SCHEMA),
	INT(S, pid, "pid", "the process; absent for a file", .flags = COLUMN_ABSENT_0),
	TEXT(S, file, "file", "the file; absent for a process", .flags = COLUMN_SOMETIMES),
	EXECUTABLE_COLUMNS(S, of.),
	GOT(COLUMN_TEXT, "state", state_name, "exact, or partial: not everything was judged"),
	COUNT(S, lint.functions, "functions",
	      "functions of the program; the standard library's only with --std"),
	COUNT(S, lint.walked, "with_errors",
	      "of them, those that take a pointer for an error, or look whether an error is one"),
	COUNT(S, lint.too_complex, "too_complex", "of these, those that are not judged"),
	COUNT(S, lint.partly, "partly", "of these, those that are judged in part"),
	COUNT(S, lint.not_reached, "not_reached", "functions for which there was no time"),
	ROWS(S, lint.nil, lint.nnil, "typed_nil", &typed_nil_rows,
	     "lines that return a nil pointer as an error", .flags = COLUMN_STREAM),
	COUNT(S, lint.senders, "senders", "functions that send requests by an http.Client"),
	COUNT(S, lint.senders_unjudged, "senders_unjudged", "of these, those that are not judged"),
	ROWS(S, lint.client, lint.nclient, "no_timeout", &no_timeout_rows,
	     "requests that nothing bounds", .flags = COLUMN_STREAM),
	ROWS(S, findings.f, findings.n, "findings", &report_findings, "what is wrong, worst first",
	     .flags = COLUMN_STREAM),
	COUNT(S, findings.dropped, "findings_dropped", "findings beyond the most that are kept",
	      .flags = COLUMN_ABSENT_0),
};
#undef S

const struct table lint_document =
	TABLE("lint", "What `gospect lint` prints: mistakes that the machine code shows.",
	      struct lint_report, lint_column);

void report_lint_json(const struct lint_report *r, struct buf *out)
{
	report_json_row(&lint_document, &(struct row){ .row = r }, out);
}

/* What was looked at, and what was not. */
static void say_coverage(const struct lint *l, struct buf *out)
{
	char n[HUMAN_MAX];

	sentence_counted(out, "", l->walked, "function");
	buf_printf(out, " of %s %s a pointer for an error, or may: ", human_count(l->functions, n),
		   l->walked == 1 ? "takes" : "take");
	if (!l->too_complex && !l->partly)
		buf_puts(out, "every path through them was followed");
	if (l->too_complex)
		sentence_counted(out, "", l->too_complex, "function");
	if (l->too_complex)
		buf_printf(out, " %s too complex, and not judged",
			   l->too_complex == 1 ? "is" : "are");
	if (l->partly) {
		sentence_counted(out, l->too_complex ? "; " : "", l->partly, "function");
		buf_printf(out, " %s judged in part", l->partly == 1 ? "is" : "are");
	}
	if (l->not_reached) {
		sentence_counted(out, "; there was no time for ", l->not_reached, "function");
		buf_puts(out, " more");
	}
	if (l->senders) {
		sentence_counted(out, "; ", l->senders, "function");
		buf_printf(out, " %s HTTP requests", l->senders == 1 ? "sends" : "send");
	}
	if (l->senders_unjudged)
		buf_printf(out, ", %s of them not judged", human_count(l->senders_unjudged, n));
	if (!l->itabs.n)
		buf_puts(out, "; the executable turns no pointer type into an error");
}

void report_lint_text(const struct lint_report *r, const struct report_text_options *o,
		      struct buf *out)
{
	struct buf line;

	buf_init(&line, 4096);
	if (r->pid)
		buf_printf(&line, "process %d", r->pid);
	else
		buf_puts(&line, r->file);
	buf_printf(&line, " (%s%s%s%s)", r->of.go ? r->of.go : "Go (release not recorded)",
		   r->of.arch ? ", " : "", r->of.arch ? r->of.arch : "",
		   r->of.stripped ? ", stripped" : "");
	wrap_text(out, line.data, 0, 2, o->columns, 0);
	report_text_findings(&r->findings, o, out);
	if (!r->findings.n)
		buf_puts(out, "\nfindings:   nothing found\n");
	buf_reset(&line);
	buf_puts(&line, "coverage:   ");
	say_coverage(&r->lint, &line);
	buf_puts(out, "\n");
	wrap_text(out, line.data, 0, 12, o->columns, 0);
	buf_deinit(&line);
}
