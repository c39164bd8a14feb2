/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A phase of a host's requests that fails: refused connects, names that are
 * not found, certificates that are not accepted, responses cut off, time that is up.
 *
 * Calls of http.Client are counted by the kind of their error (net_failure_row), and
 * decide where they are known: a host fails when one of SHARE of its calls does,
 * MIN_CALLS of them at least, or half of them and MIN_ERRORS: a retry hides one in a
 * hundred, and five where one is expected come by chance once in 270 windows.  What
 * the caller has cancelled is no failure.  Its phases are found that have a quarter of
 * the failures each.
 *
 * Others are known by the ends of phases alone (drivers of databases, reverse
 * proxies).  Errors of the rare phases (look-up, connect, handshake) count from a tenth
 * of all on; those whose caller has gone are none.  The others also "fail" when a
 * caller gives a request up, as a proxy does whose client went away: there it takes
 * half of them.  A phase that is slow as well is slow_phase.c's, which reports the
 * errors too.
 *
 * With Go 1.23 and later a dial goes on when its caller has given up, and its
 * error comes long after: a look-up, connect or handshake fails also where none
 * has got through in the window, and MIN_ERRORS of those that go on have no
 * caller any more.
 */
#include "net/subject.h"

#include <stdio.h>
#include <string.h>

#include "base/human.h"
#include "base/text.h"
#include "model/place.h"
#include "model/words.h"
#include "net/failures.h"

#define SHARE       20 /* one call of so many */
#define MIN_CALLS   5
#define MIN_ERRORS  3
#define RARE_SHARE  10 /* one of so many */
#define OTHER_SHARE 2
#define MAX_ROWS    200 /* of failures that are looked at: those with most */

/* ---- calls ---- */

/* The failed calls of a host, of one phase or (-1) of all. */
struct failed {
	uint64_t n, seen, reused;
	uint64_t kind[NET_FAILURES];
	const struct place *place; /* that has most */
	enum exactness exactness;
	uint64_t most; /* of one row */
};

static void add_row(struct failed *s, const struct net_failure_row *r)
{
	s->n += r->count;
	s->seen += r->seen;
	s->reused += r->reused;
	s->kind[r->kind] += r->count;
	s->exactness = r->exactness;
	if (r->count > s->most && r->place.function) {
		s->most = r->count;
		s->place = &r->place;
	}
}

static struct failed failed_of(const struct net_window *n, const char *host, int phase)
{
	struct failed s = { 0 };

	for (int i = 0; n->failures_known && i < n->nfailure; i++) {
		const struct net_failure_row *r = &n->failure[i];

		if (!r->other && r->kind != NET_FAILURE_CANCELLED && !strcmp(r->host, host) &&
		    (phase < 0 || r->phase == phase))
			add_row(&s, r);
	}
	return s;
}

static bool is_dial(int phase)
{
	return phase >= 0 && phase < NET_REQUEST_WRITE;
}

/* Calls to a host: those that have got a connection, and those that failed without one. */
static uint64_t calls_of(const struct net_window *n, const char *host)
{
	uint64_t with = 0, without = 0, failed = 0;

	for (int i = 0; n->phases_known && i < n->nphase; i++) {
		const struct net_phase_row *p = &n->phase[i];

		if (!p->other && (p->phase == NET_REQUEST_WRITE || p->phase == NET_TTFB) &&
		    !strcmp(p->host, host) && p->count > with)
			with = p->count;
	}
	for (int i = 0; i < n->nfailure; i++)
		if (!n->failure[i].other && !strcmp(n->failure[i].host, host)) {
			without += is_dial(n->failure[i].phase) ? n->failure[i].count : 0;
			failed += n->failure[i].count;
		}
	return with + without > failed ? with + without : failed;
}

static bool host_fails(const struct net_window *n, const struct failed *all, const char *host)
{
	uint64_t calls;

	if (all->seen < MIN_ERRORS)
		return false;
	calls = calls_of(n, host);
	return all->n * 2 >= calls || (all->seen >= MIN_CALLS && all->n * SHARE >= calls);
}

bool net_calls_fail(const struct net_window *n, const char *host, int phase)
{
	struct failed all = failed_of(n, host, -1), in;

	if (!host_fails(n, &all, host))
		return false;
	in = failed_of(n, host, phase);
	return in.seen >= MIN_ERRORS && in.n * 4 >= all.n;
}

static enum net_failure main_kind(const struct failed *s)
{
	int best = 0;

	for (int i = 1; i < NET_FAILURES; i++)
		if (s->kind[i] > s->kind[best])
			best = i;
	return (enum net_failure)best;
}

