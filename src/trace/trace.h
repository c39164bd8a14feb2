/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Arms a plan on one process and drains what the kernel summed: the only user
 * of libbpf.  Lifecycle: prepare → load → attach → (tick, read)* → close.
 *
 * Three groups of probes.  Rare ones (allocations, GC, pauses, dials) stay
 * attached (sliced only above 2,000 hits/s).  Per-event ones (births; requests,
 * queries and lock waits) are governed: hits × measured cost is held within the
 * budget by attaching in slices of 200 ms or more.  Everything is a file
 * descriptor of the keeper (trace/keeper.h), which goes when this process goes.
 * Nothing is pinned, nothing written to the target.
 */
#ifndef GOSPECT_TRACE_TRACE_H
#define GOSPECT_TRACE_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "gort/goerrors.h"
#include "gort/goservers.h"
#include "plan/plan.h"
#include "trace/opens.h"

#define HTTP2_OF_X "golang.org/x/net/http2." /* what its functions begin with */

struct trace;
struct gobin;
struct gs_crash;
struct gs_panics;
struct memreader;

/* "libbpf v1.1": the library that is used; static. */
const char *trace_library(void);

/* What this kernel can do, found by trying, not by version. */
enum trace_method { TRACE_METHOD_NONE, TRACE_METHOD_MULTI, TRACE_METHOD_PERF };

struct trace_features {
	enum trace_method method;
	bool multi_links;  /* BPF_LINK_CREATE uprobe_multi works */
	bool multi_pid_ok; /* its pid filter sees all threads of a process (right since 6.10) */
	bool cookies;      /* bpf_get_attach_cookie (5.15) */
	bool perf_uprobe;  /* perf_event uprobes: tried where MULTI fails, else only present */
	bool events;       /* … and are of tracefs (trace/events.h) */
	bool denied;       /* method is NONE because privileges are missing */
	bool wants_admin; /* … CAP_SYS_ADMIN: perf events want it where CVE-2025-38466 is mended */
	char why[200];    /* why method is NONE, or why not MULTI */
};

/*
 * Tries them on a child of our own with two threads; ~60 ms with uprobe_multi.
 * Cached per process (call it from one thread).  Probes that are impossible
 * are no error: method is NONE and why says it.
 */
int trace_features_probe(struct trace_features *f, struct err *err);
/*
 * Begins it in a thread, which spends most of its time waiting for the kernel: nothing
 * else may be asked of the keeper until the features are asked for, or _end() said.
 */
void trace_features_begin(void);
void trace_features_end(void);
/* What to do about it; static. */
const char *trace_features_hint(const struct trace_features *f);
/* Cost per hit of each class on this machine, from the same experiment.
 * Classes that could not be measured stay < 0. */
int trace_measure_costs(struct cost_table *ct, struct err *err);

struct trace_config {
	pid_t pid;
	int exe_fd;              /* the target's executable (borrowed) */
	const struct plan *plan; /* borrowed for the trace's life; priced */
	/* run-time layout of the target's g: offsets in bytes, -1 absent */
	int32_t g_goid, g_gopc, g_startpc;
	double budget_pct;        /* of the target's CPU, e.g. 1.0 */
	uint64_t budget_floor_ns; /* per second: 2 ms */
	bool exact;               /* governor off */
	/*
	 * The target's memory (borrowed, may be NULL: not compared) and load
	 * bias: a function whose bytes differ from the file is not probed.
	 * ptracer: its TracerPid, 0 none (process_tracer()).
	 */
	struct memreader *mem;
	uint64_t bias;
	/* Run-time address of a word that counts the bytes that it allocates; 0: not known. */
	uint64_t allocated_at;
	pid_t ptracer;
	/* Layouts of the standard library's types (borrowed while preparing and
	 * loading); NULL: not known, and probes that need them are refused. */
	const struct gobin *gb;
	/* How the target's errors are read (borrowed until it is loaded). */
	const struct goerror *error;
	size_t nerror;
	/* Where golang.org/x/net/http2.clientStream has sentEndStream, where that is linked;
	 * 0: not known. */
	int32_t x_sent_end;
	/* Where the ResultReader of pgx v5 and of v4 has its error, likewise. */
	int32_t pgx_error[2];
	/* What the libraries of its servers keep (likewise); NULL: nothing is known of it. */
	const struct goservers *servers;
};

/*
 * Finds out how to attach, opens the BPF object, compares the target's code.
 * -EOPNOTSUPP: this kernel has no probes that work; -EPERM with a hint.
 * A probe that cannot be armed is no error: see trace_plan().
 */
int trace_prepare(struct trace **out, const struct trace_config *cfg, struct err *err);
/* -EPERM with a hint; otherwise err has the verifier's last words. */
int trace_load(struct trace *t, struct err *err);
/* Our copy of the plan: a probe that was refused while preparing or attaching
 * has kind SITE_NONE and its reason in `why`.  Valid until trace_close(). */
const struct plan *trace_plan(const struct trace *t);
/* Whether what was counted can be read with the capabilities that are effective now
 * (before Linux 5.19 that takes CAP_BPF where unprivileged BPF is disabled). */
