/* SPDX-License-Identifier: BSD-2-Clause */
/* Servers: who they serve, with which limits, and since when. */
#include "net/priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "trace/trace.h"

#define MAX_PATTERN 4096
#define STATE_IDLE  2 /* http.StateIdle, in the lowest byte of conn.curState */

static void take_pattern(struct net_serving *s, const uint8_t *text, uint32_t len)
{
	uint32_t n = 0;

	for (; text && n < len && n < sizeof(s->pattern) - 1; n++)
		s->pattern[n] = (char)(text[n] >= ' ' && text[n] < 0x7f ? text[n] : '?');
	s->pattern[n] = '\0';
}

/* One connection of a server while it is read. */
struct serving_read {
	uint32_t conn, request, text, len;
	uint64_t response, at;
};

/* Up to 1.19 an idle connection waits for the next request where it reads it; since
 * then it is there only when the first bytes have come (net/http/server.go, serve). */
static bool is_idle(const struct netwatch *nw, const uint8_t *conn)
{
	int32_t state = net_off(nw, LAYOUT_HTTP_CONN_CURSTATE);

	return nw->rt->gb->release.minor < 20 && state >= 0 && conn[state] == STATE_IDLE;
}

/* conn -> its Server and the response it is at, whose request was read before when it is the same. */
static int read_server_conns(struct netwatch *nw, struct serving_read *p)
{
	struct net_look *l = &nw->cur;
	int32_t cur = net_off(nw, LAYOUT_HTTP_CONN_CURREQ);
	int err;

	readbatch_reset(&nw->batch);
	for (size_t i = 0; i < l->nserving; i++)
		p[i].conn = readbatch_add(&nw->batch, l->serving[i].conn,
					  (uint32_t)net_off(nw, LAYOUT_HTTP_CONN_SIZE));
	err = readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; !err && i < l->nserving; i++) {
		const uint8_t *b = readbatch_get(&nw->batch, p[i].conn);
		struct net_serving *s = &l->serving[i];
		uint64_t *at = u64map_find(&nw->prev.serving_at, s->goid);
		const struct net_serving *was = at ? &nw->prev.serving[*at] : NULL;

		s->server = b ? load_u64(b + net_off(nw, LAYOUT_HTTP_CONN_SERVER)) : 0;
		s->response = b && cur >= 0 ? load_u64(b + cur) : 0;
		if (b && is_idle(nw, b))
			s->reading_request = false;
		s->same = was && was->conn == s->conn && was->response == s->response &&
			  s->response && was->reading_request == s->reading_request;
		if (s->same)
			memcpy(s->pattern, was->pattern, sizeof(s->pattern));
		else
			p[i].response = s->response;
	}
	return err;
}

/* response -> Request -> Pattern, which the mux has set. */
static int read_patterns(struct netwatch *nw, struct serving_read *p)
{
	struct net_look *l = &nw->cur;
	int32_t pattern = net_off(nw, LAYOUT_HTTP_REQUEST_PATTERN);
	int err;

	if (pattern < 0) /* up to 1.22 */
		return 0;
	readbatch_reset(&nw->batch);
	for (size_t i = 0; i < l->nserving; i++)
		p[i].request =
			!p[i].response
				? READBATCH_NONE
				: readbatch_add(&nw->batch,
						p[i].response +
							(uint64_t)net_off(
								nw, LAYOUT_HTTP_SRVRESPONSE_REQ),
						8);
	err = readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; !err && i < l->nserving; i++) {
		const uint8_t *b = readbatch_get(&nw->batch, p[i].request);

		p[i].at = b ? load_u64(b) : 0;
	}
	readbatch_reset(&nw->batch);
	for (size_t i = 0; !err && i < l->nserving; i++)
		p[i].request = p[i].at ? readbatch_add(&nw->batch, p[i].at + (uint64_t)pattern, 16)
				       : READBATCH_NONE;
	err = err ? err : readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; !err && i < l->nserving; i++) {
		const uint8_t *b = readbatch_get(&nw->batch, p[i].request);

		p[i].at = b ? load_u64(b) : 0;
		p[i].len = b && load_u64(b + 8) < MAX_PATTERN ? (uint32_t)load_u64(b + 8) : 0;
	}
	readbatch_reset(&nw->batch);
	for (size_t i = 0; !err && i < l->nserving; i++)
		p[i].text =
			p[i].len ? readbatch_add(&nw->batch, p[i].at, p[i].len) : READBATCH_NONE;
	err = err ? err : readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; !err && i < l->nserving; i++)
		if (p[i].text != READBATCH_NONE)
			take_pattern(&l->serving[i], readbatch_get(&nw->batch, p[i].text),
				     p[i].len);
	return err;
}

