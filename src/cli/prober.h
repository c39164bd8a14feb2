/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Probes for who has no privileges to: a process of its own, made before these were given up,
 * that on request watches one process as `gospect attach` does, for one window, in a process of
 * its own that ends then.  Its probes are held by a keeper of its own (trace/keeper.h): however
 * any of them ends, nothing is left in the program.
 */
#ifndef GOSPECT_CLI_PROBER_H
#define GOSPECT_CLI_PROBER_H

#include "agent/probed.h"

/* The descriptor to ask, or a negative errno.  It ends with who started it, and when the
 * descriptor is closed.  Before threads are made. */
int prober_start(void);
/*
 * Begins a window: a descriptor, that does not block, or a negative errno.  From it comes struct
 * probed_begin, and, where that says that probes are armed, what probed_write() says, then its
 * end; what came before it closes is all there is.  Shutting it down for writing ends the window.
 */
int prober_begin(int prober, const struct probe_ask *q);

#endif
