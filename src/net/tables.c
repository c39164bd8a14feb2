/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/tables.h"

#include <math.h>
#include <string.h>

#include "base/human.h"
#include "model/sentence.h"
#include "net/window.h"

/* ---- what many rows have ---- */

static bool net_known(const struct row *r)
{
	return r->w->net->known;
}

static bool failures_known(const struct row *r)
{
	return r->w->net->failures_known;
}

static bool phases_known(const struct row *r)
{
	return r->w->net->phases_known;
}

/* What limits a call. */
static void limit_cell(enum known timeout, double timeout_s, enum known deadline, enum known cancel,
		       struct buf *out)
{
	char text[HUMAN_MAX];

	if (timeout == KNOWN_YES)
		buf_puts(out, timeout_s > 0 ? human_seconds(timeout_s, text) : "yes");
	else if (deadline == KNOWN_YES)
		buf_puts(out, "deadline");
	else if (cancel == KNOWN_YES)
		buf_puts(out, "cancel");
	else if (timeout == KNOWN_NO && deadline == KNOWN_NO)
		buf_puts(out, "none");
	else
		buf_puts(out, "-"); /* not known */
}

#define WHAT_TIMEOUT  "http.Client.Timeout; null: known to have none"
#define WHAT_DEADLINE "whether the request's own context has a deadline"
#define WHAT_CANCEL   "whether the request's context can be cancelled otherwise"
#define WHAT_P50      "median; from a histogram whose buckets are at most 12.5 % wide"

/* ---- requests in flight ---- */

static void request_limit(const struct row *r, struct buf *out)
{
	const struct net_request *q = r->row;

	limit_cell(q->timeout, q->timeout_s, q->deadline, q->cancel, out);
}

static const char *const net_waits_names[NET_WAITS] = {
	[NET_WAITS_STREAM] = "stream",
	[NET_WAITS_FLOW] = "flow_control",
	[NET_WAITS_BODY] = "body",
	[NET_WAITS_SOCKET] = "connection",
};

#define S struct net_request
static const struct column request_column[] = {
	HOST(S, host, "what was asked for, name:port", SHOWN(3, "host"), .min = 16, .none = "?",
	     .flags = COLUMN_NAME_REST),
	WORD(S, phase, "phase", net_phase_names, "the phase it is in; absent between phases",
	     SHOWN(2, "phase"), .flags = COLUMN_NO_REST | COLUMN_SOMETIMES),
	WORD(S, waits, "waits_for", net_waits_names,
	     "of HTTP/2, what holds it up there: the server's leave to open a stream (pool_wait), "
	     "the server to read what it was sent (flow control), its own Body, the connection to "
	     "take more; absent: none of these",
	     .flags = COLUMN_NO_REST | COLUMN_SOMETIMES),
	AGE(S, since_s, age, "since_s", "age of the request, not of the phase", SHOWN(1, "since"),
	    .flags = COLUMN_NO_REST),
	GOID(S, goroutine, "goroutine", "the goroutine that called", SHOWN(5, "goroutine"),
	     .flags = COLUMN_NO_REST),
	PLACE(S, place, "place", WHAT_CALLED, SHOWN(6, "called at"), .min = 20, .none = "?",
	      .flags = COLUMN_NO_REST),
	LIMIT(S, timeout_s, timeout, "timeout_s", WHAT_TIMEOUT),
	KNOWN(S, deadline, "deadline", WHAT_DEADLINE),
	KNOWN(S, cancel, "cancel", WHAT_CANCEL),
	GOT(COLUMN_EXACTNESS, "exactness", schema_exact, "read from memory"),
	CELL("timeout", 4, request_limit, .flags = COLUMN_NO_REST),
};
#undef S

static void in_flight_sentence(const struct window *w, struct buf *out)
{
	sentence_counted(out, "", w->net->in_flight_total, "request");
	if (w->net->nin_flight > 1)
		buf_puts(out, ", the oldest first");
}

static uint64_t in_flight_total(const struct window *w)
{
	return w->net->in_flight_total;
}

const struct table net_in_flight = {
	.name = "request",
	.what = "One row per request under way, oldest first; at most 1,000.",
	TABLE_ROWS(struct net_request, request_column),
	.label = "in flight",
	.title = "Requests in flight",
	.sentence = in_flight_sentence,
	.of = &net_object,
	.total = in_flight_total,
	.max_rows = 9,
};

