/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the sensors net, sql and locks see at a look: the stacks of all
 * goroutines, read once for the three of them.
 */
#ifndef GOSPECT_OBSERVE_CALLWATCH_H
#define GOSPECT_OBSERVE_CALLWATCH_H

#include "observe/window.h"
#include "gort/goruntime.h"

struct callwatch;
struct plan;
struct trace;
struct trace_reading;

struct callwatch_config {
	struct goruntime *rt;    /* borrowed, as all here, for the callwatch's life */
	const struct plan *plan; /* NULL: no probes planned */
	struct trace *trace;     /* NULL: memory only */
	const char *memory_only; /* why trace is NULL; NULL when it is not */
	uint32_t sensors;        /* asked for; others than net, sql, locks do not matter */
	const char *redact_salt; /* hosts are replaced by hashes; NULL: shown */
};

/* 0, -ENOMEM.  What the program does not have is off (coverage says why). */
int callwatch_new(struct callwatch **out, const struct callwatch_config *cfg);
void callwatch_free(struct callwatch *cw); /* NULL is fine */
/* Whether a look has anything to do: some of it is on. */
bool callwatch_is_on(const struct callwatch *cw);
/* Reads the stacks of a walk's goroutines, which it brings up to date.  0, -ESRCH, … */
int callwatch_look(struct callwatch *cw, struct gowalk *walk);
/* A window begins: what the latest look saw is its start. */
void callwatch_begin_window(struct callwatch *cw);
/*
 * Fills w->net, w->sql and w->contention from the latest look, which must have
 * been of this walk, and from two readings of the probes.
 */
int callwatch_fill(struct callwatch *cw, const struct gowalk *walk,
		   const struct trace_reading *base, const struct trace_reading *now,
		   struct window *w);
/* Adds the coverage of one of the three sensors to the window filled last. */
void callwatch_cover(const struct callwatch *cw, enum sensor s, struct window *w);

#endif
