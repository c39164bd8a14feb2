/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GC pressure: the collector costs the program more than it should.  Any of
 *
 * - collections follow each other: OFTEN_PER_S and more while they take
 *   OFTEN_CPU_PCT of the CPU, or VERY_OFTEN_PER_S whatever that is.
 *   A busy service with the least heap (4 MiB) collects 10 to 30 times a second
 *   at 2 to 4 % of its CPU: that is not reported,
 * - the program forces them: FORCED_PER_S, FORCED_MIN in the window, and half
 *   of all,
 * - it takes CPU_PCT of the CPU and collects every second,
 * - the world is stopped for PAUSE_PCT of the time, without the longest pause
 *   (a single one of 100 ms is the machine's, not the collector's),
 * - what a collection leaves alive is LIMIT_PCT of the memory limit or more:
 *   it has to collect again and again and cannot win.  (The heap just before a
 *   collection is always near the limit with GOGC=off, so that says nothing.)
 *
 * Its share of the CPU is this window's, where samples are enough for one: at least
 * (two standard deviations off) what is asked for.  Else it is the runtime's figure,
 * a mean since the start that hides what began lately.
 *
 * The place is the large-allocation site behind it, when one has PLACE_SHARE
 * of all allocation; else no finding.
 */
#include "memory/subject.h"

#include <stdio.h>

#include "base/human.h"
#include "base/text.h"
#include "memory/window.h"
#include "model/sentence.h"

#define OFTEN_PER_S      10
#define OFTEN_CPU_PCT    8
#define VERY_OFTEN_PER_S 40
#define FORCED_PER_S     2
#define FORCED_MIN       5
#define CPU_PCT          20
#define PAUSE_PCT        5
#define LIMIT_PCT        80
#define PLACE_SHARE      0.30
#define MIN_WINDOW_S     0.9 /* rates from less are noise */
#define MIN_CYCLES       3

enum reason { REASON_LIMIT, REASON_FORCED, REASON_CPU, REASON_OFTEN, REASON_PAUSES, REASON_NONE };

struct pressure {
	enum reason reason;
	double cycles_per_s, forced_per_s;
	double pause_pct; /* of wall time, without the longest; < 0 not known */
	double limit_pct; /* heap after a collection, of the limit; < 0 no limit */
};

static double limit_pct(const struct gc_window *g)
{
	if (!g->heap_known || g->memory_limit_bytes <= 0 || g->memory_limit_bytes == INT64_MAX)
		return -1;
	return 100.0 * (double)g->heap_marked_bytes / (double)g->memory_limit_bytes;
}

static bool takes(const struct gc_window *g, double pct)
{
	return (g->window_cpu_known ? g->window_cpu_least_pct : g->cpu_pct) >= pct;
}

static enum reason reason_of(const struct gc_window *g, const struct pressure *p)
{
	if (p->limit_pct >= LIMIT_PCT)
		return REASON_LIMIT;
	if (g->cycles < MIN_CYCLES)
		return REASON_NONE;
	if (p->forced_per_s >= FORCED_PER_S && g->forced >= FORCED_MIN &&
	    g->forced * 2 >= g->cycles)
		return REASON_FORCED;
	if (takes(g, CPU_PCT) && p->cycles_per_s >= 1)
		return REASON_CPU;
	if (p->cycles_per_s >= VERY_OFTEN_PER_S ||
	    (p->cycles_per_s >= OFTEN_PER_S && takes(g, OFTEN_CPU_PCT)))
		return REASON_OFTEN;
	if (p->pause_pct >= PAUSE_PCT)
		return REASON_PAUSES;
	return REASON_NONE;
}

static double pause_pct(const struct window *w)
{
	const struct gc_window *g = &w->memory->gc;
	uint64_t most = g->pause_max_ns < g->pause_total_ns ? g->pause_max_ns : g->pause_total_ns;

	return g->pauses_known ? (double)(g->pause_total_ns - most) / 1e7 / window_run_s(w) : -1;
}

static struct pressure measure(const struct window *w)
{
	const struct gc_window *g = &w->memory->gc;
	struct pressure p = {
		.cycles_per_s = window_per_s(w, g->cycles),
		.forced_per_s = window_per_s(w, g->forced),
		.pause_pct = pause_pct(w),
		.limit_pct = limit_pct(g),
	};

	p.reason = reason_of(g, &p);
	return p;
}

/* The site that drives it, or NULL. */
static const struct alloc_row *site_behind(const struct window *w)
{
	const struct alloc_row *a = w->memory->nalloc ? &w->memory->alloc[0] : NULL;

	if (!a || !w->memory->alloc_known || a->other || !a->place.function ||
	    !w->memory->total_alloc_bytes)
		return NULL;
	return (double)a->bytes >= PLACE_SHARE * (double)w->memory->total_alloc_bytes ? a : NULL;
}

static void title(struct finding *f, const struct gc_window *g, const struct pressure *p)
{
	char a[HUMAN_MAX], b[HUMAN_MAX];

	human_rate(p->cycles_per_s, a);
	switch (p->reason) {
	case REASON_LIMIT:
		finding_title(f,
			      "the heap is at its memory limit: %s stay alive after a collection, "
			      "%.0f%% of %s",
			      human_bytes((double)g->heap_marked_bytes, a), p->limit_pct,
			      human_bytes((double)g->memory_limit_bytes, b));
		break;
	case REASON_CPU:
		if (g->window_cpu_known)
			finding_title(f,
				      "the garbage collector takes %.0f%% of the CPU, and runs %s "
				      "times a second",
				      g->window_cpu_pct, a);
		else
			finding_title(f,
				      "the garbage collector has taken %.0f%% of the CPU since the "
				      "start, and runs %s times a second",
				      g->cpu_pct, a);
		break;
	case REASON_PAUSES:
		finding_title(f, "the garbage collector stops the program for %.1f%% of the time",
			      p->pause_pct);
		break;
	case REASON_FORCED:
		finding_title(f, "the program forces the garbage collector %s times a second",
			      human_rate(p->forced_per_s, b));
		break;
	default:
		finding_title(f, "the garbage collector runs %s times a second", a);
	}
}

