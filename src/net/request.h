/* SPDX-License-Identifier: BSD-2-Clause */
/* A request while it is read: shared by request.c and contexts.c. */
#ifndef GOSPECT_NET_REQUEST_H
#define GOSPECT_NET_REQUEST_H

#include "gort/gocontext.h"
#include "net/priv.h"

struct net_reading {
	struct readpiece next; /* first: net_ask_next() */
	struct net_inflight *f;
	uint64_t ctx[2], inner_ctx[2];
	uint8_t text[2][16]; /* strings' headers: scheme, host */
	uint64_t node[2];    /* of the chain of contexts: where it is */
	bool chain_ends, in_doubt;
	int64_t deadline_unix_ns; /* of the client's timeout; 0 none */
};

/* By the type that an interface's itab is of. */
enum context_kind netcontext_kind(struct netwatch *nw, uint64_t itab);
/* Follows the chains from node on, into the requests' limits. */
int netcontexts_read(struct netwatch *nw, struct net_reading *rd, size_t n);

#endif
