/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One look: goroutines by the part they play, the words on their stacks that
 * lead to connections, requests and servers, and those structures.  Read in
 * stages, each a batch of what the one before has named.
 */
#include "net/priv.h"
#include "base/vec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/cursor.h"
#include "model/stacktable.h"
#include "gort/gostack.h"
#include "trace/trace.h"
#include "net/window.h"

#define PIPE_B 64 /* http2pipe: mu, c, b, the same in 1.18 to 1.27 */

void netlook_deinit(struct net_look *l)
{
	struct u64map *map[] = { &l->h2conn_at,  &l->flight_at, &l->conn_at, &l->conn_by_addr,
				 &l->serving_at, &l->gcall_at,  &l->writer,  &l->transport_at };

	for (size_t i = 0; i < sizeof(map) / sizeof(*map); i++)
		u64map_deinit(map[i]);
	free(l->flight);
	free(l->conn);
	free(l->serving);
	free(l->gcall);
	free(l->h2conn);
	free(l->transport);
	free(l->listener);
	free(l->dial);
	free(l->stream);
	memset(l, 0, sizeof(*l));
}

static void begin(struct net_look *l, uint64_t now_ns)
{
	netlook_deinit(l);
	u64map_init(&l->flight_at, NET_MAX_FLIGHTS);
	u64map_init(&l->conn_at, NET_MAX_CONNS);
	u64map_init(&l->conn_by_addr, NET_MAX_CONNS);
	u64map_init(&l->serving_at, NET_MAX_FLIGHTS);
	u64map_init(&l->gcall_at, NET_MAX_FLIGHTS);
	u64map_init(&l->h2conn_at, NET_MAX_CONNS);
	u64map_init(&l->writer, NET_MAX_CONNS);
	u64map_init(&l->transport_at, NET_MAX_HOSTS);
	l->now_ns = now_ns;
}

uint64_t net_waitsince_ns(const struct netwatch *nw, const struct goroutine *g, uint64_t now_ns)
{
	int64_t t = g->waitsince_ns - nw->rt->mono_offset_ns;

	if (g->status != GO_WAITING || g->waitsince_ns <= 0 || t <= 0 || (uint64_t)t > now_ns)
		return 0;
	return (uint64_t)t;
}

static uint64_t body_read(const struct netwatch *nw, const struct net_user *p)
{
	uint64_t body = netusers_word(nw, p, NETSLOT_BODY),
		 pipe = netusers_word(nw, p, NETSLOT_PIPE);

	if (body || !pipe)
		return body;
	return pipe - (uint64_t)(net_off(nw, LAYOUT_H2_CLIENTSTREAM_BUFPIPE_B) - PIPE_B);
}

static int take_flight(struct netwatch *nw, const struct gowalk *w, const struct net_user *p,
		       const struct netstack *s)
{
	struct net_look *l = &nw->cur;
	struct net_flight f = {
		.goid = w->g[p->walk].goid,
		.g = w->g[p->walk].addr,
		.walk = p->walk,
		.stack = p->cls,
		.phase = -1,
		.place = s->place,
	};

	if (!(s->roles & NETROLE_REQUEST)) {
		f.phase = NET_BODY;
		f.request = body_read(nw, p);
	} else {
		f.client = netusers_word(nw, p, NETSLOT_CLIENT);
		f.request = netusers_word(nw, p, NETSLOT_REQUEST);
		f.inner = netusers_word(nw, p, NETSLOT_INNER);
		f.transport = netusers_word(nw, p, NETSLOT_TRANSPORT);
		f.conn = netusers_word(nw, p, NETSLOT_CONN);
		f.treq = netusers_word(nw, p, NETSLOT_TREQ);
		if (!f.request)
			f.request = f.inner;
		if (s->roles & (NETROLE_BODY | NETROLE_STREAM_BODY))
			f.phase = NET_BODY; /* what is left of a redirect's */
	}
	u64map_put(&l->flight_at, f.goid, l->nflight, NULL);
	return NET_ADD(l, flight, f);
}

static int take_serving(struct netwatch *nw, const struct gowalk *w, const struct net_user *p,
			const struct netstack *s)
{
	struct net_look *l = &nw->cur;

	u64map_put(&l->serving_at, w->g[p->walk].goid, l->nserving, NULL);
	return NET_ADD(l, serving,
		       (struct net_serving){
			       .goid = w->g[p->walk].goid,
			       .g = w->g[p->walk].addr,
			       .walk = p->walk,
			       .stack = p->cls,
			       .conn = netusers_word(nw, p, NETSLOT_SERVE),
			       .reading_request = s->reading_request && !s->in_handler,
		       });
}