/* The server closes connections that are idle before the client does. */
static bool is_idle_race(const struct failed *s, enum net_failure kind)
{
	/* net/http reads its EOF, and closes it under a request that is just being written */
	return (kind == NET_FAILURE_EOF || kind == NET_FAILURE_RESET ||
		kind == NET_FAILURE_CLOSED) &&
	       s->reused * 2 >= s->n;
}

static void call_evidence(struct finding *f, const struct net_window *n, const struct failed *s,
			  const struct net_failure_row *r)
{
	char a[HUMAN_MAX], took[WORDS_PERCENTILES_MAX], place[WORDS_PLACE_MAX], age[NET_WORDS_AGE];
	enum net_failure kind = main_kind(s);

	for (int i = 0; i < NET_FAILURES; i++)
		if (s->kind[i] && i != (int)kind)
			finding_evidence(f, "%s more: %s", human_count(s->kind[i], a),
					 net_failure_words((enum net_failure)i));
	if (is_idle_race(s, kind))
		finding_evidence(f, "%s of them on a connection that had carried requests before",
				 human_count(s->reused, a));
	for (int i = 0; i < n->nphase; i++)
		if (!n->phase[i].other && (int)n->phase[i].phase == r->phase &&
		    !strcmp(n->phase[i].host, r->host))
			finding_evidence(f, "all that end there take %s",
					 words_percentiles(n->phase[i].timed, n->phase[i].p50_ns,
							   n->phase[i].p99_ns, n->phase[i].max_ns,
							   took));
	for (int i = 0; i < n->ndial; i++)
		if (!n->dial[i].other && (int)n->dial[i].phase == r->phase &&
		    !strcmp(n->dial[i].host, r->host))
			finding_evidence(f, "%s being made now, the oldest for %s",
					 human_counted(n->dial[i].count, "connection", a),
					 net_words_age(n->dial[i].age, n->dial[i].oldest_s, age));
	if (r->phase == NET_REQUEST_WRITE)
		net_upload_evidence(f, n, r->host);
	if (s->place)
		finding_evidence(f, "most often called at %s",
				 words_place(s->place, place, sizeof(place)));
}

static const char *call_advice(const struct net_window *n, const struct failed *s,
			       const struct net_failure_row *r)
{
	enum net_failure kind = main_kind(s);
	const char *upload = kind == NET_FAILURE_TIMEOUT && r->phase == NET_REQUEST_WRITE
				     ? net_upload_advice(n, r->host)
				     : NULL;

	if (upload)
		return upload;

	if (is_idle_race(s, kind))
		return "the server closes idle connections first: set Transport.IdleConnTimeout "
		       "below its idle timeout, and let requests be retried (idempotent, with a "
		       "GetBody)";
	return net_failure_advice(kind, r->phase);
}

static void add_calls(const struct window *w, const struct net_failure_row *r, struct findings *out)
{
	struct failed s = failed_of(w->net, r->host, r->phase);
	char subject[WINDOW_MAX_HOST + 32], host[NET_WORDS_HOST], a[HUMAN_MAX], b[HUMAN_MAX],
		t[HUMAN_MAX];
	const char *about = s.exactness == EXACT ? "" : "about ";
	uint64_t calls = calls_of(w->net, r->host);
	enum net_failure kind = main_kind(&s);
	struct finding *f;
	const char *silent;

	if (r->phase >= 0)
		net_words_subject(r->host, (enum net_phase)r->phase, subject, sizeof(subject));
	else
		snprintf(subject, sizeof(subject), "%s", r->host);
	f = findings_add_about(out, "failing-phase", subject, SEVERITY_MEDIUM, NULL);
	if (!f)
		return;
	if (s.place)
		f->place = *s.place;
	finding_title(f, "requests to %s fail%s%s: %s%s of %s in %s, %s%s",
		      net_words_host(r->host, host), r->phase >= 0 ? " in " : "",
		      r->phase >= 0 ? net_words_phase(r->phase) : "", about, human_count(s.n, a),
		      human_count(calls, b), human_seconds(w->window_s, t), net_failure_words(kind),
		      is_idle_race(&s, kind) ? " on reused connections" : "");
	f->about.host = r->host;
	f->about.phase = r->phase;
	finding_count(f, "errors", s.n);
	finding_count(f, "count", calls);
	call_evidence(f, w->net, &s, r);
	silent = net_say_silent(f, w->net, r->host, r->phase, 0);
	finding_advice(f, "%s%s%s", call_advice(w->net, &s, r), silent ? "; " : "",
		       silent ? silent : "");
	f->exactness = s.exactness;
	f->weight = (double)s.n;
}

/* Each host and phase once, at its first row. */
static bool is_first(const struct net_window *n, int i)
{
	for (int k = 0; k < i; k++)
		if (n->failure[k].phase == n->failure[i].phase &&
		    n->failure[k].kind != NET_FAILURE_CANCELLED && !n->failure[k].other &&
		    !strcmp(n->failure[k].host, n->failure[i].host))
			return false;
	return true;
}

