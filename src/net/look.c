/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One look: goroutines that use the network, the words on their stacks that
 * lead to connections, requests and servers, and those structures.  Read in
 * stages, each a batch of what the one before has named.
 */
#include "net/priv.h"

#include "model/age.h"

void netlook_deinit(struct net_look *l)
{
	struct u64map *map[] = { &l->dial_at,      &l->h2conn_at,    &l->inflight_at, &l->conn_at,
				 &l->conn_by_addr, &l->serving_at,   &l->gcall_at,    &l->writer,
				 &l->writer_stack, &l->transport_at, &l->lookup_at };

	for (size_t i = 0; i < ARRAY_SIZE(map); i++)
		u64map_deinit(map[i]);
	free(l->inflight);
	free(l->conn);
	free(l->serving);
	free(l->gcall);
	free(l->h2conn);
	free(l->transport);
	free(l->listener);
	free(l->dial);
	free(l->peer);
	free(l->lookup);
	memset(l, 0, sizeof(*l));
}

static void begin(struct net_look *l, uint64_t now_ns)
{
	netlook_deinit(l);
	u64map_init(&l->inflight_at, NET_MAX_INFLIGHT);
	u64map_init(&l->dial_at, NET_MAX_INFLIGHT);
	u64map_init(&l->conn_at, NET_MAX_CONNS);
	u64map_init(&l->conn_by_addr, NET_MAX_CONNS);
	u64map_init(&l->serving_at, NET_MAX_INFLIGHT);
	u64map_init(&l->gcall_at, NET_MAX_INFLIGHT);
	u64map_init(&l->h2conn_at, NET_MAX_CONNS);
	u64map_init(&l->writer, NET_MAX_CONNS);
	u64map_init(&l->writer_stack, NET_MAX_CONNS);
	u64map_init(&l->lookup_at, NET_MAX_INFLIGHT);
	u64map_init(&l->transport_at, NET_MAX_HOSTS);
	l->now_ns = now_ns;
}

uint64_t net_parked_ns(const struct netwatch *nw, uint32_t walk)
{
	uint64_t since = nw->look->walk->g[walk].parked_ns;

	return since > nw->cur.now_ns ? 0 : since;
}

/* The bodyEOFSignal or clientStream that is read; of a stream the pipe leads to it. */
static uint64_t body_read(struct netwatch *nw, const struct net_user *p, bool x)
{
	uint64_t body = netusers_word(nw, p, NETSLOT_BODY),
		 pipe = netusers_word(nw, p, NETSLOT_PIPE);
	const struct net_h2_layout *l = body || !pipe ? NULL : neth2_layout(nw, x);

	return l ? pipe - (uint64_t)l->off[NET_H2_PIPE] : body;
}

static int take_inflight(struct netwatch *nw, const struct net_user *u, const struct netstack *s)
{
	const struct goroutine *g = &nw->look->walk->g[u->walk];
	struct net_inflight f = { .goid = g->goid,
				  .g = g->addr,
				  .stop = goroutine_stop(g),
				  .walk = u->walk,
				  .stack = u->cls,
				  .phase = -1,
				  .place = s->place };

	if (!(s->roles & NETROLE_REQUEST)) {
		f.phase = NET_BODY;
		f.request = body_read(nw, u, !s->plain_h2);
	} else {
		f.client = netusers_word(nw, u, NETSLOT_CLIENT);
		f.request = netusers_word(nw, u, NETSLOT_REQUEST);
		f.inner = netusers_word(nw, u, NETSLOT_INNER);
		f.transport = netusers_word(nw, u, NETSLOT_TRANSPORT);
		f.conn = netusers_word(nw, u, NETSLOT_CONN);
		f.treq = netusers_word(nw, u, NETSLOT_TREQ);
		if (!f.request)
			f.request = f.inner;
		if (s->roles & (NETROLE_BODY | NETROLE_STREAM_BODY))
			f.phase = NET_BODY; /* what is left of a redirect's */
	}
	return NET_ADD(nw, inflight, nw->max_inflight, f);
}

