/* SPDX-License-Identifier: BSD-2-Clause */
/* Servers: who they serve, with which limits, and since when. */
#include "net/priv.h"

#include <stdio.h>

#include "trace/opens.h"

#define MAX_PATTERN 4096 /* longer is none */
#define STATE_IDLE  2    /* http.StateIdle, in the lowest byte of conn.curState */

void net_pattern_format(const char *text, size_t len, char out[NET_MAX_PATTERN])
{
	size_t n = 0;

	for (; n < len && n < NET_MAX_PATTERN - 1; n++)
		out[n] = text[n] >= ' ' && text[n] < 0x7f ? text[n] : '?';
	out[n] = '\0';
}

void net_method_pattern(const char *text, char out[NET_MAX_PATTERN])
{
	char name[NET_MAX_PATTERN];

	net_pattern_format(text, strlen(text), name);
	snprintf(out, NET_MAX_PATTERN, "/%.*s", NET_MAX_PATTERN - 2, name);
}

/* One connection of a server while its request's pattern is read. */
struct serving_read {
	struct readpiece next; /* first: net_ask_next() */
	struct net_serving *s;
};

/* Up to 1.19 an idle connection waits for the next request where it reads it; since
 * then it is there only when the first bytes have come (net/http/server.go, serve). */
static bool is_idle(const struct netwatch *nw, const uint8_t *conn)
{
	int32_t state = net_off(nw, LAYOUT_HTTP_CONN_CURSTATE);

	return nw->rt->gb->release.minor < 20 && state >= 0 && conn[state] == STATE_IDLE;
}

static const struct net_serving *before(const struct netwatch *nw, const struct net_serving *s)
{
	return NET_FIND(&nw->prev, serving, serving_at, s->goid);
}

/* conn -> its Server and the response it is at, whose request was read before when it is the same. */
static void take_conn(void *owner, void *item, const uint8_t *const *bytes)
{
	const struct netwatch *nw = owner;
	int32_t cur = net_off(nw, LAYOUT_HTTP_CONN_CURREQ),
		state = net_off(nw, LAYOUT_HTTP_CONN_CURSTATE);
	struct serving_read *p = item;
	struct net_serving *s = p->s;
	const struct net_serving *was = before(nw, s);
	const uint8_t *b = bytes[0];

	s->server = b ? net_u64(nw, b, LAYOUT_HTTP_CONN_SERVER) : 0;
	s->response = b && cur >= 0 ? load_u64(b + cur) : 0;
	if (b && is_idle(nw, b))
		s->reading_request = false;
	s->state = b && state >= 0 ? load_u64(b + state) : 0;
	s->buffer = b ? net_u64(nw, b, LAYOUT_HTTP_CONN_BUFR) : 0;
	s->same = was && was->conn == s->conn && was->response == s->response && s->response &&
		  was->reading_request == s->reading_request;
	p->next = (struct readpiece){ 0 };
	if (s->same && was->pattern[0])
		memcpy(s->pattern, was->pattern, sizeof(s->pattern));
	else if (s->response)
		p->next = net_part(nw, s->response, LAYOUT_HTTP_SRVRESPONSE_REQ, 8);
}

/* response -> Request */
static void take_request(void *owner, void *item, const uint8_t *const *bytes)
{
	struct serving_read *p = item;
	uint64_t request = bytes[0] ? load_u64(bytes[0]) : 0;

	p->next = request ? net_part(owner, request, LAYOUT_HTTP_REQUEST_PATTERN, 16)
			  : (struct readpiece){ 0 };
}

/* Request -> Pattern, which the mux has set */
static void take_pattern(void *owner, void *item, const uint8_t *const *bytes)
{
	uint64_t len = bytes[0] ? load_u64(bytes[0] + 8) : 0;
	struct serving_read *p = item;

	(void)owner;
	p->next = (struct readpiece){ 0 };
	if (len && len < MAX_PATTERN)
		p->next = (struct readpiece){ load_u64(bytes[0]), (uint32_t)len };
}

static void take_text(void *owner, void *item, const uint8_t *const *bytes)
{
	const struct serving_read *p = item;

	(void)owner;
	net_pattern_format((const char *)bytes[0], bytes[0] ? p->next.len : 0, p->s->pattern);
}

/* Before the first request of a connection its buffer is empty until something has come. */
static void take_begun(void *owner, void *item, const uint8_t *const *bytes)
{
	struct serving_read *p = item;

	(void)owner;
	p->s->silent = bytes[0] && !load_u64(bytes[0]);
}