/* The limits of each Server, read once. */
static int read_server_limits(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	int32_t read_t = net_off(nw, LAYOUT_HTTP_SERVER_READTIMEOUT),
		head_t = net_off(nw, LAYOUT_HTTP_SERVER_READHEADERTIMEOUT);
	struct u64map limits; /* server -> piece, then whether it has none */
	uint64_t key, *value;
	size_t pos = 0;
	int err;

	u64map_init(&limits, NET_MAX_CONNS);
	readbatch_reset(&nw->batch);
	for (size_t i = 0; i < l->nserving; i++) {
		uint64_t *at;
		bool made;

		at = u64map_put(&limits, l->serving[i].server, 0, &made);
		if (at && made)
			*at = readbatch_add(&nw->batch, l->serving[i].server,
					    (uint32_t)net_off(nw, LAYOUT_HTTP_SERVER_SIZE));
	}
	err = readbatch_read(&nw->batch, nw->rt->mem);
	while (!err && u64map_next(&limits, &pos, &key, &value)) {
		const uint8_t *b = readbatch_get(&nw->batch, (uint32_t)*value);

		*value = b && !load_u64(b + read_t) && !load_u64(b + head_t);
	}
	for (size_t i = 0; !err && i < l->nserving; i++) {
		uint64_t *at = u64map_find(&limits, l->serving[i].server);

		l->serving[i].no_read_timeout = at && *at == 1;
	}
	u64map_deinit(&limits);
	return err;
}

int netservers_read(struct netwatch *nw)
{
	struct serving_read *p = calloc(nw->cur.nserving + 1, sizeof(*p));
	int err = p ? read_server_conns(nw, p) : -ENOMEM;

	if (!err)
		err = read_patterns(nw, p);
	if (!err)
		err = read_server_limits(nw);
	free(p);
	return err;
}

/* Since when a goroutine is in what it does, as far as we have seen. */
void netservers_date(struct netwatch *nw, const struct gowalk *w, struct trace *trace)
{
	struct net_look *l = &nw->cur;

	for (size_t i = 0; i < l->nserving; i++) {
		struct net_serving *s = &l->serving[i];
		uint64_t *at = u64map_find(&nw->prev.serving_at, s->goid), since;
		const struct net_serving *p = at ? &nw->prev.serving[*at] : NULL;
		struct trace_open open;
		bool handles = nw->stacks.stack[s->stack].in_handler;

		s->start_ns = l->now_ns;
		s->age = AGE_AT_LEAST;
		if (handles && trace && trace_open_find(trace, OPEN_HANDLER, s->g, &open) &&
		    open.goid == s->goid) {
			s->start_ns = open.start_ns;
			s->age = AGE_EXACT;
			continue;
		}
		/* one goroutine takes one request after the other: the same is the one of the same response */
		if (p &&
		    (s->same || (s->reading_request && p->reading_request && p->conn == s->conn)))
			s->start_ns = p->start_ns;
		since = net_waitsince_ns(nw, &w->g[s->walk], l->now_ns);
		if (since && since < s->start_ns)
			s->start_ns = since;
	}
}
