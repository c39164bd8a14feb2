/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The runtime's own sampled heap profile, read from its memory: the list of
 * buckets at runtime.mbuckets (runtime/mprof.go), one per stack and object
 * size, which is only ever added to.
 *
 * Counts are those of runtime/pprof's heap profile: as of the last completed
 * collection (all so far, when there was none), and scaled up by the
 * sampling rate as runtime/pprof scales them (scaleHeapSample).  The rate is
 * the program's own runtime.MemProfileRate.
 */
#ifndef GOSPECT_GORT_HEAPPROF_H
#define GOSPECT_GORT_HEAPPROF_H

#include "gort/goruntime.h"

#define HEAPPROF_MAX_BUCKETS (1u << 20) /* beyond: counted as missing */
#define HEAPPROF_MAX_DEPTH   1024       /* runtime: maxProfStackDepth; 32 up to 1.22 */
#define HEAPPROF_FUTURES     3          /* runtime: memRecord.future */

struct heap_bucket {
	uint64_t addr;         /* of the bucket: stands for it for ever */
	uint32_t first, n;     /* in pc[]; one pc per logical frame, return addresses */
	uint64_t object_bytes; /* size of one object */
	uint64_t alloc_count, alloc_bytes, in_use_count, in_use_bytes; /* scaled */
	/* what is not published yet, by place in memRecord.future: scaled bytes */
	uint64_t later_alloc_bytes[HEAPPROF_FUTURES];
	int64_t later_in_use_bytes[HEAPPROF_FUTURES];
};

struct heapprof {
	uint64_t rate;              /* bytes per sample, mean */
	struct heap_bucket *bucket; /* owned */
	size_t n, cap;
	uint64_t *pc; /* owned; run-time */
	size_t npc, pc_cap;
	uint64_t bad; /* buckets that contradict themselves: left out */
	bool cut;     /* the list went on: too long, a cycle, or unreadable */
	bool before_first_gc;
	bool published;               /* the counts of any bucket */
	bool later[HEAPPROF_FUTURES]; /* anything is there */
};

/*
 * 0; -EOPNOTSUPP with why (>= 160 bytes) filled: the program has no heap
 * profile; -EBADMSG with why: it is not what this release should have;
 * -ESRCH, -ENOMEM.  Deinit in every case.
 */
int heapprof_read(struct heapprof *h, struct goruntime *rt, char *why, size_t size);
void heapprof_deinit(struct heapprof *h);

/*
 * The heap at a mark termination is known when it has been swept.  So the runtime
 * publishes the profile as of collection n at the end of n + 1, or behind a
 * runtime.GC() (mProf_Flush, mProf_PostSweep); until then what it will add lies
 * in future[(n + 1) % 3].
 *
 * numgc: collections ended, the same before and after reading.  True, and
 * *published: the collection that the counts of the buckets are as of, numgc or the one
 * before; then *next is the place of what numgc adds, or -1.  False: it is being
 * published just now.
 */
bool heapprof_as_of(const struct heapprof *h, uint32_t numgc, uint32_t *published, int *next);

#endif
