/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory growth outside the Go heap: what is resident and not the Go runtime's
 * keeps growing (run.h), and so do the mappings that it lies in (outside.c).
 * Reported when it rose MIN_RISES times by MIN_GROWN or more, by MIN_SHARE of what
 * is resident, and by FALLS times as much as it ever fell.
 *
 * Medium when it fills the resident size again within SOON_S and has been seen
 * for SURE_S in a process that is not WINDOW_YOUNG_S young; else low: programs get what they
 * need when they start.
 */
#include "memory/subject.h"

#include "base/human.h"
#include "memory/run.h"
#include "memory/window.h"

#define MIN_RISES 3
#define MIN_GROWN (4.0 * 1024 * 1024)
#define MIN_SHARE 0.01
#define FALLS     4
#define SOON_S    3600
#define SURE_S    20 /* what C code loads when it begins to be used is in by then */

static bool grows(const struct window *w, struct run *r)
{
	const struct outside_window *o = &w->memory->outside;
	double mapped;

	if (!run_find(o->t_s, o->resident, o->n, r) || r->rises < MIN_RISES)
		return false;
	mapped = o->mapped[r->end] - o->mapped[r->begin];
	if (mapped < r->grown) { /* the rest was mapped before, and is touched now */
		r->per_s *= mapped / r->grown;
		r->grown = mapped;
	}
	return r->grown >= MIN_GROWN && r->per_s > 0 &&
	       r->grown >= MIN_SHARE * (double)w->process.rss_bytes &&
	       r->grown >= FALLS * run_deepest_fall(o->resident, o->n);
}

static void evidence(struct finding *f, const struct window *w, const struct run *r)
{
	const struct process_window *p = &w->process;
	char a[HUMAN_MAX], b[HUMAN_MAX], c[HUMAN_MAX], d[HUMAN_MAX], e[HUMAN_MAX];

	finding_evidence(
		f, "resident %s: Go heap in use %s, stacks %s, the runtime's own %s, the rest %s",
		human_bytes((double)p->rss_bytes, a), human_bytes((double)p->heap_in_use_bytes, b),
		human_bytes((double)p->stacks_bytes, c), human_bytes((double)p->runtime_bytes, d),
		human_bytes((double)p->other_bytes, e));
	finding_evidence(f,
			 "%s more in %s; mapped files (%s) and shared memory (%s) are not counted",
			 human_bytes(r->grown, a), human_seconds(r->s, b),
			 human_bytes((double)p->file_bytes, c),
			 human_bytes((double)p->shared_bytes, d));
}

static void judge(const struct window *w, struct findings *out)
{
	char rate[HUMAN_MAX], rest[HUMAN_MAX], all[HUMAN_MAX];
	struct finding *f;
	struct run r;

	if (!w->process.split_known || !grows(w, &r))
		return;
	f = findings_add_about(out, "memory-growth", "not the Go heap",
			       r.s >= SURE_S && !window_is_of_start(w) &&
					       r.per_s * SOON_S >= (double)w->process.rss_bytes
				       ? SEVERITY_MEDIUM
				       : SEVERITY_LOW,
			       NULL);
	if (!f)
		return;
	finding_title(
		f, "memory that is not the Go heap grows by about %s a minute: %s of %s resident",
		human_bytes(r.per_s * 60, rate), human_bytes((double)w->process.other_bytes, rest),
		human_bytes((double)w->process.rss_bytes, all));
	finding_number(f, "bytes_per_minute", r.per_s * 60);
	finding_count(f, "grown_bytes", (uint64_t)r.grown);
	finding_count(f, "other_bytes", w->process.other_bytes);
	finding_count(f, "rss_bytes", w->process.rss_bytes);
	finding_count(f, "heap_in_use_bytes", w->process.heap_in_use_bytes);
	evidence(f, w, &r);
	finding_advice(f,
		       "look for what C code (cgo) does not free, and for mappings (syscall.Mmap) "
		       "that are not unmapped: Go's heap profile has neither");
	f->exactness = ESTIMATED;
	f->since_s = r.s;
	f->weight = r.per_s;
}

const struct detector outside_growth_detector = {
	.name = "memory-growth",
	.sensors = SENSOR_ALL, /* from memory: whatever the probes cover */
	.judge = judge,
};
