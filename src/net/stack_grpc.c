/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a stack says of a gRPC call: how far it is, and where its method, its
 * contexts and its stream are.  The names and arguments of these functions are
 * the same in grpc-go 1.59 to 1.85.
 *
 * Who receives from a stream is no call that is under way: a subscription is quiet as long as
 * nothing happens.  It hangs where its connection is dead.
 */
#include "net/stack_walk.h"

#include <string.h>

#include "base/vec.h"

#define NO_WORD UINT8_MAX

static const struct grpc_function {
	const char *name; /* in google.golang.org/grpc */
	bool call;        /* the user's call is further out */
	uint8_t method;   /* its words among the arguments, where it has some */
	uint8_t user_ctx; /* the context as the caller has it */
	uint8_t ctx;      /* the one that is waited on */
	uint8_t stream;   /* clientStream */
	uint8_t attempt;  /* csAttempt */
	enum netgrpc_at at;
} functions[] = {
	{ ".(*ClientConn).Invoke", true, 3, 1, NO_WORD, NO_WORD, NO_WORD, NETGRPC_NOWHERE },
	{ ".(*ClientConn).NewStream", true, 4, 1, NO_WORD, NO_WORD, NO_WORD, NETGRPC_NOWHERE },
	{ ".(*clientStream).SendMsg", true, NO_WORD, NO_WORD, NO_WORD, 0, NO_WORD, NETGRPC_SEND },
	{ ".(*clientStream).RecvMsg", false, NO_WORD, NO_WORD, NO_WORD, 0, NO_WORD,
	  NETGRPC_RESPONSE },
	{ ".(*clientStream).withRetry", false, NO_WORD, NO_WORD, NO_WORD, 0, NO_WORD,
	  NETGRPC_NOWHERE },
	{ ".(*csAttempt).getTransport", false, NO_WORD, NO_WORD, NO_WORD, NO_WORD, 0,
	  NETGRPC_NOWHERE },
	{ ".(*csAttempt).newStream", false, NO_WORD, NO_WORD, NO_WORD, NO_WORD, 0,
	  NETGRPC_NOWHERE },
	{ ".(*pickerWrapper).pick", false, NO_WORD, NO_WORD, 1, NO_WORD, NO_WORD, NETGRPC_CONNECT },
	{ ".(*ClientConn).waitForResolvedAddrs", false, NO_WORD, NO_WORD, 1, NO_WORD, NO_WORD,
	  NETGRPC_RESOLVE },
	{ "/internal/transport.(*http2Client).NewStream", false, NO_WORD, NO_WORD, 1, NO_WORD,
	  NO_WORD, NETGRPC_OPEN },
};

/* The goroutine of a connection. */
#define READER (ARRAY_SIZE(functions) + 1)

uint8_t netgrpc_function(const char *name)
{
	static const char package[] = "google.golang.org/grpc";
	size_t n = sizeof(package) - 1;

	if (strncmp(name, package, n))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++)
		if (!strcmp(name + n, functions[i].name))
			return (uint8_t)(i + 1);
	return strcmp(name + n, "/internal/transport.(*http2Client).reader") ? 0 : READER;
}

static void take_words(struct netwalk *w, int i, enum net_slot slot, uint8_t word)
{
	if (word == NO_WORD)
		return;
	netwalk_take_slot(w, i, slot, word);
	netwalk_take_slot(w, i, slot + 1, word + 1u);
}

static void take_one(struct netwalk *w, int i, enum net_slot slot, uint8_t word)
{
	if (word != NO_WORD)
		netwalk_take_slot(w, i, slot, word);
}

void netgrpc_classify(struct netwalk *w)
{
	struct netstack *o = w->out;
	int call = -1, received = -1;

	for (int i = 0; i < w->n; i++) {
		const struct grpc_function *f;

		if (!w->frame[i].grpc)
			continue;
		if (w->frame[i].grpc == READER) {
			o->roles |= NETROLE_GRPC_CONN;
			netwalk_take_slot(w, i, NETSLOT_GRPC_CONN, 0);
			return;
		}
		f = &functions[w->frame[i].grpc - 1];
		if (o->grpc_at == NETGRPC_NOWHERE)
			o->grpc_at = f->at;
		take_words(w, i, NETSLOT_METHOD, f->method);
		take_words(w, i, NETSLOT_USER_CTX, f->user_ctx);
		take_words(w, i, NETSLOT_CTX, f->ctx);
		take_one(w, i, NETSLOT_GRPC_STREAM, f->stream);
		take_one(w, i, NETSLOT_GRPC_ATTEMPT, f->attempt);
		if (f->call)
			call = i;
		else if (f->at == NETGRPC_RESPONSE)
			received = i;
		if (f->user_ctx != NO_WORD)
			break; /* further out is another call */
	}
	o->receives = call < 0 && received >= 0;
	if (o->receives)
		call = received;
	if (call < 0)
		return;
	o->roles |= NETROLE_GRPC;
	o->grpc_place = netwalk_place_from(w, call);
}