/* What one goroutine is for. */
static int take_user(struct netwatch *nw, const struct gowalk *w, const struct net_user *p)
{
	const struct netstack *s = &nw->stacks.stack[p->cls];
	struct net_look *l = &nw->cur;
	const struct goroutine *g = &w->g[p->walk];
	int err = 0;

	if (s->roles & (NETROLE_REQUEST | NETROLE_BODY | NETROLE_STREAM_BODY) &&
	    l->nflight < NET_MAX_FLIGHTS)
		err = take_flight(nw, w, p, s);
	if (!err && s->roles & NETROLE_DIAL)
		err = NET_ADD(l, dial,
			      (struct net_dial){ .want = netusers_word(nw, p, NETSLOT_WANT),
						 .phase = s->dial_phase });
	if (!err && s->roles & NETROLE_READLOOP && l->nconn < NET_MAX_CONNS)
		err = NET_ADD(l, conn,
			      (struct net_conn){ .goid = g->goid,
						 .addr = netusers_word(nw, p, NETSLOT_LOOP),
						 .walk = p->walk,
						 .stack = p->cls,
						 .frame = p->frame,
						 .awaits_body = s->awaits_body,
						 .waitsince_ns =
							 net_waitsince_ns(nw, g, l->now_ns) });
	if (s->roles & NETROLE_WRITELOOP)
		u64map_put(&l->writer, netusers_word(nw, p, NETSLOT_LOOP), s->writing, NULL);
	if (!err && s->roles & NETROLE_STREAM && s->plain_h2 && l->nconn < NET_MAX_CONNS)
		err = NET_ADD(l, conn,
			      (struct net_conn){ .goid = g->goid,
						 .addr = netusers_word(nw, p, NETSLOT_STREAM),
						 .walk = p->walk,
						 .stack = p->cls,
						 .frame = NET_NO_FRAME,
						 .h2 = true,
						 .waitsince_ns =
							 net_waitsince_ns(nw, g, l->now_ns) });
	if (!err && s->roles & NETROLE_H2CONN && s->plain_h2)
		err = NET_ADD(l, h2conn,
			      (struct net_h2conn){ .addr = netusers_word(nw, p, NETSLOT_H2CONN),
						   .goid = g->goid,
						   .walk = p->walk,
						   .stack = p->cls });
	if (!err && s->roles & NETROLE_SERVER)
		err = take_serving(nw, w, p, s);
	if (!err && s->roles & NETROLE_LISTEN)
		err = NET_ADD(l, listener,
			      (struct net_listener){ netusers_word(nw, p, NETSLOT_SERVER),
						     s->serves });
	if (!err && s->roles & NETROLE_GRPC) {
		u64map_put(&l->gcall_at, g->goid, l->ngcall, NULL);
		err = NET_ADD(
			l, gcall,
			(struct net_gcall){
				.goid = g->goid, .g = g->addr, .walk = p->walk, .stack = p->cls });
	}
	return err;
}

static int take_users(struct netwatch *nw, const struct gowalk *w)
{
	int err = 0;

	for (size_t i = 0; i < nw->users.n && !err; i++)
		err = take_user(nw, w, &nw->users.v[i]);
	return err;
}

static int read_structures(struct netwatch *nw, const struct gowalk *w, struct trace *trace)
{
	struct net_look *l = &nw->cur;
	int err = netconns_read(nw);

	for (size_t i = 0; !err && i < l->nflight; i++)
		err = netconns_add_transport(l, l->flight[i].transport);
	if (!err)
		err = netbodies_find(nw, w);
	if (!err)
		err = neth2_read_streams(nw);
	if (!err)
		err = neth2_read_conns(nw);
	if (!err)
		err = neth2_name(nw);
	if (!err)
		err = netphases_find(nw, w);
	if (!err)
		err = netservers_read(nw);
	if (!err)
		err = netgrpc_read(nw, w, trace);
	if (!err)
		err = netconns_join(nw);
	if (!err) {
		netconns_date(nw);
		netservers_date(nw, w, trace);
	}
	return err;
}

int netlook_take(struct netwatch *nw, const struct gowalk *w, const struct gostacks *gs,
		 struct trace *trace, uint64_t now_ns)
{
	struct net_look t = nw->prev;
	int err = netusers_classify(nw, gs);

	nw->prev = nw->cur;
	nw->cur = t;
	begin(&nw->cur, now_ns);
	if (!err)
		err = netusers_check(nw, w);
	if (!err)
		err = take_users(nw, w);
	if (!err)
		err = read_structures(nw, w, trace);
	return err;
}
