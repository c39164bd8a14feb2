/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A thread that ends a service whose loop is too busy to heed SIGTERM or SIGINT: a look at
 * a process of a million goroutines takes longer than a service may take to end.
 */
#ifndef GOSPECT_CLI_OVERDUE_H
#define GOSPECT_CLI_OVERDUE_H

/* signal_fd: a signalfd of blocked signals, read by the caller, open until the process ends.
 * One of the two that stays unread for 1.5 s ends the process at once, with EXIT_DONE.
 * 0 or -errno. */
int overdue_begin(int signal_fd);

#endif
