/* SPDX-License-Identifier: BSD-2-Clause */
/* gospect plan: the probes that would be set, without setting one. */
#include "plan/plan.h"

#include <jansson.h>
#include <string.h>

#include "cli/executable.h"
#include "cli/options.h"
#include "cli/output.h"
#include "base/vec.h"
#include "cli/message.h"
#include "gobin/gobin.h"
#include "host/privileges.h"
#include "report/grid.h"
#include "trace/trace.h"

#define PLAN_SCHEMA "gospect.plan/1"

static const char *site_word(const struct probe *p, enum site_kind kind)
{
	switch (kind) {
	case SITE_BODY:
		return "after the stack check";
	case SITE_BRANCH:
		return "stack check's branch";
	case SITE_CALL:
		return "call";
	case SITE_AFTER_CALL:
		return "after a call";
	case SITE_NONE:
		break;
	}
	return p->absent ? "absent" : "refused";
}

static void site_cells(struct grid *t, const struct probe *p, const struct site *s)
{
	char cell[160];

	grid_cell(t, probe_name(p->id));
	grid_cell(t, s->function);
	snprintf(cell, sizeof(cell), "+0x%llx", (unsigned long long)s->func_off);
	grid_cell(t, cell);
	grid_cell(t, s->insn);
	grid_cell(t, insn_class_run(s->klass));
	if (p->cost_ns >= 0)
		snprintf(cell, sizeof(cell), "%.0f ns", p->cost_ns);
	else
		snprintf(cell, sizeof(cell), "not measured");
	grid_cell(t, cell);
}

static bool is_missing_alike(const struct probe *a, const struct probe *b)
{
	return a->kind == SITE_NONE && b->kind == SITE_NONE && a->absent == b->absent &&
	       !strcmp(a->why, b->why);
}

/* A probe without a site, with those that miss theirs for the same reason: most
 * often a package that is not linked. */
static void print_missing(const struct plan *pl, int i, struct buf *out)
{
	const struct probe *p = &pl->probe[i];
	int alike = 0;

	if (p->kind != SITE_NONE)
		return;
	for (int k = 0; k < pl->n; k++) {
		if (!is_missing_alike(p, &pl->probe[k]))
			continue;
		if (k < i)
			return; /* printed with the first of them */
		alike++;
	}
	buf_printf(out, "\n  %s", probe_name(p->id));
	if (alike > 1)
		buf_printf(out, " and %d more", alike - 1);
	buf_printf(out, ": %s (%s)", site_word(p, SITE_NONE), p->why);
}

static void print_text(const struct gobin *gb, const char *subject, const struct plan *pl,
		       const struct cost_table *ct, int width, struct buf *out)
{
	static const struct grid_column cols[] = {
		{ "PROBE", false, 0 },        { "FUNCTION", false, 16 }, { "AT", true, 0 },
		{ "INSTRUCTION", false, 12 }, { "RUN", false, 0 },       { "COST/HIT", true, 0 },
	};
	struct grid t;
	int none = 0;

	buf_printf(out, "%s  %s %s%s%s\n\n", subject,
		   gb->build.release.minor ? gb->build.version : "Go (release not recorded)",
		   gb->arch ? gb->arch->name : "?", gb->image.is_stripped ? ", stripped" : "",
		   gb->image.is_pie ? ", PIE" : "");
	if (gb->names_hidden)
		buf_printf(
			out,
			"Obfuscated (as by garble): only the runtime's functions have names.\n\n");
	if (gb->layout_is_newer)
		buf_printf(out, "This release is newer than gospect: the layout of its runtime is "
				"verified in the process.\n\n");
	grid_init(&t, cols, ARRAY_SIZE(cols));
	for (int i = 0; i < pl->n; i++) {
		const struct probe *p = &pl->probe[i];

		none += p->kind == SITE_NONE;
		for (int k = 0; k < p->nsite; k++)
			site_cells(&t, p, &p->site[k]);
	}
	grid_print(&t, 2, width, out);
	grid_deinit(&t);
	for (int i = 0; none && i < pl->n; i++)
		print_missing(pl, i, out);
	if (none)
		buf_puts(out, "\n");
	if (ct->ns[INSN_STEPPED] >= 0 && ct->ns[INSN_PUSH] >= 0)
		buf_printf(out,
			   "\nmeasured here: an emulated push costs %.0f ns a hit; a "
			   "single-stepped cmp, as at function entries, %.0f ns\n",
			   ct->ns[INSN_PUSH], ct->ns[INSN_STEPPED]);
	buf_printf(out, "\nnothing was attached\n");
}

