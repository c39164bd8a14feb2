/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Readings of the probes of up to a minute ago: what a window of a second is too short for (three
 * failed calls of one a second) is judged by what was counted since one of them.  Kept of small
 * processes only, which are those that need it, and only while all events are counted.
 */
#ifndef GOSPECT_OBSERVE_RECENT_H
#define GOSPECT_OBSERVE_RECENT_H

#include "base/clock.h"
#include "trace/trace.h"

#define RECENT_NS       (60 * NS_PER_S)
#define RECENT_APART_NS (20 * NS_PER_S)
#define RECENT_MAX_ROWS 128 /* of phases, calls and failures; some 3 KB each */

/* Empty where it is zeroed. */
struct recent {
	struct {
		struct trace_reading r;         /* owned; phases, calls and failures only */
		uint64_t ns;                    /* our monotonic clock */
	} old[RECENT_NS / RECENT_APART_NS + 1]; /* oldest first */
	int n;
};

/* The start of a window that is over, at `ns`, and the reading at its end: takes the rows out of
 * `begin` when it is kept, and forgets all when rows began anew meanwhile or not all was counted. */
void recent_add(struct recent *rc, struct trace_reading *begin, uint64_t ns,
		const struct trace_reading *end);
/* The oldest that is at most RECENT_NS old at `now_ns`, and its time; NULL: none.  What `end` counts
 * since may be judged: NULL too where it may not. */
const struct trace_reading *recent_base(const struct recent *rc, const struct trace_reading *end,
					uint64_t now_ns, uint64_t *ns);
void recent_clear(struct recent *rc);

#endif
