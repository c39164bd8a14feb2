/* SPDX-License-Identifier: BSD-2-Clause */
/* The runtime's own histograms: how long goroutines waited to run (sched.timeToRun), and how
 * long collections stopped the world (sched.stwTotalTimeGC). */
#ifndef GOSPECT_GORT_GOLATENCY_H
#define GOSPECT_GORT_GOLATENCY_H

#include "gort/goruntime.h"

#define GOLATENCY_BUCKETS 160

struct golatency {
	uint64_t bucket[GOLATENCY_BUCKETS]; /* since the start; they only grow */
	uint64_t over;                      /* longer than all of these */
};

/*
 * As it is now.  -ENOENT: the release has none of that shape (before 1.20);
 * -EBADMSG: that is no histogram; -EFAULT, -ESRCH.
 */
int golatency_read(struct goruntime *rt, struct golatency *out);
/* The same of pauses by collections, since 1.22.  numgc: collections that were completed before
 * this is asked; -EBADMSG where the numbers do not agree. */
int golatency_pauses(struct goruntime *rt, uint32_t numgc, struct golatency *out);

#define GOLATENCY_FOLDS 10

/* In few buckets, each four times as wide as the one before. */
struct golatency_folded {
	uint64_t count[GOLATENCY_FOLDS + 1]; /* the last: longer than all */
	double least_s;                      /* all of them took at least that together */
};
void golatency_fold(const struct golatency *l, struct golatency_folded *out);
/* Where such a bucket ends, ns. */
uint64_t golatency_fold_ns(unsigned int bucket);
/* What a bucket begins with, ns; of GOLATENCY_BUCKETS: where the last ends. */
uint64_t golatency_from_ns(unsigned int bucket);

#endif
