/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kernel knows of a socket of another process (tcp_info).
 *
 * The descriptor is borrowed for the question (pidfd_getfd, Linux 5.6): that takes
 * no privilege beyond reading the process's memory, and finds the socket in
 * whatever network namespace it is.  Meanwhile, some microseconds, a close by the
 * process does not end the connection.
 */
#ifndef GOSPECT_PROC_SOCKET_H
#define GOSPECT_PROC_SOCKET_H

#include <stdint.h>

struct process;

struct socket_idle {
	/* at least so long since data was last sent, sent again included, and received; the
	 * start of the connection where there was none */
	uint64_t sent_ns, received_ns;
	uint64_t acked_ns; /* since anything was acknowledged */
	uint32_t unacked;  /* segments that are not yet */
	uint32_t resent;   /* how often the first of them was sent again */
};

/* 0; -ENOTSOCK and the like: no TCP socket; -ENOSYS; what the kernel says. */
int process_socket_idle(const struct process *p, int fd, struct socket_idle *out);

#endif
