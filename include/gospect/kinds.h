/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the BPF programs and user space call by the same number: each of these
 * enums exists once, here.  Plain C; knows neither the kernel's types nor ours.
 */
#ifndef GOSPECT_KINDS_H
#define GOSPECT_KINDS_H

/* All that is known of them, one line each: probes.def. */
enum probe_id {
#define PROBE(id, ...) PROBE_##id,
#include "gospect/probes.def"
	PROBE_COUNT
};

/* Which probes are switched on and off together, under one share of the budget. */
enum probe_group {
	GROUP_RARE,     /* never sliced below 2,000 hits/s */
	GROUP_BIRTHS,   /* per goroutine */
	GROUP_REQUESTS, /* per request, query or lock wait */
	GROUP_ENDS,     /* per goroutine, only while births are on */
	GROUP_PANICS,   /* recovered ones: of the budget what the others leave */
	GROUP_DEATHS,   /* once in the life of a process, just before its end: always on */
	GROUP_COUNT
};
#define GROUP_BIT(g) (1u << (g))
#define GROUP_ALL    (GROUP_BIT(GROUP_COUNT) - 1)

/* The phases of a network request. */
enum net_phase {
	NET_POOL_WAIT,     /* queued because MaxConnsPerHost is reached */
	NET_DNS,           /* look-up of one dial */
	NET_CONNECT,       /* one TCP dial, all its addresses */
	NET_TLS,           /* client handshake */
	NET_REQUEST_WRITE, /* has a connection, until headers and body are written */
	NET_TTFB,          /* written, until the first byte of the response */
	NET_BODY,          /* response handed to the caller, until its end */
	NET_PHASES,
	NET_NO_PHASE = NET_PHASES /* nothing under way */
};

/* The types of a failed call's error, and of what it wraps. */
enum errtype {
	ERRTYPE_NONE,
#define ERRTYPE(id, ...) ERRTYPE_##id,
#define ERRTEXT(id, ...) ERRTYPE_##id,
#include "gospect/errtypes.def"
	ERRTYPE_OTHER, /* none of these */
	ERRTYPE_COUNT
};

/* What is summed by place. */
enum call_kind {
	CALL_HTTP,      /* http.Client.do: call to the first byte of its first response (HTTP/2: its
			* header); by another transport than net/http's it ends only when it fails */
	CALL_HANDLER,   /* a server's handler; pcs[0] is the handler's entry */
	CALL_GRPC,      /* grpc.(*ClientConn).Invoke */
	CALL_SQL_WAIT,  /* waits for a pooled connection in (*DB).conn */
	CALL_LOCK,      /* slow path of a mutex */
	CALL_STATEMENT, /* a statement, from when it has a connection to its rows or result */
	CALL_KINDS
};

/* What has begun and, as far as probes saw, not ended: by an address. */
enum open_kind {
	OPEN_REQUEST,   /* by g: in http.Client.do; ptr: the *Request (to recognise a stale entry);
			* caller: its connection of HTTP/1; where that has failed: state: enum
			* net_phase, goid: number of its host */
	OPEN_CONN,      /* by *persistConn: the request it has; ptr: the *Request, 0 where every
			* request is seen, nothing to tell apart; state: enum net_phase */
	OPEN_STREAM,    /* by HTTP/2 *clientStream; likewise */
	OPEN_HANDLER,   /* by g: a server's handler; state: enum handler_state */
	OPEN_SQL_GRAB,  /* by *driverConn: taken from the pool; state: enum sql_holding */
	OPEN_SQL_WAIT,  /* by g: waits in (*DB).conn */
	OPEN_DIAL,      /* by g: dns, connect or tls under way; state: enum net_phase */
	OPEN_GRPC,      /* by g */
	OPEN_POOL,      /* by *wantConn: queued; the programs' own */
	OPEN_LOCK,      /* by g: waits for a mutex; the programs' own */
	OPEN_STATEMENT, /* by g: the driver has a statement; the programs' own */
	OPEN_KINDS
};

/* A request is counted at the outermost handler that is not a mux, by the pattern of the first
 * mux that it comes to. */
enum handler_state {
	HANDLER_COUNTED,
	HANDLER_ROUTING, /* a mux has it; or, HTTP/2, what wraps serverHandler may */
	HANDLER_H2C      /* x/net's h2c handler: a request, or the beginning of HTTP/2 */
};

/* What keeps a connection of a database pool in use. */
enum sql_holding { SQL_TRANSACTION, SQL_ROWS, SQL_CONN, SQL_CALL };

#endif