static void put_site(json_t *j, const struct site *s)
{
	char hex[40] = "";

	for (int i = 0; i < s->len; i++)
		sprintf(hex + 2 * i, "%02x", s->bytes[i]);
	json_object_set_new(j, "offset", json_integer((json_int_t)s->func_off));
	json_object_set_new(j, "address", json_integer((json_int_t)s->addr));
	json_object_set_new(j, "file_offset", json_integer((json_int_t)s->file_off));
	json_set_text(j, "instruction", s->insn);
	json_set_text(j, "bytes", hex);
	json_set_text(j, "class", insn_class_name(s->klass));
	json_set_text(j, "run", insn_class_run(s->klass));
}

/* A probe of several places shows the first as its own, and all in "sites". */
static void put_sites(json_t *j, const struct probe *p)
{
	json_t *sites = json_array();

	for (int k = 0; k < p->nsite; k++) {
		json_t *s = json_object();

		json_set_text(s, "function", p->site[k].function);
		json_set_text(s, "site", site_word(p, p->site[k].kind));
		put_site(s, &p->site[k]);
		json_array_append_new(sites, s);
	}
	json_object_set_new(j, "sites", sites);
}

static json_t *probe_json(const struct probe *p)
{
	json_t *j = json_object();

	json_set_text(j, "probe", probe_name(p->id));
	json_set_text(j, "sensor", sensor_name(p->sensor));
	json_set_text(j, "function", p->function);
	json_set_text(j, "site", site_word(p, p->kind));
	if (p->kind == SITE_NONE) {
		json_set_text(j, "why", p->why);
		return j;
	}
	put_site(j, &p->site[0]);
	json_object_set_new(j, "cost_ns",
			    p->cost_ns >= 0 ? json_real(p->cost_ns) : json_string("not measured"));
	json_object_set_new(j, "rare", json_boolean(p->group == GROUP_RARE));
	if (p->nsite > 1)
		put_sites(j, p);
	return j;
}

static void print_json(const struct gobin *gb, const struct options *o, const struct plan *pl,
		       const struct cost_table *ct, struct buf *out)
{
	json_t *root = json_object(), *probes = json_array(), *costs = json_object();

	json_object_set_new(root, "schema", json_string(PLAN_SCHEMA));
	if (o->pid)
		json_object_set_new(root, "pid", json_integer(o->pid));
	else
		json_set_text(root, "file", o->file);
	if (gb->build.release.minor)
		json_set_text(root, "go", gb->build.version);
	json_set_text(root, "arch", gb->arch ? gb->arch->name : NULL);
	for (int i = 0; i < INSN_CLASS_COUNT; i++)
		if (ct->ns[i] >= 0)
			json_object_set_new(costs, insn_class_name((enum insn_class)i),
					    json_real(ct->ns[i]));
	json_object_set_new(root, "measured_ns", costs);
	for (int i = 0; i < pl->n; i++)
		json_array_append_new(probes, probe_json(&pl->probe[i]));
	json_object_set_new(root, "probes", probes);
	json_print(root, out);
}

/* The cost as of now; without the privileges it is "not measured", which is no error. */
static void measure(struct cost_table *ct)
{
	struct err err = { 0 };

	if (!trace_measure_costs(ct, &err))
		return;
	for (int i = 0; i < INSN_CLASS_COUNT; i++)
		ct->ns[i] = -1;
}

static void print(const struct gobin *gb, const struct options *o, const struct plan *pl,
		  const struct cost_table *ct, struct output *out)
{
	char pid[32];

	snprintf(pid, sizeof(pid), "process %ld", o->pid);
	if (o->format == FORMAT_JSON)
		print_json(gb, o, pl, ct, &out->buf);
	else
		print_text(gb, o->file ? o->file : pid, pl, ct, output_columns(out), &out->buf);
}

int cmd_plan(const struct options *o)
{
	struct err err = { 0 };
	struct gobin *gb = NULL;
	struct cost_table ct;
	struct output out;
	struct plan pl;
	int status;

	status = output_open(&out, o);
	if (status != EXIT_DONE)
		return status;
	measure(&ct);
	privileges_drop(PRIVILEGE_READ);
	if (executable_open(o, &gb, &err) || plan_make(&pl, gb, o->sensors, &err)) {
		status = output_close(&out, msg_fail(&err));
	} else {
		plan_price(&pl, &ct);
		print(gb, o, &pl, &ct, &out);
		status = output_finish(&out);
	}
	gobin_free(gb);
	return status;
}
