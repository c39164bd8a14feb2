/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections that carry many calls at a time (HTTP/2 of net/http, gRPC), and whether who is at
 * the other end is still there.  The kernel of the other side acknowledges what is sent whatever
 * its program does: data that is sent again and again and not acknowledged for NET_DEAD_NS says
 * that the way or the host is gone.  TCP itself gives up after a quarter of an hour.
 *
 * A connection on which nothing is sent may be dead as well: that only a ping can tell.
 */
#include "net/priv.h"

#include "proc/process.h"
#include "proc/socket.h"

#define MAX_ASKED  256 /* of a look; others are not asked */
#define RESENT     3   /* times: 0.2, 0.6 and 1.4 s after it was sent, at the earliest */
#define MAX_ADDR   256 /* bytes of an address */
#define GRPC_NAME  "transport.http2Client"
#define GRPC_CONNS "google.golang.org/grpc/internal/transport.http2Client"

struct peer_read {
	struct net_socket s; /* first: netsockets_find() */
	struct net_peer *p;
	uint64_t at; /* of gRPC: the http2Client */
	uint8_t addr[16];
	uint64_t streams;
};

/* Where a http2Client has what is read of it. */
static bool find_grpc(struct netwatch *nw)
{
	struct net_grpc_way *w = &nw->grpc_way;
	uint64_t type, addr;
	uint32_t in;

	if (w->sought)
		return w->known;
	w->sought = true;
	type = gotypes_find(nw->types, GRPC_NAME, GRPC_CONNS);
	w->known = type && !gotypes_field(nw->types, type, "conn", &w->conn, NULL) &&
		   !gotypes_field(nw->types, type, "address", &w->addr, &addr) &&
		   !gotypes_field(nw->types, addr, "Addr", &in, NULL) &&
		   !gotypes_field(nw->types, type, "activeStreams", &w->streams, NULL) &&
		   !gotypes_field(nw->types, type, "keepaliveEnabled", &w->keepalive, NULL);
	if (w->known)
		w->addr += in;
	type = gotypes_find(nw->types, "grpc.clientStream", "google.golang.org/grpc.clientStream");
	w->has_calls = w->known && type &&
		       !gotypes_field(nw->types, type, "attempt", &w->attempt, &addr) &&
		       /* of its own name since grpc-go 1.69 */
		       (!gotypes_field(nw->types, addr, "transport", &w->transport, NULL) ||
			!gotypes_field(nw->types, addr, "t", &w->transport, NULL));
	return w->known;
}

uint64_t netpeers_of_stream(struct netwatch *nw, uint64_t stream)
{
	const struct net_grpc_way *w = &nw->grpc_way;
	uint64_t attempt, conn;

	if (!stream || !find_grpc(nw) || !w->has_calls ||
	    mem_read_u64(nw->rt->mem, stream + w->attempt, &attempt) || !attempt ||
	    mem_read_u64(nw->rt->mem, attempt + w->transport + 8, &conn)) /* an interface */
		return 0;
	return conn;
}

static void ask_grpc(void *owner, void *item, struct readpiece *piece)
{
	const struct netwatch *nw = owner;
	const struct peer_read *r = item;
	const struct net_grpc_way *w = &nw->grpc_way;

	if (!r->at)
		return;
	piece[0] = (struct readpiece){ r->at + w->conn, 16 };
	piece[1] = (struct readpiece){ r->at + w->addr, 16 };
	piece[2] = (struct readpiece){ r->at + w->streams, 8 };
	piece[3] = (struct readpiece){ r->at + w->keepalive, 1 };
}

static void take_grpc(void *owner, void *item, const uint8_t *const *bytes)
{
	struct peer_read *r = item;

	(void)owner;
	if (!r->at || !bytes[0] || !bytes[1] || !bytes[2] || !bytes[3])
		return;
	r->s.conn[0] = load_u64(bytes[0]);
	r->s.conn[1] = load_u64(bytes[0] + 8);
	memcpy(r->addr, bytes[1], 16);
	r->streams = load_u64(bytes[2]);
	r->p->pings = bytes[3][0] ? KNOWN_YES : KNOWN_NO;
}

/* The address, and how many streams: a map's first word. */
static void ask_words(void *owner, void *item, struct readpiece *piece)
{
	const struct peer_read *r = item;
	uint64_t len = load_u64(r->addr + 8);

	(void)owner;
	if (len && len < MAX_ADDR)
		piece[0] = (struct readpiece){ load_u64(r->addr), (uint32_t)len };
	if (r->streams)
		piece[1] = (struct readpiece){ r->streams, 8 };
}

static void take_words(void *owner, void *item, const uint8_t *const *bytes)
{
	struct netwatch *nw = owner;
	struct peer_read *r = item;
	char host[WINDOW_MAX_HOST + 1] = "";

	if (bytes[0]) {
		net_host_format((const char *)bytes[0], load_u64(r->addr + 8), NULL, host);
		r->p->host = net_host_number(nw, host);
	}
	if (bytes[1])
		r->p->streams = load_u64(bytes[1]);
}

static void ask_socket(struct netwatch *nw, struct peer_read *r)
{
	struct socket_idle idle;

	if (r->s.fd < 0 || process_socket_idle(nw->look->proc, (int)r->s.fd, &idle) ||
	    !netsockets_is_open(nw, &r->s))
		return;
	r->p->dead = idle.unacked && idle.resent >= RESENT && idle.acked_ns >= NET_DEAD_NS &&
		     idle.received_ns >= NET_DEAD_NS;
	r->p->silent_ns = idle.acked_ns;
	r->p->resent = idle.resent;
}

/* Connections of net/http, which h2.c has read: those with a stream. */
static int list_h2(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	int err = 0;

	for (size_t i = 0; i < l->nh2conn && !err; i++) {
		const struct net_h2conn *c = &l->h2conn[i];

		if (!c->dead && !c->closed && c->streams)
			err = NET_ADD(nw, peer, nw->max_conns,
				      (struct net_peer){ .addr = c->addr,
							 .h2 = true,
							 .conn = { c->tconn[0], c->tconn[1] },
							 .host = c->host,
							 .streams = c->streams,
							 .pings = c->read_idle_ns < 0 ? UNKNOWN
								  : c->read_idle_ns   ? KNOWN_YES
										      : KNOWN_NO });
	}
	return err;
}

int netpeers_read(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	struct peer_read *r;
	size_t n = 0;
	int err;

	err = nw->look->proc ? list_h2(nw) : 0;
	if (err || !l->npeer || !nw->look->proc)
		return err;
	r = calloc(MAX_ASKED, sizeof(*r));
	if (!r)
		return -ENOMEM;
	for (size_t i = 0; i < l->npeer && n < MAX_ASKED; i++) {
		struct net_peer *p = &l->peer[i];

		if (!p->h2 && !find_grpc(nw))
			continue;
		r[n++] = (struct peer_read){ .s = { .conn = { p->conn[0], p->conn[1] }, .fd = -1 },
					     .p = p,
					     .at = p->h2 ? 0 : p->addr };
	}
	err = NET_STAGES(nw, r, n, { ask_grpc, take_grpc }, { ask_words, take_words });
	if (!err)
		err = netsockets_find(nw, r, n, sizeof(*r));
	for (size_t i = 0; !err && i < n; i++)
		ask_socket(nw, &r[i]);
	free(r);
	return err;
}
