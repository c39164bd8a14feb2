/* SPDX-License-Identifier: BSD-2-Clause */
/* What trace.c, load.c and drain.c share. */
#ifndef GOSPECT_TRACE_PRIV_H
#define GOSPECT_TRACE_PRIV_H

#include "gospect/abi.h"
#include "trace/attach.h"
#include "trace/governor.h"
#include "trace/trace.h"

struct gospect_bpf;
struct bpf_program;

/* The contract numbers probes as the plan does. */
_Static_assert(GS_PROBE_GO_BIRTH == (int)PROBE_GO_BIRTH, "probe ids");
_Static_assert(GS_PROBE_CORO_BIRTH == (int)PROBE_CORO_BIRTH, "probe ids");
_Static_assert(GS_PROBE_GO_DEATH == (int)PROBE_GO_DEATH, "probe ids");
_Static_assert(GS_PROBE_ALLOC_LARGE == (int)PROBE_ALLOC_LARGE, "probe ids");
_Static_assert(GS_PROBE_GC_START == (int)PROBE_GC_START, "probe ids");
_Static_assert(GS_PROBE_GC_END == (int)PROBE_GC_END, "probe ids");
_Static_assert(GS_PROBE_STW_BEGIN == (int)PROBE_STW_BEGIN, "probe ids");
_Static_assert(GS_PROBE_STW_END == (int)PROBE_STW_END, "probe ids");
_Static_assert(GS_PROBE_MAX == (int)PROBE_COUNT, "probe ids");
_Static_assert(TRACE_MAX_FRAMES == GS_MAX_FRAMES, "frames");
_Static_assert(TRACE_HIST_BUCKETS == GS_HIST_BUCKETS, "histograms");
_Static_assert(sizeof(struct trace_hist) == sizeof(struct gs_hist), "histograms");

#define STATS_SAMPLES 15

/* One armed probe. */
struct arm {
	struct bpf_program *prog;	/* of the skeleton */
	int prog_fd;			/* borrowed from it; -1 not loaded */
	struct attachment at;
	enum gov_group group;
	/* run time of the program as bpf statistics had it; < 0 not measured */
	double prog_ns;
	uint64_t stat_cnt, stat_ns;	/* at the end of the last sample */
	double sample[STATS_SAMPLES];	/* mean run time of each, sorted */
	int nsample;
	uint64_t tried_hits;		/* hits when a round was last begun for it */
};

struct trace {
	struct trace_config cfg;	/* plan, mem and exe_fd: borrowed */
	struct plan plan;		/* our copy */
	struct trace_features features;
	struct gospect_bpf *skel;	/* owned */
	struct arm arm[PROBE_COUNT];	/* by probe id */
	char path[64];			/* of the executable, for the kernel */
	int ncpu;			/* possible CPUs */
	bool own_pidns;			/* we live in a pid namespace of our own */
	/* mapped from the BPF maps, owned */
	volatile struct gs_spec *spec;
	volatile struct gs_birth *births;
	volatile struct gs_gc *gc;
	/* lifecycle */
	uint64_t attached_ns;		/* 0: not attached */
	double births_per_s, cpu_ns_per_s;	/* trace_predict(); < 0 not known */
	uint64_t first_cpu_ns, first_created;
	struct governor gov;
	unsigned int on;		/* groups attached and counting */
	struct detacher detacher;
	uint64_t on_since_ns[GOV_GROUPS], on_ns[GOV_GROUPS];
	bool was_off[GOV_GROUPS];	/* since the last reading */
	/* what hits have cost so far, each at the price of its time */
	uint64_t paid_hits[PROBE_COUNT];
	double cost_ns[GOV_GROUPS];
	/* bpf statistics */
	int stats_fd;			/* -1: off */
	uint64_t stats_since_ns, stats_until_ns;	/* the running or the last round */
	uint64_t stats_hits;		/* when it began */
	double stats_rate;		/* hits per second during it; < 0: none yet */
	uint64_t tick_ns, tick_hits;	/* of the last tick */
	/* drain */
	struct gs_counters *percpu;	/* owned: ncpu of them */
	uint64_t threads_removed;	/* from alloc_scratch */
	uint64_t window_taken[2];	/* what was read from gs_gc.stw_max_ns[] */
};

/* The probe of the plan with this id and a site, or NULL. */
struct probe *trace_probe(struct trace *t, enum probe_id id);
/* Map descriptors of the loaded object. */
enum trace_map { TRACE_MAP_COUNTERS, TRACE_MAP_SITES, TRACE_MAP_STACKS, TRACE_MAP_SCRATCH };
int trace_map_fd(const struct trace *t, enum trace_map m);

/* load.c: opens with programs chosen; loads and maps. */
int load_open(struct trace *t, struct err *err);
int load_object(struct trace *t, struct err *err);
void load_close(struct trace *t);

/* verify.c: takes probes out of the plan whose code in memory is not the file's. */
void verify_text(struct trace *t);

/* drain.c */
int drain_counters(struct trace *t, struct gs_counters *sum);
/* Adds what the hits since the last call cost the target. */
void trace_pay(struct trace *t, const struct gs_counters *c);

/* stats.c: measures the programs' run time, for a second at a time. */
void stats_step(struct trace *t, const struct gs_counters *c, uint64_t now);
void stats_off(struct trace *t);

#endif
