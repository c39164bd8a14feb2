/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory growth: a place whose objects stay alive, and become more from one
 * collection to the next.  From the runtime's sampled heap profile as of each
 * collection (struct trend_window): what was in use then, and when that was.
 *
 * What counts is the amount that never fell again afterwards (the least of a
 * point and all later ones).  A run of growth is a stretch of collections in which
 * it rose again and again, up to now.  A place is reported when in that run
 *
 * - most of what it allocated is still there and the amount rose twice or more;
 *   or, where much of it is garbage, rose four times by MIXED_FALL times as much
 *   as it ever fell: what a single collection happened to meet alive comes and
 *   goes, and is no growth,
 * - it grew by MIN_GROWN or more, and by more than the sample's noise (a single
 *   sample stands for `rate` bytes or an object: NOISE_SAMPLES of them),
 * - by MIN_SHARE of what it had before, and MIN_OF_HEAP of the whole heap.
 *
 * The rate is the slope of a line through the points of the run.  Where that place
 * makes most of the heap's growth it is corrected by what the collections marked,
 * which is no sample.
 *
 * Medium when the growth fills the heap's present size again within SOON_S and has
 * been seen at SURE_RISES collections for SURE_S, else low: a warm-up looks the
 * same, and only time tells.
 */
#include "memory/subject.h"

#include <stdlib.h>
#include <string.h>

#include "base/human.h"
#include "base/text.h"
#include "memory/window.h"

#define MIN_GROWN      (1.0 * 1024 * 1024)
#define NOISE_SAMPLES  6
#define SURE_SAMPLES   25 /* from fewer the rate is a guess */
#define MIN_SHARE      0.05
#define MIN_OF_HEAP    0.01
#define MIN_RUN_S      0.9
#define SOON_S         3600
#define SURE_RISES     3
#define SURE_S         3
#define KEPT_RISES     2
#define KEPT_SHARE     0.5
#define MIXED_RISES    4
#define MIXED_FALL     4
#define PAUSE_POINTS   3.2 /* between two rises, in mean distances of collections */
#define PAUSE_FACTOR   1.6 /* … or as many of the second longest pause seen */
#define MAX_CORRECTION 1.7
#define MAX_FINDINGS   10

struct run {
	int begin, end; /* points */
	int rises;
	double from, to, grown; /* bytes */
	double s, per_s;
	double samples; /* that the growth is known from */
	bool exact;     /* the rate is that of the whole heap, which is no sample */
};

static int compare_down(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? 1 : *x > *y ? -1 : 0;
}

/* The points at which the lasting amount is larger than before, latest first. */
static int find_rises(const float *v, int n, int *rise)
{
	float least = v[n - 1];
	int k = 0;

	for (int i = n - 2; i >= 0; i--)
		if (v[i] < least) {
			rise[k++] = i + 1;
			least = v[i];
		}
	return k;
}

static double allowed_pause(const struct trend_window *t, const int *rise, int n)
{
	double mean = t->t_s[t->n - 1] / (t->n - 1), gap[TREND_MAX_POINTS];

	for (int i = 0; i + 1 < n; i++)
		gap[i] = t->t_s[rise[i]] - t->t_s[rise[i + 1]];
	if (n < 3)
		return PAUSE_POINTS * mean;
	qsort(gap, (size_t)n - 1, sizeof(*gap), compare_down);
	return PAUSE_FACTOR * gap[1] > PAUSE_POINTS * mean ? PAUSE_FACTOR * gap[1]
							   : PAUSE_POINTS * mean;
}

/* The stretch of rises that goes on to the end: where it begins, and how many. */
static bool find_run(const struct trend_window *t, const float *v, struct run *r)
{
	int rise[TREND_MAX_POINTS], n = find_rises(v, t->n, rise), k = 0;
	double pause;

	if (n < KEPT_RISES)
		return false;
	pause = allowed_pause(t, rise, n);
	if (t->t_s[t->n - 1] - t->t_s[rise[0]] > pause)
		return false;
	while (k + 1 < n && t->t_s[rise[k]] - t->t_s[rise[k + 1]] <= pause)
		k++;
	r->rises = k + 1;
	r->begin = rise[k] - 1;
	r->end = t->n - 1;
	r->from = v[r->begin];
	r->to = v[r->end];
	r->grown = r->to - r->from;
	r->s = t->t_s[r->end] - t->t_s[r->begin];
	return r->rises >= KEPT_RISES && r->s >= MIN_RUN_S;
}

