/* SPDX-License-Identifier: BSD-2-Clause */
/* How long goroutines waited to run: the runtime's own histogram (sched.timeToRun). */
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
/* What a bucket begins with, ns; of GOLATENCY_BUCKETS: where the last ends. */
uint64_t golatency_from_ns(unsigned int bucket);

#endif