bool trace_is_readable(struct trace *t);
/* Pools of routers that something else may be around, since trace_attach(): those that are known
 * already stay; of more than GS_ROUTER_POOLS the first are. */
void trace_know_pools(struct trace *t, const struct gorouter_pool *pool, size_t n);
/* Kernel memory of the tables, since trace_load(); 0: this kernel does not say. */
uint64_t trace_map_bytes(const struct trace *t);
/* Of these, the bytes that are mapped into this process: its resident set has them, too. */
uint64_t trace_mapped_bytes(const struct trace *t);
/*
 * What memory says before attaching, for the governor's first decision:
 * goroutines created per second and the target's CPU use in ns per second,
 * from two readings some 50 ms or more apart (< 0: not known), and the totals
 * of the later one (as for trace_tick()).  Optional, before trace_attach();
 * without it births are armed at once and judged while they run.
 */
void trace_predict(struct trace *t, double births_per_s, double cpu_ns_per_s,
		   uint64_t target_cpu_ns, uint64_t created_total);
/* Arms; counting begins for all probes together (a switch in the BPF object). */
int trace_attach(struct trace *t, struct err *err);
/* How many breakpoints it found in the places of the plan that a tracer had left
 * there, and took away first. */
int trace_taken_away(const struct trace *t);
/*
 * One step of the governor.  Call when trace_next_ns() has come, with the
 * target's CPU time so far and, from memory, the goroutines created so far
 * (read for this call, not remembered; 0: not known).  Blocks for an attach
 * (some 10 ms), and for a detach that is still under way when a slice begins;
 * detaching itself continues in the background.
 */
int trace_tick(struct trace *t, uint64_t now_mono_ns, uint64_t target_cpu_ns,
	       uint64_t created_total);
uint64_t trace_next_ns(const struct trace *t);
/* What CPU samples have cost the target so far, for the next trace_tick(): the budget is theirs, too. */
void trace_samples_cost(struct trace *t, uint64_t total_ns);
/*
 * Takes all probes away until trace_rearm(), which returns 0 or what kept some
 * from coming back, and is told what trace_tick() is.  In between all can be
 * read, and nothing is counted.
 */
void trace_disarm(struct trace *t);
int trace_rearm(struct trace *t, uint64_t target_cpu_ns, uint64_t created_total);
/* Disarms and frees; under 200 ms with uprobe_multi, else in the background. NULL is fine. */
void trace_close(struct trace *t);

/* All counts are since trace_attach(); consumers subtract two readings. */
struct trace_site {             /* goroutines by creation pc and start function */
	uint64_t gopc, startpc; /* run-time */
	uint64_t births, ends;  /* ends: 0 where they are not probed */
	/* of those that ended and whose birth was seen, in the reading; NULL: none */
	const struct trace_lifetime *lifetime;
	bool gone; /* the row made room for others: in later readings it begins anew */
};

#define TRACE_MAX_FRAMES 24
struct trace_alloc { /* large allocations by stack */
	uint64_t
		pcs[TRACE_MAX_FRAMES]; /* run-time; pcs[0] the probed call, then return addresses */
	uint32_t npcs;
	uint64_t count, bytes, max_bytes;
	bool gone; /* as of a site */
};

/* Durations in ns: bucket widths of 6.25 % at most; see hist_value(). */
#define TRACE_HIST_BUCKETS 624
struct trace_hist {
	uint64_t count, sum_ns, max_ns;
	uint32_t bucket[TRACE_HIST_BUCKETS];
};

/* How long goroutines of a site had lived when they ended. */
struct trace_lifetime {
	struct trace_hist hist;
	uint64_t max_ns_window; /* largest since the previous reading */
};

/* Network phases by host, and calls by place (sensors net and sql). */
#define TRACE_MAX_HOST 263
/* What slices say of the window since the reading before (src/trace/sample.h). */
struct trace_sample {
	bool sliced;   /* else the count itself is right, and there is nothing to say */
	double total;  /* of calls that began, or phases that ended */
	double margin; /* in 19 of 20 windows the truth is no farther from it */
	double share;  /* of the total that was counted, 0..1; other counts are scaled by it */
	/* the same of those that failed: what their slices say, which may be bursts */
	double errors, errors_margin;
};

/* How many failed, of whom so many were counted: by the share of all, or, where nothing was
 * counted in the window, by what was before it. */
uint64_t trace_errors(const struct trace_sample *s, uint64_t counted);
/* How far the truth may be from so many. */
double trace_errors_margin(const struct trace_sample *s, uint64_t errors);

struct trace_phase {
	enum net_phase phase;
	bool other;                    /* hosts beyond the kernel's table, together */
	bool gone;                     /* as of a site */
	char host[TRACE_MAX_HOST + 1]; /* as the program wrote it, NUL-terminated; foreign bytes */
	uint64_t errors;
	uint64_t max_ns_window; /* largest since the previous reading */
	struct trace_hist hist;
	struct trace_sample sample; /* not of the rare ones */
};

