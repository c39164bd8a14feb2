/* SPDX-License-Identifier: BSD-2-Clause */
#include "proc/socket.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proc/process.h"

#define PIDFD_GETFD 438 /* on every architecture */
#define MS_IN_NS    1000000ull
/* The kernel counts in ticks of 1 to 10 ms: of two instants each may be one too early. */
#define TICK_MS 10

static uint64_t at_least_ns(uint32_t ms)
{
	return ms > TICK_MS ? (ms - TICK_MS) * MS_IN_NS : 0;
}

int process_socket_idle(const struct process *p, int fd, struct socket_idle *out)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);
	int copy = p->pidfd < 0 ? -1 : (int)syscall(PIDFD_GETFD, p->pidfd, fd, 0), err;

	if (copy < 0)
		return p->pidfd < 0 ? -ENOSYS : -errno;
	err = getsockopt(copy, IPPROTO_TCP, TCP_INFO, &info, &len) ? -errno : 0;
	close(copy);
	if (!err && len < offsetof(struct tcp_info, tcpi_pmtu))
		err = -EBADMSG;
	*out = (struct socket_idle){ at_least_ns(info.tcpi_last_data_sent),
				     at_least_ns(info.tcpi_last_data_recv),
				     at_least_ns(info.tcpi_last_ack_recv), info.tcpi_unacked,
				     info.tcpi_retransmits };
	return err;
}
