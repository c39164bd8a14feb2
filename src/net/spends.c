/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the requests of a handler wait for: at each look, each goroutine that serves one is in
 * a call of its own, to a host and in a phase, or it is not.  Looks are samples of time; what
 * other goroutines do for a handler is not seen.
 */
#include "net/priv.h"

#define MAX_SPENDS 4096 /* of a window; beyond: not told apart, and said as a loss */

static struct net_spend *spend_of(struct netwatch *nw, const struct net_spend *as)
{
	struct {
		struct place_key place;
		uint64_t pattern;
		int64_t host, phase;
	} key = { place_key(&as->handler),
		  as->pattern[0] ? hash_bytes(as->pattern, strlen(as->pattern)) : 0, as->host,
		  as->phase };
	uint64_t *at;
	bool made;

	if (array_room(&nw->spend, nw->nspend, &nw->spend_cap, sizeof(*nw->spend)))
		return NULL;
	at = bytesmap_put(&nw->spend_at, &key, sizeof(key), nw->nspend, &made);
	if (at && made)
		nw->spend[nw->nspend++] = *as;
	return at ? &nw->spend[*at] : NULL;
}

static void count(struct netwatch *nw, const struct net_spend *as)
{
	struct net_spend *p = spend_of(nw, as);

	if (p)
		p->seen++;
	else
		nw->no_room++;
}

void netspends_count(struct netwatch *nw)
{
	for (size_t i = 0; i < nw->cur.nserving; i++) {
		const struct net_serving *s = &nw->cur.serving[i];
		const struct netstack *k = &nw->stacks.stack[s->stack];
		const struct net_inflight *f = NET_FIND(&nw->cur, inflight, inflight_at, s->goid);
		struct net_spend as = { .handler = k->handler, .phase = NET_SPEND_ANY };

		if (!k->in_handler)
			continue;
		if (k->routed)
			memcpy(as.pattern, s->pattern, sizeof(as.pattern));
		count(nw, &as);
		if (!f || f->dead || f->phase < 0)
			continue;
		as.host = f->host;
		as.phase = f->phase;
		count(nw, &as);
	}
}

void netspends_begin(struct netwatch *nw)
{
	bytesmap_deinit(&nw->spend_at);
	bytesmap_init(&nw->spend_at, MAX_SPENDS);
	nw->nspend = 0;
}
