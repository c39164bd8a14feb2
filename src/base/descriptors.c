/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/descriptors.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define CONTROL_BYTES CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))

int descriptors_send(int sock, const void *msg, size_t size, const int *fds, int nfd, int flags)
{
	char control[CONTROL_BYTES] __attribute__((aligned(8))) = { 0 };
	struct iovec io = { (void *)(uintptr_t)msg, size };
	struct msghdr h = { .msg_iov = &io, .msg_iovlen = 1 };
	ssize_t n;

	if (nfd) {
		struct cmsghdr *c;

		h.msg_control = control;
		h.msg_controllen = CMSG_SPACE((size_t)nfd * sizeof(int));
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN((size_t)nfd * sizeof(int));
		memcpy(CMSG_DATA(c), fds, (size_t)nfd * sizeof(int));
	}
	do
		n = sendmsg(sock, &h, MSG_NOSIGNAL | flags);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : (int)n;
}

int descriptors_receive(int sock, void *msg, size_t size, int *fds, int *nfd)
{
	char control[CONTROL_BYTES] __attribute__((aligned(8)));
	struct iovec io = { msg, size };
	struct msghdr h = { .msg_iov = &io,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	ssize_t n;

	*nfd = 0;
	do
		n = recvmsg(sock, &h, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	c = CMSG_FIRSTHDR(&h);
	if (c && c->cmsg_type == SCM_RIGHTS) {
		*nfd = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(c), (size_t)*nfd * sizeof(int));
	}
	return h.msg_flags & MSG_CTRUNC ? -EMFILE : (int)n;
}
