/* SPDX-License-Identifier: BSD-2-Clause */
/* The same work on several CPUs at once. */
#ifndef GOSPECT_BASE_PARALLEL_H
#define GOSPECT_BASE_PARALLEL_H

#include <stddef.h>

#define PARALLEL_MAX 16

/* CPUs that this process may use, PARALLEL_MAX at most. */
int parallel_cpus(void);
/*
 * fn with each of n (PARALLEL_MAX at most) parts of `size` bytes: the first here, the others
 * in threads of their own, which get no signals; here too when there can be none.
 */
void parallel_run(void (*fn)(void *part), void *parts, size_t size, int n);

#endif
