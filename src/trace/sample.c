/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/sample.h"

#include <math.h>

/* Fewer slices in a window than that: those before it help. */
#define ENOUGH 4.0
/* Time has to fit so much better: in a loop that the probes slow down all slices are
 * alike, and it fits as well as it is wrong. */
#define CLEARLY 0.25
/* With more calls than that to a write call it is no write that makes a call. */
#define MANY_CALLS 4.0
/* Of the CPU time in slices, where the probes take more: they go by the time no more. */
#define MUCH_COST 0.1
/* So many bytes of the heap are enough to count by: they come by spans of 8 KiB. */
#define HEAP_ENOUGH 32768.0
/* Of what the probes cost, this is not known. */
#define COST_ERROR 0.15
/* What is not known is taken to be so large, of the total. */
#define UNKNOWN_SD 0.2
/* A request may be counted in a slice, and its write before or behind it. */
#define EDGE 0.5
/* What no sample shows: that a slice itself slows the program down. */
#define SYSTEMATIC 0.01
/* Slices of before the window say less of it. */
#define DRIFT 0.03

void sample_add_slice(struct sample_slices *s, const double c[SAMPLE_BYS], bool whole)
{
	s->n += whole ? 1 : 0.5;
	for (int k = 0; k < SAMPLE_BYS; k++) {
		s->c[k] += c[k];
		s->cc[k] += c[k] * c[k];
	}
}

void sample_add_row(struct sample_row *r, double h, const double c[SAMPLE_BYS])
{
	r->h += h;
	r->hh += h * h;
	for (int k = 0; k < SAMPLE_BYS; k++)
		r->hc[k] += h * c[k];
}

static void slices_plus(struct sample_slices *s, const struct sample_slices *more, double weight)
{
	s->n += weight * more->n;
	for (int k = 0; k < SAMPLE_BYS; k++) {
		s->c[k] += weight * more->c[k];
		s->cc[k] += weight * more->cc[k];
	}
}

static void row_plus(struct sample_row *r, const struct sample_row *more, double weight)
{
	r->h += weight * more->h;
	r->hh += weight * more->hh;
	for (int k = 0; k < SAMPLE_BYS; k++)
		r->hc[k] += weight * more->hc[k];
}

/* The squares of how far each slice is from the ratio. */
static double residual(const struct sample_slices *s, const struct sample_row *r, int k)
{
	double ratio = r->h / s->c[k];
	double sum = r->hh - 2 * ratio * r->hc[k] + ratio * ratio * s->cc[k];

	return (sum > 0 ? sum : 0) + EDGE * s->n;
}

static bool is_known(const struct sample_window *w, const struct sample_slices *s, int k)
{
	return s->c[k] > 0 && w->all[k] > 0;
}

static bool costs_much(const struct sample_slices *s)
{
	return s->c[SAMPLE_COST] > MUCH_COST * (s->c[SAMPLE_COST] + s->c[SAMPLE_BY_CPU]);
}

/*
 * What a row grows with that makes no write calls.  Where the probes take much of
 * the slices all of these are alike, and the time fits as well as it is wrong; so
 * does the CPU time, of which little is left.
 */
static int base_without_writes(const struct sample_window *w, const struct sample_slices *s,
			       const struct sample_row *r)
{
	int best = SAMPLE_BY_TIME;

	if (is_known(w, s, SAMPLE_BY_HEAP) && s->c[SAMPLE_BY_HEAP] > HEAP_ENOUGH)
		best = SAMPLE_BY_HEAP;
	else if (is_known(w, s, SAMPLE_BY_CPU))
		best = SAMPLE_BY_CPU;
	if (s->n < ENOUGH || costs_much(s))
		return best;
	for (int k = SAMPLE_BY_CPU; k <= SAMPLE_BY_TIME; k++)
		if (is_known(w, s, k) && residual(s, r, k) < CLEARLY * residual(s, r, best))
			best = k;
	return best;
}

/* What the row grows with. */
static int base_of(const struct sample_window *w, const struct sample_slices *s,
		   const struct sample_row *r)
{
	int best = SAMPLE_BY_WRITES, other = base_without_writes(w, s, r);
	bool many = r->h > MANY_CALLS * s->c[SAMPLE_BY_WRITES];

	if (!is_known(w, s, SAMPLE_BY_WRITES) || !is_known(w, s, SAMPLE_BY_BYTES))
		return other;
	if (s->n < ENOUGH)
		return many ? other : best;
	if (residual(s, r, SAMPLE_BY_BYTES) < residual(s, r, best))
		best = SAMPLE_BY_BYTES;
	if (residual(s, r, other) < (many ? 1 : CLEARLY) * residual(s, r, best))
		return other;
	return residual(s, r, SAMPLE_BY_TIME) < CLEARLY * residual(s, r, best) ? SAMPLE_BY_TIME
									       : best;
}

/* 97.5 % of Student's t: of so many degrees of freedom. */
static double quantile(double df)
{
	static const double t[] = { 12.71, 12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31 };

	return df < 8 ? t[(int)df] : 1.96 + 2.8 / df;
}