static void numbers(struct finding *f, const struct gc_window *g, const struct pressure *p)
{
	finding_count(f, "count", g->cycles);
	finding_number(f, "per_minute", p->cycles_per_s * 60);
	if (g->forced)
		finding_count(f, "forced", g->forced);
	if (g->cpu_pct >= 0)
		finding_number(f, "cpu_pct", g->cpu_pct);
	if (g->window_cpu_known)
		finding_number(f, "window_cpu_pct", g->window_cpu_pct);
	if (p->pause_pct >= 0)
		finding_number(f, "pause_pct", p->pause_pct);
	if (g->heap_known)
		finding_count(f, "heap_live_bytes", g->heap_live_bytes);
	if (g->heap_known)
		finding_count(f, "heap_goal_bytes", g->heap_goal_bytes);
	if (p->limit_pct >= 0)
		finding_count(f, "memory_limit_bytes", (uint64_t)g->memory_limit_bytes);
}

static void evidence_heap(struct finding *f, const struct gc_window *g)
{
	char live[HUMAN_MAX], goal[HUMAN_MAX], gogc[16] = "off";

	if (!g->heap_known)
		return;
	if (g->gogc >= 0)
		snprintf(gogc, sizeof(gogc), "%d", g->gogc);
	finding_evidence(f, "heap %s live, next collection at %s, GOGC %s",
			 human_bytes((double)g->heap_live_bytes, live),
			 human_bytes((double)g->heap_goal_bytes, goal), gogc);
}

static void evidence(struct finding *f, const struct window *w, const struct pressure *p,
		     const struct alloc_row *behind)
{
	const struct gc_window *g = &w->memory->gc;
	char a[HUMAN_MAX], b[HUMAN_MAX], c[HUMAN_MAX], place[WORDS_PLACE_MAX];

	human_counted(g->cycles, "collection", a);
	human_seconds(w->window_s, b);
	if (g->cpu_pct >= 0 && g->window_cpu_known)
		finding_evidence(f,
				 "%s in %s, %.0f%% of the CPU time (19 in 20 such samples: %.0f to "
				 "%.0f%%); %s since the start",
				 a, b, g->window_cpu_pct, g->window_cpu_least_pct,
				 g->window_cpu_most_pct, human_percent(g->cpu_pct, 1, c));
	else if (g->cpu_pct >= 0)
		finding_evidence(f, "%s in %s; %s of the CPU since the start", a, b,
				 human_percent(g->cpu_pct, 1, c));
	else
		finding_evidence(f, "%s in %s", a, b);
	evidence_heap(f, g);
	if (behind)
		finding_evidence(f, "%s allocates %s/s of the %s/s in all",
				 words_place(&behind->place, place, sizeof(place)),
				 human_bytes(window_per_s(w, behind->bytes), b),
				 human_bytes(window_per_s(w, w->memory->total_alloc_bytes), c));
	else if (w->memory->total_alloc_bytes)
		finding_evidence(
			f, "the program allocates %s/s, no single large-object site stands out",
			human_bytes(window_per_s(w, w->memory->total_alloc_bytes), b));
	if (p->pause_pct >= 0 && g->pause_count)
		finding_evidence(f, "%s pauses, the longest %s, %s of the time",
				 human_count(g->pause_count, a),
				 human_seconds((double)g->pause_max_ns / 1e9, b),
				 human_percent(p->pause_pct, 1, c));
}

static void advise(struct finding *f, const struct gc_window *g, const struct pressure *p,
		   bool behind)
{
	if (p->reason == REASON_LIMIT)
		finding_advice(
			f, "raise GOMEMLIMIT, or find what retains the memory (a heap profile)");
	else if (p->reason == REASON_FORCED)
		finding_advice(f, "remove the calls to runtime.GC() and debug.FreeOSMemory(), or "
				  "call them rarely");
	else if (behind)
		finding_advice(f, "reuse that site's buffers; a larger GOGC (or GOMEMLIMIT) spaces "
				  "collections out");
	else if (g->heap_known && g->gogc >= 0 && g->gogc < 50)
		finding_advice(f,
			       "GOGC is %d: a larger one (100 is usual) spaces collections out, "
			       "for more memory",
			       g->gogc);
	else
		finding_advice(f, "allocate less (pprof's alloc_space shows where), or allow more "
				  "heap: GOGC, GOMEMLIMIT");
}

static void judge(const struct window *w, struct findings *out)
{
	const struct alloc_row *behind = site_behind(w);
	struct pressure p;
	struct finding *f;

	if (!w->memory->gc.known || window_run_s(w) < MIN_WINDOW_S)
		return;
	p = measure(w);
	if (p.reason == REASON_NONE)
		return;
	f = findings_add(out, "gc-pressure", "gc", SEVERITY_LOW, behind ? &behind->place : NULL);
	if (!f)
		return;
	f->about.row = behind;
	title(f, &w->memory->gc, &p);
	numbers(f, &w->memory->gc, &p);
	evidence(f, w, &p, behind);
	advise(f, &w->memory->gc, &p, behind);
	f->since_s = w->window_s;
	f->weight = p.cycles_per_s;
}

const struct detector gc_pressure_detector = {
	.name = "gc-pressure",
	.sensors = SENSOR_BIT(SENSOR_GC),
	.judge = judge,
};
