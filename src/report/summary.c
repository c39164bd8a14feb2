/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/summary.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "base/vec.h"
#include "goroutines/tables.h"
#include "model/sentence.h"
#include "report/document.h"

static void add_cost(const struct window *w, struct buf *out)
{
	if (w->memory_only)
		buf_puts(out, "from memory only, no probes");
	else if (w->cost_target_pct < 0)
		buf_puts(out, "cost not known");
	else
		sentence_percent(out, "cost ", w->cost_target_pct, 2, " of its CPU");
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

void summary_target(const struct window *w, int width, int least, struct buf *out)
{
	char tail_text[512], pid[32], end[40], exe[1024];
	struct buf tail;
	int room;

	buf_init(&tail, sizeof(tail_text));
	buf_puts(&tail, " (");
	sentence_name(&tail, "", w->go ? w->go : "Go release not known", 24);
	if (w->started_real_ns && w->end_real_ns > w->started_real_ns)
		sentence_seconds(&tail, ", up ",
				 (double)(w->end_real_ns - w->started_real_ns) / 1e9, "");
	buf_puts(&tail, "): ");
	add_cost(w, &tail);
	clock_format_utc(w->end_real_ns, 0, end, sizeof(end));
	/* the time without the date */
	if (w->window_s > 0)
		sentence_seconds(&tail, ", ", w->window_s, " to ");
	else
		buf_puts(&tail, ", at ");
	buf_puts(&tail, strchr(end, 'T') ? strchr(end, 'T') + 1 : end);
	snprintf(tail_text, sizeof(tail_text), "%s", tail.data ? tail.data : "");
	buf_deinit(&tail);

	snprintf(pid, sizeof(pid), "pid %d ", w->pid);
	room = width - words_columns(pid) - words_columns(tail_text);
	buf_puts(out, pid);
	words_fit_end(w->exe ? w->exe : "?", room > least ? room : least, exe, sizeof(exe));
	buf_puts(out, exe);
	buf_puts(out, tail_text);
}

void summary_agent(const struct window *w, struct buf *out)
{
	sentence_name(out, "", w->module ? w->module : "no module name", 60);
	sentence_name(out, " ", w->module_version, 40);
	sentence_name(out, ", container ", w->container, 16);
	if (w->window_s > 0)
		buf_printf(out, ", %.2f CPUs", w->target_cpu_cores);
	if (w->target_rss_bytes) /* none: it has ended */
		sentence_bytes(out, ", ", (double)w->target_rss_bytes, " resident");
	buf_puts(out, "; gospect:");
	if (w->window_s > 0)
		sentence_percent(out, " ", w->agent_cpu_pct, 2, " of a CPU,");
	sentence_bytes(out, " ", (double)(w->agent_rss_bytes + w->agent_bpf_bytes), "");
	if (w->memory_only)
		return;
	sentence_counted(out, ", ", (uint64_t)w->probes_armed, "probe");
	if (w->probes_stepped)
		buf_printf(out, " (%d single-stepped)", w->probes_stepped);
	sentence_counted(out, ", ", w->probe_hits, "hit");
}

#define MANY_THREADS_SHARE 10 /* one in so many of those it may have */

static bool many_threads(const struct process_window *p)
{
	return p->threads >= p->threads_max / MANY_THREADS_SHARE;
}

/* More threads run Go code at a time than there are CPUs for. */
static bool many_procs(const struct process_window *p)
{
	return p->cpus > 0 && p->gomaxprocs >= p->cpus + 1 && p->gomaxprocs >= 1.5 * p->cpus;
}

bool summary_process_any(const struct window *w)
{
	const struct process_window *p = &w->process;

	return p->known && (p->pause || p->paused_lately || many_threads(p) || many_procs(p));
}

void summary_process(const struct window *w, struct buf *out)
{
	const struct process_window *p = &w->process;
	const char *and = "";

	if (p->pause == PAUSE_SIGNAL)
		buf_puts(out, "stopped by a signal: nothing in it runs until SIGCONT");
	else if (p->pause)
		buf_puts(out, "frozen: nothing in it runs until its cgroup is thawed");
	else if (p->paused_s > 0)
		sentence_seconds(out, "it was stopped for ", p->paused_s, " of the window");
	else if (p->paused_lately)
		buf_puts(out, "it was stopped until a moment ago");
	if (p->pause || p->paused_lately) {
		buf_puts(out, "; how long things wait is not judged");
		and = "; ";
	}
	if (many_threads(p)) {
		sentence_count(out, and, (uint64_t)p->threads, " threads of at most ");
		sentence_count(out, "", (uint64_t)p->threads_max,
			       ": Go ends the program when it needs more");
		and = "; ";
	}
	if (many_procs(p))
		buf_printf(out,
			   "%sGOMAXPROCS is %d, and its cgroup or affinity allows %.3g CPU%s: what "
			   "is beyond that is throttled; set it to %.0f (Go 1.25 and later do so "
			   "themselves)",
			   and, p->gomaxprocs, p->cpus, p->cpus == 1 ? "" : "s",
			   p->cpus < 1 ? 1 : p->cpus);
}

static void add_coverage(const struct coverage *c, struct buf *out)
{
	buf_printf(out, " %s", exactness_word[c->state]);
	if (c->state == SAMPLED && c->rate < 1) /* of CPU samples the reason says how many */
		sentence_percent(out, " at ", c->rate > 0 ? c->rate * 100 : 1e-9,
				 c->rate >= 0.005 && c->rate < 0.1, "");
	if (c->why[0]) {
		sentence_name(out, " (", c->why, WINDOW_MAX_WHY);
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
		{ w->lost_map_full, " left out because a table was full (coverage says what)" },
		{ w->lost_read_failures, " failed memory reads" },
	};
	const char *before = "missing from this report: ";

	for (size_t i = 0; i < ARRAY_SIZE(lost); i++) {
		if (!lost[i].n)
			continue;
		sentence_count(out, before, lost[i].n, lost[i].what);
		before = ", ";
	}
	if (*before != ',')
		buf_puts(out, "nothing lost");
	if (w->skipped_reports)
		sentence_count(out, "; nobody read the output: this report is also that of ",
			       w->skipped_reports, " before it");
	if (w->stopped_s > 0)
		sentence_seconds(out, "; gospect was stopped for ", w->stopped_s,
				 " before this report: nothing is known of that time");
}

/* As the runtime's own dump (GOTRACEBACK, goroutine?debug=2), so that it reads alike. */
static void one_goroutine(const struct goroutine_dump *d, const struct dump_goroutine *g, int width,
			  struct buf *out)
{
	const struct place *line[SCHEMA_MAX_FRAMES];
	int n = stack_lines(&d->stacks, g->stack, line, SCHEMA_MAX_FRAMES);
	char text[WORDS_PLACE_MAX], fitted[2 * WORDS_PLACE_MAX];

	buf_printf(out, "\ngoroutine %llu [", (unsigned long long)g->goid);
	sentence_name(out, "", g->reason, 48);
	if (g->age != AGE_UNKNOWN)
		sentence_seconds(out, g->age == AGE_AT_LEAST ? ", at least " : ", ", g->age_s, "");
	buf_puts(out, g->locked ? ", locked to thread]" : "]");
	if (g->labels && g->labels != DUMP_LABELS_UNKNOWN) {
		buf_puts(out, " {");
		goroutine_labels(d, g->labels, out);
		buf_puts(out, "}");
	}
	buf_puts(out, "\n");
	for (int i = 0; i < n; i++)
		buf_printf(out, "    %s\n",
			   words_fit_end(words_place_short(line[i], text, sizeof(text)), width - 4,
					 fitted, sizeof(fitted)));
	if (!n)
		buf_puts(out, "    (no stack: it is running)\n");
	if (!g->created.function || (!g->creator && !strcmp(g->created.function, "runtime.main")))
		return; /* the main goroutine: the runtime started it */
	buf_printf(out, "    created by %s",
		   words_fit_end(words_place_short(&g->created, text, sizeof(text)), width - 40,
				 fitted, sizeof(fitted)));
	if (g->creator)
		buf_printf(out, " in goroutine %llu", (unsigned long long)g->creator);
	buf_puts(out, "\n");
}

void summary_all(const struct window *w, int width, struct buf *out)
{
	const struct goroutine_dump *d = w->goroutines->dump;

	for (size_t i = 0; i < d->nall && !out->err; i++)
		one_goroutine(d, &d->all[i], width, out);
}
