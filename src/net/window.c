/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/window.h"

#include <stdlib.h>
#include <string.h>

void net_window_deinit(struct net_window *n)
{
	free(n->client);
	free(n->phase);
	free(n->slow);
	free(n->failure);
	free(n->in_flight);
	free(n->upload);
	free(n->unclosed);
	free(n->dial);
	free(n->connection);
	free(n->silent);
	free(n->server);
	free(n->grpc);
	free(n->dead);
	free(n->own_lookup);
	if (n->recent)
		net_window_deinit(n->recent);
	free(n->recent);
	memset(n, 0, sizeof(*n));
}
