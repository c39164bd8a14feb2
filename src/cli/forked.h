/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A process of ours that was made before privileges were given up, and does on request what takes
 * them, each time in a process of its own (profiler.h, prober.h).
 */
#ifndef GOSPECT_CLI_FORKED_H
#define GOSPECT_CLI_FORKED_H

#include <signal.h>

struct forked {
	int fd;        /* requests come from it; closed at its other end: to end */
	int signals;   /* a signalfd that does not block: SIGCHLD */
	sigset_t mask; /* of who made it, for its children */
};

/* Its other end, or a negative errno.  serve runs in it; when that returns, it ends, as it does with
 * who started it; signals of a terminal are blocked.  name: what ps shows, 15 bytes.  Before
 * threads are made. */
int forked_start(const char *name, void (*serve)(const struct forked *f));
/* In a child of it: its descriptors are closed, its mask is as it was, memory has a bound, and it is
 * told to end (SIGTERM) when its parent has. */
void forked_child(const struct forked *f);

#endif
