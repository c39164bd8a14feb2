/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does an amount of memory keep growing?  What counts is the amount that never fell
 * again afterwards (the least of a point and all later ones).  A run of growth is a
 * stretch of points in which it rose again and again, up to now.
 */
#ifndef GOSPECT_MEMORY_RUN_H
#define GOSPECT_MEMORY_RUN_H

#include <stdbool.h>

struct run {
	int begin, end; /* points */
	int rises;
	double from, to, grown; /* bytes */
	double s;
	double per_s; /* the slope of a line through its points */
};

#define RUN_MAX_POINTS 64

/* t_s: when; v: bytes; n points, oldest first.  False: it does not grow now. */
bool run_find(const double *t_s, const float *v, int n, struct run *r);
/* How many moments those points are: at the start some may be close together. */
int run_moments(const double *t_s, int n);
/* From an earlier peak, of all points. */
double run_deepest_fall(const float *v, int n);

#endif
