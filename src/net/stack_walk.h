/* SPDX-License-Identifier: BSD-2-Clause */
/* A stack while it is classified: shared by stack.c and stack_grpc.c. */
#ifndef GOSPECT_NET_STACK_WALK_H
#define GOSPECT_NET_STACK_WALK_H

#include "net/stack.h"

#define NETWALK_MAX_DEPTH 192 /* physical frames looked at */

struct netframe {
	int fn;       /* enum fn of stack.c */
	uint8_t grpc; /* a function of stack_grpc.c, counted from 1 */
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

/* Of a function's name: netframe.grpc. */
uint8_t netgrpc_function(const char *name);
/* The gRPC call on the stack, where there is one. */
void netgrpc_classify(struct netwalk *w);

#endif