/* ---- calling places ---- */

static void client_limit(const struct row *r, struct buf *out)
{
	const struct net_client *c = r->row;

	limit_cell(c->timeout, c->timeout_s, c->deadline, c->cancel, out);
}

#define S struct net_client
static const struct column client_column[] = {
	PLACE(S, place, "place", WHAT_CALLED, SHOWN(1, "called at"), .min = 24, .none = "?",
	      .flags = COLUMN_NAME_REST, .id = 1),
	LIMIT(S, timeout_s, timeout, "timeout_s", WHAT_TIMEOUT, .flags = COLUMN_NO_REST),
	KNOWN(S, deadline, "deadline", WHAT_DEADLINE, .flags = COLUMN_NO_REST),
	KNOWN(S, cancel, "cancel", WHAT_CANCEL, .flags = COLUMN_NO_REST),
	COUNT(S, requests, "requests", "calls begun in this window",
	      .known_at = OFFSET(S, requests_known, bool), SHOWN(3, "requests"),
	      .flags = COLUMN_MARK),
	COUNT(S, errors, "errors", "of them, failed", .known_at = OFFSET(S, requests_known, bool),
	      SHOWN(4, "errors"), .flags = COLUMN_DASH_0),
	MARGIN(S, margin, "requests"),
	ERRORS_MARGIN(S, errors_margin),
	P50_NS(S, p50_ns, timed, "p50_ns", "call to first byte of the response, median",
	       .known_at = OFFSET(S, requests_known, bool), SHOWN(5, "p50")),
	P99_NS(S, p99_ns, timed, "p99_ns", "99th percentile",
	       .known_at = OFFSET(S, requests_known, bool), SHOWN(6, "p99")),
	NS(S, max_ns, "max_ns", "longest", .known_at = OFFSET(S, requests_known, bool),
	   SHOWN(7, "max"), .flags = COLUMN_MAX_REST | COLUMN_ABSENT_0),
	COUNT(S, in_flight, "in_flight", "calls under way at `time`", .known = net_known,
	      SHOWN(8, "in flight"), .flags = COLUMN_DASH_0),
	AGE(S, longest_in_flight_s, age, "longest_in_flight_s", "age of the oldest of them",
	    .known = net_known, .of_at = OFFSET(S, in_flight, uint64_t), SHOWN(9, "longest")),
	COUNT(S, limited, "limited",
	      "of them, with a timeout, deadline or cancellation: where these are fewer, several "
	      "clients or contexts are one row",
	      .known = net_known, .flags = COLUMN_ABSENT_0),
	COUNT(S, hanging, "hanging",
	      "of them, without any limit for longer than 3 s or ten times p99; of one that is "
	      "being written, since data was last sent",
	      .known = net_known),
	EXACTNESS(S, exactness, RATE(S, rate)),
	CELL("timeout", 2, client_limit, .flags = COLUMN_NO_REST),
};
#undef S

/* How many requests have begun, as far as rows say it. */
struct requests {
	uint64_t n;
	bool known, missing; /* of some rows; of others it is not known */
	enum exactness exactness;
	uint64_t margin; /* SAMPLED */
};

static void requests_add(struct requests *r, bool known, uint64_t n, enum exactness e,
			 uint64_t margin)
{
	r->known |= known;
	r->missing |= !known;
	r->n += n;
	r->margin += margin;
	r->exactness = e > r->exactness ? e : r->exactness;
}

/* Of what is sampled, with the range that it is in 19 times of 20. */
static void requests_sentence(const struct requests *r, const char *begun, struct buf *out)
{
	double pct = r->n ? 100 * (double)r->margin / (double)r->n : 100;

	if (!r->known)
		return;
	buf_puts(out, r->missing ? ": at least " : ": ");
	sentence_counted(out, r->exactness == EXACT ? "" : "~", r->n, "request");
	buf_puts(out, begun);
	if (r->margin)
		buf_printf(out, " (±%.0f%%)", ceil(pct < 100 ? pct : 100));
}

