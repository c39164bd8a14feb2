/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/summary.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/human.h"
#include "base/text.h"
#include "model/place.h"
#include "report/summary_priv.h"

#define CELL         400 /* bytes of one cell before the table fits it */
#define TABLE_INDENT 2

static double per_second(const struct window *w, double n)
{
	return w->window_s > 0 ? n / w->window_s : 0;
}

static const char *mark(enum exactness e)
{
	return e == EXACT ? "" : "~";
}

void summary_add_count(struct buf *out, const char *before, uint64_t n, const char *after)
{
	char text[HUMAN_MAX];

	buf_printf(out, "%s%s%s", before, human_count(n, text), after);
}

void summary_add_bytes(struct buf *out, const char *before, double n, const char *after)
{
	char text[HUMAN_MAX];

	buf_printf(out, "%s%s%s", before, human_bytes(n, text), after);
}

void summary_add_seconds(struct buf *out, const char *before, double s, const char *after)
{
	char text[HUMAN_MAX];

	buf_printf(out, "%s%s%s", before, s > 0 ? human_seconds(s, text) : "0s", after);
}

/* A rate that is not zero is never shown as "0.0". */
static void rate_words(double per_s, char *out)
{
	if (per_s > 0 && per_s < 0.05)
		snprintf(out, HUMAN_MAX, "<0.1");
	else
		human_rate(per_s, out);
}

static void add_rate(struct buf *out, const char *before, double per_s, const char *after)
{
	char text[HUMAN_MAX];

	rate_words(per_s, text);
	buf_printf(out, "%s%s%s", before, text, after);
}

/* Foreign text, at most so many columns. */
void summary_add_name(struct buf *out, const char *before, const char *name, int columns)
{
	char text[1024];

	if (name)
		buf_printf(out, "%s%s", before, words_fit(name, columns, text, sizeof(text)));
}

static void add_cost(const struct window *w, struct buf *out)
{
	if (w->memory_only)
		buf_puts(out, "from memory only, no probes");
	else if (w->cost_target_pct < 0)
		buf_puts(out, "cost not known");
	else
		buf_printf(out, "cost %.2f%% of its CPU", w->cost_target_pct);
	if (w->memory_only)
		return;
	if (w->exact_mode)
		buf_puts(out, " (exact, no budget)");
	else
		buf_printf(out,
			   w->cost_target_pct > w->budget_pct ? " (floor 2 ms/s)"
							      : " (budget %.3g%%)",
			   w->budget_pct);
}

void summary_target(const struct window *w, int width, struct buf *out)
{
	char tail_text[512], pid[32], end[40], exe[1024];
	struct buf tail;
	int room;

	buf_init(&tail, sizeof(tail_text));
	buf_puts(&tail, " (");
	summary_add_name(&tail, "", w->go ? w->go : "Go release not known", 24);
	if (w->started_real_ns && w->end_real_ns > w->started_real_ns)
		summary_add_seconds(&tail, ", up ",
				    (double)(w->end_real_ns - w->started_real_ns) / 1e9, "");
	buf_puts(&tail, "): ");
	add_cost(w, &tail);
	clock_format_utc(w->end_real_ns, 0, end, sizeof(end));
	/* the time without the date */
	if (w->window_s > 0)
		summary_add_seconds(&tail, ", ", w->window_s, " to ");
	else
		buf_puts(&tail, ", at ");
	buf_puts(&tail, strchr(end, 'T') ? strchr(end, 'T') + 1 : end);
	snprintf(tail_text, sizeof(tail_text), "%s", tail.data ? tail.data : "");
	buf_deinit(&tail);

	snprintf(pid, sizeof(pid), "pid %d ", w->pid);
	room = width - words_columns(pid) - words_columns(tail_text);
	buf_puts(out, pid);
	words_fit_end(w->exe ? w->exe : "?", room > 8 ? room : 8, exe, sizeof(exe));
	buf_puts(out, exe);
	buf_puts(out, tail_text);
}

void summary_agent(const struct window *w, struct buf *out)
{
	summary_add_name(out, "", w->module ? w->module : "no module name", 60);
	summary_add_name(out, " ", w->module_version, 40);
	summary_add_name(out, ", container ", w->container, 16);
	if (w->window_s > 0)
		buf_printf(out, ", %.2f CPUs", w->target_cpu_cores);
	summary_add_bytes(out, ", ", (double)w->target_rss_bytes, " resident");
	buf_puts(out, "; gospect:");
	if (w->window_s > 0)
		buf_printf(out, " %.2f%% of a CPU,", w->agent_cpu_pct);
	summary_add_bytes(out, " ", (double)w->agent_rss_bytes, "");
	if (w->memory_only)
		return;
	buf_printf(out, ", %d probe%s", w->probes_armed, w->probes_armed == 1 ? "" : "s");
	if (w->probes_stepped)
		buf_printf(out, " (%d single-stepped)", w->probes_stepped);
	summary_add_count(out, ", ", w->probe_hits, " hits");
}

