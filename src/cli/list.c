/* SPDX-License-Identifier: BSD-2-Clause */
/* gospect list: the Go processes of this machine. */
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/human.h"
#include "cli/options.h"
#include "cli/output.h"
#include "base/vec.h"
#include "cli/message.h"
#include "host/golist.h"
#include "host/privileges.h"
#include "report/grid.h"

#define LIST_SCHEMA    "gospect.list/1"
#define LIST_BUDGET_NS (2 * NS_PER_S) /* for counting goroutines; what is left shows '-' */

static double age_s(const struct golist_entry *e, uint64_t now)
{
	return now > e->start_real_ns ? (double)(now - e->start_real_ns) / 1e9 : 0;
}

static void print_text(const struct golist *l, int width, struct buf *out)
{
	static const struct grid_column cols[] = {
		{ "PID", true, 0 },      { "AGE", true, 0 },        { "GOROUTINES", true, 0 },
		{ "GO", false, 0 },      { "CONTAINER", false, 0 }, { "EXE", false, 16 },
		{ "MODULE", false, 12 },
	};
	uint64_t now = clock_real_ns();
	char cell[1200];
	struct grid t;

	grid_init(&t, cols, ARRAY_SIZE(cols));
	for (size_t i = 0; i < l->n; i++) {
		const struct golist_entry *e = &l->e[i];

		snprintf(cell, sizeof(cell), "%d", (int)e->pid);
		grid_cell(&t, cell);
		grid_cell(&t, human_seconds(age_s(e, now), cell));
		grid_cell(&t, e->has_goroutines ? human_count(e->goroutines, cell) : "-");
		grid_cell(&t, e->go[0] ? e->go : "-");
		snprintf(cell, sizeof(cell), "%.*s", width == INT_MAX ? INT_MAX : 12,
			 e->container[0] ? e->container : "-");
		grid_cell(&t, cell);
		snprintf(cell, sizeof(cell), "%s%s%s%s", e->exe, e->exe_deleted ? " (deleted)" : "",
			 e->library[0] ? ": " : "", e->library);
		grid_cell(&t, cell);
		grid_cell(&t, e->module[0] ? e->module : "-");
	}
	if (l->n)
		grid_print(&t, 0, width, out);
	else
		buf_puts(out, "no Go processes found\n");
	grid_deinit(&t);
}

static void print_json(const struct golist *l, struct buf *out)
{
	json_t *root = json_object(), *rows = json_array();

	json_object_set_new(root, "schema", json_string(LIST_SCHEMA));
	for (size_t i = 0; i < l->n; i++) {
		const struct golist_entry *e = &l->e[i];
		json_t *j = json_object();
		char when[40];

		json_object_set_new(j, "pid", json_integer(e->pid));
		json_set_text(j, "exe", e->exe);
		if (e->library[0])
			json_set_text(j, "library", e->library);
		if (e->exe_deleted)
			json_object_set_new(j, "exe_deleted", json_true());
		if (e->go[0])
			json_set_text(j, "go", e->go);
		if (e->module[0])
			json_set_text(j, "module", e->module);
		if (e->module_version[0])
			json_set_text(j, "module_version", e->module_version);
		if (e->container[0])
			json_set_text(j, "container", e->container);
		clock_format_utc(e->start_real_ns, 0, when, sizeof(when));
		json_set_text(j, "started", when);
		json_object_set_new(j, "age_s",
				    json_integer((json_int_t)age_s(e, clock_real_ns())));
		if (e->has_goroutines)
			json_object_set_new(j, "goroutines",
					    json_integer((json_int_t)e->goroutines));
		else
			json_set_text(j, "why", e->why);
		json_array_append_new(rows, j);
	}
	json_object_set_new(root, "processes", rows);
	json_object_set_new(root, "unreadable", json_integer((json_int_t)l->unreadable));
	json_print(root, out);
}

int cmd_list(const struct options *o)
{
	struct err err = { 0 };
	struct output out;
	struct golist l;
	char n[HUMAN_MAX];
	int status;

	privileges_drop(PRIVILEGE_READ);
	if (golist_scan(&l, LIST_BUDGET_NS, &err))
		return msg_fail(&err);
	status = output_open(&out, o);
	if (status == EXIT_DONE) {
		if (o->format == FORMAT_JSON)
			print_json(&l, &out.buf);
		else
			print_text(&l, output_columns(&out), &out.buf);
		status = output_finish(&out);
	}
	if (l.unreadable && geteuid())
		msg_note("%s could not be looked at; root sees all of them",
			 human_counted(l.unreadable, "process", n));
	if (l.beyond)
		msg_note("not listed: %s", human_counted(l.beyond, "more Go process", n));
	golist_deinit(&l);
	return status;
}