static void clients_sentence(const struct window *w, struct buf *out)
{
	uint64_t errors = 0, hanging = 0;
	struct requests r = { 0 };

	for (int i = 0; i < w->net->nclient; i++) {
		const struct net_client *c = &w->net->client[i];

		requests_add(&r, c->requests_known, c->requests, c->exactness, c->margin);
		errors += c->errors;
		hanging += c->hanging;
	}
	buf_puts(out, "HTTP requests by call");
	requests_sentence(&r, " begun", out);
	if (errors)
		sentence_count(out, ", ", errors, " failed");
	if (hanging)
		sentence_count(out, "; ", hanging,
			       hanging == 1 ? " hangs without a timeout"
					    : " hang without a timeout");
}

const struct table net_clients = {
	.name = "client",
	.what = "One row per calling place. A call is in flight from entering Client.Do until the "
		"body is read to its end, closed, or the call failed.",
	TABLE_ROWS(struct net_client, client_column),
	.other_at = OFFSET(struct net_client, other, bool),
	.exactness_at = OFFSET(struct net_client, exactness, enum exactness),
	.label = "clients",
	.title = "HTTP clients",
	.sentence = clients_sentence,
	.of = &net_object,
	.max_rows = 10,
	.diff_title = "requests in flight by call",
	.diff_key = "in_flight",
};

/* ---- bodies ---- */

static void body_place(const struct row *r, struct buf *out)
{
	const struct net_body_row *b = r->row;

	if (!r->nrest)
		sentence_place(out, &b->place,
			       net_bodies_are_older(b) ? "(opened before gospect attached)"
						       : "(call site unknown)");
}

#define S struct net_body_row
static const struct column body_column[] = {
	HOST(S, host, "the host that answered, name:port", SHOWN(4, "host"), .min = 20, .none = "?",
	     .flags = COLUMN_NAME_REST, .id = 1),
	COUNT(S, count, "count", "open at `time`", SHOWN(1, "now"), .flags = COLUMN_MARK),
	COUNT(S, count_before, "count_before", "open at the first look of the observation",
	      SHOWN(2, "at first")),
	AGE(S, oldest_s, age, "oldest_s", "age of the oldest", .of_at = OFFSET(S, count, uint64_t),
	    SHOWN(3, "oldest")),
	PLACE(S, place, "place",
	      "the call that got the response; absent where the call was not seen",
	      SHOWN(5, "got at"), .min = 24, .cell = body_place, .id = 2),
	EXACTNESS(S, exactness),
};
#undef S

static void unclosed_sentence(const struct window *w, struct buf *out)
{
	uint64_t n = 0;

	for (int i = 0; i < w->net->nunclosed; i++)
		n += w->net->unclosed[i].count;
	sentence_counted(out, "", n, "response");
	buf_printf(out, " neither read to EOF nor closed, and nobody reads %s",
		   n == 1 ? "it" : "them");
}

const struct table net_unclosed = {
	.name = "body",
	.what = "Responses handed to the caller whose body was neither read to the end nor closed, "
		"that no goroutine is reading, for more than a second. A row per host and place; "
		"those opened before gospect attached have no place.",
	TABLE_ROWS(struct net_body_row, body_column),
	.other_at = OFFSET(struct net_body_row, other, bool),
	.exactness_at = OFFSET(struct net_body_row, exactness, enum exactness),
	.label = "unclosed",
	.title = "Unclosed response bodies",
	.sentence = unclosed_sentence,
	.of = &net_object,
	.max_rows = 10,
	.diff_title = "unclosed response bodies",
	.diff_key = "count",
};

/* ---- handlers ---- */

#define S struct net_spent
static const struct column spent_column[] = {
	HOST(S, host, "whom the call is to, name:port"),
	WORD(S, phase, "phase", net_phase_names, "the phase of that call"),
	REAL(S, share, "share", 0.001, "of the sightings of this handler's requests, 0 to 1"),
	COUNT(S, seen, "sightings", "how many are that"),
};
#undef S

static const struct table spent_rows =
	TABLE("spent",
	      "What a handler's requests were at, where the goroutine that serves makes the call "
	      "itself. Sampled by looks, about one a second.",
	      struct net_spent, spent_column);

static bool any_spent(const struct row *r)
{
	return !r->nrest && ((const struct net_server *)r->row)->nspent;
}

