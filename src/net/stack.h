/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the stack of a goroutine says of the network: whose part of a request
 * it plays, how far it is, and where on the stack the arguments are that lead
 * to the request, the connection, the server.  Each distinct stack is looked
 * at once and remembered.
 */
#ifndef GOSPECT_NET_STACK_H
#define GOSPECT_NET_STACK_H

#include "base/map.h"
#include "net/window.h"
#include "gort/gostacks.h"

/* Parts a goroutine plays; several at once are common (a handler that calls a client). */
enum net_role {
	NETROLE_REQUEST = 1,     /* in a client's call, before its response */
	NETROLE_BODY = 2,        /* reads the body of a response (HTTP/1) */
	NETROLE_STREAM_BODY = 4, /* the same, HTTP/2 */
	NETROLE_DIAL = 8,        /* dials for a client */
	NETROLE_READLOOP = 16,   /* of a client's HTTP/1 connection */
	NETROLE_WRITELOOP = 32,
	NETROLE_STREAM = 64,      /* writes an HTTP/2 request and waits for the end of its stream */
	NETROLE_H2CONN = 128,     /* reads a client's HTTP/2 connection */
	NETROLE_SERVER = 256,     /* serves a connection */
	NETROLE_LISTEN = 512,     /* accepts for a server */
	NETROLE_GRPC = 1024,      /* in a gRPC call */
	NETROLE_GRPC_CONN = 2048, /* reads a gRPC client's connection */
	NETROLE_LOOKUP = 4096     /* looks a name up, and not to dial */
};

enum net_stage {
	NETSTAGE_OTHER,   /* between: in a RoundTripper of the user's, a redirect … */
	NETSTAGE_GETCONN, /* waits for a connection */
	NETSTAGE_HTTP1,   /* has one: waits for the response */
	NETSTAGE_HTTP2
};

/* Words that may be on the stack, as offsets from where SP stands. */
enum net_slot {
	NETSLOT_CLIENT,
	NETSLOT_REQUEST, /* of (*Client).do */
	NETSLOT_TRANSPORT,
	NETSLOT_INNER, /* of (*Transport).roundTrip: its request may be a copy */
	NETSLOT_CONN,
	NETSLOT_TREQ,   /* of (*persistConn).roundTrip */
	NETSLOT_LOOP,   /* persistConn of a read or write loop */
	NETSLOT_WANT,   /* wantConn that is dialled for */
	NETSLOT_BODY,   /* bodyEOFSignal, or clientStream, that is read */
	NETSLOT_PIPE,   /* of such a stream: its bufPipe */
	NETSLOT_STREAM, /* clientStream of its own goroutine */
	NETSLOT_H2CONN,
	NETSLOT_SERVE,     /* conn of a server */
	NETSLOT_SERVER,    /* Server that accepts */
	NETSLOT_STREAM_BY, /* itab of the transport that a gRPC server has a stream of */
	NETSLOT_ROUTED,    /* *Request that the first mux has got */
	NETSLOT_METHOD,    /* gRPC, as the rest */
	NETSLOT_METHOD_LEN,
	NETSLOT_USER_CTX, /* the context that the call was given */
	NETSLOT_USER_CTX_DATA,
	NETSLOT_CTX, /* the one it waits on */
	NETSLOT_CTX_DATA,
	NETSLOT_GRPC_STREAM,
	NETSLOT_GRPC_ATTEMPT,
	NETSLOT_GRPC_CONN,
	NETSLOT_COUNT
};
#define NETSLOT_NONE       INT32_MIN
#define NETSTACK_MAX_FRAME 2048 /* of readLoop; a larger one is not looked into */

struct netstack {
	uint32_t roles;
	enum net_stage stage;
	int dial_phase; /* DIAL: enum net_phase, -1 not known */
	int32_t slot[NETSLOT_COUNT];
	uint8_t at[NETSLOT_COUNT], nslot; /* ordinal among the slots present */
	uint32_t reach; /* bytes from SP on that hold the slots, and the frame that is kept */
	int32_t loop_sp, loop_size; /* READLOOP: its frame, from SP */
	bool keeps_frame; /* READLOOP: its frame's bytes lead to the body that it waits for */
	bool awaits_body; /* READLOOP: in its last select */
	bool writing;     /* WRITELOOP: not waiting for work */
	bool has_client;  /* REQUEST: through an http.Client */
	bool in_handler, reading_request; /* SERVER */
	bool routed, is_func; /* … by way of a mux; its handler is an http.HandlerFunc */
	bool is_stream;       /* … it is a gRPC server's stream */
	bool receives;        /* GRPC: from a stream that is open, no call */
	bool is_around;       /* … the handler is around the mux */
	bool plain_h2;        /* HTTP/2 of net/http itself: its layout is known */
	enum net_waits waits; /* STREAM */
	enum netgrpc_at grpc_at;
	struct place place;           /* of the client's call; may have no function */
	struct place grpc_place;      /* GRPC: likewise */
	struct place lookup_place;    /* LOOKUP: likewise */
	enum net_uploading uploading; /* WRITELOOP that is writing: at what */
	struct place body_reader;     /* … READS: the user's frame there; may have no function */
	struct place handler;         /* SERVER: see net_handler_place() */
	struct place serves;          /* LISTEN, SERVER: the user's frame further out */
};

struct netstacks {
	struct goruntime *rt;   /* borrowed */
	struct bytesmap known;  /* pcs -> index in stack */
	struct netstack *stack; /* owned */
	size_t n, cap;
	uint64_t body_wait; /* link-time return address of readLoop's last select; 0 not found */
	bool body_wait_sought;
};

/*
 * Where the handler is declared whose ServeHTTP, or function, has this link-time
 * pc: what the compiler wraps around it (a method value, a pointer's method, a
 * promoted one) is looked through.  False: not known.
 */
bool net_handler_place(struct gobin *gb, uint64_t pc, struct place *out);

/* Where a call is made whose return addresses these are, run-time; it may have no function. */
struct place net_call_place(struct goruntime *rt, const uint64_t *pcs, int n);

void netstacks_init(struct netstacks *s, struct goruntime *rt);
void netstacks_deinit(struct netstacks *s);
/* Another reading begins: when too much is remembered it is forgotten, and the numbers of the one before with it. */
void netstacks_begin(struct netstacks *s);
/* Classes of a reading's stacks from..gs->n into class_of[from..gs->n]: numbers in s->stack.  0, -ENOMEM. */
int netstacks_classify(struct netstacks *s, const struct gostacks *gs, size_t from,
		       uint32_t *class_of);

#endif
