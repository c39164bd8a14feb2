/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All Go processes of the machine, watched all the time: who comes and goes, how deep
 * each is read and when, what is found.  One thread; does a little whenever it is called.
 */
#ifndef GOSPECT_AGENT_AGENT_H
#define GOSPECT_AGENT_AGENT_H

#include "agent/config.h"
#include "agent/view.h"

struct agent;

/*
 * Subscribes to starts, while there are CAP_BPF and CAP_PERFMON; without them /proc is
 * polled (view.self says so).  cfg is copied.  -ENOMEM, or what epoll said.
 */
int agent_new(struct agent **out, const struct agent_config *cfg, struct err *err);
void agent_free(struct agent *a); /* NULL is fine */
/* Another configuration, from now on; processes that it does not want are let go. */
void agent_configure(struct agent *a, const struct agent_config *cfg);
/* The configuration was read again: for view.self.  ok: and taken. */
void agent_reloaded(struct agent *a, bool ok);

/* What became of a snapshot whose keeping was in progress; err: 0 or negative. */
void agent_kept(struct agent *a, uint64_t key, const char *id, int err);

/* Readable when something happened. */
int agent_fd(const struct agent *a);
/* When agent_step() is due though nothing happens: our monotonic clock; 0: at once. */
uint64_t agent_due_ns(const struct agent *a);
/* Does what is due, for some tens of milliseconds, more only for one large process. */
void agent_step(struct agent *a);
/* The latest view, borrowed until the next step; NULL until all that was there at the
 * start has been read once. */
const struct view *agent_view(const struct agent *a);

#endif