/* Whether the slices of the window are like those before it. */
static bool is_alike(const struct sample_window *w, const struct sample_row *now,
		     const struct sample_row *before, int k)
{
	double expected, most;

	if (w->before.c[k] <= 0)
		return false;
	if (k == SAMPLE_BY_CPU && costs_much(&w->before))
		return true; /* little is left of it, and who knows how much */
	expected = before->h / w->before.c[k] * w->now.c[k];
	most = fmax(expected, now->h);
	return fabs(now->h - expected) <= 4 * sqrt(most) + 0.2 * most;
}

/* How far off it may be beyond what the slices show, of the whole window, by what it grew with. */
static double not_shown(const struct sample_window *w, const struct sample_slices *s,
			const struct sample_row *r, int k, double total)
{
	double by_time = r->h / s->c[SAMPLE_BY_TIME] * w->all[SAMPLE_BY_TIME];

	if (k == SAMPLE_BY_CPU) /* between the two, where something else takes the CPU */
		return total * COST_ERROR * s->c[SAMPLE_COST] / s->c[k] + fabs(total - by_time) / 2;
	if (k == SAMPLE_BY_TIME)
		return total * fmin(1, s->c[SAMPLE_COST] / s->c[k]);
	return 0;
}

static struct sample_estimate estimate_by(const struct sample_window *w, int k,
					  const struct sample_row *now,
					  const struct sample_row *before, double weight)
{
	struct sample_slices s = w->now, full = w->now;
	struct sample_row r = *now, of_full = *now;
	struct sample_estimate e = { 0 };
	double seen, sd;

	if (weight >= 0) {
		slices_plus(&full, &w->before, 1);
		row_plus(&of_full, before, 1);
		slices_plus(&s, &w->before, weight);
		row_plus(&r, before, weight);
	}
	if (s.c[k] <= 0)
		return e;
	seen = w->all[k] > 0 ? fmin(1, w->now.c[k] / w->all[k]) : 1;
	e.total = fmax(now->h, r.h / s.c[k] * w->all[k]);
	if (full.n >= 2)
		sd = sqrt(residual(&full, &of_full, k) * full.n / (full.n - 1) * s.c[k] /
			  full.c[k]) *
		     w->all[k] / s.c[k] * quantile(full.n - 1) / 2;
	else
		sd = UNKNOWN_SD * e.total;
	e.margin = 2 * sd * sqrt(1 - seen) +
		   (SYSTEMATIC * e.total + not_shown(w, &s, &r, k, e.total)) * (1 - seen);
	if (weight > 0)
		e.margin += DRIFT * e.total * weight * w->before.c[k] / s.c[k];
	e.share = e.total > 0 ? fmin(1, now->h / e.total) : seen;
	return e;
}

/* How much those of before the window count, 0..1; -1: they are others than those of now. */
static double weight_of_before(const struct sample_window *w, const struct sample_slices *full,
			       const struct sample_row *now, const struct sample_row *before, int k)
{
	double n;

	if (w->now.n > 0 && !is_alike(w, now, before, k))
		return -1;
	if (w->before.n <= 0 || full->c[k] <= 0)
		return 0;
	/* those in troughs say little */
	n = fmin(w->now.n, w->now.c[k] / full->c[k] * full->n);
	return fmin(1, fmax(0, ENOUGH - n) / w->before.n);
}

struct sample_estimate sample_estimate(const struct sample_window *w, const struct sample_row *now,
				       const struct sample_row *before)
{
	struct sample_slices full = w->now;
	struct sample_row of_full = *now;
	struct sample_estimate e = { 0 };
	double weight;
	bool troughs;
	int k;

	slices_plus(&full, &w->before, 1);
	row_plus(&of_full, before, 1);
	if (full.n <= 0)
		return e;
	/* all slices were between what writes, or what is counted does not write */
	troughs = full.c[SAMPLE_BY_WRITES] <= 0 && w->all[SAMPLE_BY_WRITES] > 0 &&
		  of_full.h <= 2 * full.n;
	if (troughs && of_full.h <= 0) {
		e.margin = w->all[SAMPLE_BY_WRITES];
		return e;
	}
	k = base_of(w, &full, &of_full);
	weight = weight_of_before(w, &full, now, before, k);
	if (weight < 0 && !is_known(w, &w->now, k))
		k = base_without_writes(w, &w->now, now);
	e = estimate_by(w, k, now, before, weight);
	if (troughs)
		e.margin += w->all[SAMPLE_BY_WRITES];
	return e;
}

void sample_kept(const struct sample_window *w, double *of_before, double *of_now)
{
	double left = SAMPLE_KEEP - w->now.n;

	*of_now = left >= 0 ? 1 : SAMPLE_KEEP / w->now.n;
	*of_before = left <= 0 ? 0 : w->before.n > left ? left / w->before.n : 1;
}

void sample_keep_slices(struct sample_window *w, double of_before, double of_now)
{
	struct sample_slices kept = { 0 };

	slices_plus(&kept, &w->before, of_before);
	slices_plus(&kept, &w->now, of_now);
	*w = (struct sample_window){ .before = kept };
}

void sample_keep_row(struct sample_row *before, const struct sample_row *now, double of_before,
		     double of_now)
{
	struct sample_row kept = { 0 };

	row_plus(&kept, before, of_before);
	row_plus(&kept, now, of_now);
	*before = kept;
}

double sample_share(const struct sample_window *w, enum sample_by by)
{
	int k = is_known(w, &w->now, by) ? by : SAMPLE_BY_TIME;

	return w->all[k] > 0 ? fmin(1, w->now.c[k] / w->all[k]) : 1;
}
