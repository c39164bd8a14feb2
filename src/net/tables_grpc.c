/* SPDX-License-Identifier: BSD-2-Clause */
/* The tables of gRPC's client calls, of dead connections and of look-ups. */
#include "net/tables.h"

#include "model/sentence.h"
#include "net/grpc_codes.h"
#include "net/window.h"

static bool net_known(const struct row *r)
{
	return r->w->net->known;
}

static void grpc_place(const struct row *r, struct buf *out)
{
	sentence_place(out, &((const struct net_grpc *)r->row)->place, "");
}

static bool has_codes(const struct row *r)
{
	const struct net_grpc *g = r->row;

	return g->calls_known && g->seen && !r->nrest;
}

static bool code_pair(const struct row *r, size_t i, struct pair *out)
{
	const struct net_grpc *g = r->row;
	int k = 0;

	for (; k < NET_CODES; k++)
		if (g->code[k] && !i--)
			break;
	if (k == NET_CODES)
		return false;
	out->key = net_grpc_code_name(k);
	out->type = COLUMN_COUNT;
	out->count = g->code[k];
	return true;
}

#define S struct net_grpc
static const struct column grpc_column[] = {
	CHARS(S, method, "method", "/package.Service/Method", SHOWN(1, "method"), .min = 24,
	      .none = "?",
	      .flags = COLUMN_NO_REST | COLUMN_NAME_REST | COLUMN_ABSENT_0 | COLUMN_END, .id = 1),
	PLACE(S, place, "place", WHAT_CALLED, SHOWN(8, "called at"), .min = 14, .cell = grpc_place),
	COUNT(S, calls, "calls", "calls begun in this window",
	      .known_at = OFFSET(S, calls_known, bool), SHOWN(2, "calls"), .flags = COLUMN_MARK),
	COUNT(S, errors, "errors", "of them, failed", .known_at = OFFSET(S, calls_known, bool),
	      SHOWN(3, "errors"), .flags = COLUMN_DASH_0),
	PAIRS("codes", code_pair,
	      "of the errors, by gRPC code (`other`: an error that is no status)",
	      .known = has_codes, .flags = COLUMN_SOMETIMES),
	MARGIN(S, margin, "calls"),
	ERRORS_MARGIN(S, errors_margin),
	P50_NS(S, p50_ns, timed, "p50_ns", "of the call, median",
	       .known_at = OFFSET(S, calls_known, bool), SHOWN(4, "p50")),
	P99_NS(S, p99_ns, timed, "p99_ns", "99th percentile",
	       .known_at = OFFSET(S, calls_known, bool), SHOWN(5, "p99")),
	NS(S, max_ns, "max_ns", "longest", .known_at = OFFSET(S, calls_known, bool),
	   .flags = COLUMN_MAX_REST | COLUMN_ABSENT_0),
	COUNT(S, in_flight, "in_flight", "calls under way at `time`", .known = net_known,
	      SHOWN(6, "in flight"), .flags = COLUMN_DASH_0),
	AGE(S, longest_in_flight_s, age, "longest_in_flight_s", "age of the oldest of them",
	    .known = net_known, .of_at = OFFSET(S, in_flight, uint64_t), SHOWN(7, "longest")),
	COUNT(S, receiving, "receiving",
	      "goroutines that receive from streams of this method at `time`: no calls in flight",
	      .flags = COLUMN_ABSENT_0),
	COUNT(S, on_dead, "on_dead",
	      "calls and receivers that hang on a connection whose other end is gone",
	      .flags = COLUMN_ABSENT_0),
	HOST(S, host, "whom that connection is to, name:port", .flags = COLUMN_ABSENT_0),
	EXACTNESS(S, exactness, RATE(S, rate)),
};
#undef S

static void grpc_sentence(const struct window *w, struct buf *out)
{
	uint64_t in_flight = 0, receiving = 0;

	for (int i = 0; i < w->net->ngrpc; i++) {
		in_flight += w->net->grpc[i].in_flight;
		receiving += w->net->grpc[i].receiving;
	}
	buf_puts(out, "client calls by method");
	if (w->net->known)
		sentence_count(out, ", ", in_flight, " in flight");
	if (receiving)
		sentence_count(out, ", ", receiving, " receive from streams");
}

#define MAX_CODE_LINES 5

/* "/pkg.Stock/Get failed with: Unavailable 12, Internal 1" */
static void code_lines(const struct window *w, struct buf *out)
{
	int lines = 0;

	for (int i = 0; i < w->net->ngrpc && lines < MAX_CODE_LINES; i++) {
		const struct row r = { .w = w, .row = &w->net->grpc[i] };
		struct pair p;

		if (!has_codes(&r))
			continue;
		sentence_name(out, "  ", w->net->grpc[i].method, 60);
		buf_puts(out, " failed with");
		for (size_t k = 0; code_pair(&r, k, &p); k++)
			buf_printf(out, "%s %s %llu", k ? "," : ":", p.key,
				   (unsigned long long)p.count);
		buf_puts(out, "\n");
		lines++;
	}
}

