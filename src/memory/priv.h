/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of this folder share: large allocations, the collector, the heap profile. */
#ifndef GOSPECT_MEMORY_PRIV_H
#define GOSPECT_MEMORY_PRIV_H

#include "base/map.h"
#include "memory/window.h"
#include "model/look.h"

struct process;
struct trace_reading;

/*
 * Fills the table and the sums of what was allocated between two readings (scaled by
 * `scale`, 1 when every event was seen).  A stack that finds no room is a loss.
 * 0; -ENOMEM: there is no table.
 */
int allocs_fill(struct goruntime *rt, const struct trace_reading *base,
		const struct trace_reading *now, double scale, struct memory_window *m,
		struct losses *losses);

void gc_fill(const struct look *l, struct gc_window *g);
void gc_cover(const struct look *l, const struct gc_window *g, struct window *w);

struct heap_base {
	bool known;
	struct u64map in_use; /* bucket -> bytes in use at the start */
};

void heap_base_init(struct heap_base *b);
void heap_base_deinit(struct heap_base *b);
/* Reads the profile: it becomes the start of the window. */
void heap_base_take(struct heap_base *b, struct goruntime *rt);
/* Fills the window's table; growth against the base where it is known.  0, or
 * an error: then h->why has the reason. */
int heap_take(struct heap_window *h, const struct heap_base *b, struct goruntime *rt);
void heap_window_deinit(struct heap_window *h);

/* The heap profile at each collection, as far as looks met them. */
struct trend_point {
	uint32_t cycle;
	uint64_t end_ns;    /* when it ended marking, real time */
	double live, total; /* see struct trend_window */
};

struct trend {
	bool known, off; /* it was read; it never can be */
	char why[200];   /* why not */
	uint64_t rate;
	struct u64map site_of;  /* bucket -> its row */
	struct bytesmap places; /* place -> its row */
	struct trend_row *site; /* owned */
	size_t n, cap;
	struct trend_point point[TREND_MAX_POINTS];
	int npoint;
	struct {
		uint32_t cycle;
		double bytes; /* < 0 not known */
	} marked[4];          /* of the latest cycles that looks met */
	uint64_t read_ns, took_ns;
	uint64_t last_gc_ns, interval_ns; /* real time; between the latest two */
	bool none;                        /* there has been no collection at all */
	bool never;                       /* collections do not come by themselves */
	uint64_t dropped;                 /* buckets of places beyond those that are kept */
};

void trend_init(struct trend *t);
void trend_deinit(struct trend *t);
/* Adds the collections that have ended; reads nothing when there is none. */
void trend_look(struct trend *t, struct goruntime *rt, const struct gototals *totals);
/* 0 or -ENOMEM. */
int trend_fill(struct trend *t, struct trend_window *w);
/* Says what is judged: the row "growth". */
void trend_cover(const struct trend_window *t, struct window *w);

/* Memory that is not the Go runtime's, look by look. */
struct outside_point {
	uint64_t ns; /* our monotonic clock */
	float resident, mapped;
};

struct outside {
	const char *why; /* static: why there is no point */
	int n, most_threads;
	struct outside_point point[OUTSIDE_MAX_POINTS];
};

void outside_look(struct outside *o, const struct process *p, const struct gototals *now);
void outside_fill(const struct outside *o, struct outside_window *w);

#endif
