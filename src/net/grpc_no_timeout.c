/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gRPC calls without a deadline that hang, as no_timeout.c has it of HTTP's: in flight for over
 * 3 s, and for over ten times what 99 of 100 calls of the method take.
 *
 * A unary call, one that opens a stream, and one that sends on it.  Who receives from a stream may
 * wait for a reason: that is a finding where its connection is dead, and nothing can come.
 */
#include "net/subject.h"

#include <stdio.h>

#include "base/human.h"
#include "base/text.h"
#include "model/place.h"
#include "model/words.h"

static bool is_found(const struct net_grpc *r)
{
	return !r->other && r->hanging && r->hanging_age != AGE_UNKNOWN &&
	       no_timeout_hangs(r->longest_hanging_s, r->p99_ns);
}

static const char *const waits_for[NETGRPC_ATS] = {
	[NETGRPC_NOWHERE] = "are under way",
	[NETGRPC_RESOLVE] = "wait for the resolver of the target's name",
	[NETGRPC_CONNECT] = "wait for a connection that is ready: none is",
	[NETGRPC_OPEN] = "wait for leave to open one more stream: the server's limit "
			 "(MaxConcurrentStreams) is reached",
	[NETGRPC_SEND] = "wait for the server to take what is sent: it does not read the stream",
	[NETGRPC_RESPONSE] = "wait for the server's response",
};

static enum netgrpc_at mostly_at(const struct net_grpc *r)
{
	enum netgrpc_at most = NETGRPC_NOWHERE;

	for (int i = 0; i < NETGRPC_ATS; i++)
		if (r->hanging_at[i] > r->hanging_at[most])
			most = (enum netgrpc_at)i;
	return most;
}

static void evidence(struct finding *f, const struct net_grpc *r)
{
	char n[HUMAN_MAX];

	for (int i = 0; i < NETGRPC_ATS; i++)
		if (r->hanging_at[i])
			finding_evidence(f, "%s of them: %s", human_count(r->hanging_at[i], n),
					 waits_for[i]);
	finding_evidence(f, "their context has no deadline and cannot be cancelled: nothing will "
			    "end them");
	if (r->in_flight > r->hanging)
		finding_evidence(f, "%s of this method are in flight",
				 human_counted(r->in_flight, "call", n));
	if (r->timed >= LEAST_FOR_P99)
		finding_evidence(f, "those that completed took up to %s (p99)",
				 human_seconds((double)r->p99_ns / 1e9, n));
}

static const char *advice_for(enum netgrpc_at at)
{
	switch (at) {
	case NETGRPC_RESOLVE:
	case NETGRPC_CONNECT:
		return "give the call a context with a deadline; check that the server is up: with "
		       "WaitForReady a call waits for it for ever";
	case NETGRPC_OPEN:
		return "give the call a context with a deadline; find who holds the streams of "
		       "that "
		       "connection, or raise grpc.MaxConcurrentStreams of the server";
	case NETGRPC_SEND:
		return "see why the server does not read that stream (a handler that is stuck, or "
		       "has gone on without it); give the stream a context that ends";
	default:
		return "give the call a context with a deadline (context.WithTimeout), and see why "
		       "the server does not answer";
	}
}

static void add_finding(const struct net_grpc *r, struct findings *out)
{
	char subject[NET_MAX_METHOD + 8], n[HUMAN_MAX], age[NET_WORDS_AGE], place[WORDS_PLACE_MAX];
	struct finding *f;

	snprintf(subject, sizeof(subject), "grpc %s", r->method);
	f = findings_add_about(out, "no-timeout", subject, SEVERITY_HIGH, &r->hanging_place);
	if (!f)
		return;
	finding_title(f, "%s of %s at %s hang%s without a deadline, the oldest for %s",
		      human_counted(r->hanging, "gRPC call", n), r->method[0] ? r->method : "?",
		      words_place(&r->hanging_place, place, sizeof(place)),
		      r->hanging == 1 ? "s" : "",
		      net_words_age(r->hanging_age, r->longest_hanging_s, age));
	finding_count(f, "in_flight", r->in_flight);
	finding_number(f, "longest_in_flight_s", r->longest_hanging_s);
	finding_count(f, "hanging", r->hanging);
	if (r->on_dead * 2 > r->hanging) {
		f->about.host = r->host;
		f->about.phase = NET_TTFB;
	}
	evidence(f, r);
	finding_advice(f, "%s", advice_for(mostly_at(r)));
	f->exactness = EXACT; /* what is in flight is read from memory */
	f->weight = (double)r->hanging;
}

static void judge(const struct window *w, struct findings *out)
{
	for (int i = 0; w->net->known && i < w->net->ngrpc; i++)
		if (is_found(&w->net->grpc[i]))
			add_finding(&w->net->grpc[i], out);
}

const struct detector grpc_no_timeout_detector = {
	.name = "no-timeout",
	.sensors = SENSOR_BIT(SENSOR_NET),
	.of_waits = true,
	.judge = judge,
};
