/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A phase of a host's requests that fails: refused connects, names that are
 * not found, certificates that are not accepted, responses cut off.
 *
 * Errors of the rare phases (look-up, connect, handshake) count from a tenth of
 * all on.  The others also "fail" when a caller gives a request up, as a proxy
 * does whose client went away: there it takes half of them.  A phase that is
 * slow as well is slow_phase.c's, which reports the errors too.
 */
#include "net/subject.h"

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
		a[HUMAN_MAX], b[HUMAN_MAX];
	const char *about = p->exactness == EXACT ? "" : "about ";
	struct finding *f;

	net_words_subject(p->host, p->phase, subject, sizeof(subject));
	f = findings_add_about(out, "failing-phase", subject, SEVERITY_MEDIUM, NULL);
	if (!f)
		return;
	f->place = p->busiest;
	finding_title(f, "requests to %s fail in %s: %s%s of %s in %s",
		      net_words_host(p->host, host), net_words_phase((int)p->phase), about,
		      human_count(p->errors, a), human_count(p->count, b),
		      human_seconds(w->window_s, place));
	finding_count(f, "errors", p->errors);
	finding_count(f, "count", p->count);
	finding_number(f, "p50_ms", (double)p->p50_ns / 1e6);
	finding_evidence(f, "they take %s (p50), up to %s",
			 human_seconds((double)p->p50_ns / 1e9, a),
			 human_seconds((double)p->max_ns / 1e9, b));
	if (p->busiest.function)
		finding_evidence(f, "most often called at %s",
				 words_place(&p->busiest, place, sizeof(place)));
	finding_advice(f, "%s", advice_for(p->phase));
	f->exactness = p->exactness;
	f->weight = (double)p->errors;
}

static void judge(const struct window *w, struct findings *out)
{
	for (int i = 0; w->net->phases_known && i < w->net->nphase; i++) {
		const struct net_phase_row *p = &w->net->phase[i];

		if (fails(p) && !slow_phase_found(out, p->host, p->phase))
			add_finding(w, p, out);
	}
}

const struct detector failing_phase_detector = {
	.name = "failing-phase",
	.sensors = SENSOR_BIT(SENSOR_NET),
	.of_waits = true,
	.judge = judge,
};
