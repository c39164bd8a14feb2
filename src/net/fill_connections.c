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
		r->max_per_host = r->max_idle_per_host = r->max_streams = -1;
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

/* One more transport of a row, unless it was counted already. */
static void count_transport(struct fill *f, struct bytesmap *seen, struct net_connections *r,
			    uint32_t host, uint64_t transport)
{
	uint64_t key[2] = { host, transport };
	bool made = false;

	if (!transport || r->other)
		return;
	if (!bytesmap_put(seen, key, sizeof(key), 0, &made))
		f->nw->no_room++;
	r->transports += made;
}

static int by_open(const void *a, const void *b)
{
	const struct net_connections *x = a, *y = b;

	if (x->open != y->open)
		return x->open < y->open ? 1 : -1;
	return strcmp(x->host, y->host);
}

static int count_http1(struct fill *f, struct rowset *s, struct bytesmap *seen)
{
	const struct net_look *l = &f->nw->cur;

	for (size_t i = 0; i < l->nconn; i++) {
		const struct net_conn *c = &l->conn[i];
		struct net_connections *r;

		if (c->dead || c->h2 || (c->closed && !c->awaits_body))
			continue;
		r = connections_of(f, s, c->host, false);
		if (!r)
			return -ENOMEM;
		r->open++;
		r->idle += !c->expects && !c->awaits_body && !c->writing;
		take_limits(f, r, c->transport);
		count_transport(f, seen, r, c->host, c->transport);
	}
	return 0;
}

static int count_http2(struct fill *f, struct rowset *s, bool *has_h2)
{
	const struct net_look *l = &f->nw->cur;

	for (size_t i = 0; i < l->nh2conn; i++) {
		const struct net_h2conn *c = &l->h2conn[i];
		struct net_connections *r;

		if (c->dead || c->closed)
			continue;
		r = connections_of(f, s, c->host, true);
		if (!r)
			return -ENOMEM;
		has_h2[c->host] = true;
		r->open++;
		r->idle += !c->streams;
		r->streams += c->streams;
		if (c->max_streams >= 0 && (r->max_streams < 0 || c->max_streams < r->max_streams))
			r->max_streams = c->max_streams;
	}
	return 0;
}

/* Who waits for a connection, or for one more stream on the one there is. */
static int count_waiting(struct fill *f, struct rowset *s, const bool *has_h2,
			 struct bytesmap *seen)
{
	const struct net_look *l = &f->nw->cur;

	for (size_t i = 0; i < l->ninflight; i++) {
		const struct net_inflight *q = &l->inflight[i];
		struct net_connections *r;

		if (q->dead || q->phase != NET_POOL_WAIT)
			continue;
		r = connections_of(f, s, q->host, has_h2[q->host]);
		if (!r)
			return -ENOMEM;
		r->waiting++;
		take_limits(f, r, q->transport);
		if (!has_h2[q->host])
			count_transport(f, seen, r, q->host, q->transport);
	}
	return 0;
}

static int count_conns(struct fill *f, struct rowset *s, struct bytesmap *seen)
{
	bool *has_h2 = calloc(f->nw->nhost, sizeof(*has_h2)); /* by number of the host */
	int err = has_h2 ? count_http1(f, s, seen) : -ENOMEM;

	if (!err)
		err = count_http2(f, s, has_h2);
	if (!err)
		err = count_waiting(f, s, has_h2, seen);
	free(has_h2);
	return err;
}

static int count_lost(struct fill *f, struct rowset *s)
{
	const struct netwatch *nw = f->nw;

	for (size_t i = 0; i < nw->nslot; i++) {
		struct net_connections *r;

		if (nw->cur.now_ns - nw->slot[i].since_ns < NET_LOST_NS)
			continue;
		r = connections_of(f, s, nw->slot[i].host, false);
		if (!r)
			return -ENOMEM;
		r->lost_slots += nw->slot[i].lost;
	}
	return 0;
}

/* ---- whose streams they are ---- */

/* One place's streams to a host. */
struct held {
	uint32_t host;
	struct net_holder h;
};

static int by_host(const void *a, const void *b)
{
	const struct held *x = a, *y = b;

	if (x->host != y->host)
		return x->host < y->host ? -1 : 1;
	return x->h.count < y->h.count ? 1 : x->h.count > y->h.count ? -1 : 0;
}

static int count_holders(struct fill *f, struct rowset *s)
{
	const struct net_look *l = &f->nw->cur;

	for (size_t i = 0; i < l->nconn; i++) {
		const struct net_conn *c = &l->conn[i];
		struct place place = c->reader ? l->inflight[c->reader - 1].place : c->seen.place;
		struct {
			struct place_key place;
			uint64_t host;
		} key = { place_key(&place), net_conn_host(c) };
		bool made, other;
		struct held *h;

		if (c->dead || !c->h2 || c->unborn)
			continue;
		h = rowset_put(s, &key, sizeof(key), &made, &other);
		if (!h)
			return -ENOMEM;
		if (other)
			continue;
		h->host = (uint32_t)key.host;
		h->h.place = place;
		h->h.count++;
		h->h.bodies += c->awaits_body;
	}
	return 0;
}

static int fill_holders(struct fill *f)
{
	struct net_window *w = f->out;
	struct held *held;
	struct rowset s;
	int n, err;

	rowset_init(&s, sizeof(*held));
	err = count_holders(f, &s);
	err = rowset_take(&s, err, &held, &n, by_host);
	for (int i = 0; i < w->nconnection && !err; i++) {
		struct net_connections *r = &w->connection[i];
		uint32_t host = fill_host_number(f, r->host);

		for (int k = 0; k < n && r->streams && !r->other; k++)
			if (held[k].host == host && r->nholder < NET_MAX_HOLDERS)
				r->holder[r->nholder++] = held[k].h;
	}
	if (!err)
		free(held);
	return err;
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
	struct bytesmap seen;
	struct rowset s;
	int err;

	rowset_init(&s, sizeof(struct net_connections));
	bytesmap_init(&seen, NET_MAX_CONNS);
	err = count_conns(f, &s, &seen);
	bytesmap_deinit(&seen);
	if (!err)
		err = count_lost(f, &s);
	err = rowset_take(&s, err, &f->out->connection, &f->out->nconnection, by_open);
	if (!err)
		err = fill_holders(f);
	return err ? err : count_dials(f);
}
