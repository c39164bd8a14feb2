/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One Go process under observation: its memory read at the depth asked for.
 * Nothing is written to it, no probe armed, it is never stopped.
 *
 * Counted: what a look has given may be had longer than the process lives.
 */
#ifndef GOSPECT_AGENT_TARGET_H
#define GOSPECT_AGENT_TARGET_H

#include "agent/otelctx.h"
#include "agent/view.h"
#include "gobin/gobin.h"
#include "gort/goruntime.h"
#include "observe/observer.h"
#include "proc/process.h"

/* An executable, analysed once for all who run it.  Counted. */
struct executable {
	unsigned int refs;
	struct gobin *gb; /* owned */
	pid_t from;       /* the process through which the file is open; 0: none any more */
};

/* Analyses the file; -ENOEXEC, -EBADMSG, … */
int executable_new(struct executable **out, const struct process *p, struct err *err);
void executable_put(struct executable *x); /* NULL is fine */

/* The last walk, whole.  Counted; keeps its target. */
struct walk {
	unsigned int refs;
	struct report report;
	uint64_t real_ns;
	struct target *target;
};

struct target {
	unsigned int refs;
	struct process proc; /* closed when it has ended */
	struct executable *exe;
	struct memreader *mem;
	struct goruntime rt;
	bool rt_open;
	struct observer_config cfg;
	struct observer *observer; /* NULL: not walked yet */
	struct who *who;           /* counted */
	struct otelctx context;    /* where its SDK says who it is */
	uint64_t sought_ns;        /* when that was looked for last */
	bool has_totals;
	struct view_totals totals;
	struct walk *walk; /* NULL: none yet; counted */
};

/*
 * Opens the process for reading, with an analysed executable or (NULL) its own, and who it is, of
 * which it takes a reference, or (NULL) finds out.  *p is the target's from now on when it returns 0.  -EAGAIN: its runtime is not up yet;
 * -EPERM; -ENOEXEC: the layout does not fit; -ESRCH, -ESTALE.
 */
int target_open(struct target **out, struct process *p, struct executable *x, struct who *who,
		struct err *err);
struct target *target_get(struct target *t);
void target_put(struct target *t); /* NULL is fine */
/* Who opened it has done with it, or it has ended: gives back all descriptors and that
 * reference.  What was taken of it stays.  NULL is fine. */
void target_close(struct target *t);

/* Whether its SDK has published another context than is known; now and then one is looked for. */
bool target_is_renamed(struct target *t);

/* A few words: 0; -ESRCH; -EFAULT. */
int target_totals(struct target *t);
/* Whether leaks are looked for, by several passes over its memory. */
enum verdict { VERDICT_NO, VERDICT_IF_GROWING, VERDICT_YES };

struct target_look {
	enum verdict verdict;
	bool at_once; /* also the first time a window, of no length */
	/* Asked many times a second meanwhile: false ends it.  NULL: never. */
	bool (*go_on)(void *arg);
	void *arg;
	uint64_t judged_ns; /* out: CPU time that took; 0: it was not done */
};

/* All goroutines and what else can be seen without probes, judged.  Becomes t->walk; the first
 * time it may be only the beginning of a window, and then there is none yet. */
int target_walk(struct target *t, struct target_look *look, struct err *err);

/* Adds all goroutines by stack to the walk just made, which nobody else has yet. */
void target_dump(struct target *t);

struct walk *walk_get(struct walk *w);
void walk_put(struct walk *w); /* NULL is fine */

#endif