static void add_coverage(const struct coverage *c, struct buf *out)
{
	static const char *const state[] = { "exact", "sampled", "estimated", "partial", "off" };

	buf_printf(out, " %s", state[c->state]);
	if (c->state == COVERAGE_SAMPLED)
		buf_printf(out, " at %.3g%%", c->rate * 100);
	if (c->why[0]) {
		summary_add_name(out, " (", c->why, 190);
		buf_puts(out, ")");
	}
}

static bool same_coverage(const struct coverage *a, const struct coverage *b)
{
	return a->state == b->state && a->rate == b->rate && !strcmp(a->why, b->why);
}

static const char *coverage_name(const struct coverage *c)
{
	return c->name ? c->name : sensor_name(c->sensor);
}

/* Sensors covered alike are named together: "goroutines, gc exact; sql off: …". */
void summary_coverage(const struct window *w, struct buf *out)
{
	const struct coverage *c = w->coverage;
	uint32_t done = 0;

	for (int i = 0; i < w->ncoverage; i++) {
		if (done & 1u << i)
			continue;
		buf_printf(out, "%s%s", done ? "; " : "", coverage_name(&c[i]));
		done |= 1u << i;
		for (int j = i + 1; j < w->ncoverage; j++) {
			if (!same_coverage(&c[i], &c[j]) || done & 1u << j)
				continue;
			buf_printf(out, ", %s", coverage_name(&c[j]));
			done |= 1u << j;
		}
		add_coverage(&c[i], out);
	}
}

void summary_losses(const struct window *w, struct buf *out)
{
	const struct {
		uint64_t n;
		const char *what;
	} lost[] = {
		{ w->lost_events, " events" },
		{ w->lost_map_full, " for want of room in a table" },
		{ w->lost_read_failures, " memory reads that failed" },
	};
	const char *before = "missing from this report: ";

	for (size_t i = 0; i < sizeof(lost) / sizeof(*lost); i++) {
		if (!lost[i].n)
			continue;
		summary_add_count(out, before, lost[i].n, lost[i].what);
		before = ", ";
	}
	if (*before != ',')
		buf_puts(out, "nothing lost");
}

void summary_goroutines(const struct window *w, struct buf *out)
{
	const char *m = mark(w->goroutines->births_exactness);

	if (w->goroutines->known) {
		summary_add_count(out, "", w->goroutines->live, " live");
		if (w->window_s > 0)
			summary_add_count(out, " (from ", w->goroutines->live_at_start, ")");
	} else {
		buf_puts(out, "live not known");
	}
	if (w->goroutines->births_known && w->window_s > 0) {
		buf_printf(out, ", %s", m);
		summary_add_count(out, "", w->goroutines->births, " born");
		add_rate(out, " (", per_second(w, (double)w->goroutines->births), "/s)");
		buf_printf(out, ", %s", m);
		summary_add_count(out, "", w->goroutines->deaths, " ended");
		add_rate(out, " (", per_second(w, (double)w->goroutines->deaths), "/s)");
	}
	if (w->goroutines->created_known)
		summary_add_count(out, ", ", w->goroutines->created_total, " created ever");
	if (w->goroutines->known)
		summary_add_count(out, ", ", w->goroutines->system, " system");
}

void summary_states(const struct window *w, struct buf *out)
{
	if (!w->goroutines->nstate)
		buf_puts(out, "none");
	for (int i = 0; i < w->goroutines->nstate; i++) {
		summary_add_name(out, i ? ", " : "", w->goroutines->state[i].state, 40);
		summary_add_count(out, " ", w->goroutines->state[i].count, "");
	}
}

void summary_alloc(const struct window *w, struct buf *out)
{
	const char *m = mark(w->memory->alloc_exactness);

	buf_puts(out, m);
	summary_add_count(out, "", w->memory->large_count, " objects");
	summary_add_bytes(out, " over ", (double)w->memory->large_threshold_bytes, "");
	buf_printf(out, ", %s", m);
	summary_add_bytes(out, "", (double)w->memory->large_bytes, "");
	summary_add_bytes(out, ", ", per_second(w, (double)w->memory->large_bytes), "/s");
	if (w->memory->total_alloc_bytes && w->memory->large_bytes <= w->memory->total_alloc_bytes)
		buf_printf(out, ", %.0f%% of all allocation",
			   100.0 * (double)w->memory->large_bytes /
				   (double)w->memory->total_alloc_bytes);
}

