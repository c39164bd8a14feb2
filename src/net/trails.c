/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests over several looks: how long each was seen in which phase.  Between two looks
 * nobody looks: what a probe or the goroutine's own clock do not tell of that time is unseen,
 * and one that has ended took at least until the last look that has seen it.
 */
#include "net/priv.h"

#include "base/clock.h"
#include "trace/opens.h"

#define LEAST_NS  (100 * NS_PER_MS)
#define MAX_ENDED 1000 /* of a window; of more the longest are not all there: said as a loss */

/* Since when it is in its phase, at the latest; 0: not known. */
static uint64_t in_phase_since(const struct netwatch *nw, const struct net_inflight *f)
{
	bool h2 = nw->stacks.stack[f->stack].stage == NETSTAGE_HTTP2;
	struct trace_open open;

	if (f->conn &&
	    trace_opens_find(nw->look->opens, h2 ? OPEN_STREAM : OPEN_CONN, f->conn, &open) &&
	    (int)open.state == f->phase)
		return open.state_ns;
	return net_parked_ns(nw, f->walk);
}

static bool goes_on(const struct net_inflight *p, const struct net_inflight *f)
{
	if (p->goid != f->goid)
		return false;
	return p->request == f->request || (f->phase == NET_BODY && p->conn && p->conn == f->conn &&
					    p->start_ns == f->start_ns);
}

static const struct net_inflight *before(const struct netwatch *nw, const struct net_inflight *f)
{
	const struct net_inflight *p = NET_FIND(&nw->prev, inflight, inflight_at, f->goid);

	for (size_t i = 0; !p && i < nw->ngone; i++)
		if (nw->gone[i].goid == f->goid)
			p = &nw->gone[i];
	return p && goes_on(p, f) ? p : NULL;
}

/* The time from `from` until now: what is known to be in the phase, and the rest. */
static void add_time(const struct netwatch *nw, struct net_inflight *f,
		     const struct net_inflight *p, uint64_t from)
{
	uint64_t now = nw->cur.now_ns, since = in_phase_since(nw, f);

	if (p && p->phase == f->phase)
		since = from;
	if (!since || since > now)
		since = now;
	if (since < from)
		since = from;
	if (f->phase >= 0 && f->phase < NET_PHASES)
		f->trail.in_phase_ns[f->phase] += now - since;
	else
		since = now;
	f->trail.unseen_ns += since - from;
}

static void follow(const struct netwatch *nw, struct net_inflight *f)
{
	const struct net_inflight *p = before(nw, f);
	uint64_t from = p ? p->trail.seen_ns : f->start_ns, now = nw->cur.now_ns;

	if (p)
		f->trail = p->trail;
	f->trail.looks++;
	if (from && from < now)
		add_time(nw, f, p, from);
	f->trail.seen_ns = now;
}

static int keep_ended(struct netwatch *nw, const struct net_inflight *f)
{
	if (f->trail.seen_ns < f->start_ns + LEAST_NS || f->dead)
		return 0;
	if (nw->nended >= MAX_ENDED) {
		nw->no_room++;
		return 0;
	}
	if (array_room(&nw->ended, nw->nended, &nw->ended_cap, sizeof(*nw->ended)))
		return -ENOMEM;
	nw->ended[nw->nended++] = *f;
	return 0;
}

static bool is_there(const struct netwatch *nw, const struct net_inflight *p)
{
	const struct net_inflight *f = NET_FIND(&nw->cur, inflight, inflight_at, p->goid);

	return f && goes_on(p, f);
}

/* One that a look does not see may only have moved while it was made: it has ended when the next
 * one does not see it either. */
static int end_gone(struct netwatch *nw)
{
	size_t n = nw->ngone;
	int err = 0;

	for (size_t i = 0; i < n && !err; i++)
		if (!is_there(nw, &nw->gone[i]))
			err = keep_ended(nw, &nw->gone[i]);
	nw->ngone = 0;
	for (size_t i = 0; i < nw->prev.ninflight && !err; i++) {
		const struct net_inflight *p = &nw->prev.inflight[i];

		if (p->dead || p->trail.seen_ns < p->start_ns + LEAST_NS || is_there(nw, p))
			continue;
		err = array_room(&nw->gone, nw->ngone, &nw->gone_cap, sizeof(*nw->gone));
		if (!err)
			nw->gone[nw->ngone++] = *p;
	}
	return err;
}

int nettrails_follow(struct netwatch *nw)
{
	for (size_t i = 0; i < nw->cur.ninflight; i++)
		if (!nw->cur.inflight[i].dead)
			follow(nw, &nw->cur.inflight[i]);
	return end_gone(nw);
}
