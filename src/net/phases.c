/* SPDX-License-Identifier: BSD-2-Clause */
/* The phase that each request is in: by its stage, the dials made for it and its stream. */
#include "net/priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"

/* ---- transports, dials ---- */

static int read_transports(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	int32_t idle = net_off(nw, LAYOUT_HTTP_TRANSPORT_MAXIDLECONNSPERHOST);
	int32_t most = net_off(nw, LAYOUT_HTTP_TRANSPORT_MAXCONNSPERHOST);
	uint32_t(*piece)[2] = calloc(l->ntransport + 1, sizeof(*piece));
	int err = piece ? 0 : -ENOMEM;

	readbatch_reset(&nw->batch);
	for (size_t i = 0; !err && i < l->ntransport; i++) {
		piece[i][0] = readbatch_add(&nw->batch, l->transport[i].addr + (uint64_t)idle, 8);
		piece[i][1] = readbatch_add(&nw->batch, l->transport[i].addr + (uint64_t)most, 8);
	}
	if (!err)
		err = readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; !err && i < l->ntransport; i++) {
		const uint8_t *a = readbatch_get(&nw->batch, piece[i][0]),
			      *b = readbatch_get(&nw->batch, piece[i][1]);
		struct net_transport *t = &l->transport[i];

		if (!a || !b)
			continue;
		t->known = true;
		t->max_idle_per_host = (int64_t)load_u64(a);
		t->max_per_host = (int64_t)load_u64(b);
		if (t->max_idle_per_host == 0)
			t->max_idle_per_host = 2; /* http.DefaultMaxIdleConnsPerHost */
	}
	free(piece);
	return err;
}

/* Where the result of each dial is told: a wantConn's channel. */
static int read_dials(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	int32_t off = net_off(nw, LAYOUT_HTTP_WANTCONN_RESULT);
	uint32_t *piece = calloc(l->ndial + 1, sizeof(*piece));
	int err = piece ? 0 : -ENOMEM;

	if (off < 0) /* up to 1.22 */
		off = net_off(nw, LAYOUT_HTTP_WANTCONN_READY);
	readbatch_reset(&nw->batch);
	for (size_t i = 0; !err && off >= 0 && i < l->ndial; i++)
		piece[i] = l->dial[i].want
				   ? readbatch_add(&nw->batch, l->dial[i].want + (uint64_t)off, 8)
				   : READBATCH_NONE;
	if (!err && off >= 0)
		err = readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; !err && off >= 0 && i < l->ndial; i++) {
		const uint8_t *b = readbatch_get(&nw->batch, piece[i]);

		l->dial[i].chan = b ? load_u64(b) : 0;
	}
	free(piece);
	return err;
}

/* Channels of the flights that wait for a connection or for an HTTP/2 response. */
static int read_flight_chans(struct netwatch *nw, const struct gowalk *w)
{
	struct net_look *l = &nw->cur;
	uint64_t(*chan)[NET_MAX_CHAN] = calloc(l->nflight + 1, sizeof(*chan));
	uint32_t *walk = calloc(l->nflight + 1, sizeof(*walk)),
		 *of = calloc(l->nflight + 1, sizeof(*of));
	int *nchan = calloc(l->nflight + 1, sizeof(*nchan)),
	    err = chan && walk && of && nchan ? 0 : -ENOMEM;
	size_t n = 0;

	for (size_t i = 0; !err && i < l->nflight; i++) {
		enum net_stage stage = nw->stacks.stack[l->flight[i].stack].stage;

		if (stage != NETSTAGE_GETCONN && stage != NETSTAGE_HTTP2)
			continue;
		of[n] = (uint32_t)i;
		walk[n++] = l->flight[i].walk;
	}
	if (!err && n)
		err = net_read_chans(nw, w, walk, n, chan, nchan);
	for (size_t i = 0; !err && i < n; i++) {
		memcpy(l->flight[of[i]].chan, chan[i], sizeof(chan[i]));
		l->flight[of[i]].nchan = nchan[i];
	}
	free(chan);
	free(walk);
	free(of);
	free(nchan);
	return err;
}

/* ---- phases ---- */

static const struct net_transport *transport_of(const struct net_look *l, uint64_t addr)
{
	uint64_t *at = u64map_find(&l->transport_at, addr);

	return at ? &l->transport[*at] : NULL;
}

static void phase_of_wait(struct net_look *l, struct net_flight *f, const struct u64map *dials)
{
	const struct net_transport *t = transport_of(l, f->transport);

	for (int k = 0; k < f->nchan; k++) {
		uint64_t *at = u64map_find(dials, f->chan[k]);

		if (!at)
			continue;
		f->phase = l->dial[*at].phase;
		return;
	}
	/* nobody dials for it: it is queued, if there is something to queue for */
	if (f->nchan && t && t->max_per_host > 0)
		f->phase = NET_POOL_WAIT;
}

static void phase_of_stream(struct net_look *l, struct net_flight *f, const struct u64map *streams)
{
	f->phase = NET_TTFB;
	for (int k = 0; k < f->nchan; k++) {
		uint64_t *at = u64map_find(streams, f->chan[k]);

		if (!at)
			continue;
		f->phase = l->stream[*at].sent ? NET_TTFB : NET_REQUEST_WRITE;
		f->conn = l->stream[*at].addr;
		return;
	}
}

static int find_phases(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	struct u64map dials, streams;

	u64map_init(&dials, NET_MAX_FLIGHTS);
	u64map_init(&streams, NET_MAX_FLIGHTS);
	for (size_t i = 0; i < l->ndial; i++)
		if (l->dial[i].chan)
			u64map_put(&dials, l->dial[i].chan, i, NULL);
	for (size_t i = 0; i < l->nstream; i++)
		if (l->stream[i].chan)
			u64map_put(&streams, l->stream[i].chan, i, NULL);
	for (size_t i = 0; i < l->nflight; i++) {
		struct net_flight *f = &l->flight[i];
		enum net_stage stage = nw->stacks.stack[f->stack].stage;
		uint64_t *writes;

		if (f->phase >= 0)
			continue;
		if (stage == NETSTAGE_GETCONN) {
			phase_of_wait(l, f, &dials);
		} else if (stage == NETSTAGE_HTTP2) {
			phase_of_stream(l, f, &streams);
		} else if (stage == NETSTAGE_HTTP1) {
			/* a writer that was not seen at rest runs: it writes */
			writes = u64map_find(&l->writer, f->conn);
			f->phase = !writes || *writes ? NET_REQUEST_WRITE : NET_TTFB;
		}
	}
	u64map_deinit(&dials);
	u64map_deinit(&streams);
	return 0;
}

int netphases_find(struct netwatch *nw, const struct gowalk *w)
{
	int err = read_transports(nw);

	if (!err)
		err = read_dials(nw);
	if (!err)
		err = read_flight_chans(nw, w);
	if (!err)
		err = find_phases(nw);
	return err;
}
