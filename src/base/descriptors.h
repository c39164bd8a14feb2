/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages between our own processes, with descriptors beside them (SCM_RIGHTS). */
#ifndef GOSPECT_BASE_DESCRIPTORS_H
#define GOSPECT_BASE_DESCRIPTORS_H

#include <stddef.h>

#define DESCRIPTORS_MAX 128 /* with one message */

/* flags: of sendmsg(2).  How many bytes were sent, or -errno. */
int descriptors_send(int sock, const void *msg, size_t size, const int *fds, int nfd, int flags);
/* fds: room for DESCRIPTORS_MAX; *nfd have come, closed on exec.  How many bytes have come, 0 at
 * the end, or -errno: -EMFILE when some of them did not fit. */
int descriptors_receive(int sock, void *msg, size_t size, int *fds, int *nfd);

#endif
