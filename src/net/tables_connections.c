/* SPDX-License-Identifier: BSD-2-Clause */
/* The tables of connections. */
#include "net/tables.h"

#include <string.h>

#include "base/human.h"
#include "model/sentence.h"
#include "net/window.h"

static bool phases_known(const struct row *r)
{
	return r->w->net->phases_known;
}

static bool is_http2(const struct row *r)
{
	const struct net_connections *c = r->row;

	return c->protocol && !strcmp(c->protocol, "h2");
}

static bool max_streams_known(const struct row *r)
{
	return is_http2(r) && ((const struct net_connections *)r->row)->max_streams >= 0;
}

static bool no_http2(const struct window *w)
{
	for (int i = 0; i < w->net->nconnection; i++)
		if (w->net->connection[i].streams || w->net->connection[i].max_streams > 0)
			return false;
	return true;
}

/* "3 of 250" */
static void streams_cell(const struct row *r, struct buf *out)
{
	const struct net_connections *c = r->row;
	char text[HUMAN_MAX];

	if (!is_http2(r)) {
		buf_puts(out, "-");
		return;
	}
	buf_puts(out, human_count(c->streams, text));
	if (max_streams_known(r) && !r->nrest)
		buf_printf(out, " of %s", human_count((uint64_t)c->max_streams, text));
}

#define S struct net_holder
static const struct column stream_holder_column[] = {
	PLACE(S, place, "place", "the call; absent where it was not seen"),
	COUNT(S, count, "count", "streams"),
	COUNT(S, bodies, "bodies", "of them, with a response whose body goes on"),
};
#undef S

static const struct table stream_holders =
	TABLE("stream_holder", "Whose streams an HTTP/2 connection has: by the requests on them.",
	      struct net_holder, stream_holder_column);

#define S struct net_connections
static const struct column connection_column[] = {
	HOST(S, host, "the host, name:port", SHOWN(1, "host"), .min = 24, .none = "?",
	     .flags = COLUMN_NAME_REST, .id = 1),
	TEXT(S, protocol, "protocol", "http/1.1 or h2", SHOWN(2, "protocol"), .none = "",
	     .flags = COLUMN_NO_REST | COLUMN_SOMETIMES, .id = 2),
	COUNT(S, open, "open", "connections open at `time`", SHOWN(3, "open")),
	COUNT(S, idle, "idle", "of them, not in use", SHOWN(4, "idle"), .flags = COLUMN_DASH_0),
	MOST(S, max_per_host, "max_per_host", "Transport.MaxConnsPerHost; 0 is unlimited",
	     SHOWN(6, "max"), .none = "?", .flags = COLUMN_NO_REST),
	MOST(S, max_idle_per_host, "max_idle_per_host",
	     "idle connections that are kept; 2 unless the transport says otherwise",
	     SHOWN(7, "max idle"), .none = "?", .flags = COLUMN_NO_REST),
	COUNT(S, waiting, "waiting", "requests that wait for a connection", SHOWN(5, "waiting"),
	      .flags = COLUMN_DASH_0),
	COUNT(S, transports, "transports",
	      "how many http.Transports these are of, each with limits of its own (the least are "
	      "shown); absent: not known",
	      .flags = COLUMN_ABSENT_0 | COLUMN_NO_REST),
	COUNT(S, lost_slots, "lost_slots",
	      "counted against max_per_host, and no connection has them: a bug of go1.22.0",
	      .flags = COLUMN_ABSENT_0),
	COUNT(S, dials, "dials", "connects to it in this window", .known = phases_known,
	      SHOWN(8, "dialled"), .flags = COLUMN_DASH_0),
	COUNT(S, streams, "streams", "HTTP/2: streams in use on all of them", .known = is_http2,
	      SHOWN(9, "streams"), .left_out = no_http2, .cell = streams_cell,
	      .flags = COLUMN_RIGHT),
	INTEGER(S, max_streams, "max_streams",
		"HTTP/2: what the server allows on one connection (MaxConcurrentStreams; the "
		"least, "
		"of several), 1000 where it says nothing; absent before its first SETTINGS",
		.known = max_streams_known, .flags = COLUMN_NO_REST),
	ROWS(S, holder, nholder, "holders", &stream_holders,
	     "HTTP/2: whose streams are in use, those with most", .known = is_http2,
	     .flags = COLUMN_NO_REST | COLUMN_INSIDE),
	GOT(COLUMN_EXACTNESS, "exactness", schema_exact, "read from the transports' own pools"),
};
#undef S

static void connections_sentence(const struct window *w, struct buf *out)
{
	uint64_t open = 0, idle = 0, waiting = 0;

	for (int i = 0; i < w->net->nconnection; i++) {
		open += w->net->connection[i].open;
		idle += w->net->connection[i].idle;
		waiting += w->net->connection[i].waiting;
	}
	sentence_count(out, "", open, " open");
	sentence_count(out, ", ", idle, " of them idle");
	if (waiting)
		sentence_count(out, "; ", waiting,
			       waiting == 1 ? " request waits for one" : " requests wait for one");
}

const struct table net_connections = {
	.name = "connections",
	.what = "Per host and protocol, from the transports' own pools.",
	TABLE_ROWS(struct net_connections, connection_column),
	.other_at = OFFSET(struct net_connections, other, bool),
	.label = "connections",
	.title = "HTTP connections",
	.sentence = connections_sentence,
	.of = &net_object,
	.max_rows = 10,
	.diff_title = "connections",
	.diff_key = "open",
};

/* ---- silent ones ---- */

static bool is_pinged(const struct row *r)
{
	return ((const struct net_silent *)r->row)->ping_s > 0;
}

#define S struct net_silent
static const struct column silent_column[] = {
	HOST(S, host, "whom it is to, name:port", SHOWN(1, "host"), .min = 20, .none = "?",
	     .flags = COLUMN_NAME_REST),
	COUNT(S, waiting, "waiting", "requests that wait on it", SHOWN(2, "waiting")),
	AGE(S, heard_s, age, "silent_s", "since data last came (tcp_info)", SHOWN(3, "silent"),
	    .flags = COLUMN_NO_REST),
	REAL(S, ping_s, "ping_s", 0.001,
	     "a PING of HTTP/2 is unanswered for at least so long; absent where none is known",
	     .known = is_pinged, .flags = COLUMN_NO_REST),
	LIMIT(S, read_idle_s, read_idle, "read_idle_timeout_s",
	      "ReadIdleTimeout (HTTP2Config.SendPingTimeout); null: known to have none"),
	PLACE(S, place, "place", "the call of the oldest that waits", SHOWN(4, "called at"),
	      .min = 20, .none = "?", .flags = COLUMN_NO_REST),
	GOT(COLUMN_EXACTNESS, "exactness", schema_exact, "read from memory, and from the kernel"),
};
#undef S

static void silent_sentence(const struct window *w, struct buf *out)
{
	sentence_counted(out, "", (uint64_t)w->net->nsilent, "HTTP/2 connection");
	buf_puts(out, w->net->nsilent == 1 ? " that requests wait on is silent"
					   : " that requests wait on are silent");
}

const struct table net_silent = {
	.name = "silent",
	.what = "HTTP/2 connections on which requests wait for the peer, and no data has come for "
		"over 3 s: the server is slow, or gone.",
	TABLE_ROWS(struct net_silent, silent_column),
	.label = "silent",
	.title = "Silent HTTP/2 connections",
	.sentence = silent_sentence,
	.of = &net_object,
	.max_rows = 10,
};
