/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections of HTTP/2 and gRPC whose other end is gone (peers.c): proven, the kernel sends the
 * same again and hears nothing.  Calls on them hang until TCP gives up, a quarter of an hour
 * later, and new ones go there, too; only pings notice it sooner.  A connection whose pings are
 * on will be closed by them, and is no finding while they may still do that.
 */
#include "net/subject.h"

#include <stdio.h>
#include <string.h>

#include "base/human.h"
#include "base/text.h"
#include "model/words.h"

#define PINGS_S 60.0 /* what keepalive may take: Time and Timeout, by default for ever and 20 s */

static bool is_found(const struct net_dead *r)
{
	return !r->other && (r->pings != KNOWN_YES || r->silent_s > PINGS_S);
}

static void add_finding(const struct net_dead *r, struct findings *out)
{
	char subject[WINDOW_MAX_HOST + 32], host[NET_WORDS_HOST], a[HUMAN_MAX], b[HUMAN_MAX];
	bool grpc = !strcmp(r->protocol, "grpc");
	struct finding *f;

	snprintf(subject, sizeof(subject), "%s %s", r->protocol, r->host);
	f = findings_add_about(out, "dead-connection", subject, SEVERITY_HIGH, NULL);
	if (!f)
		return;
	f->about.host = r->host;
	finding_title(f, "%s to %s %s dead: nothing sent was acknowledged for over %s",
		      human_counted(r->count, grpc ? "gRPC connection" : "HTTP/2 connection", a),
		      net_words_host(r->host, host), r->count == 1 ? "is" : "are",
		      human_seconds(r->silent_s, b));
	finding_count(f, "connections", r->count);
	finding_count(f, "streams", r->streams);
	finding_number(f, "silent_s", r->silent_s);
	finding_evidence(f, "the kernel has sent the same %s times and received nothing",
			 human_count(r->resent + 1, a));
	finding_evidence(f, "%s on %s: they hang until TCP gives up (15 minutes)",
			 human_counted(r->streams, "call", a), r->count == 1 ? "it" : "them");
	finding_advice(
		f, "%s",
		grpc ? "notice it by pings: grpc.WithKeepaliveParams(keepalive."
		       "ClientParameters{Time, Timeout}); check the host and the way to it"
		     : "notice it by pings: http2.Transport.ReadIdleTimeout, or "
		       "HTTP2Config.SendPingTimeout (1.24); check the host and the way to it");
	f->exactness = EXACT; /* the kernel says it */
	f->weight = (double)r->streams;
}

static void judge(const struct window *w, struct findings *out)
{
	for (int i = 0; w->net->known && i < w->net->ndead; i++)
		if (is_found(&w->net->dead[i]))
			add_finding(&w->net->dead[i], out);
}

const struct detector dead_connection_detector = {
	.name = "dead-connection",
	.sensors = SENSOR_BIT(SENSOR_NET),
	.of_waits = true,
	.judge = judge,
};
