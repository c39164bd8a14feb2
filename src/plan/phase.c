/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan/phase.h"

const char *const net_phase_names[NET_PHASES] = {
	[NET_POOL_WAIT] = "pool_wait",
	[NET_DNS] = "dns",
	[NET_CONNECT] = "connect",
	[NET_TLS] = "tls",
	[NET_REQUEST_WRITE] = "request_write",
	[NET_TTFB] = "ttfb",
	[NET_BODY] = "body",
};

const char *net_phase_name(enum net_phase p)
{
	return (unsigned int)p < NET_PHASES ? net_phase_names[p] : "?";
}
