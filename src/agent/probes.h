/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Probes for a few processes at a time, one window each: whose turn it is, and what came of it.
 * Who probes is another process, that is asked through the configuration; here nothing is armed.
 *
 * Never two processes of one executable at once: a probe of the one slows down the other.
 */
#ifndef GOSPECT_AGENT_PROBES_H
#define GOSPECT_AGENT_PROBES_H

#include "agent/config.h"
#include "agent/entry.h"
#include "agent/life.h"
#include "agent/probed.h"

struct probes;

/* Data of its descriptors in that epoll is PROBES_EVENT - slot. */
#define PROBES_EVENT (UINT64_MAX - 1)

struct probes *probes_new(int epoll_fd, struct life *life); /* NULL: no memory */
/* Ends all windows, and waits for that, for a second at most.  NULL is fine. */
void probes_free(struct probes *p);

/* The totals of a process, or its walk, are new: whether it is suspicious. */
void probes_note(struct entry *e, struct life *life);
/* Whether one has been under way for so long that it is to be ended; whose turn it is, where there
 * is room.  At the end of each pass, and when a window is over. */
void probes_turn(struct probes *p, const struct entries *all, const struct agent_config *cfg);
/* Something has come of that event.  True: a window is over. */
bool probes_take(struct probes *p, uint64_t event, const struct entries *all);
bool probes_is_event(uint64_t event);
/* That process is gone, or not to be probed any more. */
void probes_leave(struct probes *p, uint64_t key);
/* When probes_turn() is due though nothing happens; our monotonic clock. */
uint64_t probes_due_ns(const struct probes *p);

void probes_fill(const struct probes *p, const struct entry *e, const struct agent_config *cfg,
		 struct view *v);
void probes_fill_self(const struct probes *p, struct view_self *s);
void probing_deinit(struct probing *g);

#endif
