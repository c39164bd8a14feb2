/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory growth: a place whose objects stay alive, and become more from one
 * collection to the next.  From the runtime's sampled heap profile as of each
 * collection (struct trend_window): what was in use then, and when that was.
 *
 * A place is reported when in a run of growth (run.h) up to now
 *
 * - most of what it allocated is still there and the amount rose twice or more;
 *   or, where much of it is garbage, rose four times by MIXED_FALL times as much
 *   as it ever fell: what a single collection happened to meet alive comes and
 *   goes, and is no growth,
 * - it grew by MIN_GROWN or more, and by more than the sample's noise (a single
 *   sample stands for `rate` bytes or an object: NOISE_SAMPLES of them),
 * - by MIN_SHARE of what it had before, and MIN_OF_HEAP of the whole heap,
 * - and goes on as it began: LONG_SHARE of it came in the run's second half; in one
 *   shorter than ENOUGH_S LATE_SHARE, and it rose SHORT_RISES times.  Pools and caches
 *   that fill after a start (buffers in a sync.Pool) come to rest.
 *
 * The rate is the slope of a line through the points of the run.  Where that place
 * makes most of the heap's growth it is corrected by what the collections marked,
 * which is no sample.
 *
 * Medium when the growth fills the heap's present size again within SOON_S and has
 * been seen at SURE_RISES collections for SURE_S, or for LONG_S, else low: a warm-up looks the
 * same, and only time tells.
 */
#include "memory/subject.h"

#include <string.h>

#include "base/human.h"
#include "base/text.h"
#include "memory/run.h"
#include "memory/window.h"

#define MIN_GROWN      (1.0 * 1024 * 1024)
#define NOISE_SAMPLES  6
#define SURE_SAMPLES   25 /* from fewer the rate is a guess */
#define MIN_SHARE      0.05
#define MIN_OF_HEAP    0.01
#define SOON_S         3600
#define SURE_RISES     3
#define SURE_S         3
#define LONG_S         30
#define KEPT_SHARE     0.5
#define MIXED_RISES    4
#define MIXED_FALL     4
#define ENOUGH_S       TREND_SHORT_S
#define SHORT_RISES    (TREND_SHORT_POINTS - 1)
#define LATE_SHARE     0.3
#define LONG_SHARE     0.1 /* … of a longer run */
#define MAX_CORRECTION 1.7
#define MAX_FINDINGS   10

struct growth {
	struct run run;
	double per_s;   /* corrected */
	double samples; /* that the growth is known from */
	bool exact;     /* the rate is that of the whole heap, which is no sample */
};

/*
 * By how much the sample is off, from what the collections marked; 1 when that is
 * not known, or most of the heap's growth is another place's.
 */
static double correction(const struct trend_window *t, const struct run *r)
{
	int from = r->begin, to = r->end;
	double sampled, marked;

	while (from < to && t->live[from] < 0)
		from++;
	while (to > from && t->live[to] < 0)
		to--;
	sampled = t->total[to] - t->total[from];
	marked = t->live[to] - t->live[from];
	if (to == from || t->t_s[to] - t->t_s[from] < r->s / 2 || sampled <= 0 ||
	    r->grown * 2 < t->total[r->end] - t->total[r->begin] ||
	    marked > MAX_CORRECTION * sampled || marked * MAX_CORRECTION < sampled)
		return 1;
	return marked / sampled;
}

/* What was in use halfway through the run, between two points as if on a line. */
static double halfway(const struct trend_window *t, const struct trend_row *row,
		      const struct run *r)
{
	double half = (t->t_s[r->begin] + t->t_s[r->end]) / 2, part;
	int i = r->begin;

	while (i + 1 < r->end && t->t_s[i + 1] < half)
		i++;
	part = (half - t->t_s[i]) / (t->t_s[i + 1] - t->t_s[i]);
	return row->in_use[i] + part * (row->in_use[i + 1] - row->in_use[i]);
}

/* It goes on as it began; in a short run that takes more to see. */
static bool lasts(const struct trend_window *t, const struct trend_row *row, const struct run *r)
{
	bool is_long = r->s >= ENOUGH_S;

	return (is_long || r->rises >= SHORT_RISES) &&
	       r->to - halfway(t, row, r) >= (is_long ? LONG_SHARE : LATE_SHARE) * r->grown;
}