static double deepest_fall(const float *v, int n)
{
	double peak = 0, fall = 0;

	for (int i = 0; i < n; i++) {
		peak = v[i] > peak ? v[i] : peak;
		fall = peak - v[i] > fall ? peak - v[i] : fall;
	}
	return fall;
}

/* Of the least squares' line through the points of the run. */
static double slope(const struct trend_window *t, const float *v, const struct run *r)
{
	double n = r->end - r->begin + 1, st = 0, sv = 0, stt = 0, stv = 0;

	for (int i = r->begin; i <= r->end; i++) {
		double x = t->t_s[i] - t->t_s[r->begin], y = v[i];

		st += x;
		sv += y;
		stt += x * x;
		stv += x * y;
	}
	return (n * stv - st * sv) / (n * stt - st * st);
}

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

static bool grows(const struct window *w, const struct trend_row *row, struct run *r)
{
	const struct trend_window *t = &w->memory->trend;
	double allocated, factor;

	*r = (struct run){ 0 };
	if (!find_run(t, row->in_use, r))
		return false;
	allocated = row->allocated[r->end] - row->allocated[r->begin];
	if (r->grown < KEPT_SHARE * allocated &&
	    (r->rises < MIXED_RISES || r->grown < MIXED_FALL * deepest_fall(row->in_use, t->n)))
		return false;
	/* of objects larger than that each is in it: then there is no noise */
	r->samples = t->rate > 1 ? r->grown / (double)t->rate : SURE_SAMPLES;
	if (r->grown < MIN_GROWN || r->samples < NOISE_SAMPLES || r->grown < MIN_SHARE * r->from ||
	    r->grown < MIN_OF_HEAP * t->total[r->end])
		return false;
	factor = correction(t, r);
	r->exact = factor != 1;
	r->per_s = slope(t, row->in_use, r) * factor;
	return r->per_s > 0;
}

static void evidence(struct finding *f, const struct window *w, const struct trend_row *row,
		     const struct run *r)
{
	char a[HUMAN_MAX], b[HUMAN_MAX], c[HUMAN_MAX];
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
	if (r->samples < SURE_SAMPLES && !r->exact)
		finding_evidence(f,
				 "from %.0f of the profile's samples: the rate may be off by half",
				 r->samples);
}

static void add_finding(const struct window *w, const struct trend_row *row, const struct run *r,
			struct findings *out)
{
	const struct trend_window *t = &w->memory->trend;
	bool soon = r->per_s * SOON_S >= t->total[r->end];
	bool sure = r->rises >= SURE_RISES && r->s >= SURE_S;
	struct finding *f =
		findings_add(out, "memory-growth", "memory",
			     soon && sure ? SEVERITY_MEDIUM : SEVERITY_LOW, &row->place);
	char place[WORDS_PLACE_MAX], rate[HUMAN_MAX], now[HUMAN_MAX];

	if (!f)
		return;
	finding_title(f, "memory allocated at %s is kept and grows by %s%s a minute: %s now",
		      words_place(&row->place, place, sizeof(place)), t->rate > 1 ? "about " : "",
		      human_bytes(r->per_s * 60, rate), human_bytes(r->to, now));
	finding_count(f, "in_use_bytes", (uint64_t)r->to);
	finding_count(f, "grown_bytes", (uint64_t)r->grown);
	finding_number(f, "bytes_per_minute", r->per_s * 60);
	finding_count(f, "collections", (uint64_t)(r->end - r->begin + 1));
	evidence(f, w, row, r);
	finding_advice(f, "find what retains it (a map or slice that only grows, a cache without a "
			  "limit); bound it, or delete what is no longer needed");
	f->exactness = t->rate > 1 ? ESTIMATED : EXACT;
	f->since_s = r->s;
	f->weight = r->per_s;
}

static void judge(const struct window *w, struct findings *out)
{
	const struct trend_window *t = &w->memory->trend;
	struct run r;
	int found = 0;

	if (!t->known || t->n < TREND_LEAST_POINTS)
		return;
	for (int i = 0; i < t->nrow && found < MAX_FINDINGS; i++)
		if (grows(w, &t->row[i], &r)) {
			add_finding(w, &t->row[i], &r, out);
			found++;
		}
}

const struct detector memory_growth_detector = {
	.name = "memory-growth",
	.sensors = SENSOR_ALL, /* from memory: whatever the probes cover */
	.judge = judge,
};
