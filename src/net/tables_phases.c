/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of phases, and the network in one line. */
#include "net/tables.h"

#include <stdlib.h>
#include <string.h>

#include "model/sentence.h"
#include "net/failures.h"
#include "net/window.h"

/* ---- phases ---- */

static bool had_before(const struct row *r)
{
	return ((const struct net_phase_row *)r->row)->before_count;
}

#define S struct net_phase_row
static const struct column phase_column[] = {
	HOST(S, host, "what was asked for, name:port; dials of a proxy count under the proxy",
	     SHOWN(1, "host"), .min = 20, .none = "?", .flags = COLUMN_NAME_REST, .id = 2),
	WORD(S, phase, "phase", net_phase_names, "the phase of the request or dial",
	     SHOWN(2, "phase"), .flags = COLUMN_NO_REST, .id = 1),
	COUNT(S, count, "count", "phases that ended in this window, errors included",
	      SHOWN(3, "count"), .flags = COLUMN_MARK),
	COUNT(S, errors, "errors", "of them, failed", SHOWN(4, "errors"),
	      .flags = COLUMN_MARK | COLUMN_DASH_0),
	MARGIN(S, margin, "count"),
	ERRORS_MARGIN(S, errors_margin),
	P50_NS(S, p50_ns, timed, "p50_ns",
	       "median; from a histogram whose buckets are at most 12.5 % wide", SHOWN(5, "p50")),
	P99_NS(S, p99_ns, timed, "p99_ns", "99th percentile", SHOWN(6, "p99")),
	NS(S, max_ns, "max_ns", "longest", SHOWN(7, "max"),
	   .flags = COLUMN_MAX_REST | COLUMN_ABSENT_0),
	NS(S, total_ns, "total_ns", "in all", SHOWN(8, "in all"),
	   .flags = COLUMN_MARK | COLUMN_ABSENT_0),
	NS(S, before_p50_ns, "before_p50_ns", "median of the observation before this window",
	   .known = had_before, .flags = COLUMN_NO_REST),
	COUNT(S, before_count, "before_count", "phases in the observation before this window",
	      .flags = COLUMN_NO_REST | COLUMN_ABSENT_0),
	PLACE(S, busiest, "busiest", "the call with most requests to that host"),
	EXACTNESS(S, exactness, RATE(S, rate)),
};
#undef S

static uint64_t phase_errors(const struct net_window *n)
{
	uint64_t errors = 0;

	for (int i = 0; n->phases_known && i < n->nphase; i++)
		errors += n->phase[i].errors;
	return errors;
}

static void phases_sentence(const struct window *w, struct buf *out)
{
	buf_puts(out, "phases of requests and dials that ended in this window, by host");
	if (phase_errors(w->net))
		sentence_counted(out, "; ", phase_errors(w->net), "error");
}

struct phase_order {
	struct row row;
	uint64_t host_ns; /* of all phases of its host */
};

static const struct net_phase_row *phase_of(const struct phase_order *o)
{
	return o->row.row;
}

static int by_host(const void *a, const void *b)
{
	return strcmp(phase_of(a)->host, phase_of(b)->host);
}

/* The host with most time first, its phases in the order in which they happen. */
static int by_time(const void *a, const void *b)
{
	const struct phase_order *x = a, *y = b;
	int r;

	if (phase_of(x)->other != phase_of(y)->other)
		return phase_of(x)->other ? 1 : -1;
	if (x->host_ns != y->host_ns)
		return x->host_ns > y->host_ns ? -1 : 1;
	r = by_host(a, b);
	return r ? r : (int)phase_of(x)->phase - (int)phase_of(y)->phase;
}

static void order_phases(struct phase_order *o, size_t n)
{
	qsort(o, n, sizeof(*o), by_host);
	for (size_t first = 0, i; first < n; first = i) {
		uint64_t sum = 0;

		for (i = first; i < n && !by_host(&o[i], &o[first]); i++)
			sum += phase_of(&o[i])->total_ns;
		for (size_t k = first; k < i; k++)
			o[k].host_ns = sum;
	}
	qsort(o, n, sizeof(*o), by_time);
}