#define S struct net_server
static const struct column server_column[] = {
	PLACE(S, place, "place", "the handler's declaration", SHOWN(1, "handler"), .min = 24,
	      .none = "?", .flags = COLUMN_NAME_REST, .id = 1),
	CHARS(S, pattern, "pattern", "the route, where the mux has it", SHOWN(2, "pattern"),
	      .min = 10, .flags = COLUMN_NO_REST | COLUMN_ABSENT_0),
	COUNT(S, requests, "requests", "requests begun in this window",
	      .known_at = OFFSET(S, requests_known, bool), SHOWN(3, "requests"),
	      .flags = COLUMN_MARK),
	MARGIN(S, margin, "requests"),
	ERRORS_MARGIN(S, errors_margin),
	COUNT(S, errors, "errors", "of gRPC, those answered with another code than OK",
	      .known_at = OFFSET(S, errors_known, bool)),
	P50_NS(S, p50_ns, timed, "p50_ns", "of the handler, median",
	       .known_at = OFFSET(S, requests_known, bool), SHOWN(4, "p50")),
	P99_NS(S, p99_ns, timed, "p99_ns", "99th percentile",
	       .known_at = OFFSET(S, requests_known, bool), SHOWN(5, "p99")),
	NS(S, max_ns, "max_ns", "longest", .known_at = OFFSET(S, requests_known, bool),
	   SHOWN(6, "max"), .flags = COLUMN_MAX_REST | COLUMN_ABSENT_0),
	COUNT(S, in_flight, "in_flight", "requests under way at `time`", .known = net_known,
	      SHOWN(7, "in flight"), .flags = COLUMN_DASH_0),
	AGE(S, longest_in_flight_s, age, "longest_in_flight_s", "age of the oldest of them",
	    .known = net_known, .of_at = OFFSET(S, in_flight, uint64_t), SHOWN(8, "longest")),
	FLAG(S, no_read_timeout, "no_read_timeout",
	     "its http.Server has neither ReadTimeout nor ReadHeaderTimeout",
	     .flags = COLUMN_ABSENT_0),
	COUNT(S, hanging, "hanging",
	      "connections of that server that have waited long for a request's bytes; those on "
	      "which nothing has ever come only where they are more than all others",
	      .flags = COLUMN_ABSENT_0 | COLUMN_MAX_REST),
	COUNT(S, sightings, "sightings",
	      "requests that looks of the window (about one a second) have seen under way",
	      .flags = COLUMN_ABSENT_0 | COLUMN_NO_REST),
	ROWS(S, spent, nspent, "spends", &spent_rows, "what they were at: outgoing calls",
	     .known = any_spent, .flags = COLUMN_INSIDE | COLUMN_NO_REST),
	EXACTNESS(S, exactness, RATE(S, rate)),
};
#undef S

#define SIGHTINGS_LEAST 5 /* of fewer no share is told to people */
#define SHARE_LEAST     0.1
#define MAX_SPENT_LINES 5

/* "main.checkout: 82% of its time in bank.example.com:443 ttfb (sampled: 41 of 50 sightings)" */
static void spent_lines(const struct window *w, struct buf *out)
{
	int lines = 0;

	for (int i = 0; i < w->net->nserver; i++) {
		const struct net_server *s = &w->net->server[i];

		for (int k = 0; k < s->nspent && lines < MAX_SPENT_LINES; k++) {
			const struct net_spent *p = &s->spent[k];

			if (s->sightings < SIGHTINGS_LEAST || p->share < SHARE_LEAST)
				continue;
			buf_puts(out, "  ");
			sentence_place(out, &s->place, "?");
			sentence_name(out, s->pattern[0] ? " " : "", s->pattern, 40);
			buf_printf(out, " spends %.0f%% in ", p->share * 100);
			sentence_name(out, "", p->host[0] ? p->host : "an unknown host", 60);
			buf_printf(out, " %s (sampled: %llu of %llu sightings)\n",
				   net_phase_name(p->phase), (unsigned long long)p->seen,
				   (unsigned long long)s->sightings);
			lines++;
		}
	}
}

