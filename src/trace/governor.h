/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The governor: holds what probes cost the target within a budget by saying
 * when a group of probes should be attached.  Pure arithmetic: knows no BPF,
 * no clock, no process.
 *
 * A token bucket per group, in nanoseconds of the target's CPU.  Tokens
 * accrue at budget × the target's own CPU rate (at least the floor) and are
 * spent by hits × cost per hit.  A group that fits is simply on.  One that
 * does not is on in slices that were saved for beforehand, off in between.
 *
 * The budget covers all groups together.  Rare probes come first.  What they
 * leave the other two share: half each, and what one does not use is the
 * other's; of its part births keep a quarter in any case, requests a half.
 * Ends of goroutines get what those leave, and are on only while births are; recovered
 * panics what all leave: a storm of them takes nothing from anything else.
 */
#ifndef GOSPECT_TRACE_GOVERNOR_H
#define GOSPECT_TRACE_GOVERNOR_H

#include <stdbool.h>
#include <stdint.h>

#include "gospect/kinds.h"

#define GOV_SLICE_NS     200000000ull /* shortest slice that a tenfold rise does not end … */
#define GOV_SLICE_MIN_NS 50000000ull /* … and where that takes more than some seconds to save for */
/* The same for requests, whose probes are many and expensive; longer where requests
 * take long, for those that a slice's end cuts off are not timed. */
#define GOV_SLICE_REQUESTS_NS     100000000ull
#define GOV_SLICE_REQUESTS_MAX_NS 800000000ull
#define GOV_SLICE_REQUESTS_MIN_NS 10000000ull /* of so many that this is enough */
#define GOV_RARE_HITS_PER_S \
	2500.0 /* below it rare probes are never sliced: 2,000, and room for bursts */

struct governor_config {
	double budget_pct;                   /* of the target's CPU */
	uint64_t floor_ns;                   /* per second, whatever the target uses */
	bool exact;                          /* everything on, always */
	uint64_t detach_ns[GROUP_COUNT];     /* how long probes keep costing after a slice ends */
	double cost_per_hit_ns[GROUP_COUNT]; /* until hits show it */
	/* What memory said before attaching; < 0 not known. */
	double births_per_s;
	double cpu_ns_per_s;
};

/* All totals since governor_init() or since the start: only differences count. */
struct governor_input {
	uint64_t now_ns;
	uint64_t cpu_ns; /* of the target */
	uint64_t hits[GROUP_COUNT];
	uint64_t cost_ns[GROUP_COUNT]; /* what these hits cost the target */
	uint64_t on_ns[GROUP_COUNT];   /* how long each was on, arming excluded; 0: not known */
	uint64_t created;              /* goroutines created; 0: not known */
	uint64_t samples_ns;           /* what CPU samples cost the target: of the same budget */
};

struct gov_bucket {
	double tokens;       /* ns; negative is debt */
	double hits_per_s;   /* expected while on; < 0 not known */
	double cost_per_hit; /* ns */
	bool on;
	bool trial;        /* on without knowing what it costs */
	uint64_t slice_ns; /* shortest slice */
	uint64_t whole_ns; /* … of requests, where it can be saved for */
	/*
	 * Requests were too many for it, and slices have one length, whatever goes on in
	 * them: one that lasts until there is much to do would end with many requests
	 * half counted.  Until a slice's mean cost, over some of them, fits again.
	 */
	bool sampling;
	double slice_hits, slice_s, mean_per_s;
	double delay;      /* of the next slice, 0..1: so that it meets no wave in step */
	uint64_t since_ns; /* of the last switch */
};

struct governor {
	struct governor_config cfg;
	struct governor_input last;
	struct gov_bucket b[GROUP_COUNT];
	double cpu_per_s;     /* target's own, smoothed; ns per s */
	double samples_per_s; /* what CPU samples cost, smoothed; ns per s */
	double births_per_s;  /* from memory, smoothed; < 0 not known */
	uint64_t next_ns;     /* when to step again */
	uint32_t dice;
};

/* Returns the groups that should be on at once (GROUP_BIT()). */
unsigned int governor_init(struct governor *g, const struct governor_config *cfg,
			   const struct governor_input *in);
/* Groups that should be on from now on. */
unsigned int governor_step(struct governor *g, const struct governor_input *in);
/*
 * Of the requests that began in slices, this share was cut off by their ends,
 * 0..1: the next slices get as long as it takes to make it a tenth.
 */
void governor_cut_off(struct governor *g, double share);
/*
 * How long a slice of the per-request probes that is over may be followed, at
 * what the probes cost now: what a few seconds' income pays, at most 1 s.
 */
uint64_t governor_follow_ns(const struct governor *g);

#endif
