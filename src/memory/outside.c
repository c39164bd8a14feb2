/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory that the process has and the Go runtime has not: C code's, mappings of
 * its own.  Two amounts at each look, and only what grows in both of them grows:
 *
 * - what is resident (or swapped) of its own, less what the runtime has from the
 *   system; a heap that is only now touched for the first time looks like growth,
 * - its private writable mappings, less those of the runtime: pages that are
 *   touched for the first time add nothing to them.  Nor do the stacks of threads
 *   that are started, of which little is ever touched.
 *
 * Mapped files are the machine's page cache, and shared memory may be another's:
 * neither is counted.
 */
#include "memory/priv.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "proc/usage.h"

#define LEAST_NS     (150 * NS_PER_MS)   /* between two points */
#define THREAD_STACK (8.0 * 1024 * 1024) /* the C library maps for a thread, by ulimit -s */

static void thin(struct outside *o)
{
	int n = 0;

	for (int i = 0; i < o->n; i++)
		if (i % 2 == 0 || i == o->n - 1)
			o->point[n++] = o->point[i];
	o->n = n;
}

void outside_look(struct outside *o, const struct process *p, const struct gototals *now)
{
	struct usage u;
	double ready = (double)now->mapped_ready;

	if (o->n && clock_mono_ns() < o->point[o->n - 1].ns + LEAST_NS)
		return;
	if (!now->has_mapped) {
		o->why = "how much memory the Go runtime has from the system is not known of this "
			 "release";
		return;
	}
	if (usage_read(p, &u)) {
		o->why = "the kernel does not say what kinds of memory the process has";
		return;
	}
	if (o->n == OUTSIDE_MAX_POINTS)
		thin(o);
	if (u.threads > o->most_threads)
		o->most_threads = u.threads;
	o->point[o->n++] = (struct outside_point){
		.ns = clock_mono_ns(),
		.resident = (float)((double)u.anon + (double)u.swap - ready),
		.mapped = (float)((double)u.data - ready - (double)now->heap_released -
				  o->most_threads * THREAD_STACK),
	};
}

void outside_fill(const struct outside *o, struct outside_window *w)
{
	w->why = o->n ? NULL : o->why;
	w->n = o->n;
	for (int i = 0; i < o->n; i++) {
		w->t_s[i] = (double)(o->point[i].ns - o->point[0].ns) / 1e9;
		w->resident[i] = o->point[i].resident;
		w->mapped[i] = o->point[i].mapped;
	}
}
