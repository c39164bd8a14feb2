/* SPDX-License-Identifier: BSD-2-Clause */
/* What requests of HTTP/2 wait for in their phase, in words: a part of the findings about them. */
#include "net/subject.h"

#include <stdio.h>
#include <string.h>

#include "base/human.h"
#include "base/text.h"
#include "model/place.h"
#include "model/words.h"

static const char *const words[NET_WAITS] = {
	[NET_WAITS_STREAM] = "waiting for leave to open one more stream: the server's limit "
			     "(MaxConcurrentStreams) is reached",
	[NET_WAITS_FLOW] =
		"waiting for the server to read what it was sent: the window of HTTP/2's "
		"flow control is used up",
	[NET_WAITS_BODY] = "waiting for the request's own Body: whoever makes it is slow",
	[NET_WAITS_SOCKET] =
		"waiting for their connection, which takes no more: the server does not "
		"read it",
};

/* The connections of HTTP/2 to a host; NULL: none. */
static const struct net_connections *http2_of(const struct net_window *n, const char *host)
{
	for (int i = 0; i < n->nconnection; i++) {
		const struct net_connections *c = &n->connection[i];

		if (!c->other && !strcmp(c->protocol, "h2") && !strcmp(c->host, host))
			return c;
	}
	return NULL;
}

/* All streams that the connections to a host may have are in use, and somebody waits. */
static const struct net_connections *full(const struct net_window *n, const char *host)
{
	const struct net_connections *c = http2_of(n, host);

	return c && c->waiting && c->open && c->max_streams > 0 &&
			       c->streams >= c->open * (uint64_t)c->max_streams
		       ? c
		       : NULL;
}

static void say_holders(struct finding *f, const struct net_connections *c)
{
	char text[512] = "", place[WORDS_PLACE_MAX], n[HUMAN_MAX], m[HUMAN_MAX];
	size_t len = 0;
	uint64_t rest = c->streams;

	for (int i = 0; i < c->nholder && len < sizeof(text); i++) {
		const struct net_holder *h = &c->holder[i];

		if (!h->place.function)
			continue;
		rest = rest > h->count ? rest - h->count : 0;
		len += (size_t)snprintf(
			text + len, sizeof(text) - len, "%s%s by %s%s", len ? ", " : " (",
			human_count(h->count, n),
			words_place_short(&h->place, place, sizeof(place)),
			h->bodies * 2 > h->count ? ", whose bodies are not at their end" : "");
	}
	if (rest && len && len < sizeof(text))
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					", %s by calls that were not seen", human_count(rest, n));
	if (len && len < sizeof(text) - 1)
		strcpy(text + len, ")");
	finding_evidence(f, "the server allows %s at once on a connection; in use: %s%s",
			 human_counted((uint64_t)c->max_streams, "stream", n),
			 human_count(c->streams, m), text);
}

enum net_waits net_say_waits(struct finding *f, const struct net_window *n, const char *host,
			     int phase, const struct place *at)
{
	const struct net_connections *c = phase == NET_POOL_WAIT ? full(n, host) : NULL;
	uint64_t count[NET_WAITS] = { 0 };
	enum net_waits most = NET_WAITS_NOTHING;
	char text[HUMAN_MAX];

	for (int i = 0; n->known && i < n->nin_flight; i++) {
		const struct net_request *r = &n->in_flight[i];

		if (r->phase == phase && !strcmp(r->host, host) &&
		    (!at || place_equal(&r->place, at)))
			count[r->waits]++;
	}
	for (int i = NET_WAITS_NOTHING + 1; i < NET_WAITS; i++) {
		if (count[i])
			finding_evidence(f, "%s in flight: %s", human_count(count[i], text),
					 words[i]);
		if (count[i] && (!most || count[i] > count[most]))
			most = (enum net_waits)i;
	}
	if (c)
		say_holders(f, c);
	return c ? NET_WAITS_STREAM : most;
}

const char *net_advice_for(enum net_waits w)
{
	static const char *const advice[NET_WAITS] = {
		[NET_WAITS_STREAM] =
			"see why those who hold the streams do not end; raise the server's "
			"MaxConcurrentStreams, or use more connections (several Transports)",
		[NET_WAITS_FLOW] = "see why the server's handler does not read the request's body; "
				   "bound the call with a context deadline",
		[NET_WAITS_BODY] = "see who produces the request's Body, and bound the call with a "
				   "context deadline",
		[NET_WAITS_SOCKET] = "check that server and the path to it: nothing is read there; "
				     "bound writes with http2.Transport.WriteByteTimeout",
	};

	return advice[w];
}
