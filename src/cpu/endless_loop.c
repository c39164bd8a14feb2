/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A goroutine that runs on and never waits, while others wait for the CPU that
 * it has, or for a lock that it holds.
 *
 * Never waits: it used a second of CPU time and more, and in no sample of that
 * had it waited before it was put on the CPU; what stops it is the scheduler,
 * every 10 ms (cpu_goroutines_fill()).  A loop that now and then
 * waits, however shortly, is none, and neither is one in system calls.  Others
 * wait: goroutines created elsewhere were ready to run at half of the looks
 * (those created at the same place are the same work: a pool that computes is
 * none), or goroutines are blocked on a lock that it is seen to hold.
 *
 * Whether it will end nobody can tell from outside: it is a suspicion.
 */
#include "cpu/subject.h"

#include <stdio.h>

#include "base/human.h"
#include "base/text.h"
#include "cpu/window.h"
#include "model/words.h"

#define LOOKS_LEAST 3

bool cpu_is_waited_for(const struct window *w, const struct cpu_goroutine *g)
{
	return g->lock_waiters ||
	       (g->behind_looks >= LOOKS_LEAST && 2 * g->behind_looks >= w->cpu->looks);
}

/* "main.spin (spin.go:31-35)" */
static const char *lines_of(const struct cpu_goroutine *g, char *out, size_t size)
{
	if (!g->at.function)
		snprintf(out, size, "a place that is not known");
	else if (g->last_line > (uint64_t)g->at.line)
		snprintf(out, size, "%.200s (%.60s:%d-%llu)", g->at.function, g->at.file,
			 g->at.line, (unsigned long long)g->last_line);
	else
		words_place(&g->at, out, size);
	return out;
}

static void title(struct finding *f, const struct window *w, const struct cpu_goroutine *g)
{
	char lines[WORDS_PLACE_MAX], ran[HUMAN_MAX], n[HUMAN_MAX];
	double s = (double)(g->ran * w->cpu->period_ns) / 1e9;

	human_seconds(s, ran);
	lines_of(g, lines, sizeof(lines));
	if (g->lock_waiters)
		finding_title(
			f,
			"a goroutine ran for %s without waiting for anything, in %s, and %s %s "
			"for a lock that it appears to hold",
			ran, lines, human_counted(g->lock_waiters, "goroutine", n),
			g->lock_waiters == 1 ? "waits" : "wait");
	else
		finding_title(f,
			      "a goroutine ran for %s without waiting for anything, in %s, while "
			      "others waited for a CPU",
			      ran, lines);
}

static void evidence(struct finding *f, const struct window *w, const struct cpu_goroutine *g)
{
	char place[WORDS_PLACE_MAX], n[HUMAN_MAX];

	finding_evidence(f, "goroutine %llu: %.0f%% of the program's CPU time (%s at %u Hz)",
			 (unsigned long long)g->goid, g->pct,
			 human_counted(g->samples, "sample", n), w->cpu->hz);
	finding_evidence(f,
			 "in none of %s it had waited before: it is the scheduler that takes it "
			 "off the CPU",
			 human_counted(g->ran, "sample", n));
	if (g->behind_looks)
		finding_evidence(f, "%s ready to run behind it, on average, at %d of %d looks",
				 human_counted(g->behind, "other goroutine", n), g->behind_looks,
				 w->cpu->looks);
	if (g->created.function)
		finding_evidence(f, "created at %s",
				 words_place(&g->created, place, sizeof(place)));
}

static void judge(const struct window *w, struct findings *out)
{
	for (int i = 0; w->cpu->known && i < w->cpu->ngoroutine; i++) {
		const struct cpu_goroutine *g = &w->cpu->goroutine[i];
		struct finding *f;

		if (!g->never_waits || !cpu_is_waited_for(w, g))
			continue;
		f = findings_add(out, "endless-loop", "endless-loop", SEVERITY_MEDIUM,
				 g->at.function ? &g->at : &g->created);
		if (!f)
			return;
		f->about.row = g;
		title(f, w, g);
		finding_count(f, "goroutine", g->goid);
		finding_number(f, "cpu_s", (double)(g->ran * w->cpu->period_ns) / 1e9);
		finding_number(f, "cpu_pct", g->pct);
		if (g->at.function)
			finding_count(f, "last_line", g->last_line);
		finding_count(f, "behind", g->behind);
		if (g->lock_waiters)
			finding_count(f, "lock_waiters", g->lock_waiters);
		evidence(f, w, g);
		finding_advice(
			f, "%s",
			g->lock_waiters
				? "see whether that loop ends; if it does, do the long part "
				  "of it without the lock"
				: "see whether that loop ends; if it is long work, run less of "
				  "it at a time than GOMAXPROCS");
		f->exactness = SAMPLED;
		f->since_s = w->window_s;
		f->weight = g->pct;
	}
}

const struct detector endless_loop_detector = {
	.name = "endless-loop",
	.sensors = SENSOR_BIT(SENSOR_CPU),
	.judge = judge,
};