/* What the rows are of. */
static const char *handlers_words(const struct net_window *n)
{
	int grpc = 0;

	for (int i = 0; i < n->nserver; i++) {
		const char *name = n->server[i].place.function;

		grpc += name && !strcmp(name, NET_GRPC_HANDLER);
	}
	return !grpc               ? "HTTP handlers"
	       : grpc < n->nserver ? "HTTP and gRPC handlers"
				   : "gRPC methods";
}

static void servers_sentence(const struct window *w, struct buf *out)
{
	uint64_t in_flight = 0, hanging = 0;
	struct requests r = { 0 };

	for (int i = 0; i < w->net->nserver; i++) {
		const struct net_server *s = &w->net->server[i];

		requests_add(&r, s->requests_known, s->requests, s->exactness, s->margin);
		in_flight += s->in_flight;
		if (s->no_read_timeout && s->hanging > hanging)
			hanging = s->hanging;
	}
	buf_puts(out, handlers_words(w->net));
	requests_sentence(&r, "", out);
	if (w->net->known)
		sentence_count(out, ", ", in_flight, " in flight");
	if (hanging)
		sentence_count(out, "; ", hanging,
			       hanging == 1 ? " connection hangs, no read timeout"
					    : " connections hang, no read timeout");
}

const struct table net_servers = {
	.name = "server",
	.what = "One row per HTTP handler or route, and per method of gRPC servers.",
	TABLE_ROWS(struct net_server, server_column),
	.other_at = OFFSET(struct net_server, other, bool),
	.exactness_at = OFFSET(struct net_server, exactness, enum exactness),
	.label = "servers",
	.title = "Handlers of HTTP and gRPC servers",
	.sentence = servers_sentence,
	.below = spent_lines,
	.of = &net_object,
	.max_rows = 10,
};

/* ---- the object ---- */

static bool any_method(const struct row *r)
{
	return ((const struct net_window *)r->row)->ngrpc;
}

static bool any_lookup(const struct row *r)
{
	return ((const struct net_window *)r->row)->nown_lookup;
}

static bool any_dead(const struct row *r)
{
	return ((const struct net_window *)r->row)->ndead;
}

#define S struct net_window
static const struct column net_column[] = {
	ROWS(S, client, nclient, "clients", &net_clients, "HTTP calls by calling place"),
	ROWS(S, phase, nphase, "phases", &net_phases, "phases of requests and dials",
	     .known = phases_known),
	ROWS(S, failure, nfailure, "failures", &net_failures, "calls that failed, by kind of error",
	     .known = failures_known),
	ROWS(S, in_flight, nin_flight, "in_flight", &net_in_flight, "requests under way",
	     .known = net_known),
	COUNT(S, in_flight_total, "in_flight_total", "all requests under way", .known = net_known),
	ROWS(S, slow, nslow, "slow_requests", &net_slow,
	     "requests that looks have seen for long, with their phases", .known = net_known),
	ROWS(S, unclosed, nunclosed, "unclosed_bodies", &net_unclosed, "response bodies left open",
	     .known = net_known),
	ROWS(S, dial, ndial, "dials", &net_dials, "connections being made", .known = net_known),
	ROWS(S, connection, nconnection, "connections", &net_connections, "connections by host",
	     .known = net_known),
	ROWS(S, silent, nsilent, "silent_connections", &net_silent,
	     "HTTP/2 connections that requests wait on, and nothing comes", .known = net_known),
	ROWS(S, server, nserver, "servers", &net_servers, "handlers of HTTP and gRPC servers"),
	ROWS(S, grpc, ngrpc, "grpc", &net_grpc, "gRPC calls by method", .known = any_method),
	ROWS(S, own_lookup, nown_lookup, "lookups", &net_own_lookups,
	     "look-ups of the program's own under way", .known = any_lookup),
	ROWS(S, dead, ndead, "dead_connections", &net_dead,
	     "connections with nobody at the other end", .known = any_dead),
};
#undef S

static const void *net_part(const struct window *w)
{
	return w->net->known || w->net->phases_known ? w->net : NULL;
}

const struct table net_object =
	TABLE("net",
	      "The network. What is true now (in flight, idle, waiting, ages) is as of `time` "
	      "and "
	      "read from memory, so it includes what began before gospect attached; counts and "
	      "durations are of this window and seen by probes.",
	      struct net_window, net_column, .part = net_part);