/* A connection of HTTP/1 by its readLoop, or a stream of HTTP/2. */
static int take_conn(struct netwatch *nw, const struct net_user *u, const struct netstack *s,
		     bool h2)
{
	return NET_ADD(
		nw, conn, nw->max_conns,
		(struct net_conn){ .goid = nw->look->walk->g[u->walk].goid,
				   .addr = netusers_word(nw, u, h2 ? NETSLOT_STREAM : NETSLOT_LOOP),
				   .stop = goroutine_stop(&nw->look->walk->g[u->walk]),
				   .walk = u->walk,
				   .stack = u->cls,
				   .frame = h2 ? NET_NO_FRAME : u->frame,
				   .h2 = h2,
				   .x = h2 && !s->plain_h2,
				   .awaits_body = !h2 && s->awaits_body,
				   .parked_ns = net_parked_ns(nw, u->walk) });
}

static int take_h2conn(struct netwatch *nw, const struct net_user *u, bool x)
{
	uint64_t addr = netusers_word(nw, u, NETSLOT_H2CONN);

	return NET_ADD(nw, h2conn, nw->max_conns,
		       (struct net_h2conn){ .next = { addr, neth2_layout(nw, x)->conn_bytes },
					    .addr = addr,
					    .x = x,
					    .max_streams = -1,
					    .read_idle_ns = -1,
					    .goid = nw->look->walk->g[u->walk].goid });
}

/* A gRPC stream that a handler of net/http has: it is that handler's request. */
static bool is_of_http(struct netwatch *nw, uint64_t transport)
{
	const char *name = transport ? gotypes_of_itab(nw->types, transport) : NULL;

	return name && !strcmp(name, "*transport.serverHandlerTransport");
}

static int take_serving(struct netwatch *nw, const struct net_user *u, const struct netstack *s)
{
	const struct goroutine *g = &nw->look->walk->g[u->walk];

	if (s->is_stream && is_of_http(nw, netusers_word(nw, u, NETSLOT_STREAM_BY)))
		return 0;
	return NET_ADD(nw, serving, nw->max_inflight,
		       (struct net_serving){ .goid = g->goid,
					     .g = g->addr,
					     .walk = u->walk,
					     .stack = u->cls,
					     .conn = netusers_word(nw, u, NETSLOT_SERVE),
					     .routed = netusers_word(nw, u, NETSLOT_ROUTED),
					     .reading_request =
						     s->reading_request && !s->in_handler });
}

static int take_gcall(struct netwatch *nw, const struct net_user *u)
{
	const struct goroutine *g = &nw->look->walk->g[u->walk];

	return NET_ADD(
		nw, gcall, nw->max_inflight,
		(struct net_gcall){ .goid = g->goid,
				    .g = g->addr,
				    .stop = goroutine_stop(g),
				    .walk = u->walk,
				    .stack = u->cls,
				    .user_ctx = { netusers_word(nw, u, NETSLOT_USER_CTX),
						  netusers_word(nw, u, NETSLOT_USER_CTX_DATA) },
				    .ctx = { netusers_word(nw, u, NETSLOT_CTX),
					     netusers_word(nw, u, NETSLOT_CTX_DATA) },
				    .stream = netusers_word(nw, u, NETSLOT_GRPC_STREAM),
				    .attempt = netusers_word(nw, u, NETSLOT_GRPC_ATTEMPT) });
}

static void take_writer(struct netwatch *nw, const struct net_user *u, const struct netstack *s)
{
	uint64_t conn = netusers_word(nw, u, NETSLOT_LOOP);

	net_put(nw, &nw->cur.writer, conn, s->writing);
	if (s->writing)
		net_put(nw, &nw->cur.writer_stack, conn, u->cls);
}

