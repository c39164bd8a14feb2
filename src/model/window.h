/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One window of observation of one process, as plain data: what detectors
 * judge and reports show.  No behaviour, no process, no kernel: a test can
 * write one by hand.
 *
 * Strings are borrowed from the observer (function and file names live as long
 * as it does) unless an array holds them.  Counts are of this window unless
 * named total; *_ns are nanoseconds, *_s seconds, *_bytes bytes.
 */
#ifndef GOSPECT_MODEL_WINDOW_H
#define GOSPECT_MODEL_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gospect/kinds.h"
#include "model/place.h"
#include "plan/phase.h"
#include "plan/sensor.h"
#include "proc/pause.h"

/* What was counted in a share of the time, for the whole of it. */
static inline uint64_t scale_count(uint64_t n, double scale)
{
	return (uint64_t)((double)n * scale + 0.5);
}

/* Better to worse; a number that is there is never OFF. */
enum exactness { EXACT, SAMPLED, ESTIMATED, PARTIAL, OFF };
/* What is known of something that may not be there. */
enum known { UNKNOWN, KNOWN_NO, KNOWN_YES };
enum age_kind { AGE_UNKNOWN, AGE_EXACT, AGE_AT_LEAST };

#define WINDOW_MAX_WHY 400

struct coverage {
	enum sensor sensor;
	const char *name; /* static: of a row that is no sensor's ("heap"), else NULL */
	enum exactness state;
	double rate;              /* SAMPLED: share of the window, 0..1 */
	char why[WINDOW_MAX_WHY]; /* "" when exact; several joined by "; " */
};

struct probe_row {
	const char *name; /* "goroutine-birth" */
	const char *function;
	uint64_t hits;
	double cost_ns; /* per hit, program included; < 0 not measured */
	bool armed;
	char why[160]; /* why it is not armed */
};

/* The process as the machine sees it: bytes, at the window's end. */
struct process_window {
	bool known;
	enum pause pause;         /* whether it is kept from running */
	double paused_s;          /* for how much of the window it was, as far as looks saw */
	double paused_observed_s; /* since the observation began */
	bool paused_lately;       /* so, or in the ten seconds before: waits say nothing */
	int threads, threads_at_start, threads_max; /* Go ends the program beyond */
	int gomaxprocs;                             /* 0 not known */
	double cpus;                                /* that it may use; 0 not known */
	uint64_t rss_bytes, file_bytes, shared_bytes;
	/* the runtime's share of it, and the rest */
	bool split_known;
	uint64_t heap_in_use_bytes, heap_idle_bytes, stacks_bytes, runtime_bytes, other_bytes;
};

#define WINDOW_MAX_STACK 32   /* frames that a row keeps of a stack */
#define REPORT_MAX_ROWS  1000 /* of a table in a report; the rest is one row "other" */

struct window {
	/* time */
	uint64_t end_real_ns;
	double window_s;
	double observed_s;      /* since the observation began */
	bool last;              /* the last of this run */
	const char *end_reason; /* why it is the last, for people; NULL */

	/* target */
	int pid;
	const char *exe, *go, *arch, *build_id, *module, *module_version, *container;
	uint64_t code_start, code_end, code_off; /* its code as mapped: run-time, and in the file */
	/* go, module, … NULL when not known */
	bool stripped, pie;
	uint64_t started_real_ns;
	uint64_t target_rss_bytes;
	double target_cpu_cores; /* CPU time used per second in this window */
	struct process_window process;

	/* cost */
	double cost_target_pct; /* of the target's own CPU time in this window; < 0: not known */
	double budget_pct;
	bool exact_mode;      /* the governor is off */
	double agent_cpu_pct; /* of one CPU */
	uint64_t agent_rss_bytes;
	uint64_t agent_bpf_bytes; /* kernel memory of our tables */
	int probes_armed, probes_emulated, probes_stepped;
	uint64_t probe_hits;
	struct probe_row *probe; /* owned: one per probe of the plan */
	int nprobe;
	const char *memory_only; /* why no probes at all, one sentence; NULL when armed */

#define WINDOW_MAX_COVERAGE (SENSOR_COUNT + 6)
	struct coverage coverage[WINDOW_MAX_COVERAGE];
	int ncoverage;

	/* losses: what is missing from this report */
	uint64_t lost_events, lost_map_full, lost_read_failures;
	/* and from those before it: since the last that was written */
	uint64_t skipped_reports; /* nobody read them; their time is in this one */
	double stopped_s;         /* gospect itself was stopped, and saw nothing */

	/* What each subject has to say: all owned, none NULL (observe/window.h). */
	struct goroutines_window *goroutines;
	struct memory_window *memory;
	struct net_window *net;
	struct sql_window *sql;
	struct locks_window *locks;
	struct cpu_window *cpu;
	struct crash_window *crash;
	struct slices_window *slices;
};

/* What rates are for: the window less what the process was kept from running. */
static inline double window_run_s(const struct window *w)
{
	double s = w->window_s - w->process.paused_s;

	return s > 0 ? s : 0;
}

/* Whether it had been started lately by the window's end: programs get what they need then. */
#define WINDOW_YOUNG_S 10

static inline bool window_is_of_start(const struct window *w)
{
	return w->started_real_ns && w->end_real_ns > w->started_real_ns &&
	       (double)(w->end_real_ns - w->started_real_ns) < WINDOW_YOUNG_S * 1e9;
}

/* In less a rate is a burst's and a median a moment's: no finding rests on them. */
#define WINDOW_LEAST_S 0.5

static inline bool window_is_short(const struct window *w)
{
	return window_run_s(w) < WINDOW_LEAST_S;
}

/* "exact", "sampled", "estimated", "partial", "off". */
extern const char *const exactness_word[OFF + 1];

/* Adds a row of coverage; rate is 1.  Never NULL: when there is no room it is
 * the last one. */
struct coverage *window_cover(struct window *w, enum sensor s, enum exactness st, const char *why);
/* Likewise of something that is no sensor ("heap"); name is static. */
struct coverage *window_cover_named(struct window *w, const char *name, enum exactness st,
				    const char *why);
/* The row of a sensor; NULL when it has none. */
struct coverage *window_coverage(struct window *w, enum sensor s);
/*
 * One more thing to say of a sensor, which gets a row if it has none: the worst
 * state counts, and every reason is kept, as far as WINDOW_MAX_WHY goes.
 */
struct coverage *window_cover_add(struct window *w, enum sensor s, enum exactness st,
				  const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/*
 * A percentile is one where something is on either side of it: of durations, at least
 * so many.  The 99th of fewer than a hundred is the longest of them, and that has a name.
 */
#define LEAST_FOR_P50 3
#define LEAST_FOR_P99 100

#endif