/* resolver: it is slow for many hosts, and a finding of its own. */
static void judge_calls(const struct window *w, bool resolver, struct findings *out)
{
	const struct net_window *n = w->net;

	for (int i = 0; n->failures_known && i < n->nfailure && i < MAX_ROWS; i++) {
		const struct net_failure_row *r = &n->failure[i];

		if (resolver && r->phase == NET_DNS)
			continue;
		if (!r->other && r->kind != NET_FAILURE_CANCELLED && is_first(n, i) &&
		    net_calls_fail(n, r->host, r->phase))
			add_calls(w, r, out);
	}
}

/* ---- ends of phases ---- */

/* What has failed without the caller's doing. */
static uint64_t errors_of(const struct net_window *n, const struct net_phase_row *p)
{
	uint64_t cancelled = p->failed[NET_FAILURE_CANCELLED];

	for (int i = 0; n->failures_known && i < n->nfailure; i++)
		if (!is_dial((int)p->phase) && !n->failure[i].other &&
		    n->failure[i].kind == NET_FAILURE_CANCELLED &&
		    n->failure[i].phase == (int)p->phase && !strcmp(n->failure[i].host, p->host))
			cancelled += n->failure[i].count;
	return p->errors > cancelled ? p->errors - cancelled : 0;
}

static bool fails(const struct net_window *n, const struct net_phase_row *p)
{
	uint64_t errors = p->other || p->phase == NET_POOL_WAIT ? 0 : errors_of(n, p);

	return errors >= MIN_ERRORS &&
	       errors >= p->count / (is_dial((int)p->phase) ? RARE_SHARE : OTHER_SHARE);
}

static const struct net_phase_row *row_of(const struct net_window *n, const struct net_dial_row *d)
{
	for (int i = 0; i < n->nphase; i++)
		if (n->phase[i].phase == d->phase && !strcmp(n->phase[i].host, d->host))
			return &n->phase[i];
	return NULL;
}

bool net_dials_fail(const struct net_window *n, const struct net_dial_row *d)
{
	const struct net_phase_row *p;

	if (!n->phases_known || d->other || d->given_up < MIN_ERRORS || d->several < MIN_ERRORS)
		return false;
	if (net_calls_fail(n, d->host, (int)d->phase))
		return true;
	p = row_of(n, d);
	return !p || p->errors >= p->count;
}

/* There is a finding of its calls already. */
static bool calls_fail_at(const struct net_window *n, const char *host)
{
	struct failed all = failed_of(n, host, -1);

	return host_fails(n, &all, host);
}

static bool dials_fail(const struct net_window *n, const struct net_phase_row *p)
{
	for (int i = 0; i < n->ndial; i++)
		if (n->dial[i].phase == p->phase && !strcmp(n->dial[i].host, p->host))
			return net_dials_fail(n, &n->dial[i]);
	return false;
}

/* Of a dial's errors; NET_FAILURES: not known. */
static enum net_failure dial_kind(const struct net_phase_row *p)
{
	int best = NET_FAILURES;
	uint64_t most = p->errors / 2;

	for (int i = 1; i < NET_FAILURES; i++)
		if (i != NET_FAILURE_CANCELLED && p->failed[i] > most) {
			most = p->failed[i];
			best = i;
		}
	return (enum net_failure)best;
}

static const char *advice_for(const struct net_phase_row *p)
{
	enum net_failure kind = dial_kind(p);

	if (kind != NET_FAILURES)
		return net_failure_advice(kind, (int)p->phase);
	switch (p->phase) {
	case NET_DNS:
		return "resolve the name on that host (getent hosts NAME); check /etc/resolv.conf "
		       "and the resolver";
	case NET_CONNECT:
		return "check that the host is up and listening on that port, and the firewalls "
		       "in between";
	case NET_TLS:
		return "check the certificate and protocol: openssl s_client -connect HOST:PORT";
	default:
		return "check the server's log: connections are reset, or the caller gives up "
		       "on requests";
	}
}

