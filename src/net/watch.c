/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/priv.h"

#include <stdio.h>

#include "base/clock.h"

#define MAX_BUSY 65536

/* Without these nothing is said. */
static const enum layout_field needed[] = {
	LAYOUT_HTTP_PERSISTCONN_SIZE,
	LAYOUT_HTTP_PERSISTCONN_T,
	LAYOUT_HTTP_PERSISTCONN_BR,
	LAYOUT_HTTP_PERSISTCONN_KEY_ADDR,
	LAYOUT_HTTP_PERSISTCONN_KEY_PROXY,
	LAYOUT_HTTP_PERSISTCONN_CLOSED,
	LAYOUT_HTTP_PERSISTCONN_NUMEXPECTEDRESPONSES,
	LAYOUT_HTTP_PERSISTCONN_READLIMIT,
	LAYOUT_HTTP_PERSISTCONN_CLOSECH,
	LAYOUT_HTTP_REQUEST_SIZE,
	LAYOUT_HTTP_REQUEST_URL,
	LAYOUT_HTTP_REQUEST_CTX,
	LAYOUT_HTTP_TRANSPORTREQUEST_REQUEST,
	LAYOUT_HTTP_TRANSPORT_MAXCONNSPERHOST,
	LAYOUT_HTTP_TRANSPORT_MAXIDLECONNSPERHOST,
	LAYOUT_HTTP_CLIENT_TIMEOUT,
	LAYOUT_HTTP_RESPONSE_SIZE,
	LAYOUT_HTTP_RESPONSE_BODY,
	LAYOUT_HTTP_RESPONSE_REQUEST,
	LAYOUT_HTTP_BODYEOFSIGNAL_SIZE,
	LAYOUT_HTTP_BODYEOFSIGNAL_EARLYCLOSEFN,
	LAYOUT_HTTP_BODYEOFSIGNAL_CLOSED,
	LAYOUT_HTTP_CONN_SIZE,
	LAYOUT_HTTP_CONN_SERVER,
	LAYOUT_HTTP_SERVER_SIZE,
	LAYOUT_HTTP_SERVER_READTIMEOUT,
	LAYOUT_HTTP_SERVER_READHEADERTIMEOUT,
	LAYOUT_HTTP_SRVRESPONSE_REQ,
	LAYOUT_H2_CLIENTSTREAM_SIZE,
	LAYOUT_H2_CLIENTSTREAM_CC,
	LAYOUT_H2_CLIENTSTREAM_RESPHEADERRECV,
	LAYOUT_H2_CLIENTSTREAM_SENTENDSTREAM,
	LAYOUT_H2_CLIENTSTREAM_PASTHEADERS,
	LAYOUT_H2_CLIENTSTREAM_RES,
	LAYOUT_H2_CLIENTSTREAM_READCLOSED,
	LAYOUT_H2_CLIENTSTREAM_READABORTED,
	LAYOUT_H2_CLIENTSTREAM_ABORTERR,
	LAYOUT_H2_CLIENTSTREAM_BUFPIPE_B,
	LAYOUT_H2_CLIENTCONN_SIZE,
	LAYOUT_H2_CLIENTCONN_CLOSED,
	LAYOUT_H2_CLIENTCONN_TCONN,
	LAYOUT_H2_CLIENTCONN_STREAMS,
	LAYOUT_URL_SCHEME,
	LAYOUT_URL_HOST,
	LAYOUT_BUFIO_READER_RD,
	LAYOUT_CTX_CANCEL_SIZE,
	LAYOUT_CTX_CANCEL_CONTEXT,
	LAYOUT_CTX_TIMER_CANCELCTX,
	LAYOUT_CTX_TIMER_DEADLINE,
	LAYOUT_CTX_VALUE_CONTEXT,
	LAYOUT_TIME_TIME_WALL,
	LAYOUT_TIME_TIME_EXT,
	LAYOUT_SUDOG_SIZE,
	LAYOUT_SUDOG_C,
	LAYOUT_SUDOG_G,
	LAYOUT_SUDOG_WAITLINK,
	LAYOUT_G_GOID,
	LAYOUT_G_ATOMICSTATUS,
	LAYOUT_G_TRACKINGSEQ,
	LAYOUT_G_SCHED_SP,
	LAYOUT_G_SYSCALLSP,
	LAYOUT_G_DEFER,
	LAYOUT_DEFER_FN,
	LAYOUT_DEFER_LINK,
};