const struct table net_grpc = {
	.name = "grpc",
	.what = "gRPC client calls by method.",
	TABLE_ROWS(struct net_grpc, grpc_column),
	.other_at = OFFSET(struct net_grpc, other, bool),
	.exactness_at = OFFSET(struct net_grpc, exactness, enum exactness),
	.label = "grpc",
	.title = "gRPC clients",
	.sentence = grpc_sentence,
	.below = code_lines,
	.of = &net_object,
	.max_rows = 10,
};

/* ---- connections with nobody at the other end ---- */

#define S struct net_dead
static const struct column dead_column[] = {
	HOST(S, host, "who it is to, name:port", SHOWN(1, "host"), .min = 24, .none = "?",
	     .flags = COLUMN_NAME_REST, .id = 1),
	TEXT(S, protocol, "protocol", "h2 or grpc", SHOWN(2, "protocol"), .none = "",
	     .flags = COLUMN_NO_REST | COLUMN_SOMETIMES, .id = 2),
	COUNT(S, count, "count", "connections at `time`", SHOWN(3, "dead")),
	COUNT(S, streams, "streams", "calls and streams on them", SHOWN(4, "streams")),
	REAL(S, silent_s, "silent_s", 0.001,
	     "for how long nothing was acknowledged, at least; the longest",
	     .flags = COLUMN_POSITIVE | COLUMN_MAX_REST),
	COUNT(S, resent, "resent", "how often that one has sent the same again",
	      SHOWN(5, "sent again"), .flags = COLUMN_MAX_REST),
	KNOWN(S, pings, "pings", "of gRPC: whether keepalive is set", .flags = COLUMN_NO_REST),
	GOT(COLUMN_EXACTNESS, "exactness", schema_exact, "the kernel says it (tcp_info)"),
};
#undef S

static void dead_sentence(const struct window *w, struct buf *out)
{
	uint64_t n = 0;

	for (int i = 0; i < w->net->ndead; i++)
		n += w->net->dead[i].count;
	sentence_counted(out, "", n, "connection");
	buf_puts(out, " with nobody at the other end");
}

const struct table net_dead = {
	.name = "dead",
	.what = "Connections of HTTP/2 and gRPC that send the same again and again and hear "
		"nothing for over 3 s, by host.",
	TABLE_ROWS(struct net_dead, dead_column),
	.other_at = OFFSET(struct net_dead, other, bool),
	.label = "dead",
	.title = "Dead connections",
	.sentence = dead_sentence,
	.of = &net_object,
	.max_rows = 6,
};

/* ---- look-ups ---- */

static void lookup_place(const struct row *r, struct buf *out)
{
	sentence_place(out, &((const struct net_own_lookup *)r->row)->place, "?");
}

#define S struct net_own_lookup
static const struct column lookup_column[] = {
	PLACE(S, place, "place", WHAT_CALLED, SHOWN(1, "called at"), .min = 24, .none = "?",
	      .cell = lookup_place, .id = 1),
	COUNT(S, count, "count", "under way at `time`", SHOWN(2, "look-ups")),
	COUNT(S, hanging, "hanging", "of them, one question has been open for over 3 s",
	      SHOWN(3, "over 3s"), .flags = COLUMN_DASH_0),
	AGE(S, oldest_s, age, "oldest_s", "the question that has been open for longest",
	    .of_at = OFFSET(S, count, uint64_t), SHOWN(4, "oldest")),
	GOT(COLUMN_EXACTNESS, "exactness", schema_exact, "read from memory"),
};
#undef S

static void lookups_sentence(const struct window *w, struct buf *out)
{
	uint64_t n = 0;

	for (int i = 0; i < w->net->nown_lookup; i++)
		n += w->net->own_lookup[i].count;
	sentence_counted(out, "", n, "look-up");
	buf_puts(out, " of the program's own under way");
}

const struct table net_own_lookups = {
	.name = "lookup",
	.what = "Look-ups that the program makes itself (net.Resolver), not to dial, and that are "
		"under way; those that came back are not counted.",
	TABLE_ROWS(struct net_own_lookup, lookup_column),
	.other_at = OFFSET(struct net_own_lookup, other, bool),
	.label = "lookups",
	.title = "Look-ups under way",
	.sentence = lookups_sentence,
	.of = &net_object,
	.max_rows = 6,
};
