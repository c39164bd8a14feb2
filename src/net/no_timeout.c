/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests without a timeout that hang: nothing will ever end them.
 *
 * Which requests have neither a client timeout nor a deadline nor a
 * cancellation, are not being read, and are in flight for over 3 s, is the
 * window's to say (net_client.hanging).  Here is judged that they hang and are
 * not just slow: they are older than twice what 99 of 100 calls of that place
 * take when they come back.
 */
#include "net/no_timeout.h"

#include <string.h>

#include "base/human.h"
#include "model/words.h"
#include "base/text.h"
#include "model/place.h"
#include "net/window.h"

#define MIN_AGE_S  3.0
#define SLOW_TIMES 2
#define MAX_STUCK  16 /* pairs of host and phase that are told apart */

/* Where hanging requests of a place are: host and phase. */
struct stuck {
	const struct net_request *one;
	uint64_t count;
};

static bool hangs(const struct net_client *c)
{
	double least = MIN_AGE_S, usual = SLOW_TIMES * (double)c->p99_ns / 1e9;

	if (c->other || !c->hanging || c->hanging_age == AGE_UNKNOWN)
		return false;
	return c->longest_hanging_s > (usual > least ? usual : least);
}

static bool is_unlimited(const struct net_request *r)
{
	return r->timeout != KNOWN_YES && r->deadline != KNOWN_YES && r->cancel != KNOWN_YES &&
	       r->phase != NET_BODY && r->since_s > MIN_AGE_S;
}

/* The host and phase that most of the place's hanging requests are in; count 0: none listed. */
static struct stuck mostly_at(const struct net_window *n, const struct place *p)
{
	struct stuck s[MAX_STUCK] = { 0 }, *best = &s[0];
	int ns = 0, k;

	for (int i = 0; i < n->nin_flight; i++) {
		const struct net_request *r = &n->in_flight[i];

		if (!is_unlimited(r) || !place_equal(&r->place, p))
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

static void evidence(struct finding *f, const struct window *w, const struct net_client *c)
{
	char n[HUMAN_MAX], m[HUMAN_MAX], host[NET_WORDS_HOST];
	struct stuck at = mostly_at(w->net, &c->place);

	if (at.count)
		finding_evidence(f, "%s of them: %s, %s", human_count(at.count, n),
				 net_words_phase(at.one->phase),
				 net_words_host(at.one->host, host));
	finding_evidence(
		f, "no http.Client.Timeout, and a context without deadline: nothing ends them");
	if (c->in_flight > c->hanging)
		finding_evidence(f,
				 "%s requests of this place are in flight, %s of them for over 3s",
				 human_count(c->in_flight, n), human_count(c->hanging, m));
	if (c->p99_ns)
		finding_evidence(f, "those that came back took up to %s (p99)",
				 human_seconds((double)c->p99_ns / 1e9, n));
}

static void add_finding(const struct window *w, const struct net_client *c, struct findings *out)
{
	struct finding *f = findings_add(out, "no-timeout", "no-timeout", SEVERITY_HIGH, &c->place);
	char n[HUMAN_MAX], age[NET_WORDS_AGE], place[WORDS_PLACE_MAX];

	if (!f)
		return;
	finding_title(f, "%s request%s at %s hang%s without any timeout, the oldest for %s",
		      human_count(c->hanging, n), net_words_s(c->hanging),
		      words_place(&c->place, place, sizeof(place)), c->hanging == 1 ? "s" : "",
		      net_words_age(c->hanging_age, c->longest_hanging_s, age));
	finding_count(f, "in_flight", c->in_flight > c->hanging ? c->in_flight : c->hanging);
	finding_number(f, "longest_in_flight_s", c->longest_hanging_s);
	finding_count(f, "hanging", c->hanging);
	evidence(f, w, c);
	finding_advice(
		f, "set http.Client.Timeout, or a context with a deadline (NewRequestWithContext)");
	f->exactness = EXACT; /* what is in flight is read from memory */
	f->weight = (double)c->hanging;
}

static void judge(const struct window *w, struct findings *out)
{
	for (int i = 0; w->net->known && i < w->net->nclient; i++)
		if (hangs(&w->net->client[i]))
			add_finding(w, &w->net->client[i], out);
}

const struct detector no_timeout_detector = {
	.name = "no-timeout",
	.sensors = SENSOR_BIT(SENSOR_NET),
	.judge = judge,
};