/* What one goroutine is for. */
static int take_user(struct netwatch *nw, const struct net_user *u)
{
	const struct netstack *s = &nw->stacks.stack[u->cls];
	int err = 0;

	if (s->roles & (NETROLE_REQUEST | NETROLE_BODY | NETROLE_STREAM_BODY))
		err = take_inflight(nw, u, s);
	if (!err && s->roles & NETROLE_DIAL)
		err = NET_ADD(nw, dial, nw->max_inflight,
			      (struct net_dial){ .goid = nw->look->walk->g[u->walk].goid,
						 .want = netusers_word(nw, u, NETSLOT_WANT),
						 .phase = s->dial_phase,
						 .walk = u->walk });
	if (!err && s->roles & NETROLE_READLOOP)
		err = take_conn(nw, u, s, false);
	if (s->roles & NETROLE_WRITELOOP)
		take_writer(nw, u, s);
	if (!err && s->roles & NETROLE_STREAM && neth2_layout(nw, !s->plain_h2))
		err = take_conn(nw, u, s, true);
	if (!err && s->roles & NETROLE_H2CONN && neth2_layout(nw, !s->plain_h2))
		err = take_h2conn(nw, u, !s->plain_h2);
	if (!err && s->roles & NETROLE_SERVER)
		err = take_serving(nw, u, s);
	if (!err && s->roles & NETROLE_LISTEN)
		err = NET_ADD(nw, listener, nw->max_inflight,
			      (struct net_listener){ netusers_word(nw, u, NETSLOT_SERVER),
						     s->serves });
	if (!err && s->roles & NETROLE_LOOKUP)
		err = NET_ADD(
			nw, lookup, nw->max_inflight,
			(struct net_lookup){ .goid = nw->look->walk->g[u->walk].goid,
					     .stop = goroutine_stop(&nw->look->walk->g[u->walk]),
					     .walk = u->walk,
					     .stack = u->cls });
	if (!err && s->roles & NETROLE_GRPC_CONN)
		err = NET_ADD(nw, peer, nw->max_conns,
			      (struct net_peer){ .addr = netusers_word(nw, u, NETSLOT_GRPC_CONN),
						 .host = NET_NO_HOST });
	if (!err && s->roles & NETROLE_GRPC)
		err = take_gcall(nw, u);
	return err;
}

static int take_users(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	int err = 0;

	for (size_t i = 0; i < nw->users.n && !err; i++)
		err = take_user(nw, &nw->users.v[i]);
	for (size_t i = 0; i < l->ninflight; i++)
		net_put(nw, &l->inflight_at, l->inflight[i].goid, i);
	for (size_t i = 0; i < l->ndial; i++)
		net_put(nw, &l->dial_at, l->dial[i].goid, i);
	for (size_t i = 0; i < l->nserving; i++)
		net_put(nw, &l->serving_at, l->serving[i].goid, i);
	for (size_t i = 0; i < l->ngcall; i++)
		net_put(nw, &l->gcall_at, l->gcall[i].goid, i);
	return err;
}

static int read_structures(struct netwatch *nw)
{
	static int (*const read[])(struct netwatch *) = {
		netconns_read,  netconns_add_transports, netbodies_find,  neth2_read,
		netphases_find, netdials_read,           netservers_read, netgrpc_read,
		netpeers_read,
	};
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(read) && !err; i++)
		err = read[i](nw);
	if (err)
		return err;
	netconns_join(nw);
	netconns_date(nw);
	netservers_date(nw);
	netlookups_date(nw);
	return 0;
}

int netlook_take(struct netwatch *nw)
{
	struct net_look t = nw->prev;
	int err = netusers_classify(nw, nw->look->stacks);

	nw->same_heap = nw->has_cycles && nw->look->walk->has_cycles &&
			nw->cycles == nw->look->walk->cycles;
	nw->has_cycles = nw->look->walk->has_cycles;
	nw->cycles = nw->look->walk->cycles;
	nw->prev = nw->cur;
	nw->cur = t;
	begin(&nw->cur, nw->look->now_ns);
	if (!err)
		err = netusers_check(nw);
	if (!err)
		err = take_users(nw);
	return err ? err : read_structures(nw);
}
