/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Look-ups that the program makes itself (net.LookupHost, net.Resolver's Lookup…, ResolveTCPAddr),
 * as looks see them: which are under way, and since when.  Those of dials are dials.c's; those that
 * come back between two looks are not seen.
 *
 * A goroutine that stands where it stood at the look before has not moved since: its resolver has
 * been asked once for all that time.  Each question to a nameserver is a stop of its own.
 */
#include "net/priv.h"

#include "net/stack_walk.h"

bool netlookup_function(const char *name)
{
	return !strncmp(name, "net.(*Resolver).Lookup", 22) ||
	       !strcmp(name, "net.(*Resolver).lookupIPAddr");
}

void netlookup_classify(struct netwalk *w)
{
	int call = -1;

	for (int i = 0; i < w->n; i++) {
		if (w->frame[i].lookup)
			call = i;
		if (call >= 0 && w->frame[i].fn == FN_IS_CONNECT)
			return;
	}
	if (call < 0 || w->out->roles & (NETROLE_REQUEST | NETROLE_DIAL))
		return;
	w->out->roles |= NETROLE_LOOKUP;
	w->out->lookup_place = netwalk_place_from(w, call);
}

void netlookups_date(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;

	for (size_t i = 0; i < l->nlookup; i++) {
		struct net_lookup *k = &l->lookup[i];
		const struct net_lookup *p = NET_FIND(&nw->prev, lookup, lookup_at, k->goid);
		uint64_t parked = net_parked_ns(nw, k->walk);

		net_put(nw, &l->lookup_at, k->goid, i);
		k->start_ns = p && p->stop == k->stop ? p->start_ns : l->now_ns;
		if (parked && parked < k->start_ns)
			k->start_ns = parked;
	}
}
