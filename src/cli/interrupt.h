/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SIGINT and its like come through a descriptor, so that a report is never cut;
 * and a thread sees to it that they are heeded, whatever else is being done: a
 * second Ctrl-C ends gospect at once, any other signal within a second.
 */
#ifndef GOSPECT_CLI_INTERRUPT_H
#define GOSPECT_CLI_INTERRUPT_H

/* *fd: a struct signalfd_siginfo for each signal; the caller's.  0 or -errno. */
int interrupt_begin(int *fd);

#endif
