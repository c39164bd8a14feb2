/* SPDX-License-Identifier: BSD-2-Clause */
/* The tables about the network, described (model/schema.h). */
#ifndef GOSPECT_NET_TABLES_H
#define GOSPECT_NET_TABLES_H

#include "model/schema.h"

#define WHAT_CALLED "the call: the innermost frame outside the standard library"

extern const struct table net_object; /* struct net_window: member `net` */
extern const struct table net_slow;   /* in no text: --slow and HTML show it */
extern const struct table net_phases, net_in_flight, net_clients, net_unclosed, net_dials,
	net_connections, net_silent, net_servers, net_grpc, net_dead, net_own_lookups, net_failures;

/* One line for the live screen; "" when there is nothing. */
void net_brief(const struct window *w, struct buf *out);

#endif