static void sort_phases(struct row *row, size_t n)
{
	struct phase_order *o = calloc(n, sizeof(*o));

	if (!o)
		return; /* all are there, in the window's order */
	for (size_t i = 0; i < n; i++)
		o[i].row = row[i];
	order_phases(o, n);
	for (size_t i = 0; i < n; i++)
		row[i] = o[i].row;
	free(o);
}

const struct table net_phases = {
	.name = "phase",
	.what = "One row per host and phase that occurred. A phase is counted in the window in "
		"which it ends.",
	TABLE_ROWS(struct net_phase_row, phase_column),
	.other_at = OFFSET(struct net_phase_row, other, bool),
	.exactness_at = OFFSET(struct net_phase_row, exactness, enum exactness),
	.label = "network",
	.title = "Network phases by host",
	.sentence = phases_sentence,
	.of = &net_object,
	.sort = sort_phases,
	.max_rows = 20,
	.diff_title = "network phases (p50)",
	.diff_key = "p50_ns",
};

/* ---- requests that looks have followed ---- */

static bool phase_pair(const struct row *r, size_t i, struct pair *out)
{
	const struct net_slow *q = r->row;
	size_t k = 0;

	for (; k < NET_PHASES; k++)
		if (q->in_phase_s[k] > 0 && !i--)
			break;
	if (k == NET_PHASES)
		return false;
	out->key = net_phase_name((enum net_phase)k);
	out->type = COLUMN_REAL;
	out->real = q->in_phase_s[k];
	return true;
}

#define S struct net_slow
static const struct column slow_column[] = {
	HOST(S, host, "what was asked for, name:port"),
	AGE(S, took_s, age, "took_s", "its age when it was seen last"),
	FLAG(S, ended, "ended", "it was not seen any more; how it ended is not known"),
	PAIRS("phases_s", phase_pair, "seconds in each phase, as far as looks and probes saw it"),
	REAL(S, unseen_s, "unseen_s", 0.001, "seconds in phases that nobody saw"),
	COUNT(S, looks, "looks", "how many have seen it"),
	GOID(S, goroutine, "goroutine", "the goroutine that called"),
	PLACE(S, place, "place", "the call: the innermost frame outside the standard library"),
};
#undef S

const struct table net_slow = {
	.name = "slow",
	.what = "Requests that looks (about one a second) have seen for over 0.1 s, under way or "
		"ended "
		"in this window, the longest first; at most 200. Requests between two looks are "
		"not "
		"among them.",
	TABLE_ROWS(struct net_slow, slow_column),
	.of = &net_object,
};

/* ---- dials ---- */

static bool net_known(const struct row *r)
{
	return r->w->net->known;
}

#define S struct net_dial_row
static const struct column dial_column[] = {
	HOST(S, host, "who it is to, name:port", SHOWN(1, "host"), .min = 24, .none = "?",
	     .flags = COLUMN_NAME_REST, .id = 1),
	WORD(S, phase, "phase", net_phase_names, "dns, connect or tls", SHOWN(2, "phase"),
	     .flags = COLUMN_NO_REST, .id = 2),
	COUNT(S, count, "count", "connections that are being made at `time`", SHOWN(3, "now")),
	COUNT(S, given_up, "given_up",
	      "of them, no request waits for it any more (Go 1.23 and later go on)",
	      SHOWN(4, "given up"), .flags = COLUMN_DASH_0),
	AGE(S, oldest_s, age, "oldest_s", "age of the oldest, from the beginning of its dial",
	    .known = net_known, .of_at = OFFSET(S, count, uint64_t), SHOWN(5, "oldest")),
	COUNT(S, most, "slow_most",
	      "the most at one look of the window that had gone on for over a second",
	      SHOWN(6, "over 1s"), .flags = COLUMN_ABSENT_0 | COLUMN_DASH_0),
	REAL(S, most_oldest_s, "slow_oldest_s", 0.001, "the oldest of these, at least",
	     .flags = COLUMN_ABSENT_0 | COLUMN_POSITIVE),
	GOT(COLUMN_EXACTNESS, "exactness", schema_exact, "read from memory"),
};
#undef S

static void dials_sentence(const struct window *w, struct buf *out)
{
	uint64_t n = 0;

	for (int i = 0; i < w->net->ndial; i++)
		n += w->net->dial[i].count;
	sentence_counted(out, "", n, "connection");
	buf_puts(out, " being made");
}

