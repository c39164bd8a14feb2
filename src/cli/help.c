/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "base/vec.h"
#include "cli/options.h"
#include "report/report.h"
#include "report/grid.h"

static const struct {
	int status;
	const char *means;
} exit_table[] = {
	{ EXIT_DONE, "done" },
	{ EXIT_FAILED, "gospect failed" },
	{ EXIT_USAGE, "wrong usage" },
	{ EXIT_NOT_GO, "the target is not a Go program, or cannot be read" },
	{ EXIT_NOT_PERMITTED, "not permitted" },
	{ EXIT_TARGET_ENDED, "the target exited before anything was seen" },
	{ EXIT_FOUND, "--fail-on: there is a finding of that severity or worse" },
};

static const char *operand_word(const struct command *c)
{
	return c->operand == OPERAND_PID             ? " PID"
	       : c->operand == OPERAND_PID_OR_FILE   ? " PID|FILE"
	       : c->operand == OPERAND_PID_AND_WORDS ? " PID [WORD]..."
	       : c->operand == OPERAND_TWO_FILES     ? " A.json B.json"
	       : c->operand == OPERAND_WORDS         ? " ls|show|diff"
						     : "";
}

static void flag_with_arg(const struct option_def *d, char *out, size_t size)
{
	snprintf(out, size, "%s%s%s", d->flag, d->arg ? " " : "", d->arg ? d->arg : "");
}

#define HEAD_WIDTH 20               /* of commands and options */
#define TEXT_AT    (HEAD_WIDTH + 3) /* where what they do begins */
#define WIDTH      92

/* Prints text in lines of at most `width` from column `indent` on. */
static void wrapped(FILE *f, const char *text, int indent, int width)
{
	struct buf lines;

	buf_init(&lines, 8192);
	wrap_text(&lines, text, indent, indent, width, 0);
	fputs(lines.data ? lines.data : "\n", f);
	buf_deinit(&lines);
}

void help_all(FILE *f)
{
	fprintf(f, "gospect shows what a running Go program is doing, from outside.\n\n"
		   "usage: gospect COMMAND [OPTIONS]\n\n");
	for (const struct command *c = commands; c->name; c++) {
		char head[40];

		snprintf(head, sizeof(head), "%s%s", c->name, operand_word(c));
		fprintf(f, "  %-*s ", HEAD_WIDTH, head);
		wrapped(f, c->summary, TEXT_AT, WIDTH);
	}
	fprintf(f, "  %-*s %s\n", HEAD_WIDTH, "--help", "this text; COMMAND --help: its options");
	fprintf(f, "  %-*s %s\n", HEAD_WIDTH, "--version", "version and report schema");
	fprintf(f, "  %-*s %s\n\nexit status:\n", HEAD_WIDTH, "--schema",
		"JSON Schema of the reports");
	for (size_t i = 0; i < ARRAY_SIZE(exit_table); i++)
		fprintf(f, "  %2d  %s\n", exit_table[i].status, exit_table[i].means);
}

void help_command(const struct command *c, FILE *f)
{
	fprintf(f, "usage: gospect %s%s [OPTIONS]\n\n", c->name, operand_word(c));
	wrapped(f, c->about, 0, WIDTH);
	fprintf(f, "\n");
	for (int i = 0; i < OPT_COUNT; i++) {
		char head[40];

		if (!(c->options & OPT_BIT(i)))
			continue;
		flag_with_arg(&option_defs[i], head, sizeof(head));
		if (strlen(head) > HEAD_WIDTH)
			fprintf(f, "  %s\n%*s", head, TEXT_AT, "");
		else
			fprintf(f, "  %-*s ", HEAD_WIDTH, head);
		wrapped(f, option_defs[i].help, TEXT_AT, WIDTH);
	}
}

/* Text for man(7): hyphens stay hyphens, a leading dot is no request. */
static void roff(FILE *f, const char *s)
{
	if (*s == '.' || *s == '\'')
		fputs("\\&", f);
	for (; *s; s++) {
		if (*s == '-')
			fputs("\\-", f);
		else if (*s == '\\')
			fputs("\\e", f);
		else
			fputc(*s, f);
	}
}

void help_man(FILE *f, const char *version)
{
	fprintf(f,
		".TH GOSPECT 1 \"\" \"gospect %s\" \"User Commands\"\n"
		".SH NAME\ngospect \\- trace running Go programs from outside\n"
		".SH SYNOPSIS\n",
		version);
	for (const struct command *c = commands; c->name; c++)
		fprintf(f, ".B gospect %s\n%s%s[OPTIONS]\n.br\n", c->name,
			operand_word(c) + (c->operand != OPERAND_NONE),
			c->operand != OPERAND_NONE ? " " : "");
	fprintf(f, ".SH DESCRIPTION\n"
		   "gospect reads the memory of a Go process and probes rare events of its "
		   "runtime: goroutine births, large allocations, garbage collection, network "
		   "requests, database pools. Nothing is written to the target and nothing is left "
		   "behind.\n.SH COMMANDS\n");
	for (const struct command *c = commands; c->name; c++) {
		fprintf(f, ".SS gospect %s%s\n", c->name, operand_word(c));
		roff(f, c->about);
		fputc('\n', f);
		for (int i = 0; i < OPT_COUNT; i++) {
			char head[40];

			if (!(c->options & OPT_BIT(i)))
				continue;
			flag_with_arg(&option_defs[i], head, sizeof(head));
			fprintf(f, ".TP\n.B ");
			roff(f, head);
			fputc('\n', f);
			roff(f, option_defs[i].help);
			fputc('\n', f);
		}
	}
	fprintf(f, ".SH EXIT STATUS\n");
	for (size_t e = 0; e < ARRAY_SIZE(exit_table); e++)
		fprintf(f, ".TP\n.B %d\n%s\n", exit_table[e].status, exit_table[e].means);
	fprintf(f, ".SH ENVIRONMENT\n.TP\n.B NO_COLOR\nno colours, even on a terminal\n"
		   ".TP\n.B GOSPECT_METHOD=perf\nattach through perf events, as on kernels without "
		   "uprobe_multi\n");
	fprintf(f, ".SH REPORT\nThe JSON report has schema " REPORT_SCHEMA
		   "; additions do not change its number.\n");
}
