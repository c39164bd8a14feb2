/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A process that has been asked to end: when, by whom, and what its goroutines do until
 * it has.  From memory, and only from then on: before the signal nothing is read.
 */
#ifndef GOSPECT_CRASH_SHUTDOWN_H
#define GOSPECT_CRASH_SHUTDOWN_H

#include "crash/window.h"
#include "model/look.h"

struct shutdown;

/* NULL: no memory. */
struct shutdown *shutdown_new(void);
void shutdown_free(struct shutdown *s);
/* Reads the goroutines, where the signal has come and it is time.  What cannot be read now
 * stays as it was. */
void shutdown_look(struct shutdown *s, struct look *l);
/* As the latest look saw it: 0, -ENOMEM.  gone: the process has ended. */
int shutdown_fill(const struct shutdown *s, const struct look *l, bool gone,
		  struct shutdown_window *out);

#endif
