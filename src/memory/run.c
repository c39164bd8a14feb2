/* SPDX-License-Identifier: BSD-2-Clause */
#include "memory/run.h"

#include <stdlib.h>
#include <string.h>

#define MIN_RISES    2
#define MIN_RUN_S    0.9
#define PAUSE_POINTS 3.2 /* between two rises, in mean distances of points */
#define PAUSE_FACTOR 1.6 /* … or as many of the second longest pause seen */
#define BUNCHED      10  /* of a mean distance: closer points are one moment */

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

static double allowed_pause(const double *t_s, int n, const int *rise, int nrise)
{
	double gap[RUN_MAX_POINTS], pause = PAUSE_POINTS * (t_s[n - 1] - t_s[0]) / (n - 1);

	for (int i = 0; i + 1 < nrise; i++)
		gap[i] = t_s[rise[i]] - t_s[rise[i + 1]];
	if (nrise < 3)
		return pause;
	qsort(gap, (size_t)nrise - 1, sizeof(*gap), compare_down);
	return PAUSE_FACTOR * gap[1] > pause ? PAUSE_FACTOR * gap[1] : pause;
}

/* At a program's start collections follow each other, later they may be minutes apart: how much
 * came between those at the start is no part of what comes in a minute. */
static int behind_bunch(const double *t_s, int begin, int end)
{
	while (begin < end &&
	       (t_s[begin + 1] - t_s[begin]) * BUNCHED * (end - begin) < t_s[end] - t_s[begin])
		begin++;
	return begin;
}

/* Of the least squares' line. */
static double slope(const double *t_s, const float *v, const struct run *r)
{
	double n = r->end - r->begin + 1, st = 0, sv = 0, stt = 0, stv = 0;

	for (int i = r->begin; i <= r->end; i++) {
		double x = t_s[i] - t_s[r->begin], y = v[i];

		st += x;
		sv += y;
		stt += x * x;
		stv += x * y;
	}
	return (n * stv - st * sv) / (n * stt - st * st);
}

bool run_find(const double *t_s, const float *v, int n, struct run *r)
{
	int rise[RUN_MAX_POINTS], nrise, k = 0;
	double pause;

	memset(r, 0, sizeof(*r));
	nrise = n > MIN_RISES && n <= RUN_MAX_POINTS ? find_rises(v, n, rise) : 0;
	if (nrise < MIN_RISES)
		return false;
	pause = allowed_pause(t_s, n, rise, nrise);
	if (t_s[n - 1] - t_s[rise[0]] > pause)
		return false;
	while (k + 1 < nrise && t_s[rise[k]] - t_s[rise[k + 1]] <= pause)
		k++;
	r->end = n - 1;
	r->begin = behind_bunch(t_s, rise[k] - 1, r->end);
	while (k >= 0 && rise[k] <= r->begin)
		k--;
	r->rises = k + 1;
	r->from = v[r->begin];
	r->to = v[r->end];
	r->grown = r->to - r->from;
	r->s = t_s[r->end] - t_s[r->begin];
	if (r->rises < MIN_RISES || r->s < MIN_RUN_S)
		return false;
	r->per_s = slope(t_s, v, r);
	return true;
}

int run_moments(const double *t_s, int n)
{
	return n > 1 ? n - behind_bunch(t_s, 0, n - 1) : n;
}

double run_deepest_fall(const float *v, int n)
{
	double peak = v[0], fall = 0;

	for (int i = 0; i < n; i++) {
		peak = v[i] > peak ? v[i] : peak;
		fall = peak - v[i] > fall ? peak - v[i] : fall;
	}
	return fall;
}