void summary_gc(const struct window *w, struct buf *out)
{
	const struct gc_window *g = &w->memory->gc;

	if (g->known) {
		if (w->window_s > 0) {
			summary_add_count(out, "", g->cycles, " cycles");
			add_rate(out, " (", per_second(w, (double)g->cycles), "/s)");
			if (g->forced)
				summary_add_count(out, ", ", g->forced, " forced");
			summary_add_count(out, ", ", g->cycles_total, " in all");
		} else {
			summary_add_count(out, "", g->cycles_total, " cycles in all");
			if (g->forced_total)
				summary_add_count(out, ", ", g->forced_total, " forced");
		}
		if (g->cpu_pct >= 0)
			buf_printf(out, ", %.1f%% of the CPU since the start", g->cpu_pct);
	} else {
		buf_puts(out, "cycles not known");
	}
	if (!g->heap_known)
		return;
	summary_add_bytes(out, "; heap ", (double)g->heap_live_bytes, " live");
	summary_add_bytes(out, ", goal ", (double)g->heap_goal_bytes, "");
	if (g->gogc < 0)
		buf_puts(out, ", GOGC off");
	else if (g->gogc != 100)
		buf_printf(out, ", GOGC %d", g->gogc);
	if (g->memory_limit_bytes >= 0 && g->memory_limit_bytes != INT64_MAX)
		summary_add_bytes(out, ", memory limit ", (double)g->memory_limit_bytes, "");
}

void summary_pauses(const struct window *w, struct buf *out)
{
	const struct gc_window *g = &w->memory->gc;

	if (!g->pauses_known)
		return;
	summary_add_count(out, g->pauses_partial ? "at least " : "", g->pause_count, "");
	buf_puts(out, g->pauses_from_memory ? " (one sum per cycle)" : "");
	if (!g->pause_count)
		return;
	summary_add_seconds(out, ", p50 ", (double)g->pause_p50_ns / 1e9, "");
	summary_add_seconds(out, ", p99 ", (double)g->pause_p99_ns / 1e9, "");
	summary_add_seconds(out, ", max ", (double)g->pause_max_ns / 1e9, "");
	summary_add_seconds(out, ", ", (double)g->pause_total_ns / 1e9, " in all");
}

void summary_cell_count(struct table *t, bool known, enum exactness e, uint64_t n)
{
	char text[HUMAN_MAX], cell[HUMAN_MAX + 4];

	snprintf(cell, sizeof(cell), "%s%s", mark(e), human_count(n, text));
	table_cell(t, known ? cell : "-");
}

void summary_cell_bytes(struct table *t, enum exactness e, double bytes, const char *unit)
{
	char text[HUMAN_MAX], cell[HUMAN_MAX + 8];

	snprintf(cell, sizeof(cell), "%s%s%s", mark(e), human_bytes(bytes, text), unit);
	table_cell(t, cell);
}

static void cell_rate(struct table *t, const struct window *w, bool known, enum exactness e,
		      uint64_t n)
{
	char text[HUMAN_MAX], cell[HUMAN_MAX + 4];

	rate_words(per_second(w, (double)n), text);
	snprintf(cell, sizeof(cell), "%s%s", mark(e), text);
	table_cell(t, known && w->goroutines->births_known && w->window_s > 0 ? cell : "-");
}

void summary_cell_age(struct table *t, enum age_kind age, double s)
{
	char text[HUMAN_MAX], cell[HUMAN_MAX + 4];

	snprintf(cell, sizeof(cell), "%s%s", age == AGE_AT_LEAST ? ">" : "",
		 s > 0 ? human_seconds(s, text) : "0s");
	table_cell(t, age == AGE_UNKNOWN ? "-" : cell);
}

/* What most of the site's goroutines wait for: "chan receive", "IO wait 95%". */
static void cell_wait(struct table *t, const struct site_row *s)
{
	char reason[200], cell[CELL];

	if (!s->nwait || !s->wait[0].reason) {
		table_cell(t, "-");
		return;
	}
	words_fit(s->wait[0].reason, 48, reason, sizeof(reason));
	snprintf(cell, sizeof(cell), "%s %.0f%%", reason,
		 s->live ? 100.0 * (double)s->wait[0].count / (double)s->live : 0);
	table_cell(t, s->nwait > 1 ? cell : reason);
}

static const struct place *wait_place(const struct site_row *s)
{
	const struct wait_row *wait = s->nwait ? &s->wait[0] : NULL;

	if (!wait || wait->nstack <= 0)
		return NULL;
	if (wait->user >= 0 && wait->user < wait->nstack)
		return &wait->stack[wait->user];
	/* all of the standard library: the first that is not its inside */
	for (int i = 0; i < wait->nstack; i++)
		if (wait->stack[i].function && strncmp(wait->stack[i].function, "runtime.", 8) &&
		    strncmp(wait->stack[i].function, "internal/", 9))
			return &wait->stack[i];
	return &wait->stack[0];
}

