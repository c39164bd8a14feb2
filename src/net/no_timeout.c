/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests without a timeout that hang: nothing will ever end them.
 *
 * They have neither a client timeout nor a deadline nor a cancellation, their
 * body is not being read, and they are in flight for over 3 s and for over ten
 * times what 99 of 100 calls of that place take when they come back; so long nothing
 * was sent of one that is being written.  The
 * window counts those (net_client.hanging); what hangs is decided here.
 */
#include "net/subject.h"

#include <string.h>

#include "base/human.h"
#include "base/text.h"
#include "model/words.h"
#include "model/place.h"

#define MIN_AGE_S   3.0
#define USUAL_TIMES 10
#define MAX_STUCK   16 /* pairs of host and phase that are kept apart */

/* Where hanging requests of a place are: host and phase. */
struct stuck {
	const struct net_request *one;
	uint64_t count;
};

static double hangs_after_s(uint64_t p99_ns)
{
	double usual = USUAL_TIMES * (double)p99_ns / 1e9;

	return usual > MIN_AGE_S ? usual : MIN_AGE_S;
}

bool no_timeout_hangs(double age_s, uint64_t p99_ns)
{
	return age_s > hangs_after_s(p99_ns);
}

static bool is_found(const struct net_client *c)
{
	return !c->other && c->hanging && c->hanging_age != AGE_UNKNOWN &&
	       no_timeout_hangs(c->longest_hanging_s, c->p99_ns);
}

/* Whether a request of the place is one of those that hang. */
static bool is_hanging(const struct net_request *r, const struct net_client *c)
{
	return r->timeout != KNOWN_YES && r->deadline != KNOWN_YES && r->cancel != KNOWN_YES &&
	       r->phase != NET_BODY && no_timeout_hangs(r->since_s - r->moved_s, c->p99_ns) &&
	       place_equal(&r->place, &c->place);
}

/* The host and phase that most of the place's hanging requests are in; count 0: none listed. */
static struct stuck mostly_at(const struct net_window *n, const struct net_client *c)
{
	struct stuck s[MAX_STUCK] = { 0 }, *best = &s[0];
	int ns = 0, k;

	for (int i = 0; i < n->nin_flight; i++) {
		const struct net_request *r = &n->in_flight[i];

		if (!is_hanging(r, c))
			continue;
		for (k = 0; k < ns; k++)
			if (s[k].one->phase == r->phase && !strcmp(s[k].one->host, r->host))
				break;
		if (k == MAX_STUCK)
			continue;
		if (k == ns)
			s[ns++].one = r;
		s[k].count++;
	}
	for (k = 1; k < ns; k++)
		if (s[k].count > best->count)
			best = &s[k];
	return *best;
}

/* And what more to advise; NULL: nothing. */
static const char *evidence(struct finding *f, const struct window *w, const struct net_client *c)
{
	char n[HUMAN_MAX], m[HUMAN_MAX], host[NET_WORDS_HOST];
	const char *advice = NULL;
	struct stuck at = mostly_at(w->net, c);
	enum net_waits waits = NET_WAITS_NOTHING;
	const char *silent = NULL;

	if (at.count * 2 > c->hanging) {
		f->about.host = at.one->host;
		f->about.phase = at.one->phase;
		if (at.one->phase == NET_REQUEST_WRITE)
			advice = net_upload_advice(w->net, at.one->host);
	}
	if (at.count)
		finding_evidence(f, "%s of them: %s, %s", human_count(at.count, n),
				 net_words_phase(at.one->phase),
				 net_words_host(at.one->host, host));
	if (at.count)
		waits = net_say_waits(f, w->net, at.one->host, at.one->phase, &c->place);
	if (at.count)
		silent = net_say_silent(f, w->net, at.one->host, at.one->phase, c->hanging);
	if (advice)
		net_upload_evidence(f, w->net, at.one->host);
	finding_evidence(f,
			 "no http.Client.Timeout and no context deadline: nothing will end them");
	if (c->in_flight > c->hanging)
		finding_evidence(f,
				 "%s from this call site are in flight, %s of them for over %.3gs",
				 human_counted(c->in_flight, "request", n),
				 human_count(c->hanging, m), hangs_after_s(c->p99_ns));
	if (c->limited)
		finding_evidence(f,
				 "%s more from this call site end by themselves: they have another "
				 "http.Client, or context",
				 human_count(c->limited, n));
	if (c->timed >= LEAST_FOR_P99)
		finding_evidence(f, "those that completed took up to %s (p99)",
				 human_seconds((double)c->p99_ns / 1e9, n));
	else if (c->timed)
		finding_evidence(f, "those that completed took up to %s",
				 human_seconds((double)c->max_ns / 1e9, n));
	return silent ? silent : waits ? net_advice_for(waits) : advice;
}

static void add_finding(const struct window *w, const struct net_client *c, struct findings *out)
{
	struct finding *f = findings_add(out, "no-timeout", "no-timeout", SEVERITY_HIGH, &c->place);
	char n[HUMAN_MAX], age[NET_WORDS_AGE], place[WORDS_PLACE_MAX];
	const char *more;

	if (!f)
		return;
	finding_title(f, "%s at %s hang%s without any timeout, the oldest for %s",
		      human_counted(c->hanging, "request", n),
		      words_place(&c->place, place, sizeof(place)), c->hanging == 1 ? "s" : "",
		      net_words_age(c->hanging_age, c->longest_hanging_s, age));
	finding_count(f, "in_flight", c->in_flight > c->hanging ? c->in_flight : c->hanging);
	finding_number(f, "longest_in_flight_s", c->longest_hanging_s);
	finding_count(f, "hanging", c->hanging);
	more = evidence(f, w, c);
	finding_advice(
		f,
		"set http.Client.Timeout, or a context with a deadline (NewRequestWithContext)%s%s",
		more ? "; " : "", more ? more : "");
	f->exactness = EXACT; /* what is in flight is read from memory */
	f->weight = (double)c->hanging;
}

static void judge(const struct window *w, struct findings *out)
{
	for (int i = 0; w->net->known && i < w->net->nclient; i++)
		if (is_found(&w->net->client[i]))
			add_finding(w, &w->net->client[i], out);
}

const struct detector no_timeout_detector = {
	.name = "no-timeout",
	.sensors = SENSOR_BIT(SENSOR_NET),
	.of_waits = true,
	.judge = judge,
};
