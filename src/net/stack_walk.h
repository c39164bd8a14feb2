/* SPDX-License-Identifier: BSD-2-Clause */
/* A stack while it is classified: shared by stack.c and its parts, stack_*.c. */
#ifndef GOSPECT_NET_STACK_WALK_H
#define GOSPECT_NET_STACK_WALK_H

#include "net/stack.h"

#define NETWALK_MAX_DEPTH 192 /* physical frames looked at */

/* The functions that matter.  Those of HTTP/2 are in three packages. */
enum netfn {
	FN_NONE,
	FN_DO,
	FN_TRANSPORT,
	FN_ROUNDTRIP,
	FN_GETCONN,
	FN_PC_ROUNDTRIP,
	FN_READLOOP,
	FN_WRITELOOP,
	FN_DIAL_FOR,
	FN_DIALCONN,
	FN_BODY_READ,
	FN_SERVE,
	FN_READ_REQUEST,
	FN_SERVER_HANDLER,
	FN_MUX,
	FN_HANDLER_FUNC,
	FN_H2C,     /* has the handler proper */
	FN_H2_CONN, /* serves a connection, not a request */
	FN_ACCEPT,
	FN_IS_DNS,
	FN_IS_CONNECT,
	FN_IS_TLS,
	FN_SELECT,
	FN_RUNTIME,
	FN_LOCK,
	FN_FLUSH,
	FN_H2_ROUNDTRIP,
	FN_H2_STREAM,
	FN_H2_BODY_READ,
	FN_H2_PIPE_READ,
	FN_H2_READLOOP,
	FN_H2_AWAIT_STREAM,
	FN_H2_AWAIT_FLOW,
	FN_H2_WRITE_HEADER,
	FN_H2_WRITE_BODY,
	FN_H2_FRAMER,
	FN_H2_HANDLER,
	FN_GRPC_STREAM
};

struct netframe {
	int fn;         /* enum netfn */
	uint8_t grpc;   /* a function of stack_grpc.c, counted from 1 */
	uint8_t upload; /* one of stack_upload.c; 0: none */
	bool lookup;    /* asks a net.Resolver */
	bool plain;
	uint64_t pc;      /* run-time */
	int32_t sp, size; /* from where SP stands */
};

struct netwalk {
	struct netstacks *s;
	struct netstack *out;
	struct netframe frame[NETWALK_MAX_DEPTH];
	int n;
};

/* The n-th word of frame i's arguments, unless a frame further in has given that slot. */
void netwalk_take_slot(struct netwalk *w, int i, enum net_slot slot, unsigned int word);
/* The place of a call: from the frame outside of frame i on. */
struct place netwalk_place_from(struct netwalk *w, int i);

/* Which of the functions that is.  plain: it is of net/http's own HTTP/2, not of golang.org/x/net. */
enum netfn netstack_function(const char *name, bool *plain);

/* Of a function's name: netframe.grpc. */
uint8_t netgrpc_function(const char *name);
/* The gRPC call on the stack, where there is one. */
void netgrpc_classify(struct netwalk *w);

/* Likewise: netframe.upload. */
uint8_t netupload_function(const char *name);
/* What a writeLoop waits for, whose frame is i. */
void netupload_classify(struct netwalk *w, int i);

/* Likewise: netframe.lookup. */
bool netlookup_function(const char *name);
/* A look-up of the program's own on the stack, where there is one: no dial's. */
void netlookup_classify(struct netwalk *w);

#endif
