/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Watches one process over time: joins what memory says (walks, totals) with
 * what the probes counted, into windows.  Keeps the history of every creation
 * site and of every goroutine it has seen.
 *
 * Knows nothing of findings, formats or terminals.
 */
#ifndef GOSPECT_OBSERVE_OBSERVER_H
#define GOSPECT_OBSERVE_OBSERVER_H

#include "base/err.h"
#include "model/look.h"
#include "observe/window.h"

struct process;
struct observer;

struct observer_config {
	/* What is constant of it is set, but for types and losses; borrowed for the
	 * observer's life, as all here. */
	struct look look;
	const struct process *proc;
	double budget_pct;
	bool exact_mode;
};

/* Takes the baseline: the first window begins when this returns.
 * -ESRCH/-ESTALE when the process went meanwhile. */
int observer_new(struct observer **out, const struct observer_config *cfg, struct err *err);
void observer_free(struct observer *o);

/* A look between reports, for the history: call when observer_look_ns() has come. */
int observer_look(struct observer *o);
uint64_t observer_look_ns(const struct observer *o);
/* interval_ns: between reports. */
void observer_set_pace(struct observer *o, uint64_t interval_ns);

/* When the window may end at the earliest (our monotonic clock): observe/pace.h. */
uint64_t observer_end_ns(const struct observer *o);
/*
 * Ends the window and begins the next.  When the process is gone it is made of
 * what was seen last (end_reason says so, coverage is partial).  The caller
 * frees the window's arrays with window_deinit(); strings live with o.
 */
int observer_take(struct observer *o, struct window *w, const char *end_reason);
/* Begins another window, without the one under way: nothing was looked at meanwhile.
 * 0 or -errno. */
int observer_restart(struct observer *o);
/* Gives the list of goroutines back (144 MB for a million): call when no further
 * window is taken. */
void observer_drop_walk(struct observer *o);
/* Adds the verdicts on leaks to a window just taken, and what they cover. */
struct prove_result;
void observer_add_leaks(struct observer *o, struct window *w, const struct prove_result *r);
/* Adds all goroutines by stack to it, as they are now. */
void observer_add_dump(struct observer *o, struct window *w);
/* What the governor wants to know: goroutines created so far, 0 when not known. */
uint64_t observer_created(struct observer *o);
/* The governor could not switch probes: what they should have seen is missing. */
void observer_lose_slice(struct observer *o);

#endif