const struct table net_dials = {
	.name = "dial",
	.what = "Connections of net/http that are being made, whether a request waits for them or "
		"not: one row per host and phase.",
	TABLE_ROWS(struct net_dial_row, dial_column),
	.other_at = OFFSET(struct net_dial_row, other, bool),
	.exactness_at = OFFSET(struct net_dial_row, exactness, enum exactness),
	.label = "dials",
	.title = "Connections being made",
	.sentence = dials_sentence,
	.of = &net_object,
	.max_rows = 6,
};

/* ---- failures ---- */

#define S struct net_failure_row
static const struct column failure_column[] = {
	HOST(S, host, "what was asked for, name:port", SHOWN(1, "host"), .min = 20, .none = "?",
	     .flags = COLUMN_NAME_REST, .id = 2),
	WORD(S, phase, "phase", net_phase_names, "the phase it failed in; absent: not known",
	     SHOWN(2, "phase"), .flags = COLUMN_NO_REST | COLUMN_SOMETIMES, .id = 3),
	WORD(S, kind, "kind", net_failure_names, "with what, by the types of the error",
	     SHOWN(3, "failed with"), .flags = COLUMN_NO_REST, .id = 4),
	COUNT(S, count, "count", "calls that failed so in this window", SHOWN(4, "count"),
	      .flags = COLUMN_MARK),
	COUNT(S, reused, "reused", "of them, on a connection that had carried requests before",
	      SHOWN(5, "reused"), .flags = COLUMN_DASH_0),
	PLACE(S, place, "place", "the call", SHOWN(6, "called at"), .min = 20, .none = "?",
	      .id = 1),
	EXACTNESS(S, exactness, RATE(S, rate)),
};
#undef S

static void failures_sentence(const struct window *w, struct buf *out)
{
	uint64_t n = 0;

	for (int i = 0; i < w->net->nfailure; i++)
		n += w->net->failure[i].count;
	buf_puts(out, "calls of HTTP clients that failed, by kind of error; ");
	sentence_count(out, "", n, " in all");
}

const struct table net_failures = {
	.name = "failure",
	.what = "Calls of HTTP clients that failed in this window: one row per host, phase, kind "
		"of error and calling place.",
	TABLE_ROWS(struct net_failure_row, failure_column),
	.other_at = OFFSET(struct net_failure_row, other, bool),
	.exactness_at = OFFSET(struct net_failure_row, exactness, enum exactness),
	.label = "failures",
	.title = "Failed calls",
	.sentence = failures_sentence,
	.of = &net_object,
	.max_rows = 8,
};

/* ---- for the live screen ---- */

/* The row in which most time went. */
static const struct net_phase_row *slowest(const struct net_window *n)
{
	const struct net_phase_row *best = NULL;

	for (int i = 0; n->phases_known && i < n->nphase; i++)
		if (!n->phase[i].other && (!best || n->phase[i].total_ns > best->total_ns))
			best = &n->phase[i];
	return best;
}

static uint64_t unclosed(const struct net_window *n)
{
	uint64_t sum = 0;

	for (int i = 0; n->known && i < n->nunclosed; i++)
		sum += n->unclosed[i].count;
	return sum;
}

void net_brief(const struct window *w, struct buf *out)
{
	const struct net_window *n = w->net;
	const struct net_phase_row *p = slowest(n);

	if (!p && !n->in_flight_total && !unclosed(n))
		return;
	if (n->known) {
		sentence_count(out, "", n->in_flight_total, " in flight");
		if (n->nin_flight && n->in_flight[0].age != AGE_UNKNOWN)
			sentence_seconds(out, n->in_flight[0].age == AGE_AT_LEAST ? " (>" : " (",
					 n->in_flight[0].since_s, ")");
	}
	if (unclosed(n))
		sentence_count(out, ", ", unclosed(n), " unclosed");
	if (phase_errors(n))
		sentence_counted(out, out->len ? ", " : "", phase_errors(n), "error");
	if (!p)
		return;
	buf_printf(out, "%s%s", out->len ? "; " : "", net_phase_name(p->phase));
	if (p->timed >= LEAST_FOR_P50)
		sentence_ns(out, " p50 ", p->p50_ns);
	else
		sentence_ns(out, " max ", p->max_ns);
	sentence_name(out, " at ", p->host, 40);
}
