/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One function, or one goroutine, uses most of the CPU while others wait.
 *
 * HOT_PCT of the samples or more, also at the lower end of what so few samples
 * can say (two standard deviations), and goroutines were ready to run at half
 * of the looks.  A program that computes and has CPUs enough is none, and
 * neither is one that hardly runs.  A function is one by what it does itself;
 * the runtime's own are told by the collector's findings.
 */
#include "cpu/subject.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/human.h"
#include "base/text.h"
#include "cpu/window.h"
#include "model/stacktable.h"
#include "model/words.h"

#define HOT_PCT       80
#define SAMPLES_LEAST 38 /* two seconds of a CPU at 19 Hz */
#define LOOKS_LEAST   3

/* What the share is at least. */
static bool is_hot(const struct cpu_window *c, uint64_t n)
{
	double p = (double)n / (double)c->placed;

	return 100 * (p - 2 * sqrt(p * (1 - p) / (double)c->placed)) >= HOT_PCT;
}

static struct finding *add(const struct window *w, const struct place *p, const char *prefix,
			   uint64_t samples, struct findings *out)
{
	const struct cpu_window *c = w->cpu;
	struct finding *f = findings_add(out, "cpu-hot", prefix, SEVERITY_INFO, p);
	char n[HUMAN_MAX];

	if (!f)
		return NULL;
	finding_number(f, "cpu_pct", 100 * (double)samples / (double)c->placed);
	finding_count(f, "samples", samples);
	finding_number(f, "cpu_cores", w->target_cpu_cores);
	finding_evidence(f, "%s of %llu at %u Hz; the program used %.2f CPUs",
			 human_counted(samples, "sample", n), (unsigned long long)c->placed, c->hz,
			 w->target_cpu_cores);
	finding_evidence(f, "%s ready to run, on average, at %d of %d looks",
			 human_counted((c->queued + (uint64_t)c->queued_looks / 2) /
					       (uint64_t)c->queued_looks,
				       "goroutine", n),
			 c->queued_looks, c->looks);
	finding_advice(f, "gospect snapshot PID --profile cpu --window 30s shows its callers and "
			  "lines");
	f->exactness = SAMPLED;
	f->since_s = w->window_s;
	f->weight = (double)samples;
	return f;
}

static void judge_function(const struct window *w, struct findings *out)
{
	const struct cpu_function *h = w->cpu->nfunction ? &w->cpu->function[0] : NULL;
	char place[WORDS_PLACE_MAX];
	struct finding *f;

	if (!h || !h->place.function || stack_line_is_runtime(&h->place) ||
	    h->place.function[0] == '[' || !is_hot(w->cpu, h->flat))
		return;
	f = add(w, &h->place, "cpu-hot", h->flat, out);
	if (f)
		finding_title(f,
			      "%s uses %.0f%% of the program's CPU time itself, while other "
			      "goroutines wait to run",
			      words_place(&h->place, place, sizeof(place)), h->flat_pct);
}

/* The first is the one with most. */
static void judge_goroutine(const struct window *w, struct findings *out)
{
	const struct cpu_goroutine *g = w->cpu->ngoroutine ? &w->cpu->goroutine[0] : NULL;
	char place[WORDS_PLACE_MAX];
	struct finding *f;

	if (!g || !is_hot(w->cpu, g->samples) || !g->behind_looks ||
	    (g->never_waits && cpu_is_waited_for(w, g)))
		return; /* the last: that is the finding */
	f = add(w, &g->created, "cpu-hot-goroutine", g->samples, out);
	if (!f)
		return;
	f->about.row = g;
	finding_title(f,
		      "one goroutine uses %.0f%% of the program's CPU time, while others wait to "
		      "run: created at %s",
		      g->pct, words_place(&g->created, place, sizeof(place)));
	if (g->at.function)
		finding_evidence(f, "all of it in %s", words_place(&g->at, place, sizeof(place)));
}

static void judge(const struct window *w, struct findings *out)
{
	const struct cpu_window *c = w->cpu;

	if (!c->known || c->placed < SAMPLES_LEAST || c->queued_looks < LOOKS_LEAST ||
	    2 * c->queued_looks < c->looks)
		return;
	judge_function(w, out);
	judge_goroutine(w, out);
}

const struct detector cpu_hot_detector = {
	.name = "cpu-hot",
	.sensors = SENSOR_BIT(SENSOR_CPU),
	.judge = judge,
};
