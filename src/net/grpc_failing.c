/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gRPC calls of a method that fail: as failing_phase.c has it of HTTP's, one of SHARE of them,
 * MIN_CALLS at least, or half of them and MIN_ERRORS.
 *
 * What counts are codes that say the service is not there, not in time or broken.  The others
 * are answers (NotFound, InvalidArgument, PermissionDenied, …), as HTTP's 404 is one, or the
 * caller's own wish (Canceled): they are listed, and no finding.
 */
#include "net/grpc_codes.h"

#include <stdio.h>

#include "base/human.h"
#include "base/text.h"
#include "model/place.h"
#include "model/words.h"
#include "net/subject.h"

#define SHARE      20
#define MIN_CALLS  5
#define MIN_ERRORS 3

static const char *const names[NET_CODES] = {
	"OK",
	"Canceled",
	"Unknown",
	"InvalidArgument",
	"DeadlineExceeded",
	"NotFound",
	"AlreadyExists",
	"PermissionDenied",
	"ResourceExhausted",
	"FailedPrecondition",
	"Aborted",
	"OutOfRange",
	"Unimplemented",
	"Internal",
	"Unavailable",
	"DataLoss",
	"Unauthenticated",
	"other",
};

/* What to do; NULL: an answer, or the caller's wish. */
static const char *const advice[NET_CODES] = {
	[NET_CODE_UNKNOWN] = "see the server's log: its handler returns an error that is no gRPC "
			     "status",
	[NET_CODE_DEADLINE] =
		"check that server: it answers too late for the callers' deadline; or "
		"no connection is ready (WaitForReady)",
	[NET_CODE_EXHAUSTED] = "a quota, or the largest message's size (MaxCallRecvMsgSize), is "
			       "reached: see the error's text",
	[NET_CODE_UNIMPLEMENTED] = "the server does not have that method: check its version and "
				   "address",
	[NET_CODE_INTERNAL] = "see the server's log, and the proxies before it",
	[NET_CODE_UNAVAILABLE] = "no connection to the server, or it went away: check that it is "
				 "up, its address, and proxies that close idle connections",
	[NET_CODE_DATA_LOSS] = "see the server's log",
};

const char *net_grpc_code_name(int code)
{
	return names[code];
}

static uint64_t failed(const struct net_grpc *r)
{
	uint64_t n = 0;

	for (int i = 0; i < NET_CODES; i++)
		n += advice[i] ? r->code[i] : 0;
	return n;
}

static bool is_found(const struct net_grpc *r)
{
	uint64_t n = failed(r), calls = r->calls > r->errors ? r->calls : r->errors;

	if (r->other || !r->calls_known || n < MIN_ERRORS || r->seen < MIN_ERRORS)
		return false;
	return n * 2 >= calls || (r->seen >= MIN_CALLS && n * SHARE >= calls);
}

static int main_code(const struct net_grpc *r)
{
	int best = NET_CODE_UNKNOWN;

	for (int i = 0; i < NET_CODES; i++)
		if (advice[i] && r->code[i] > r->code[best])
			best = i;
	return best;
}

static void add_finding(const struct window *w, const struct net_grpc *r, struct findings *out)
{
	char subject[NET_MAX_METHOD + 8], a[HUMAN_MAX], b[HUMAN_MAX], t[HUMAN_MAX],
		place[WORDS_PLACE_MAX], took[WORDS_PERCENTILES_MAX];
	const char *about = r->exactness == EXACT ? "" : "about ";
	uint64_t calls = r->calls > r->errors ? r->calls : r->errors;
	int code = main_code(r);
	struct finding *f;

	snprintf(subject, sizeof(subject), "grpc %s", r->method);
	f = findings_add_about(out, "failing-phase", subject, SEVERITY_MEDIUM, &r->place);
	if (!f)
		return;
	finding_title(f, "gRPC calls of %s fail: %s%s of %s in %s, %s",
		      r->method[0] ? r->method : "?", about, human_count(failed(r), a),
		      human_count(calls, b), human_seconds(w->window_s, t), names[code]);
	finding_count(f, "errors", failed(r));
	finding_count(f, "count", calls);
	for (int i = 0; i < NET_CODES; i++)
		if (r->code[i] && i != code)
			finding_evidence(f, "%s more: %s", human_count(r->code[i], a), names[i]);
	if (r->timed >= LEAST_FOR_P50)
		finding_evidence(f, "all that end take %s",
				 words_percentiles(r->timed, r->p50_ns, r->p99_ns, r->max_ns,
						   took));
	if (r->place.function)
		finding_evidence(f, "called at %s", words_place(&r->place, place, sizeof(place)));
	finding_advice(f, "%s", advice[code]);
	f->exactness = r->exactness;
	f->weight = (double)failed(r);
}

static void judge(const struct window *w, struct findings *out)
{
	for (int i = 0; w->net->known && i < w->net->ngrpc; i++)
		if (is_found(&w->net->grpc[i]))
			add_finding(w, &w->net->grpc[i], out);
}

const struct detector grpc_failing_detector = {
	.name = "failing-phase",
	.sensors = SENSOR_BIT(SENSOR_NET),
	.of_waits = true,
	.of_rates = true,
	.of_few = true,
	.judge = judge,
};
