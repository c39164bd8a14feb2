/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory in a window: large allocations, the garbage collector, the heap profile. */
#ifndef GOSPECT_MEMORY_WINDOW_H
#define GOSPECT_MEMORY_WINDOW_H

#include "model/stacktable.h"
#include "model/window.h"

struct alloc_row {
	bool other;
	struct place place;               /* the user's, with what it has called */
	uint64_t count, bytes, max_bytes; /* largest 0: not known */
	enum exactness exactness;
	struct place stack[WINDOW_MAX_STACK]; /* the busiest stack there, innermost first */
	int nstack;
};

/* Sampled allocation by place, from the runtime's own heap profile. */
struct heap_row {
	bool other;
	struct place place; /* the user's, with what it has called */
	uint64_t in_use_bytes, in_use_count, alloc_bytes, alloc_count;
	int64_t grown_bytes; /* in use, in this window */
	uint32_t stack;      /* the busiest there, in stacks */
};

/* One stack and object size. */
struct heap_sample {
	uint32_t stack;
	uint64_t object_bytes, in_use_bytes, in_use_count, alloc_bytes, alloc_count;
	int64_t grown_bytes;
};

struct heap_window {
	bool known;
	char why[200]; /* why not, or what is missing; "" */
	uint64_t rate; /* bytes per sample, mean */
	uint64_t in_use_bytes, in_use_count, alloc_bytes, alloc_count; /* of all */
	int64_t grown_bytes;
	struct heap_row *row;
	int nrow; /* all owned; most bytes in use first */
	struct heap_sample *sample;
	size_t nsample;
	struct stack_table stacks;
};

/*
 * What a place had in use when each of the latest collections ended, by the heap
 * profile; from three on there is something to compare.
 */
#define TREND_MAX_POINTS   48
#define TREND_LEAST_POINTS 3
#define TREND_SHORT_POINTS 4 /* where they are of less than TREND_SHORT_S */
#define TREND_SHORT_S      10

struct trend_row {
	struct place place; /* innermost frame that is the program's own */
	float in_use[TREND_MAX_POINTS], allocated[TREND_MAX_POINTS]; /* bytes; since the start */
	double now;                                                  /* the latest in_use */
};

struct trend_window {
	bool known;
	char why[200];                  /* why not */
	uint64_t rate;                  /* bytes per sample, mean */
	int n;                          /* collections, oldest first */
	double t_s[TREND_MAX_POINTS];   /* when they ended, since the first of them */
	double live[TREND_MAX_POINTS];  /* what they marked, exact; < 0 not known */
	double total[TREND_MAX_POINTS]; /* of the profile */
	double next_s;                  /* until the next, at most; < 0: none is expected */
	bool none;                      /* there has been no collection at all */
	bool dropped;                   /* there are more places than are followed */
	struct trend_row *row;
	int nrow; /* owned: those that grew at all; most bytes now first */
};

/* Memory that is not the Go runtime's, at each look: see outside.c.  Only their
 * growth means something. */
#define OUTSIDE_MAX_POINTS 64
struct outside_window {
	const char *why; /* static: why there is none; NULL */
	int n;
	double t_s[OUTSIDE_MAX_POINTS];                                 /* since the first */
	float resident[OUTSIDE_MAX_POINTS], mapped[OUTSIDE_MAX_POINTS]; /* bytes */
};

struct gc_window {
	bool known; /* memstats could be read */
	uint64_t cycles_total, forced_total;
	uint64_t cycles, forced;
	bool heap_known;
	uint64_t heap_live_bytes, heap_marked_bytes, heap_goal_bytes;
	int gogc;                   /* percent, -1 off */
	int64_t memory_limit_bytes; /* -1 not known, INT64_MAX none */
	double cpu_pct; /* GC's share of the CPU since the start, percent; < 0 not known */
	/* … of this window: between these two; set in observe/explain_rows.c, from samples */
	bool window_cpu_known;
	double window_cpu_pct, window_cpu_least_pct, window_cpu_most_pct;
	bool pauses_known;
	bool pauses_from_memory; /* one sum per cycle, not each stop-the-world */
	bool pauses_partial;     /* from memory, and the ring of 256 was overrun */
	uint64_t pause_count, pause_p50_ns, pause_p99_ns, pause_max_ns, pause_total_ns;
};

struct memory_window {
	/* large allocations */
	bool alloc_known;
	enum exactness alloc_exactness;
	uint64_t large_threshold_bytes; /* 32768 */
	uint64_t large_count, large_bytes;
	uint64_t other_count; /* of them, at stacks that found no room: counted, without a place */
	uint64_t total_alloc_bytes; /* all allocation of the window; 0 not known */
	struct alloc_row *alloc;
	int nalloc; /* owned, most bytes first */

	struct gc_window gc;
	struct heap_window heap;
	struct trend_window trend;
	struct outside_window outside;
};

/* The frame that called the place; NULL where the stack does not say it. */
const struct place *alloc_caller(const struct alloc_row *a);
/* Frees what it owns; it is then empty. */
void memory_window_deinit(struct memory_window *m);

#endif
