/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Takes profiles for who has no privileges to: a process of its own, made before these were
 * given up, that does on request what `gospect snapshot --format pprof` does, each time in a
 * process of its own that ends then.  It is asked for a kind, a pid and seconds (export/ask.h),
 * and for nothing else.
 */
#ifndef GOSPECT_CLI_PROFILER_H
#define GOSPECT_CLI_PROFILER_H

/* The descriptor to ask, or a negative errno.  It ends with who started it, and when the
 * descriptor is closed.  Before threads are made. */
int profiler_start(void);

#endif