static int read_begun(struct netwatch *nw, struct serving_read *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i].next = p[i].s->reading_request && p[i].s->buffer
				    ? net_part(nw, p[i].s->buffer, LAYOUT_BUFIO_READER_W, 8)
				    : (struct readpiece){ 0 };
	return NET_STAGES(nw, p, n, { net_ask_next, take_begun });
}

/* A Server's limits, which are read once. */
struct server_limits {
	struct readpiece next; /* first: net_ask_next() */
	bool none;             /* on what is read */
};

static void take_server(void *owner, void *item, const uint8_t *const *bytes)
{
	const struct netwatch *nw = owner;
	struct server_limits *s = item;

	s->none = bytes[0] && !net_u64(nw, bytes[0], LAYOUT_HTTP_SERVER_READTIMEOUT) &&
		  !net_u64(nw, bytes[0], LAYOUT_HTTP_SERVER_READHEADERTIMEOUT);
}

static int read_limits(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	struct server_limits *v = calloc(l->nserving + 1, sizeof(*v));
	struct u64map at; /* server -> index */
	size_t n = 0;
	int err = v ? 0 : -ENOMEM;

	u64map_init(&at, NET_MAX_CONNS);
	for (size_t i = 0; !err && i < l->nserving; i++) {
		bool made;

		if (!u64map_put(&at, l->serving[i].server, n, &made))
			nw->no_room++;
		else if (made)
			v[n++].next = net_whole(nw, l->serving[i].server, LAYOUT_HTTP_SERVER_SIZE);
	}
	if (!err)
		err = NET_STAGES(nw, v, n, { net_ask_next, take_server });
	for (size_t i = 0; !err && i < l->nserving; i++) {
		uint64_t *k = u64map_find(&at, l->serving[i].server);

		l->serving[i].no_read_timeout = k && v[*k].none;
	}
	u64map_deinit(&at);
	free(v);
	return err;
}

static int read_patterns(struct netwatch *nw, struct serving_read *p, size_t n)
{
	int err = NET_STAGES(nw, p, n, { net_ask_next, take_request });

	for (size_t i = 0; i < n; i++) /* what is around the mux may have made a copy */
		if (p[i].s->routed && !p[i].s->pattern[0])
			p[i].next = net_part(nw, p[i].s->routed, LAYOUT_HTTP_REQUEST_PATTERN, 16);
	return err ? err
		   : NET_STAGES(nw, p, n, { net_ask_next, take_pattern },
				{ net_ask_next, take_text });
}

int netservers_read(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	struct serving_read *p = calloc(l->nserving + 1, sizeof(*p));
	int err = p ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < l->nserving; i++) {
		uint64_t conn = l->serving[i].conn; /* a gRPC stream has none */

		p[i].s = &l->serving[i];
		if (conn)
			p[i].next = net_whole(nw, conn, LAYOUT_HTTP_CONN_SIZE);
	}
	if (!err)
		err = NET_STAGES(nw, p, l->nserving, { net_ask_next, take_conn });
	if (!err && net_off(nw, LAYOUT_HTTP_REQUEST_PATTERN) >= 0) /* since 1.23 */
		err = read_patterns(nw, p, l->nserving);
	if (!err && net_off(nw, LAYOUT_HTTP_CONN_BUFR) >= 0)
		err = read_begun(nw, p, l->nserving);
	if (!err)
		err = read_limits(nw);
	free(p);
	return err;
}

/* Since when a goroutine is in what it does, as far as we have seen. */
static void date_serving(struct netwatch *nw, struct net_serving *s)
{
	const struct net_serving *p = before(nw, s);
	uint64_t since;
	struct trace_open open;

	s->start_ns = nw->cur.now_ns;
	s->age = AGE_AT_LEAST;
	if (nw->stacks.stack[s->stack].in_handler &&
	    trace_opens_find(nw->look->opens, OPEN_HANDLER, s->g, &open) && open.goid == s->goid) {
		s->start_ns = open.start_ns;
		s->age = AGE_EXACT;
		if (open.text && nw->stacks.stack[s->stack].is_stream)
			net_method_pattern(open.text, s->pattern);
		else if (open.text) /* as it is counted; up to 1.22 a request has none */
			net_pattern_format(open.text, strlen(open.text), s->pattern);
		return;
	}
	/* one goroutine takes one request after the other: the same is the one of the same response,
	 * or, while it is read, one before which none has ended since */
	if (p && (s->same || (s->reading_request && p->reading_request && p->conn == s->conn &&
			      p->state == s->state)))
		s->start_ns = p->start_ns;
	since = net_parked_ns(nw, s->walk);
	if (since && since < s->start_ns)
		s->start_ns = since;
}

void netservers_date(struct netwatch *nw)
{
	for (size_t i = 0; i < nw->cur.nserving; i++)
		date_serving(nw, &nw->cur.serving[i]);
}