void summary_cell_place(struct table *t, const struct place *p)
{
	char text[WORDS_PLACE_MAX];

	table_cell(t, p ? words_place_short(p, text, sizeof(text)) : "-");
}

static void site_cells(struct table *t, const struct window *w, const struct site_row *s)
{
	summary_cell_place(t, &s->place);
	summary_cell_count(t, w->goroutines->known, EXACT, s->live);
	cell_rate(t, w, s->births_known, s->exactness, s->births);
	cell_rate(t, w, s->births_known, s->exactness, s->deaths);
	summary_cell_age(t, s->age, s->oldest_s);
	cell_wait(t, s);
	summary_cell_place(t, wait_place(s));
}

static void site_rest_cells(struct table *t, const struct window *w, const struct site_rest *rest)
{
	char text[HUMAN_MAX], name[HUMAN_MAX + 16];

	snprintf(name, sizeof(name), "%s more", human_count((uint64_t)rest->nrow, text));
	table_cell(t, name);
	summary_cell_count(t, w->goroutines->known, EXACT, rest->live);
	cell_rate(t, w, rest->births_known, rest->exactness, rest->births);
	cell_rate(t, w, rest->births_known, rest->exactness, rest->deaths);
	summary_cell_age(t, rest->age, rest->oldest_s);
	table_cell(t, "");
	table_cell(t, "");
}

void summary_sites(const struct window *w, const int *show, int n, const struct site_rest *rest,
		   int width, struct buf *out)
{
	static const struct table_column column[] = {
		{ .head = "created at", .min = 24, .keep_end = true },
		{ .head = "live", .right = true },
		{ .head = "born/s", .right = true },
		{ .head = "ended/s", .right = true },
		{ .head = "oldest", .right = true },
		{ .head = "waiting for", .min = 12 },
		{ .head = "at", .min = 18, .keep_end = true },
	};
	struct table t;

	table_init(&t, column, sizeof(column) / sizeof(*column));
	for (int i = 0; i < n; i++)
		site_cells(&t, w, &w->goroutines->site[show[i]]);
	if (rest && rest->nrow)
		site_rest_cells(&t, w, rest);
	table_print(&t, TABLE_INDENT, width, out);
	table_deinit(&t);
}

/* The caller's frame: the one above the innermost user frame. */
static const struct place *caller(const struct alloc_row *a)
{
	for (int i = 0; i + 1 < a->nstack; i++)
		if (a->place.function && a->stack[i].function &&
		    !strcmp(a->stack[i].function, a->place.function))
			return &a->stack[i + 1];
	return NULL;
}

static void alloc_cells(struct table *t, const struct window *w, const struct place *place,
			uint64_t count, uint64_t bytes, uint64_t max_bytes)
{
	enum exactness e = w->memory->alloc_exactness;
	char share[HUMAN_MAX];

	summary_cell_count(t, true, e, count);
	summary_cell_bytes(t, e, (double)bytes, "");
	summary_cell_bytes(t, e, per_second(w, (double)bytes), "/s");
	summary_cell_bytes(t, EXACT, (double)max_bytes, "");
	snprintf(share, sizeof(share), "%.0f%%",
		 w->memory->large_bytes ? 100.0 * (double)bytes / (double)w->memory->large_bytes
					: 0);
	table_cell(t, share);
	if (place)
		summary_cell_place(t, place);
	else
		table_cell(t, "");
}

void summary_allocs(const struct window *w, const int *show, int n, const struct alloc_rest *rest,
		    int width, struct buf *out)
{
	static const struct table_column column[] = {
		{ .head = "allocated at", .min = 24, .keep_end = true },
		{ .head = "count", .right = true },
		{ .head = "bytes", .right = true },
		{ .head = "bytes/s", .right = true },
		{ .head = "largest", .right = true },
		{ .head = "share", .right = true },
		{ .head = "called from", .min = 18, .keep_end = true },
	};
	char text[HUMAN_MAX], name[HUMAN_MAX + 16];
	struct table t;

	table_init(&t, column, sizeof(column) / sizeof(*column));
	for (int i = 0; i < n; i++) {
		const struct alloc_row *a = &w->memory->alloc[show[i]];

		summary_cell_place(&t, &a->place);
		alloc_cells(&t, w, caller(a), a->count, a->bytes, a->max_bytes);
	}
	if (rest && rest->nrow) {
		snprintf(name, sizeof(name), "%s more", human_count((uint64_t)rest->nrow, text));
		table_cell(&t, name);
		alloc_cells(&t, w, NULL, rest->count, rest->bytes, rest->max_bytes);
	}
	table_print(&t, TABLE_INDENT, width, out);
	table_deinit(&t);
}
