/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A phase of a host's requests that fails: refused connects, names that are
 * not found, certificates that are not accepted, responses cut off.
 *
 * Errors of the rare phases (look-up, connect, handshake) count from a tenth of
 * all on.  The others also "fail" when a caller gives a request up, as a proxy
 * does whose client went away: there it takes half of them.  A phase that is
 * slow as well is slow_phase.c's, which reports the errors too.
 *
 * With Go 1.23 and later a dial goes on when its caller has given up, and its
 * error comes long after: a look-up, connect or handshake fails also where none
 * has got through in the window, and MIN_ERRORS of those that go on have no
 * caller any more.
 */
#include "net/subject.h"

#include <string.h>

#include "base/human.h"
#include "base/text.h"
#include "model/place.h"
#include "model/words.h"

#define MIN_ERRORS  3
#define RARE_SHARE  10 /* one of so many */
#define OTHER_SHARE 2

static bool fails(const struct net_phase_row *p)
{
	bool rare = p->phase == NET_DNS || p->phase == NET_CONNECT || p->phase == NET_TLS;

	if (p->other || p->errors < MIN_ERRORS || p->phase == NET_POOL_WAIT)
		return false;
	return p->errors >= p->count / (rare ? RARE_SHARE : OTHER_SHARE);
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
	p = row_of(n, d);
	return !p || p->errors >= p->count;
}

static bool dials_fail(const struct net_window *n, const struct net_phase_row *p)
{
	for (int i = 0; i < n->ndial; i++)
		if (n->dial[i].phase == p->phase && !strcmp(n->dial[i].host, p->host))
			return net_dials_fail(n, &n->dial[i]);
	return false;
}

static const char *advice_for(enum net_phase phase)
{
	switch (phase) {
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
	struct finding *f;

	net_words_subject(p->host, p->phase, subject, sizeof(subject));
	f = findings_add_about(out, "failing-phase", subject, SEVERITY_MEDIUM, NULL);
	if (!f)
		return;
	f->place = p->busiest;
	f->about.host = p->host;
	f->about.phase = (int)p->phase;
	finding_title(f, "requests to %s fail in %s: %s%s of %s in %s",
		      net_words_host(p->host, host), net_words_phase((int)p->phase), about,
		      human_count(p->errors, a), human_count(p->count, b),
		      human_seconds(w->window_s, place));
	finding_count(f, "errors", p->errors);
	finding_count(f, "count", p->count);
	if (p->timed >= LEAST_FOR_P50)
		finding_number(f, "p50_ms", (double)p->p50_ns / 1e6);
	finding_evidence(f, "they take %s",
			 words_percentiles(p->timed, p->p50_ns, p->p99_ns, p->max_ns, took));
	if (p->busiest.function)
		finding_evidence(f, "most often called at %s",
				 words_place(&p->busiest, place, sizeof(place)));
	finding_advice(f, "%s", advice_for(p->phase));
	f->exactness = p->exactness;
	f->weight = (double)p->errors;
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
	bool resolver = net_resolver_is_slow(w->net);

	for (int i = 0; w->net->known && i < w->net->ndial; i++)
		if (net_dials_fail(w->net, &w->net->dial[i]) &&
		    !(resolver && w->net->dial[i].phase == NET_DNS))
			add_dials(w, &w->net->dial[i], out);
	for (int i = 0; w->net->phases_known && i < w->net->nphase; i++) {
		const struct net_phase_row *p = &w->net->phase[i];

		if (resolver && p->phase == NET_DNS && p->p50_ns > UNANSWERED_NS)
			continue;
		if (fails(p) && !dials_fail(w->net, p) && !slow_phase_found(out, p->host, p->phase))
			add_finding(w, p, out);
	}
}

const struct detector failing_phase_detector = {
	.name = "failing-phase",
	.sensors = SENSOR_BIT(SENSOR_NET),
	.of_waits = true,
	.judge = judge,
};
