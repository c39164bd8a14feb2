/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes on their way to a descriptor that may never take them: a pipe whose
 * reader stalls, a terminal that is stopped, a file system that hangs.  A thread
 * writes them with plain write(2): each kind of descriptor is treated alike, and
 * nothing is changed that other processes share (O_NONBLOCK would be).
 */
#ifndef GOSPECT_CLI_SINK_H
#define GOSPECT_CLI_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct sink;

/* How long a reader may take no byte at all before it is given up. */
struct patience {
	uint64_t ns;   /* 0: for ever */
	int signal_fd; /* a signal there hurries; -1: none is looked for */
	int hurry;     /* signals so far: 0.4 s, whatever ns says; or not at all */
};

/* NULL: no memory, or no descriptors. */
struct sink *sink_new(int fd);
/* What still hangs is left to its thread, which ends with the process. NULL is fine. */
void sink_free(struct sink *s);
bool sink_busy(struct sink *s);
/* POLLIN when what was begun has ended: sink_busy() then says so. */
int sink_event(const struct sink *s);
/* Whether so many bytes would be taken at once, as far as a descriptor can tell. */
bool sink_has_room(const struct sink *s, size_t bytes);
/*
 * Takes the bytes (*b is empty then) and writes them, then calls then(arg, 0 or
 * the -errno of write()) in the thread, whose result is the whole's; NULL: nothing.
 * Only when not busy.
 */
void sink_begin(struct sink *s, struct buf *b, int (*then)(void *arg, int err), void *arg);
/* What was begun last has ended: 0 or -errno. */
int sink_result(const struct sink *s);
/* Until it ends: its result, or -ETIMEDOUT when patience has. */
int sink_wait(struct sink *s, struct patience *p);
/* Until there is room: 0 or -ETIMEDOUT. */
int sink_wait_room(struct sink *s, size_t bytes, struct patience *p);

#endif
