/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections of clients by host and protocol. */
#include "net/fill.h"

static struct net_connections *connections_of(struct fill *f, struct rowset *s, uint32_t host,
					      bool h2)
{
	uint64_t key = (uint64_t)host << 1 | h2;
	bool made, other;
	struct net_connections *r = rowset_put(s, &key, sizeof(key), &made, &other);

	if (r && made) {
		r->other = other;
		fill_host(f, other ? NET_OTHER_HOST : host, r->host);
		r->protocol = h2 ? "h2" : "http/1.1";
		r->max_per_host = r->max_idle_per_host = -1;
	}
	return r;
}

/* The limits that bind first, of several transports to one host. */
static void take_limits(const struct fill *f, struct net_connections *r, uint64_t transport)
{
	const struct net_transport *t = NET_FIND(&f->nw->cur, transport, transport_at, transport);

	if (!t || !t->known)
		return;
	r->keeps_none |= t->keeps_none;
	if (r->max_per_host <= 0 || (t->max_per_host > 0 && t->max_per_host < r->max_per_host))
		r->max_per_host = t->max_per_host;
	if (r->max_idle_per_host < 0 || t->max_idle_per_host < r->max_idle_per_host)
		r->max_idle_per_host = t->max_idle_per_host;
}

static int by_open(const void *a, const void *b)
{
	const struct net_connections *x = a, *y = b;

	if (x->open != y->open)
		return x->open < y->open ? 1 : -1;
	return strcmp(x->host, y->host);
}

static int count_conns(struct fill *f, struct rowset *s)
{
	const struct net_look *l = &f->nw->cur;
	struct net_connections *r;

	for (size_t i = 0; i < l->nconn; i++) {
		const struct net_conn *c = &l->conn[i];

		if (c->dead || c->h2 || (c->closed && !c->awaits_body))
			continue;
		r = connections_of(f, s, c->host, false);
		if (!r)
			return -ENOMEM;
		r->open++;
		r->idle += !c->expects && !c->awaits_body && !c->writing;
		take_limits(f, r, c->transport);
	}
	for (size_t i = 0; i < l->nh2conn; i++) {
		if (l->h2conn[i].dead || l->h2conn[i].closed)
			continue;
		r = connections_of(f, s, l->h2conn[i].host, true);
		if (!r)
			return -ENOMEM;
		r->open++;
		r->idle += !l->h2conn[i].streams;
	}
	for (size_t i = 0; i < l->ninflight; i++) {
		if (l->inflight[i].dead || l->inflight[i].phase != NET_POOL_WAIT)
			continue;
		r = connections_of(f, s, l->inflight[i].host, false);
		if (!r)
			return -ENOMEM;
		r->waiting++;
		take_limits(f, r, l->inflight[i].transport);
	}
	return 0;
}

/* Connects that ended in the window, from the phases, which are filled before. */
static int count_dials(struct fill *f)
{
	struct net_window *w = f->out;
	uint64_t *dials = calloc(f->nw->nhost, sizeof(*dials)); /* by number of the host */

	if (!dials)
		return -ENOMEM;
	for (int i = 0; i < w->nphase; i++)
		if (w->phase[i].phase == NET_CONNECT)
			dials[fill_host_number(f, w->phase[i].host)] = w->phase[i].count;
	for (int i = 0; i < w->nconnection; i++)
		w->connection[i].dials = dials[fill_host_number(f, w->connection[i].host)];
	free(dials);
	return 0;
}

int fill_connections(struct fill *f)
{
	struct rowset s;
	int err;

	rowset_init(&s, sizeof(struct net_connections));
	err = count_conns(f, &s);
	err = rowset_take(&s, err, &f->out->connection, &f->out->nconnection, by_open);
	return err ? err : count_dials(f);
}