struct trace_call {
	enum call_kind kind;
	bool other; /* places beyond the kernel's table, together */
	bool gone;  /* as of a site */
	uint64_t pcs
		[TRACE_CALL_FRAMES]; /* run-time return addresses, innermost first; 0 beyond npcs */
	uint32_t npcs;
	char text[TRACE_MAX_HOST + 1]; /* GRPC: the method, HANDLER: the route; else "" */
	uint64_t begun, errors;
	uint64_t max_ns_window;
	struct trace_hist hist; /* of those that ended */
	struct trace_sample sample;
};

/* Calls of http.Client and gRPC, and dials, that have failed: with what, and where. */
struct trace_failure {
	uint64_t count;
	char host[TRACE_MAX_HOST + 1]; /* as the program wrote it; foreign bytes; "" not known */
	int phase;                     /* enum net_phase; -1: it had no connection */
	uint64_t types, detail;        /* enum errtype: see struct gs_fail_key */
	bool reused;                   /* its connection had carried requests before */
	bool dial;                     /* no call, but a dial's phase: without pcs */
	bool grpc;                     /* a call of gRPC: host is its method; without pcs */
	bool gone;                     /* as of a site */
	uint64_t pcs[TRACE_CALL_FRAMES];
	uint32_t npcs;
};

/* Slices that append moved, by return address and type (run-time): see struct gs_growth. */
struct trace_growth {
	uint64_t pc, type;
	uint64_t count, begun, elements, max_length, max_capacity;
};

/* Panics that were recovered, by stack: a copy of a row of the kernel's. */
struct trace_panic {
	uint64_t hash, recovered;
	struct gs_panics *row; /* owned by the reading */
};

struct trace_reading {
	uint64_t mono_ns;
	struct trace_site *site;
	size_t nsite; /* owned by the reading */
	struct trace_lifetime *lifetime;
	size_t nlifetime; /* owned by the reading */
	struct trace_alloc *alloc;
	size_t nalloc;
	/* counted, but in none of these rows; births of rows that went before */
	uint64_t births_other, births_gone, allocs_other, allocs_other_bytes;
	uint64_t gc_starts, gc_ends; /* hits of gcStart (losers included), cycles ended */
	struct trace_hist gc_cycle, stw;
	uint64_t stw_max_ns_window; /* largest since the previous reading */
	uint64_t hits[PROBE_COUNT];
	uint64_t cost_ns; /* hits × (class cost + run time), so far: what the target paid */
	struct trace_phase *phase;
	size_t nphase; /* owned by the reading */
	struct trace_call *call;
	size_t ncall; /* owned by the reading */
	struct trace_failure *failure;
	size_t nfailure; /* owned by the reading */
	struct trace_panic *panic;
	size_t npanic;         /* owned by the reading */
	uint64_t panics_other; /* recovered, in none of these rows */
	struct trace_growth *growth;
	size_t ngrowth;          /* owned by the reading */
	uint64_t growths_other;  /* in none of these rows */
	uint64_t governed_on_ns; /* how long births were armed */
	uint64_t ends_on_ns, panics_on_ns;
	double requests_share; /* of the window: what the slices were of it, 0..1 */
	double growths_share;  /* the same by what was allocated */
	uint64_t rare_on_ns;
	uint64_t wall_ns; /* since trace_attach() */
	bool governed_sliced, rare_sliced, requests_sliced, ends_sliced,
		panics_sliced; /* off at the previous reading, or since */
	/* losses: events that are in no sum */
	uint64_t sites_full, stacks_full, requests_full; /* births, allocations, all others */
	uint64_t others_full; /* hosts and places looked for that are in a row of the others */
	uint64_t read_failures, stack_failures; /* not of allocations; of allocations */
	uint64_t unpaired; /* GC cycles or pauses that began before we counted: not a loss */
	/* arming */
	int armed, emulated, stepped;
	double prog_ns[PROBE_COUNT]; /* measured run time of the BPF program, < 0 not measured */
};

int trace_read(struct trace *t, struct trace_reading *r);
/* Only r->site (without lifetimes), births_… and r->mono_ns; no new window begins. */
int trace_read_births(struct trace *t, struct trace_reading *r);
/* Before it is what later ones are compared with: leaves phases, calls and failures out
 * whose rows have made room, for they begin anew. */
void trace_reading_begin(struct trace_reading *r);
void trace_reading_deinit(struct trace_reading *r);

/*
 * What the probes kept of the process's end (gospect/crash.h): records, *n of them, that
 * the kernel writes to; those with `ready` set can be read, also when the process is gone.
 * NULL: no such probe.  Valid until trace_close().
 */
const volatile struct gs_crash *trace_crashes(const struct trace *t, uint32_t *n);

/* What one counter gained of what another gained, 0..1: both only grow. */
double trace_share(uint64_t part, uint64_t part0, uint64_t whole, uint64_t whole0);
/* Lower edge in ns of a bucket; percentile (0..1) of a histogram or of the
 * difference of two (prev may be NULL).  max_ns 0: not known. */
uint64_t trace_hist_value(unsigned int bucket);
uint64_t trace_hist_percentile(const struct trace_hist *now, const struct trace_hist *prev,
			       double p);

#endif
