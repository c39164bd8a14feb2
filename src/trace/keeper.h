/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small process of our own that holds every probe.
 *
 * A probe whose descriptor is closed by close(2) or by a failing attach stays
 * in the program when a SIGKILL is pending at that moment: the kernel writes
 * the instruction back through get_user_pages(), which refuses a task that is
 * about to be killed ("failed to unregister, leaking uprobe").  A task that is
 * already on its way out is not refused: get_signal() has taken the SIGKILL out
 * of its queue by then.  So here nothing that may be the last reference is ever
 * closed: its holder dies instead.
 *
 *   gospect ──socket──> keeper ──fork──> attacher: arms, hands the descriptors over, dies
 *                              └─fork──> closer:   is left alone with them, dies
 *
 * Perf events of a place take 0.1 s each to go; where tracefs can be had, only one of two
 * goes with the closer, at once, and the definition of the place is the keeper's, to its end
 * (trace/events.h).
 *
 * The keeper has a session of its own, all signals blocked and no open file
 * but these.  It ends with gospect, however that ended; when gospect stands
 * still (SIGSTOP, a debugger, a hanging disk) it lets go of the probes.
 */
#ifndef GOSPECT_TRACE_KEEPER_H
#define GOSPECT_TRACE_KEEPER_H

#include <stdbool.h>
#include <stdint.h>

#include "trace/attach.h"

#define KEEPER_MAX_JOBS 32 /* armed at once */

struct keeper_job {
	struct attach_point point;
	bool multi, cookies;
	bool events; /* else: by events of tracefs, where they can be had (trace/events.h) */
	int result;  /* number of what is armed, >= 0; or a negative errno */
};

/*
 * Starts it: best while this process is small, and has the privileges that
 * probes need.  keeper_arm() does it otherwise.  One per process.
 */
int keeper_start(void);
/* Arms all of them for one process.  Returns when all are done; each has its result. */
void keeper_arm(struct keeper_job *jobs, int n);
/* Begins to take them away; the numbers are void. */
void keeper_disarm(const int *numbers, int n);
/* Until all that was begun is done, at most so long (-1: for ever): whether it is. */
bool keeper_wait(int timeout_ms);
/* As bpf_enable_stats(BPF_STATS_RUN_TIME): this process has no longer what it takes. */
int keeper_stats(void);
/* Still alive: to be said at least every KEEPER_PATIENCE_NS. */
#define KEEPER_PATIENCE_NS 30000000000ull
void keeper_beat(void);
/* How often all was let go because gospect stood still, or the keeper was killed:
 * when it has changed, nothing that was armed before is. */
unsigned int keeper_lapses(void);
/* Whether what was armed last by perf events is of tracefs: it is gone at once. */
bool keeper_uses_events(void);
/* Ends it: all is let go of.  Also done by exiting, but who waits for its end then? */
void keeper_stop(void);

#endif
