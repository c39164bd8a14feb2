/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The subjects at work: opened on one process, looked with, and asked for their
 * part of a window, each in the same way.  Owns what they share: the stacks of
 * all goroutines, read once for all who need them.
 */
#ifndef GOSPECT_OBSERVE_PARTS_H
#define GOSPECT_OBSERVE_PARTS_H

#include "gort/gostacks.h"
#include "model/subject.h"
#include "trace/opens.h"

#define PARTS_MAX 16

struct part {
	const struct subject *subject;
	void *self;
	bool on;                  /* opened */
	bool looked;              /* its latest look came to its end */
	unsigned int failures;    /* looks of this window that did not */
	char why[WINDOW_MAX_WHY]; /* not on: why, if anybody asked for it */
};

struct parts {
	struct part part[PARTS_MAX];
	int n;
	/* of the latest look: this thread's CPU time when those that need no stacks were done */
	uint64_t walked_cpu_ns;
	enum subject_needs needs; /* the most that one of those on needs */
	struct gotypes *types;    /* owned, as all below; NULL where nobody reads stacks */
	struct gostacks stacks;
	bool stacks_made;
	uint32_t *stack_of;
	size_t stack_cap;
	struct trace_births births;
	struct trace_opens opens;
};

/* The built-in subjects, in the order in which they look; NULL-terminated. */
extern const struct subject *const subjects[];

/* Opens those of a NULL-terminated list (borrowed) that are asked for; sets
 * l->types.  0, -ENOMEM; to be closed in either case. */
int parts_open(struct parts *p, const struct subject *const *list, struct look *l);
void parts_close(struct parts *p);
/* The state of a subject; NULL: it is off. */
void *parts_self(const struct parts *p, const struct subject *s);

/* As struct subject has them, for all that are on. */
void parts_count(struct parts *p, struct look *l, const struct trace_reading *r);
/* l->walk is new.  whole: those that need stacks look too.  0, or -ESRCH, -ESTALE: the process is gone. */
int parts_look(struct parts *p, struct look *l, bool whole);
void parts_begin_window(struct parts *p, const struct look *l, bool follows);
/* Fills and covers: afterwards the window has a row of coverage for each sensor, in their order. */
void parts_fill(struct parts *p, struct look *l, struct window *w);

#endif