static int check_layout(struct netwatch *nw)
{
	if (!goruntime_has(nw->rt, FACT_STACKS) || !goruntime_has(nw->rt, FACT_GOROUTINES)) {
		snprintf(nw->why, sizeof(nw->why), "%s",
			 nw->rt->why_off[goruntime_has(nw->rt, FACT_STACKS) ? FACT_GOROUTINES
									    : FACT_STACKS]);
		return -EOPNOTSUPP;
	}
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (net_off(nw, needed[i]) < 0) {
			snprintf(nw->why, sizeof(nw->why),
				 "where this release keeps %s is not known",
				 layout_field_name(needed[i]));
			return -EOPNOTSUPP;
		}
	return 0;
}

int netwatch_new(struct netwatch **out, struct goruntime *rt, struct gotypes *types)
{
	static const char none[WINDOW_MAX_HOST + 1] = "", other[WINDOW_MAX_HOST + 1] = "other";
	struct netwatch *nw = calloc(1, sizeof(*nw));

	if (!nw)
		return -ENOMEM;
	*out = nw;
	nw->rt = rt;
	nw->types = types;
	nw->max_inflight = NET_MAX_INFLIGHT;
	nw->max_conns = NET_MAX_CONNS;
	nw->body_slot = nw->response_slot = -1;
	netstacks_init(&nw->stacks, rt);
	bytesmap_init(&nw->host_at, NET_MAX_HOSTS + 2);
	bytesmap_init(&nw->busy_at, MAX_BUSY);
	netspends_begin(nw);
	netuploads_begin(nw);
	u64map_init(&nw->context_kind, 4096);
	u64map_init(&nw->unread_before, NET_MAX_HOSTS + 2);
	u64map_init(&nw->older_ended, 2 * NET_MAX_HOSTS + 4);
	netdials_begin_window(nw);
	net_host_number(nw, none);
	net_host_number(nw, other);
	return check_layout(nw); /* the caller asks why, then frees it */
}

void netwatch_free(struct netwatch *nw)
{
	if (!nw)
		return;
	netlook_deinit(&nw->cur);
	netlook_deinit(&nw->prev);
	netstacks_deinit(&nw->stacks);
	readbatch_deinit(&nw->batch);
	bytesmap_deinit(&nw->host_at);
	bytesmap_deinit(&nw->busy_at);
	u64map_deinit(&nw->context_kind);
	u64map_deinit(&nw->unread_before);
	u64map_deinit(&nw->older_ended);
	free(nw->older);
	netusers_deinit(&nw->users);
	free(nw->host);
	u64map_deinit(&nw->jam_at);
	free(nw->jam);
	free(nw->busy);
	free(nw->gone);
	free(nw->upload);
	bytesmap_deinit(&nw->upload_at);
	free(nw->spend);
	bytesmap_deinit(&nw->spend_at);
	free(nw->ended);
	free(nw);
}

void net_ask_next(void *owner, void *item, struct readpiece *piece)
{
	(void)owner;
	*piece = *(const struct readpiece *)item;
}

int net_stages(struct netwatch *nw, void *item, size_t n, size_t size, const struct net_step *step)
{
	int err = 0;

	for (; step->ask && !err; step++)
		err = readbatch_stage(&nw->batch, nw->rt->mem,
				      &(struct readstage){ nw, item, n, size, step->ask, step->take,
							   false });
	return err;
}

uint32_t net_host_number(struct netwatch *nw, const char host[WINDOW_MAX_HOST + 1])
{
	size_t len = strlen(host);
	uint64_t *at;

	/* the same as of the one before, mostly */
	if (nw->last_host < nw->nhost && !strcmp(nw->host[nw->last_host], host))
		return nw->last_host;
	at = bytesmap_find(&nw->host_at, host, len);
	if (at)
		return nw->last_host = (uint32_t)*at;
	if (nw->nhost >= NET_MAX_HOSTS + 2 ||
	    array_room(&nw->host, nw->nhost, &nw->host_cap, sizeof(*nw->host)) ||
	    !bytesmap_put(&nw->host_at, host, len, nw->nhost, NULL))
		return NET_OTHER_HOST;
	snprintf(nw->host[nw->nhost], sizeof(*nw->host), "%s", host);
	return (uint32_t)nw->nhost++;
}