static void add_finding(const struct window *w, const struct net_phase_row *p, struct findings *out)
{
	char subject[WINDOW_MAX_HOST + 32], host[NET_WORDS_HOST], place[WORDS_PLACE_MAX],
		a[HUMAN_MAX], b[HUMAN_MAX], took[WORDS_PERCENTILES_MAX];
	const char *about = p->exactness == EXACT ? "" : "about ";
	uint64_t errors = errors_of(w->net, p);
	enum net_failure kind = dial_kind(p);
	struct finding *f;

	net_words_subject(p->host, p->phase, subject, sizeof(subject));
	f = findings_add_about(out, "failing-phase", subject, SEVERITY_MEDIUM, NULL);
	if (!f)
		return;
	f->place = p->busiest;
	f->about.host = p->host;
	f->about.phase = (int)p->phase;
	finding_title(f, "requests to %s fail in %s: %s%s of %s in %s%s%s",
		      net_words_host(p->host, host), net_words_phase((int)p->phase), about,
		      human_count(errors, a), human_count(p->count, b),
		      human_seconds(w->window_s, place), kind == NET_FAILURES ? "" : ", ",
		      kind == NET_FAILURES ? "" : net_failure_words(kind));
	finding_count(f, "errors", errors);
	finding_count(f, "count", p->count);
	if (p->timed >= LEAST_FOR_P50)
		finding_number(f, "p50_ms", (double)p->p50_ns / 1e6);
	finding_evidence(f, "they take %s",
			 words_percentiles(p->timed, p->p50_ns, p->p99_ns, p->max_ns, took));
	if (p->busiest.function)
		finding_evidence(f, "most often called at %s",
				 words_place(&p->busiest, place, sizeof(place)));
	finding_advice(f, "%s", advice_for(p));
	f->exactness = p->exactness;
	f->weight = (double)errors;
}

static const char *dial_advice_for(enum net_phase phase)
{
	switch (phase) {
	case NET_DNS:
		return "the resolver does not answer: check /etc/resolv.conf and the way to its "
		       "nameserver";
	case NET_CONNECT:
		return "nobody answers at that address: check that the host is up, the firewalls "
		       "in between and its backlog; bound it with net.Dialer.Timeout";
	default:
		return "the server does not answer the handshake: check that it speaks TLS on that "
		       "port, and its load; bound it with Transport.TLSHandshakeTimeout";
	}
}

static void add_dials(const struct window *w, const struct net_dial_row *d, struct findings *out)
{
	char subject[WINDOW_MAX_HOST + 32], host[NET_WORDS_HOST], place[WORDS_PLACE_MAX],
		a[HUMAN_MAX], b[HUMAN_MAX], age[NET_WORDS_AGE];
	const struct net_phase_row *p = row_of(w->net, d);
	struct finding *f;

	net_words_subject(d->host, d->phase, subject, sizeof(subject));
	f = findings_add_about(out, "failing-phase", subject, SEVERITY_MEDIUM, NULL);
	if (!f)
		return;
	f->place = d->busiest;
	f->about.host = d->host;
	f->about.phase = (int)d->phase;
	finding_title(f, "requests to %s fail in %s: callers gave up on %s of %s connections",
		      net_words_host(d->host, host), net_words_phase((int)d->phase),
		      human_count(d->given_up, a), human_count(d->count, b));
	finding_count(f, "errors", d->given_up + (p ? p->errors : 0));
	finding_count(f, "count", d->count + (p ? p->count : 0));
	finding_number(f, "longest_dial_s", d->oldest_s);
	finding_evidence(f, "none got through it in %s; the oldest of them began %s ago",
			 human_seconds(w->window_s, a), net_words_age(d->age, d->oldest_s, age));
	if (p && p->errors)
		finding_evidence(f, "%s more ended with an error", human_count(p->errors, a));
	if (d->busiest.function)
		finding_evidence(f, "most often called at %s",
				 words_place(&d->busiest, place, sizeof(place)));
	finding_advice(f, "%s", dial_advice_for(d->phase));
	f->exactness = EXACT;
	f->weight = (double)d->count;
}

/* How long a look-up takes that was not answered, as against one whose name does not exist. */
#define UNANSWERED_NS 100000000ull

static void judge(const struct window *w, struct findings *out)
{
	bool resolver = net_resolver_is_slow(w), judged = !window_is_short(w);

	if (judged)
		judge_calls(w, resolver, out);
	for (int i = 0; w->net->known && i < w->net->ndial; i++)
		if (net_dials_fail(w->net, &w->net->dial[i]) &&
		    !(judged && calls_fail_at(w->net, w->net->dial[i].host)) &&
		    !(resolver && w->net->dial[i].phase == NET_DNS))
			add_dials(w, &w->net->dial[i], out);
	for (int i = 0; judged && w->net->phases_known && i < w->net->nphase; i++) {
		const struct net_phase_row *p = &w->net->phase[i];

		if (resolver && p->phase == NET_DNS && p->p50_ns > UNANSWERED_NS)
			continue;
		if (fails(w->net, p) && !calls_fail_at(w->net, p->host) && !dials_fail(w->net, p) &&
		    !slow_phase_found(out, p->host, p->phase))
			add_finding(w, p, out);
	}
}

const struct detector failing_phase_detector = {
	.name = "failing-phase",
	.sensors = SENSOR_BIT(SENSOR_NET),
	.of_waits = true,
	.of_few = true,
	.judge = judge,
};
