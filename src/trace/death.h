/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kernel's tracepoints say of one process's end: status, signals and
 * their senders, the OOM killer.  Nothing in the process: it costs it nothing.
 */
#ifndef GOSPECT_TRACE_DEATH_H
#define GOSPECT_TRACE_DEATH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "gospect/crash.h"

struct death;

/*
 * Loads and attaches, while there are CAP_BPF and CAP_PERFMON: -EPERM; -EOPNOTSUPP where the
 * kernel has no BTF or no such tracepoints.  err says it in a sentence.
 */
int death_open(struct death **out, pid_t pid, struct err *err);
/* NULL is fine. */
void death_close(struct death *d);
/* As it is now. */
void death_read(const struct death *d, struct gs_death *out);
/* When a signal (1 to 64) came first (our monotonic clock); 0: it has not, or was ignored. */
uint64_t death_asked_ns(const struct death *d, int sig);
/* Whether the OOM killer would be seen. */
bool death_sees_oom(const struct death *d);

#endif
