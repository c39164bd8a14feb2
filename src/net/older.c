/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests and dials that were under way when the probes came: their ends are in no count,
 * so the phases of their hosts are not exact in the window in which they end.
 */
#include "net/priv.h"

#include "trace/opens.h"

#define MAX_OLDER 100000

static int add_older(struct netwatch *nw, struct net_older o)
{
	if (nw->nolder == MAX_OLDER)
		return 0;
	if (array_room(&nw->older, nw->nolder, &nw->older_cap, sizeof(*nw->older)))
		return -ENOMEM;
	nw->older[nw->nolder++] = o;
	return 0;
}

static bool is_probed(const struct netwatch *nw, const struct net_inflight *f)
{
	const struct trace_opens *o = nw->look->opens;
	struct trace_open open;

	if (trace_opens_find(o, OPEN_REQUEST, f->g, &open) && open.ptr == f->request)
		return true;
	return trace_opens_find(o, OPEN_CONN, f->conn, &open) ||
	       trace_opens_find(o, OPEN_STREAM, f->conn, &open);
}

int netolder_begin(struct netwatch *nw)
{
	const struct net_look *l = &nw->cur;
	struct trace_open open;
	int err = 0;

	for (size_t i = 0; i < l->ninflight && nw->look->opens && !err; i++) {
		const struct net_inflight *f = &l->inflight[i];

		if (!f->dead && !is_probed(nw, f))
			err = add_older(nw,
					(struct net_older){ f->goid, f->request, f->host, false });
	}
	for (size_t i = 0; i < l->ndial && nw->look->opens && !err; i++) {
		const struct net_dial *d = &l->dial[i];

		if (!trace_opens_find(nw->look->opens, OPEN_DIAL, nw->look->walk->g[d->walk].addr,
				      &open))
			err = add_older(nw, (struct net_older){ d->goid, d->want, d->host, true });
	}
	return err;
}

static bool goes_on(const struct netwatch *nw, const struct net_older *o)
{
	const struct net_look *l = &nw->cur;
	const struct net_inflight *f;

	if (o->dial)
		return NET_FIND(l, dial, dial_at, o->goid) != NULL;
	f = NET_FIND(l, inflight, inflight_at, o->goid);
	return f && (f->request == o->call || f->phase == NET_BODY);
}

static uint64_t key_of(uint32_t host, bool dial)
{
	return ((uint64_t)host + 1) << 1 | dial;
}

void netolder_follow(struct netwatch *nw)
{
	size_t n = 0;

	for (size_t i = 0; i < nw->nolder; i++) {
		if (goes_on(nw, &nw->older[i]))
			nw->older[n++] = nw->older[i];
		else
			net_put(nw, &nw->older_ended, key_of(nw->older[i].host, nw->older[i].dial),
				1);
	}
	nw->nolder = n;
}

bool netolder_ended(const struct netwatch *nw, uint32_t host, bool dial)
{
	return u64map_find(&nw->older_ended, key_of(host, dial)) != NULL;
}
