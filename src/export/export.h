/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where what the agent saw goes: pages over HTTP, and pushes by OTLP.  Knows
 * nothing of how it was seen.
 *
 * One thread calls all of this; the server and the pushing have threads of their
 * own inside, which never touch a view beyond a lock that the caller's thread
 * takes, too: a view is put by the thread that made it.
 */
#ifndef GOSPECT_EXPORT_EXPORT_H
#define GOSPECT_EXPORT_EXPORT_H

#include "agent/view.h"
#include "export/config.h"

struct export;

/* Listens and so on, as configured; profiler: as server_open() has it.  0, or negative with err. */
int export_open(struct export **out, const struct host_config *c, int profiler, struct err *err);
/* Another configuration, from the next view on; what fails leaves all as it was.  The one
 * before may be freed afterwards. */
int export_configure(struct export *e, const struct host_config *c, struct err *err);
/* The next view; a reference is taken. */
void export_publish(struct export *e, const struct view *v);
/* The port that pages are served on; 0: none. */
int export_port(const struct export *e);
/* Pushes what waits, for a second or two at most, and closes all.  NULL is fine. */
void export_close(struct export *e);

#endif
