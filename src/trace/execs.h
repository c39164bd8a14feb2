/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel tells which processes call exec.  Nothing in them: it costs each
 * exec some microseconds, and nothing else.
 */
#ifndef GOSPECT_TRACE_EXECS_H
#define GOSPECT_TRACE_EXECS_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct execs;

/*
 * Loads and attaches, while there are CAP_BPF and CAP_PERFMON: -EPERM; -EOPNOTSUPP on
 * kernels without ring buffers (< 5.8).  err says it in a sentence.
 */
int execs_open(struct execs **out, struct err *err);
/* NULL is fine. */
void execs_close(struct execs *e);
/* Readable when there is something to take. */
int execs_fd(const struct execs *e);
/* Takes what there is: seen() for each, in order; pid 0: somebody, of a pid namespace below. */
int execs_take(struct execs *e, void (*seen)(void *arg, pid_t pid), void *arg);
/* So many were lost since it was opened: the ring was full. */
uint64_t execs_lost(const struct execs *e);
/* Kernel memory of its tables. */
uint64_t execs_bytes(const struct execs *e);

#endif
