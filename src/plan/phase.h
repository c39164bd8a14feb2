/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The phases of a network request, and what else probes can see begin.
 * Numbers are shared with include/gospect/abi.h (asserted in src/trace).
 */
#ifndef GOSPECT_PLAN_PHASE_H
#define GOSPECT_PLAN_PHASE_H

enum net_phase {
	NET_POOL_WAIT,     /* queued because MaxConnsPerHost is reached */
	NET_DNS,           /* look-up of one dial */
	NET_CONNECT,       /* one TCP dial, all its addresses */
	NET_TLS,           /* client handshake */
	NET_REQUEST_WRITE, /* has a connection, until headers and body are written */
	NET_TTFB,          /* written, until the first byte of the response */
	NET_BODY,          /* response handed to the caller, until its end */
	NET_PHASES
};

/* "pool_wait", "dns", …; static. */
const char *net_phase_name(enum net_phase p);

#endif
