/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections of HTTP/2 on which requests wait: since when nothing has come, and whether the
 * peer answers PINGs.  Whether its kernel acknowledges what is sent is peers.c's.
 */
#include "net/priv.h"

#include "base/clock.h"
#include "proc/process.h"
#include "proc/socket.h"

#define MAX_ASKED 64 /* connections of a look; those beyond stay unknown */

/* Whether it is its peer that a request waits for. */
static bool waits_for_peer(const struct net_inflight *f)
{
	return f->phase == NET_TTFB ||
	       (f->phase == NET_REQUEST_WRITE && f->waits == NET_WAITS_SOCKET);
}

static void count_waiting(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;

	for (size_t i = 0; i < l->ninflight; i++) {
		const struct net_inflight *f = &l->inflight[i];
		const struct net_conn *c =
			f->dead ? NULL : NET_FIND(l, conn, conn_by_addr, f->conn);
		struct net_h2conn *h =
			c && c->h2 ? NET_FIND(l, h2conn, h2conn_at, c->transport) : NULL;

		if (!h || h->dead || !waits_for_peer(f))
			continue;
		h->waiting++;
		if (!h->oldest || f->start_ns < l->inflight[h->oldest - 1].start_ns)
			h->oldest = (uint32_t)i + 1;
	}
}

/* Since when it goes on, as the looks before have seen it. */
static void inherit(const struct netwatch *nw, struct net_h2conn *h)
{
	const struct net_h2conn *p = NET_FIND(&nw->prev, h2conn, h2conn_at, h->addr);

	if (p && p->goid != h->goid)
		p = NULL;
	if (h->pings)
		h->pinged_ns = p && p->pings ? p->pinged_ns : nw->cur.now_ns;
	if (h->waiting)
		h->waits_ns = p && p->waiting ? p->waits_ns : nw->cur.now_ns;
}

/* A connection, and the way to its descriptor. */
struct asked {
	struct net_socket s; /* first: netsockets_find() */
	struct net_h2conn *h;
};

static void ask(struct netwatch *nw, const struct asked *a)
{
	uint64_t now = clock_mono_ns();
	struct socket_idle idle;

	if (a->s.fd >= 0 && !process_socket_idle(nw->look->proc, (int)a->s.fd, &idle) &&
	    netsockets_is_open(nw, &a->s) && idle.received_ns < now)
		a->h->heard_ns = now - idle.received_ns;
}

int netsilent_ask(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	struct asked *a = calloc(MAX_ASKED, sizeof(*a));
	size_t n = 0;
	int err = a ? 0 : -ENOMEM;

	count_waiting(nw);
	for (size_t i = 0; !err && i < l->nh2conn; i++) {
		struct net_h2conn *h = &l->h2conn[i];

		inherit(nw, h);
		/* those that the first look sees may just have come */
		if (h->waiting && n < MAX_ASKED && nw->look->proc &&
		    (h->waits_ns < l->now_ns || nw->look->once))
			a[n++] = (struct asked){ { .conn = { h->tconn[0], h->tconn[1] }, .fd = -1 },
						 h };
	}
	if (!err && n)
		err = netsockets_find(nw, a, n, sizeof(*a));
	for (size_t i = 0; !err && i < n; i++)
		ask(nw, &a[i]);
	free(a);
	return err;
}
