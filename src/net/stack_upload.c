/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the writeLoop of an HTTP/1 connection does while it writes a request: it waits for the
 * server's 100 Continue, for the request's own Body, or for the server to read.  By the names of
 * net/http's and io's functions, the same in 1.18 to 1.27.
 */
#include "net/stack_walk.h"

#include <string.h>

#include "base/vec.h"

enum {
	STEP_NONE,
	STEP_100,    /* waits for 100 Continue */
	STEP_SOCKET, /* its connection's Write: what is further in is the connection's */
	STEP_FROM,   /* … ReadFrom, which reads the Body */
	STEP_WRITES, /* waits until the socket has room */
	STEP_BODY    /* copies the Body */
};

uint8_t netupload_function(const char *name)
{
	static const struct {
		const char *name;
		uint8_t step;
	} known[] = {
		{ "net/http.persistConnWriter.Write", STEP_SOCKET },
		{ "net/http.(*persistConnWriter).Write", STEP_SOCKET },
		{ "internal/poll.(*FD).Write", STEP_WRITES },
		{ "internal/poll.(*FD).Writev", STEP_WRITES },
		{ "internal/poll.SendFile", STEP_WRITES },
		{ "internal/poll.Splice", STEP_WRITES },
		{ "net/http.persistConnWriter.ReadFrom", STEP_FROM },
		{ "net/http.(*transferWriter).writeBody", STEP_BODY },
	};
	static const char conn[] = "net/http.(*persistConn).";

	if (!strncmp(name, conn, sizeof(conn) - 1) && strstr(name, "waitForContinue.func"))
		return STEP_100;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(name, known[i].name))
			return known[i].step;
	return STEP_NONE;
}

/* The user's frame further in than the loop: what the Body's Read is. */
static void find_reader(struct netwalk *w)
{
	struct place p = netwalk_place_from(w, -1);

	if (p.function && strncmp(p.function, "net/http.", 9))
		w->out->body_reader = p;
}

/* i: its loop's frame. */
void netupload_classify(struct netwalk *w, int i)
{
	enum net_uploading *out = &w->out->uploading;
	bool writes = false;

	*out = NETUPLOAD_OTHER;
	for (int k = 0; k < i; k++) {
		switch (w->frame[k].upload) {
		case STEP_100:
			*out = NETUPLOAD_100;
			return;
		case STEP_WRITES:
			writes = true;
			break;
		case STEP_SOCKET:
			*out = writes ? NETUPLOAD_WRITES : NETUPLOAD_OTHER;
			return;
		case STEP_FROM:
		case STEP_BODY:
			find_reader(w);
			if (!writes)
				*out = NETUPLOAD_READS;
			else if (w->frame[k].upload == STEP_FROM && !w->out->body_reader.function)
				*out = NETUPLOAD_WRITES; /* and no Read that writes elsewhere */
			return;
		default:
			break;
		}
	}
}
