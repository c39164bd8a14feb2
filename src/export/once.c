/* SPDX-License-Identifier: BSD-2-Clause */
#include "export/once.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/human.h"
#include "base/text.h"
#include "base/vec.h"
#include "report/grid.h"

static void fill_row(struct grid *t, const struct view *v, const struct view_process *p)
{
	uint64_t age = v->real_ns > p->started_real_ns ? v->real_ns - p->started_real_ns : 0;
	char cell[600];

	snprintf(cell, sizeof(cell), "%d", (int)p->pid);
	grid_cell(t, cell);
	grid_cell(t, human_seconds((double)age / 1e9, cell));
	grid_cell(t, p->totals && p->totals->has_live ? human_count(p->totals->live, cell) : "-");
	grid_cell(t, p->totals && p->totals->has_cpu
			     ? human_bytes((double)p->totals->rss_bytes, cell)
			     : "-");
	grid_cell(t, *p->go ? p->go : "-");
	grid_cell(t, p->nfinding ? human_count((uint64_t)p->nfinding, cell) : "-");
	grid_cell(t, p->identity->service_name);
	if (p->shallow)
		snprintf(cell, sizeof(cell), "%.300s%s%.200s", shallow_word[p->shallow],
			 *p->why ? ": " : "", p->why);
	else
		snprintf(cell, sizeof(cell), "%s", depth_word[p->depth]);
	grid_cell(t, cell);
}

static void processes(const struct view *v, int width, struct buf *out)
{
	static const struct grid_column cols[] = {
		{ "PID", true, 0 },       { "AGE", true, 0 },   { "GOROUTINES", true, 0 },
		{ "RSS", true, 0 },       { "GO", false, 0 },   { "FINDINGS", true, 0 },
		{ "SERVICE", false, 16 }, { "READ", false, 8 },
	};
	struct grid t;

	grid_init(&t, cols, ARRAY_SIZE(cols));
	for (size_t i = 0; i < v->nprocess; i++)
		fill_row(&t, v, &v->process[i]);
	if (v->nprocess)
		grid_print(&t, 0, width, out);
	else
		buf_puts(out, "no Go processes found\n");
	grid_deinit(&t);
}

static void findings(const struct view_process *p, const struct report_text_options *o,
		     struct buf *out)
{
	struct findings fs = { .f = calloc((size_t)p->nfinding + 1, sizeof(*fs.f)) };
	char name[600];

	if (!fs.f) {
		out->err = -ENOMEM;
		return;
	}
	while (fs.n < p->nfinding) {
		fs.f[fs.n] = *p->finding[fs.n].finding;
		fs.n++;
	}
	buf_printf(out, "\npid %d %s\n", (int)p->pid,
		   words_fit(p->identity->service_name, 60, name, sizeof(name)));
	report_text_findings(&fs, o, out);
	findings_deinit(&fs);
}

void once_text(const struct view *v, const struct report_text_options *o, struct buf *out)
{
	processes(v, o->columns, out);
	for (size_t i = 0; i < v->nprocess; i++)
		if (v->process[i].nfinding)
			findings(&v->process[i], o, out);
}

void once_event(const struct view_event *e, struct buf *out)
{
	const struct finding *f = e->finding.finding;
	char time[40], name[600], title[1400];

	clock_format_utc(e->real_ns, 0, time, sizeof(time));
	buf_printf(out, "%s %s %s %s (pid %d): %s%s%s\n", time, view_event_word[e->kind],
		   severity_word[f->severity],
		   words_fit(e->identity->service_name, 60, name, sizeof(name)), (int)e->pid,
		   words_fit(f->title, 300, title, sizeof(title)), *e->reason ? "; " : "",
		   e->reason);
}
