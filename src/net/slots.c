/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Slots of Transport.MaxConnsPerHost that are lost.  In go1.22.0 alone a dial whose request is
 * cancelled before it begins is counted for ever (net/http, dialConnFor; golang.org/issue/65705,
 * mended in 1.22.1): once all slots are lost, every request to that host waits.
 *
 * A request is queued only where as many connections as may be are counted.  Where fewer exist
 * and are dialled, the rest is lost.  To be sure that nobody is just about to dial or to close,
 * it has to be so at every look for NET_LOST_NS.  All connections and dials of the
 * transport count, to whichever host, and all HTTP/2 connections: rather one too many.
 */
#include "net/priv.h"

#include "gobin/gobin.h"

static bool is_affected(const struct netwatch *nw)
{
	const struct go_release *r = &nw->rt->gb->release;

	return r->minor == 22 && r->patch == 0;
}

static uint64_t taken_of(const struct net_look *l, uint64_t transport)
{
	uint64_t n = l->ndial + l->nh2conn;

	for (size_t i = 0; i < l->nconn; i++)
		n += !l->conn[i].h2 && (!l->conn[i].transport || l->conn[i].transport == transport);
	return n;
}

static const struct net_slots *find(const struct net_slots *s, size_t n, uint64_t transport,
				    uint32_t host)
{
	for (size_t i = 0; i < n; i++)
		if (s[i].transport == transport && s[i].host == host)
			return &s[i];
	return NULL;
}

/* A request that is queued for one. */
static void take(struct netwatch *nw, const struct net_inflight *f, const struct net_slots *old,
		 size_t nold)
{
	const struct net_transport *t = NET_FIND(&nw->cur, transport, transport_at, f->transport);
	const struct net_slots *before = find(old, nold, f->transport, f->host);
	uint64_t taken;

	if (!t || !t->known || t->max_per_host <= 0 || nw->nslot == NET_MAX_SLOTS ||
	    find(nw->slot, nw->nslot, f->transport, f->host))
		return;
	taken = taken_of(&nw->cur, f->transport);
	if (taken >= (uint64_t)t->max_per_host)
		return;
	nw->slot[nw->nslot] =
		(struct net_slots){ f->transport, f->host, (uint64_t)t->max_per_host - taken,
				    nw->cur.now_ns };
	if (before) {
		struct net_slots *s = &nw->slot[nw->nslot];

		s->since_ns = before->since_ns;
		s->lost = before->lost < s->lost ? before->lost : s->lost;
	}
	nw->nslot++;
}

void netslots_follow(struct netwatch *nw)
{
	struct net_slots old[NET_MAX_SLOTS];
	size_t nold = nw->nslot;

	if (!is_affected(nw))
		return;
	memcpy(old, nw->slot, nold * sizeof(*old));
	nw->nslot = 0;
	for (size_t i = 0; i < nw->cur.ninflight; i++)
		if (!nw->cur.inflight[i].dead && nw->cur.inflight[i].phase == NET_POOL_WAIT)
			take(nw, &nw->cur.inflight[i], old, nold);
}
