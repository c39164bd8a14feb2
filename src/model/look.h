/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One look at a process: everything that whoever looks, or fills a window, may
 * need.  The observer owns it and what it points to; a subject is given it and
 * keeps no pointer into it but the constant ones.
 */
#ifndef GOSPECT_MODEL_LOOK_H
#define GOSPECT_MODEL_LOOK_H

#include "gort/goruntime.h"
#include "model/losses.h"
#include "model/window.h"
#include "plan/plan.h"

struct gostacks;
struct gotypes;
struct process;
struct death;
struct sampler;
struct trace;
struct trace_births;
struct trace_opens;
struct trace_reading;

/* How much of the window the probes were armed. */
struct look_rates {
	/* at any time of the window */
	bool births_sliced, requests_sliced, rare_sliced, ends_sliced, panics_sliced;
	double births, requests, rare, ends, panics; /* shares, 0..1; 1 when not sliced */
};

struct look {
	/* constant as long as the observer lives */
	const struct process *proc;
	struct goruntime *rt;
	struct gotypes *types;   /* NULL: no subject that reads stacks is on */
	const struct plan *plan; /* NULL: no probes planned */
	struct trace *trace;     /* NULL: memory only */
	const char *memory_only; /* why trace is NULL; NULL when it is not */
	struct sampler *sampler; /* NULL: no CPU samples */
	const char *sampler_off; /* why; NULL: they are not asked for */
	struct death *death;     /* NULL: exits and signals are not seen */
	const char *death_off;   /* why; NULL: they are not asked for */
	int end_signal;          /* that asks the process to end; 0: SIGTERM */
	bool redact_messages;    /* of panics types are shown only */
	const char *redact_salt; /* hosts are shown as hashes with it; NULL: as they are */
	uint32_t sensors;        /* asked for: SENSOR_BIT()s */
	bool dump, dump_all;     /* snapshots: all goroutines by stack; and one by one */
	bool heap;               /* snapshots: the sampled heap profile */
	bool cpu_whole;          /* a CPU profile: every function, not those that use most */
	bool once;               /* a window of no length: the baseline is reported */
	struct losses *losses;   /* of the window: for lose() */

	/* the moment */
	uint64_t now_ns;                   /* our monotonic clock, behind the walk */
	struct gowalk *walk;               /* may be brought up to date by who reads stacks */
	const struct gostacks *stacks;     /* NULL: no subject wants them */
	const uint32_t *stack_of;          /* [walk->n]: as gostacks_read() says */
	const struct trace_births *births; /* NULL: no probes; of after the walk */
	const struct trace_opens *opens;   /* NULL: no probes; of after the stacks */
	uint64_t opens_ns; /* when they were read: memory that is read since may be younger */
	bool record; /* becomes what the next look is compared with; else just now was another */
	enum pause pause; /* whether the process is kept from running */
	uint64_t paused_ns,
		pause_seen_ns; /* for how long it was in all; when it was last: 0 never */
	bool gone; /* the process ended: memory can no longer be read; set by whoever finds out */

	/* the window: valid in fill and cover only */
	uint64_t begin_ns, end_ns;                /* our monotonic clock */
	const struct gototals *base, *totals;     /* at its start and its end */
	const struct trace_reading *rbase, *rnow; /* likewise; zeroed when there are no probes */
	/* of before its start, where the window may be too short for what is rare: phases, calls and
	 * failures only; NULL: none */
	const struct trace_reading *rrecent;
	uint64_t recent_ns; /* when that was read */
	struct look_rates rates;
};

static inline bool look_wants(const struct look *l, enum sensor s)
{
	return l->sensors & SENSOR_BIT(s);
}

/* Whether the program has one of these functions (at most 8). */
bool look_linked(const struct look *l, const char *const *names, size_t n);
/* Why a package's functions are not there: `unlinked`, or, where no names are, that. */
const char *look_why_unlinked(const struct look *l, const char *unlinked);
/* Whether a probe is armed. */
bool look_armed(const struct look *l, enum probe_id id);
/* Why it is not: its own reason, or why there are no probes at all. */
const char *look_why_not(const struct look *l, enum probe_id id);
/* Of a number that probes counted in this window, or in slices of it. */
enum exactness look_exactness(const struct look *l, enum sensor s, bool sliced);
/* Probes of the sensor that should be there and are not: added to its coverage. */
void look_cover_refused(const struct look *l, enum sensor s, struct window *w);
/*
 * What probes missed of a sensor that reads memory and counts by probes: none
 * at all (`without` says what that means for a reader), one of them refused,
 * or slices.  Adds to the sensor's coverage.
 */
void look_cover_probes(const struct look *l, enum sensor s, const char *without, struct window *w);

#endif