static bool grows(const struct window *w, const struct trend_row *row, struct growth *g)
{
	const struct trend_window *t = &w->memory->trend;
	struct run *r = &g->run;
	double allocated, factor;

	if (!run_find(t->t_s, row->in_use, t->n, r) || !lasts(t, row, r))
		return false;
	allocated = row->allocated[r->end] - row->allocated[r->begin];
	if (r->grown < KEPT_SHARE * allocated &&
	    (r->rises < MIXED_RISES || r->grown < MIXED_FALL * run_deepest_fall(row->in_use, t->n)))
		return false;
	/* of objects larger than that each is in it: then there is no noise */
	g->samples = t->rate > 1 ? r->grown / (double)t->rate : SURE_SAMPLES;
	if (r->grown < MIN_GROWN || g->samples < NOISE_SAMPLES || r->grown < MIN_SHARE * r->from ||
	    r->grown < MIN_OF_HEAP * t->total[r->end])
		return false;
	factor = correction(t, r);
	g->exact = factor != 1;
	g->per_s = r->per_s * factor;
	return g->per_s > 0;
}

static void evidence(struct finding *f, const struct window *w, const struct trend_row *row,
		     const struct growth *g)
{
	char a[HUMAN_MAX], b[HUMAN_MAX], c[HUMAN_MAX];
	const struct run *r = &g->run;
	double allocated = row->allocated[r->end] - row->allocated[r->begin];

	finding_evidence(f, "from %s to %s in use, over %d collections in %s",
			 human_bytes(r->from, a), human_bytes(r->to, b), r->end - r->begin + 1,
			 human_seconds(r->s, c));
	if (allocated > 0)
		finding_evidence(f, "%s of what it allocated meanwhile is still alive",
				 r->grown >= 0.95 * allocated  ? "all"
				 : r->grown >= 0.8 * allocated ? "nearly all"
				 : r->grown >= 0.4 * allocated ? "half"
							       : "a part");
	if (w->memory->gc.heap_known)
		finding_evidence(f, "the whole heap: %s live after the last collection",
				 human_bytes((double)w->memory->gc.heap_marked_bytes, a));
	if (g->samples < SURE_SAMPLES && !g->exact)
		finding_evidence(f,
				 "from %.0f of the profile's samples: the rate may be off by half",
				 g->samples);
}

static void add_finding(const struct window *w, const struct trend_row *row, const struct growth *g,
			struct findings *out)
{
	const struct trend_window *t = &w->memory->trend;
	const struct run *r = &g->run;
	bool soon = g->per_s * SOON_S >= t->total[r->end];
	bool sure = (r->rises >= SURE_RISES && r->s >= SURE_S) || r->s >= LONG_S;
	struct finding *f =
		findings_add(out, "memory-growth", "memory",
			     soon && sure ? SEVERITY_MEDIUM : SEVERITY_LOW, &row->place);
	char place[WORDS_PLACE_MAX], rate[HUMAN_MAX], now[HUMAN_MAX];

	if (!f)
		return;
	finding_title(f, "memory allocated at %s is kept and grows by %s%s a minute: %s now",
		      words_place(&row->place, place, sizeof(place)), t->rate > 1 ? "about " : "",
		      human_bytes(g->per_s * 60, rate), human_bytes(r->to, now));
	finding_count(f, "in_use_bytes", (uint64_t)r->to);
	finding_count(f, "grown_bytes", (uint64_t)r->grown);
	finding_number(f, "bytes_per_minute", g->per_s * 60);
	finding_count(f, "collections", (uint64_t)(r->end - r->begin + 1));
	evidence(f, w, row, g);
	finding_advice(f, "find what retains it (a map or slice that only grows, a cache without a "
			  "limit); bound it, or delete what is no longer needed");
	f->exactness = t->rate > 1 ? ESTIMATED : EXACT;
	f->since_s = r->s;
	f->weight = g->per_s;
}

static void judge(const struct window *w, struct findings *out)
{
	const struct trend_window *t = &w->memory->trend;
	struct growth g;
	int found = 0;

	if (!t->known || t->n < TREND_LEAST_POINTS)
		return;
	for (int i = 0; i < t->nrow && found < MAX_FINDINGS; i++)
		if (grows(w, &t->row[i], &g)) {
			add_finding(w, &t->row[i], &g, out);
			found++;
		}
}

const struct detector memory_growth_detector = {
	.name = "memory-growth",
	.sensors = SENSOR_ALL, /* from memory: whatever the probes cover */
	.judge = judge,
};
