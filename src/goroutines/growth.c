/* SPDX-License-Identifier: BSD-2-Clause */
#include "goroutines/growth.h"

#include <stdlib.h>
#include <string.h>

#define MIN_RISES    3    /* fewer are a burst */
#define MIN_RUN_S    0.95 /* nothing is judged from less than a second */
#define ENOUGH_RUN_S 10   /* a run that long is enough however long we watch */
#define RUN_SHARE    3    /* else it has to be a third of what was watched */
#define START_RUN_S  2.5  /* seen for less, in a program that has just begun, it may be its start */
#define PAUSE_FACTOR 1.6  /* a pause may be that much longer than those before */
#define PAUSE_LOOKS  2.2  /* within a run, that many looks are no pause in any case */
#define LATE_LOOKS   3

static double value(const struct site_point *p, enum growth_of what)
{
	return (double)(what == GROWTH_LIVE ? p->live : p->stuck);
}

int growth_first(const struct site_row *s)
{
	return s->npoint && s->point[0].live ? 1 : 0;
}

static int compare_down(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? 1 : *x > *y ? -1 : 0;
}

/* The looks at which the lasting number is larger than at the look before. */
static int find_rises(const struct site_point *p, int n, enum growth_of what, int *rise)
{
	double least = value(&p[n - 1], what);
	int nrise = 0;

	/* from the end: `least` is the minimum of what follows look i */
	for (int i = n - 2; i >= 0; i--) {
		double v = value(&p[i], what);

		if (v < least) {
			rise[nrise++] = i + 1;
			least = v;
		}
	}
	return nrise; /* latest first */
}

/*
 * The longest pause that is no end.  From the second longest pause seen: one
 * long pause lies between two bursts, several are a rhythm.
 */
static double allowed_pause(const struct site_point *p, int n, const int *rise, int nrise)
{
	double gap[WINDOW_MAX_POINTS], look = p[n - 1].t_s - p[n - 2].t_s;

	for (int i = 0; i + 1 < nrise; i++)
		gap[i] = p[rise[i]].t_s - p[rise[i + 1]].t_s;
	qsort(gap, (size_t)nrise - 1, sizeof(*gap), compare_down);
	return PAUSE_FACTOR * (gap[1] > look ? gap[1] : look);
}

/* Of the last few between looks: the more goroutines, the longer they get, and a window's end is
 * a look at any time. */
static double longest_between_looks(const struct site_point *p, int n)
{
	double longest = 0;

	for (int i = n - 1; i > 0 && i >= n - LATE_LOOKS; i--)
		if (p[i].t_s - p[i - 1].t_s > longest)
			longest = p[i].t_s - p[i - 1].t_s;
	return longest;
}

static double deepest_fall(const struct site_point *p, int from, int n, enum growth_of what)
{
	double peak = 0, fall = 0;

	for (int i = from; i < n; i++) {
		double v = value(&p[i], what);

		peak = v > peak ? v : peak;
		fall = peak - v > fall ? peak - v : fall;
	}
	return fall;
}

static bool long_enough(double run_s, double watched_s)
{
	double need = watched_s / RUN_SHARE;

	if (need > ENOUGH_RUN_S)
		need = ENOUGH_RUN_S;
	return run_s >= MIN_RUN_S && run_s >= need;
}

void growth_measure(const struct site_row *s, int first, enum growth_of what, struct growth *g)
{
	const struct site_point *p = s->point + first;
	int n = s->npoint - first, rise[WINDOW_MAX_POINTS], nrise, k = 0;
	double pause, gap;

	memset(g, 0, sizeof(*g));
	if (n < MIN_RISES + 1)
		return;
	nrise = find_rises(p, n, what, rise);
	if (nrise < MIN_RISES)
		return;
	pause = allowed_pause(p, n, rise, nrise);
	if (p[n - 1].t_s - p[rise[0]].t_s > pause)
		return;
	gap = PAUSE_LOOKS * longest_between_looks(p, n);
	gap = gap > pause ? gap : pause;
	while (k + 1 < nrise && p[rise[k]].t_s - p[rise[k + 1]].t_s <= gap)
		k++;
	if (k + 1 < MIN_RISES)
		return;
	g->pause_s = pause;
	g->begin = first + rise[k] - 1;
	g->run_s = p[n - 1].t_s - s->point[g->begin].t_s;
	g->from = value(&s->point[g->begin], what);
	g->to = value(&p[n - 1], what);
	g->grown = g->to - g->from;
	g->per_minute = g->run_s > 0 ? g->grown / g->run_s * 60 : 0;
	g->max_fall = deepest_fall(s->point, g->begin, s->npoint, what);
	g->goes_on = long_enough(g->run_s, p[n - 1].t_s - p[0].t_s);
}

double growth_live_at_rest_s(const struct site_row *s, int first)
{
	double rose = s->point[first].t_s;

	for (int i = first + 1; i < s->npoint; i++) {
		if (s->point[i].live < s->point[i - 1].live)
			return 0;
		if (s->point[i].live > s->point[i - 1].live)
			rose = s->point[i].t_s;
	}
	return s->point[s->npoint - 1].t_s - rose;
}

double growth_of_live(const struct site_row *s, int first)
{
	int n = s->npoint - first, third = n / 3 ? n / 3 : 1;
	double early = 0, late = 0;

	if (n < 2)
		return 0;
	for (int i = 0; i < third; i++) {
		early += (double)s->point[first + i].live;
		late += (double)s->point[s->npoint - 1 - i].live;
	}
	return (late - early) / third;
}

uint64_t growth_left(const struct site_row *s, int begin)
{
	uint64_t left = 0;

	for (int i = begin + 1; i < s->npoint; i++)
		left += s->point[i].stuck_left;
	return left;
}

enum severity growth_severity(const struct window *w, double run_s)
{
	return run_s < START_RUN_S && window_is_of_start(w) ? SEVERITY_LOW : SEVERITY_MEDIUM;
}