/* NULL: there are too many. */
static struct net_busy *busy_of(struct netwatch *nw, const struct net_inflight *f)
{
	struct {
		struct place_key place;
		uint64_t host;
	} key = { place_key(&f->place), f->host };
	uint64_t *at;
	bool made;

	if (array_room(&nw->busy, nw->nbusy, &nw->busy_cap, sizeof(*nw->busy)))
		return NULL;
	at = bytesmap_put(&nw->busy_at, &key, sizeof(key), nw->nbusy, &made);
	if (at && made)
		nw->busy[nw->nbusy++] = (struct net_busy){ f->host, f->place, 0 };
	return at ? &nw->busy[*at] : NULL;
}

/* Who asks whom how often: requests that were not there at the look before. */
static void count_busy(struct netwatch *nw)
{
	const struct net_inflight *last = NULL;
	struct net_busy *busy = NULL;

	for (size_t i = 0; i < nw->cur.ninflight; i++) {
		const struct net_inflight *f = &nw->cur.inflight[i];
		const struct net_inflight *before =
			NET_FIND(&nw->prev, inflight, inflight_at, f->goid);

		if (f->dead || !f->place.function || f->host == NET_NO_HOST ||
		    (before && before->request == f->request))
			continue;
		if (!last || last->host != f->host || !place_is(&last->place, &f->place))
			busy = busy_of(nw, f);
		last = f;
		if (busy)
			busy->count++;
	}
}

/* Bodies out that nobody reads, before it is known which of them are left alone. */
static void count_before(struct netwatch *nw)
{
	for (size_t i = 0; i < nw->cur.nconn; i++) {
		const struct net_conn *c = &nw->cur.conn[i];
		uint64_t *at;

		if (c->dead || !c->awaits_body || c->reader)
			continue;
		at = u64map_put(&nw->unread_before, net_conn_host(c), 0, NULL);
		if (at)
			++*at;
		else
			nw->no_room++;
	}
}

void netwatch_observe_frames(struct netwatch *nw, struct gostacks *gs)
{
	nw->users.n = nw->users.nword = nw->users.nframe = nw->users.nclass = 0;
	nw->users.begin_ns = clock_mono_ns();
	netstacks_begin(&nw->stacks);
	gs->listener = netusers_observe;
	gs->listens = nw;
}

void netwatch_report_losses(struct netwatch *nw)
{
	lose(nw->look->losses, LOSS_NET_UNREAD, nw->unread);
	lose(nw->look->losses, LOSS_NET_ROOM, nw->no_room);
	nw->unread = nw->no_room = 0;
	nw->look = NULL;
}

int netwatch_look(struct netwatch *nw, const struct look *look)
{
	int err;

	nw->look = look;
	err = netlook_take(nw);
	if (!err)
		err = netrequests_read(nw);
	if (!err)
		err = nettrails_follow(nw);
	if (!err)
		netspends_count(nw);
	if (!err)
		err = netuploads_count(nw);
	if (!err)
		netslots_follow(nw);
	if (!err)
		count_busy(nw);
	if (!err)
		netdials_tally(nw);
	if (!err && !nw->begin_ns) {
		nw->begin_ns = look->now_ns;
		count_before(nw);
		err = netolder_begin(nw);
	}
	if (!err)
		netolder_follow(nw);
	netwatch_report_losses(nw);
	return err;
}

void netwatch_begin_window(struct netwatch *nw)
{
	nw->window_ns = nw->cur.now_ns;
	nw->nended = 0;
	u64map_clear(&nw->older_ended);
	netspends_begin(nw);
	netuploads_begin(nw);
	netdials_begin_window(nw);
}

const char *netwatch_why(const struct netwatch *nw)
{
	return nw->why;
}
