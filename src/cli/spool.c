/* SPDX-License-Identifier: BSD-2-Clause */
/* gospect spool: the snapshots that gospect host has kept. */
#include "report/spool.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/human.h"
#include "base/vec.h"
#include "cli/message.h"
#include "cli/options.h"
#include "cli/output.h"
#include "host/privileges.h"
#include "report/grid.h"

static const char *folder(const struct options *o)
{
	const char *configured = getenv("GOSPECT_HOST_SPOOL_DIR");

	return o->dir ? o->dir : configured && *configured ? configured : SPOOL_DIR;
}

static int cannot(const char *what, int code)
{
	msg_error("cannot read '%s': %s", what, strerror(-code));
	if (code == -EACCES)
		msg_hint("snapshots are for who runs gospect host: try with sudo");
	return code == -EACCES ? EXIT_NOT_PERMITTED : EXIT_FAILED;
}

/* --- ls -------------------------------------------------------------------------------- */

/* What it was kept for: its worst finding. */
static void worst(const struct buf *text, struct grid *t)
{
	json_t *r =
		json_loadb(text->data ? text->data : "", text->len, JSON_DISABLE_EOF_CHECK, NULL);
	json_t *f = json_array_get(json_object_get(r, "findings"), 0);
	const char *severity = json_string_value(json_object_get(f, "severity"));
	const char *title = json_string_value(json_object_get(f, "title"));

	grid_cell(t, severity ? severity : "-");
	grid_cell(t, title ? title : r ? "-" : "damaged");
	json_decref(r);
}

static void row(const char *dir, const struct spool_entry *e, struct grid *t)
{
	struct buf text;
	char size[HUMAN_MAX];

	buf_init(&text, SPOOL_MAX_SNAPSHOT);
	spool_read(dir, e->id, SPOOL_JSON, &text);
	grid_cell(t, e->id);
	grid_cell(t, human_bytes((double)e->bytes, size));
	worst(&text, t);
	buf_deinit(&text);
}

static int list(const struct options *o)
{
	static const struct grid_column cols[] = {
		{ "ID", false, 0 },
		{ "SIZE", true, 0 },
		{ "SEVERITY", false, 0 },
		{ "FINDING", false, 16 },
	};
	struct spool_entry *e = NULL;
	struct output out;
	struct grid t;
	size_t n = 0;
	int code = spool_list(folder(o), &e, &n);

	if (code && code != -ENOENT)
		return cannot(folder(o), code);
	if (output_open(&out, o)) {
		free(e);
		return EXIT_FAILED;
	}
	privileges_drop(PRIVILEGE_READ | (o->output ? PRIVILEGE_WRITE : 0));
	grid_init(&t, cols, ARRAY_SIZE(cols));
	for (size_t i = n; i > 0; i--) /* the latest first */
		row(folder(o), &e[i - 1], &t);
	if (n)
		grid_print(&t, 0, output_columns(&out), &out.buf);
	else
		buf_printf(&out.buf, "no snapshots in '%s'\n", folder(o));
	grid_deinit(&t);
	free(e);
	return output_finish(&out);
}

/* --- show, diff -------------------------------------------------------------------------- */

static int show(const struct options *o)
{
	static const enum spool_form form[] = {
		[FORMAT_TEXT] = SPOOL_TEXT,
		[FORMAT_JSON] = SPOOL_JSON,
		[FORMAT_HTML] = SPOOL_HTML,
	};
	struct output out;
	int code;

	if (output_open(&out, o))
		return EXIT_FAILED;
	out.buf.max = out.buf.max < SPOOL_MAX_SNAPSHOT ? SPOOL_MAX_SNAPSHOT : out.buf.max;
	code = spool_read(folder(o), o->word[1], form[o->format], &out.buf);
	return code ? output_close(&out, cannot(o->word[1], code)) : output_finish(&out);
}

static int diff(const struct options *o)
{
	char path[2][PATH_MAX];
	struct options two = *o;

	for (int i = 0; i < 2; i++)
		snprintf(path[i], sizeof(path[i]), "%s/%s.%s", folder(o), o->word[1 + i],
			 spool_ending[SPOOL_JSON]);
	two.file = path[0];
	two.file2 = path[1];
	return cmd_diff(&two);
}

static int wrong(const char *what, const char *subject)
{
	msg_error(what, subject);
	msg_hint("see 'gospect spool --help'");
	return EXIT_USAGE;
}

int cmd_spool(const struct options *o)
{
	static const struct {
		const char *name;
		int ids;
		int (*run)(const struct options *o);
	} verbs[] = { { "ls", 0, list }, { "show", 1, show }, { "diff", 2, diff } };
	size_t v = 0;

	if (!o->nword)
		return wrong("'%s' needs ls, show ID or diff ID ID", "spool");
	while (v < ARRAY_SIZE(verbs) && strcmp(o->word[0], verbs[v].name))
		v++;
	if (v == ARRAY_SIZE(verbs))
		return wrong("not ls, show or diff: '%s'", o->word[0]);
	if (o->nword - 1 != verbs[v].ids)
		return wrong(verbs[v].ids ? "'%s' has another number of ids" : "'%s' has no ids",
			     o->word[0]);
	for (int i = 1; i < o->nword; i++)
		if (!spool_is_id(o->word[i]))
			return wrong("not the id of a snapshot: '%s'", o->word[i]);
	if (o->format != FORMAT_TEXT && verbs[v].run != show)
		return wrong("'%s' prints text only: --format is for show", o->word[0]);
	return verbs[v].run(o);
}
