/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where HTTP/2's streams and connections keep what is looked at, by the program's own
 * descriptions of their types: golang.org/x/net comes in many versions, and none is known
 * beforehand.  Where a program of net/http has none that can be read, by the layout table.
 */
#include "net/priv.h"

#define NO_FIELD (-1)

struct package {
	const char *stream, *stream_path; /* for gotypes_find() */
	bool x;
};

/* The newest first: net/http has another type of the old name in 1.27. */
static const struct package packages[] = {
	{ "http2.clientStream", "net/http/internal/http2.clientStream", false },
	{ "http.http2clientStream", "net/http.http2clientStream", false },
	{ "http2.clientStream", "golang.org/x/net/http2.clientStream", true },
};

/* The names are the same in all packages, in 1.18 to 1.27. */
static const struct field {
	const char *name;
	int table;     /* enum layout_field: net/http's; NO_FIELD */
	uint8_t bytes; /* of it that are read */
	bool optional;
} fields[NET_H2_FIELDS] = {
	[NET_H2_CC] = { "cc", LAYOUT_H2_CLIENTSTREAM_CC, 8, false },
	[NET_H2_ID] = { "ID", LAYOUT_H2_CLIENTSTREAM_ID, 4, false },
	[NET_H2_PIPE] = { "bufPipe", LAYOUT_H2_CLIENTSTREAM_BUFPIPE_B, NET_H2_PIPE_B + 16, false },
	[NET_H2_ABORT_ERR] = { "abortErr", LAYOUT_H2_CLIENTSTREAM_ABORTERR, 8, false },
	[NET_H2_HEADER_RECV] = { "respHeaderRecv", LAYOUT_H2_CLIENTSTREAM_RESPHEADERRECV, 8,
				 false },
	[NET_H2_RES] = { "res", LAYOUT_H2_CLIENTSTREAM_RES, 8, false },
	[NET_H2_SENT_END] = { "sentEndStream", LAYOUT_H2_CLIENTSTREAM_SENTENDSTREAM, 1, false },
	[NET_H2_PAST_HEADERS] = { "pastHeaders", LAYOUT_H2_CLIENTSTREAM_PASTHEADERS, 1, false },
	[NET_H2_READ_CLOSED] = { "readClosed", LAYOUT_H2_CLIENTSTREAM_READCLOSED, 1, false },
	[NET_H2_READ_ABORTED] = { "readAborted", LAYOUT_H2_CLIENTSTREAM_READABORTED, 1, false },
	[NET_H2_T] = { "t", LAYOUT_H2_CLIENTCONN_T, 8, false },
	[NET_H2_TCONN] = { "tconn", LAYOUT_H2_CLIENTCONN_TCONN, 16, false },
	[NET_H2_CLOSED] = { "closed", LAYOUT_H2_CLIENTCONN_CLOSED, 1, false },
	[NET_H2_STREAMS] = { "streams", LAYOUT_H2_CLIENTCONN_STREAMS, 8, false },
	[NET_H2_PENDING] = { "pendingRequests", LAYOUT_H2_CLIENTCONN_PENDINGREQUESTS, 8, false },
	[NET_H2_MAX_STREAMS] = { "maxConcurrentStreams", LAYOUT_H2_CLIENTCONN_MAXCONCURRENTSTREAMS,
				 4, false },
	[NET_H2_SEEN_SETTINGS] = { "seenSettings", NO_FIELD, 1, true },
	[NET_H2_PINGS] = { "pings", NO_FIELD, 8, true },
	[NET_H2_PENDING_RESETS] = { "pendingResets", NO_FIELD, 8, true }, /* since 1.23 */
	[NET_H2_READ_IDLE] = { "readIdleTimeout", NO_FIELD, 8, true },    /* of x/net since 0.28 */
};

static uint32_t reach(const struct net_h2_layout *l, int first, int end)
{
	uint32_t most = 0;

	for (int i = first; i < end; i++)
		if (l->off[i] >= 0 && (uint32_t)l->off[i] + fields[i].bytes > most)
			most = (uint32_t)l->off[i] + fields[i].bytes;
	return most;
}

/* By the descriptor of a stream; false: a field is missing. */
static bool describe(struct netwatch *nw, uint64_t stream, struct net_h2_layout *l)
{
	uint64_t conn = 0, transport = 0, size;
	uint32_t off;

	if (gotypes_field(nw->types, stream, "cc", &off, &conn) ||
	    gotypes_field(nw->types, conn, "t", &off, &transport) ||
	    mem_read_u64(nw->rt->mem, stream, &size) || size > NET_H2_MAX_BYTES)
		return false;
	for (int i = 0; i < NET_H2_FIELDS; i++) {
		l->off[i] = NO_FIELD;
		if (!gotypes_field(nw->types, i < NET_H2_T ? stream : conn, fields[i].name, &off,
				   NULL))
			l->off[i] = (int32_t)off;
		else if (!fields[i].optional)
			return false;
	}
	l->transport_idle = gotypes_field(nw->types, transport, "ReadIdleTimeout", &off, NULL)
				    ? NO_FIELD
				    : (int32_t)off;
	l->stream_bytes = (uint32_t)size; /* abi.Type begins with it */
	l->conn_bytes = reach(l, NET_H2_T, NET_H2_FIELDS);
	return l->conn_bytes <= NET_H2_MAX_BYTES && reach(l, 0, NET_H2_T) <= l->stream_bytes;
}

static bool from_table(const struct netwatch *nw, struct net_h2_layout *l)
{
	for (int i = 0; i < NET_H2_FIELDS; i++) {
		l->off[i] = fields[i].table == NO_FIELD
				    ? NO_FIELD
				    : net_off(nw, (enum layout_field)fields[i].table);
		if (l->off[i] < 0 && !fields[i].optional)
			return false;
	}
	l->off[NET_H2_PIPE] -= NET_H2_PIPE_B;
	l->transport_idle = NO_FIELD;
	l->stream_bytes = (uint32_t)net_off(nw, LAYOUT_H2_CLIENTSTREAM_SIZE);
	l->conn_bytes = reach(l, NET_H2_T, NET_H2_FIELDS);
	return true;
}

const struct net_h2_layout *neth2_layout(struct netwatch *nw, bool x)
{
	struct net_h2_layout *l = &nw->h2[x];

	if (l->sought)
		return l->known ? l : NULL;
	l->sought = true;
	for (size_t i = 0; i < ARRAY_SIZE(packages) && !l->known; i++) {
		const struct package *p = &packages[i];
		uint64_t stream =
			p->x == x ? gotypes_find(nw->types, p->stream, p->stream_path) : 0;

		l->known = stream && describe(nw, stream, l);
	}
	l->known = l->known || (!x && from_table(nw, l));
	return l->known ? l : NULL;
}
