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

struct heap_bucket {
	uint64_t addr;         /* of the bucket: stands for it for ever */
	uint32_t first, n;     /* in pc[]; one pc per logical frame, return addresses */
	uint64_t object_bytes; /* size of one object */
	uint64_t alloc_count, alloc_bytes, in_use_count, in_use_bytes; /* scaled */
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
};

/*
 * 0; -EOPNOTSUPP with why (>= 160 bytes) filled: the program has no heap
 * profile; -EBADMSG with why: it is not what this release should have;
 * -ESRCH, -ENOMEM.  Deinit in every case.
 */
int heapprof_read(struct heapprof *h, struct goruntime *rt, char *why, size_t size);
void heapprof_deinit(struct heapprof *h);

#endif
