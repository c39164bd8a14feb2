/* SPDX-License-Identifier: BSD-2-Clause */
/* Making a view: for the agent alone. */
#ifndef GOSPECT_AGENT_VIEW_BUILD_H
#define GOSPECT_AGENT_VIEW_BUILD_H

#include "agent/view.h"

struct target;

/* With room for so many of each, and one reference; NULL: no memory. */
struct view *view_new(size_t processes, size_t findings, size_t events);
/* The next one, zeroed but for its strings; there must be room. */
struct view_process *view_add(struct view *v);
/* The one that was added last. */
struct view_process *view_last(struct view *v);
/* A copy that the view keeps; "" where there is no memory. */
const char *view_text(struct view *v, const char *s);
/* A finding of the process that was added last, zeroed. */
struct view_finding *view_add_finding(struct view *v);
struct view_event *view_add_event(struct view *v);
/* What is known of a target as the process that was added last, but for findings.  0, -ENOMEM. */
int view_fill(struct view *v, struct target *t);
/*
 * Keeps an object that the view points to: the reference is the view's from now on, also
 * when there is no memory for it (-ENOMEM: it is put at once).
 */
int view_hold(struct view *v, void *object, void (*put)(void *object));

#endif
