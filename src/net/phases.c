/* SPDX-License-Identifier: BSD-2-Clause */
/* The phase that each request is in: by its stage, the dials made for it and its stream. */
#include "net/priv.h"

/* ---- transports, dials ---- */

#define NEIGHBOURS 64 /* bytes */

static int32_t least(int32_t a, int32_t b)
{
	return a < b ? a : b;
}

/* What of a Transport is read: its limits, which are next to each other. */
struct limits {
	int32_t first, bytes, idle, most, off; /* off: DisableKeepAlives; -1 */
};

static struct limits limits_of(const struct netwatch *nw)
{
	struct limits l = { .idle = net_off(nw, LAYOUT_HTTP_TRANSPORT_MAXIDLECONNSPERHOST),
			    .most = net_off(nw, LAYOUT_HTTP_TRANSPORT_MAXCONNSPERHOST),
			    .off = net_off(nw, LAYOUT_HTTP_TRANSPORT_DISABLEKEEPALIVES) };

	l.first = least(l.idle, l.most);
	l.bytes = l.idle + l.most - 2 * l.first + 8;
	if (l.off >= 0 && l.off < l.first && l.first - l.off < NEIGHBOURS) {
		l.bytes += l.first - l.off;
		l.first = l.off;
	} else {
		l.off = -1;
	}
	return l;
}

static void ask_limits(void *owner, void *item, struct readpiece *piece)
{
	const struct net_transport *t = item;
	struct limits l = limits_of(owner);

	*piece = (struct readpiece){ t->addr + (uint64_t)l.first, (uint32_t)l.bytes };
}

static void take_limits(void *owner, void *item, const uint8_t *const *bytes)
{
	struct limits l = limits_of(owner);
	struct net_transport *t = item;

	if (!bytes[0])
		return;
	t->known = true;
	t->max_idle_per_host = (int64_t)load_u64(bytes[0] + l.idle - l.first);
	t->max_per_host = (int64_t)load_u64(bytes[0] + l.most - l.first);
	t->keeps_none = l.off >= 0 && bytes[0][l.off - l.first] == 1;
	if (t->max_idle_per_host == 0)
		t->max_idle_per_host = 2; /* http.DefaultMaxIdleConnsPerHost */
}

/* The channel of a dial's result: its wantConn's. */
static void ask_dial(void *owner, void *item, struct readpiece *piece)
{
	const struct netwatch *nw = owner;
	const struct net_dial *d = item;
	int32_t off = net_off(nw, LAYOUT_HTTP_WANTCONN_RESULT);

	if (off < 0) /* up to 1.22 */
		off = net_off(nw, LAYOUT_HTTP_WANTCONN_READY);
	if (d->want && off >= 0)
		*piece = (struct readpiece){ d->want + (uint64_t)off, 8 };
}

static void take_dial(void *owner, void *item, const uint8_t *const *bytes)
{
	struct net_dial *d = item;

	(void)owner;
	d->chan = bytes[0] ? load_u64(bytes[0]) : 0;
}

/* Channels of the requests that wait for a connection or for an HTTP/2 response. */
static int read_waits(struct netwatch *nw)
{
	const struct goroutine *g = nw->look->walk->g;
	struct net_look *l = &nw->cur;

	for (size_t i = 0; i < l->ninflight; i++) {
		struct net_inflight *f = &l->inflight[i];
		enum net_stage stage = nw->stacks.stack[f->stack].stage;

		if (stage == NETSTAGE_GETCONN || stage == NETSTAGE_HTTP2)
			f->wait = (struct net_wait){ .g = f->g, .sudog = g[f->walk].waiting };
	}
	return l->ninflight
		       ? net_read_waits(nw, &l->inflight->wait, l->ninflight, sizeof(*l->inflight))
		       : 0;
}

/* ---- phases ---- */

/* What one of the channels that it waits for belongs to; NULL: nothing that is known. */
static const uint64_t *awaited(const struct net_wait *w, const struct u64map *of_chan)
{
	const uint64_t *at = NULL;

	for (int k = 0; k < w->n && !at; k++)
		at = u64map_find(of_chan, w->chan[k]);
	return at;
}

static void phase_of_wait(struct net_look *l, struct net_inflight *f, const struct u64map *dials)
{
	const struct net_transport *t = NET_FIND(l, transport, transport_at, f->transport);
	const uint64_t *at = awaited(&f->wait, dials);

	if (at) {
		f->phase = l->dial[*at].phase;
		l->dial[*at].wanted = true;
	} else if (f->wait.n && t && t->max_per_host > 0) {
		f->phase = NET_POOL_WAIT; /* nobody dials for it: it is queued, if it can be */
	}
}

/*
 * A stream that has no number yet is queued behind one that waits for the server's leave
 * to open it, or behind one whose header is being written.
 */
static void phase_of_stream(struct netwatch *nw, struct net_inflight *f,
			    const struct u64map *streams)
{
	struct net_look *l = &nw->cur;
	const uint64_t *at = awaited(&f->wait, streams);
	const struct net_conn *c = at ? &l->conn[*at] : NULL;
	const struct net_h2conn *h = c ? NET_FIND(l, h2conn, h2conn_at, c->transport) : NULL;

	f->phase = NET_TTFB;
	if (!c)
		return;
	f->conn = c->addr;
	f->waits = nw->stacks.stack[c->stack].waits;
	if (c->unborn && ((h && h->pending) || f->waits == NET_WAITS_STREAM)) {
		f->phase = NET_POOL_WAIT;
		f->waits = NET_WAITS_STREAM;
	} else if (c->writing) {
		f->phase = NET_REQUEST_WRITE;
		if (c->unborn)
			f->waits = NET_WAITS_SOCKET;
	} else {
		f->waits = NET_WAITS_NOTHING;
	}
}

static void find_phase(struct netwatch *nw, struct net_inflight *f, const struct u64map *dials,
		       const struct u64map *streams)
{
	struct net_look *l = &nw->cur;
	uint64_t *writes;

	switch (nw->stacks.stack[f->stack].stage) {
	case NETSTAGE_GETCONN:
		phase_of_wait(l, f, dials);
		break;
	case NETSTAGE_HTTP2:
		phase_of_stream(nw, f, streams);
		break;
	case NETSTAGE_HTTP1:
		/* a writer that was not seen at rest runs: it writes */
		writes = u64map_find(&l->writer, f->conn);
		f->phase = !writes || *writes ? NET_REQUEST_WRITE : NET_TTFB;
		break;
	default:
		break;
	}
}

static void find_phases(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	struct u64map dials, streams; /* channel -> dial, -> stream */

	u64map_init(&dials, NET_MAX_INFLIGHT);
	u64map_init(&streams, NET_MAX_INFLIGHT);
	for (size_t i = 0; i < l->ndial; i++)
		if (l->dial[i].chan)
			net_put(nw, &dials, l->dial[i].chan, i);
	for (size_t i = 0; i < l->nconn; i++)
		if (l->conn[i].header_chan)
			net_put(nw, &streams, l->conn[i].header_chan, i);
	for (size_t i = 0; i < l->ninflight; i++)
		if (l->inflight[i].phase < 0)
			find_phase(nw, &l->inflight[i], &dials, &streams);
	u64map_deinit(&dials);
	u64map_deinit(&streams);
}

int netphases_find(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	int err = NET_STAGES(nw, l->transport, l->ntransport, { ask_limits, take_limits });

	if (!err)
		err = NET_STAGES(nw, l->dial, l->ndial, { ask_dial, take_dial });
	if (!err)
		err = read_waits(nw);
	if (!err)
		find_phases(nw);
	return err;
}
