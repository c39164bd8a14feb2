/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A resolver that is slow or does not answer: the look-ups of many hosts take
 * most of the time of what is asked of them.  One finding for all of these
 * hosts, instead of one for each (slow_phase.c, failing_phase.c).
 *
 * A host's look-ups are slow when their median is over SLOW_NS or one goes on
 * for over a second.  It takes MIN_HOSTS of them, more than half of those that
 * were looked up, and look-ups that are more than half of these hosts' time.
 * Names that do not exist are answered quickly: they are no part of it.
 */
#include "net/subject.h"

#include <stdlib.h>
#include <string.h>

#include "base/human.h"
#include "base/map.h"
#include "base/text.h"
#include "model/age.h"
#include "model/place.h"
#include "model/words.h"

#define MIN_HOSTS 3
#define MIN_COUNT 3
#define SLOW_NS   100000000ull
#define STUCK_S   3.0 /* of a request that waits for its answer */
#define MAX_HOSTS 4096

struct host {
	const char *name;
	const struct place *busiest; /* NULL: not known */
	double dns_s, all_s;
	bool looked_up, slow, pending; /* pending: one goes on, not for long yet */
};

struct tally {
	struct host *h; /* owned */
	size_t n, max;
	struct bytesmap index;
};

static struct host *host_of(struct tally *t, const char *name)
{
	bool made;
	uint64_t *at = *name ? bytesmap_put(&t->index, name, strlen(name), t->n, &made) : NULL;

	if (!at || *at >= t->max)
		return NULL;
	if (made)
		t->h[t->n++].name = name;
	return &t->h[*at];
}

static void add_phase(struct tally *t, const struct net_phase_row *r, bool judged)
{
	struct host *h = r->other ? NULL : host_of(t, r->host);

	if (!h)
		return;
	h->all_s += (double)r->total_ns / 1e9;
	if (r->busiest.function)
		h->busiest = &r->busiest;
	if (r->phase != NET_DNS)
		return;
	h->looked_up = true;
	h->slow |= judged && r->count && r->p50_ns > SLOW_NS;
	h->dns_s += (double)r->total_ns / 1e9;
}

static void add_dial(struct tally *t, const struct net_dial_row *d)
{
	struct host *h = d->other ? NULL : host_of(t, d->host);
	double s = d->most_sum_s > d->sum_s ? d->most_sum_s : d->sum_s;

	if (h && d->phase == NET_DNS)
		h->pending |= d->count > 0;
	if (!h || (!d->several && !d->most))
		return;
	h->all_s += s;
	if (d->busiest.function)
		h->busiest = &d->busiest;
	if (d->phase != NET_DNS)
		return;
	h->looked_up = h->slow = true;
	h->dns_s += s;
}

static void add_request(struct tally *t, const struct net_request *r)
{
	bool waits = r->phase >= NET_REQUEST_WRITE && r->phase < NET_BODY &&
		     r->age != AGE_UNKNOWN && r->since_s > STUCK_S;
	struct host *h = waits ? host_of(t, r->host) : NULL;

	if (h)
		h->all_s += r->since_s;
}

static bool tally_fill(struct tally *t, const struct window *w)
{
	const struct net_window *n = w->net;

	t->max = (size_t)n->nphase + (size_t)n->nin_flight + (size_t)n->ndial;
	t->max = t->max < MAX_HOSTS ? t->max : MAX_HOSTS;
	bytesmap_init(&t->index, t->max);
	t->h = t->max ? calloc(t->max, sizeof(*t->h)) : NULL;
	for (int i = 0; t->h && n->phases_known && i < n->nphase; i++)
		add_phase(t, &n->phase[i], !window_is_short(w));
	for (int i = 0; t->h && n->known && i < n->ndial; i++)
		add_dial(t, &n->dial[i]);
	for (int i = 0; t->h && n->known && i < n->nin_flight; i++)
		add_request(t, &n->in_flight[i]);
	return t->h;
}

static void tally_deinit(struct tally *t)
{
	bytesmap_deinit(&t->index);
	free(t->h);
}

/* What the slow ones have in common. */
struct sum {
	uint64_t hosts, looked_up, pending;
	double dns_s, all_s;
	const struct host *most;
};

static bool is_common(const struct tally *t, struct sum *s)
{
	*s = (struct sum){ 0 };
	for (size_t i = 0; i < t->n; i++) {
		const struct host *h = &t->h[i];

		s->looked_up += h->looked_up;
		s->pending += h->pending && !h->looked_up;
		if (!h->slow)
			continue;
		s->hosts++;
		s->dns_s += h->dns_s;
		s->all_s += h->all_s;
		if (!s->most || h->dns_s > s->most->dns_s)
			s->most = h;
	}
	return s->hosts >= MIN_HOSTS && s->hosts * 2 > s->looked_up && s->dns_s * 2 > s->all_s;
}

/* All dials of the phase together. */
static struct net_dial_row all_dials(const struct net_window *n)
{
	struct net_dial_row sum = { 0 };

	for (int i = 0; n->known && i < n->ndial; i++) {
		const struct net_dial_row *d = &n->dial[i];

		if (d->phase != NET_DNS)
			continue;
		sum.count += d->count;
		sum.given_up += d->given_up;
		sum.several += d->several;
		sum.most += d->most > d->several ? d->most : d->several;
		age_max(&sum.oldest_s, &sum.age, d->oldest_s, d->age);
		if (d->most_oldest_s > sum.most_oldest_s)
			sum.most_oldest_s = d->most_oldest_s;
	}
	return sum;
}

static const struct net_phase_row *all_ended(const struct net_window *n)
{
	return n->phases_known && n->lookups.count ? &n->lookups : NULL;
}

bool net_resolver_is_slow(const struct window *w)
{
	struct tally t = { 0 };
	struct sum s;
	bool is = tally_fill(&t, w) && is_common(&t, &s);

	tally_deinit(&t);
	return is;
}

static void title(struct finding *f, const struct sum *s, const struct net_phase_row *ended,
		  const struct net_dial_row *d, bool fails)
{
	char hosts[HUMAN_MAX], n[HUMAN_MAX], age[NET_WORDS_AGE], took[WORDS_PERCENTILES_MAX];

	human_counted(s->hosts + s->pending, "host", hosts);
	if (fails)
		finding_title(f, "the resolver does not answer: look-ups of %s fail or hang",
			      hosts);
	else if (ended && ended->p50_ns > SLOW_NS)
		finding_title(f,
			      "the resolver is slow: look-ups of %s are most of the time of their "
			      "requests, %s",
			      hosts,
			      words_percentiles(ended->timed, ended->p50_ns, ended->p99_ns,
						ended->max_ns, took));
	else
		finding_title(f,
			      "the resolver is slow: %s to %s hang in the DNS look-up, the oldest "
			      "for %s",
			      human_counted(d->most, "connection", n), hosts,
			      d->several ? net_words_age(d->age, d->oldest_s, age)
					 : net_words_age(AGE_AT_LEAST, d->most_oldest_s, age));
}

static void numbers(struct finding *f, const struct sum *s, const struct net_phase_row *ended,
		    const struct net_dial_row *d)
{
	finding_count(f, "hosts", s->hosts + s->pending);
	finding_count(f, "count", ended ? ended->count : 0);
	finding_count(f, "errors", ended ? ended->errors : 0);
	if (ended && ended->timed >= LEAST_FOR_P50)
		finding_number(f, "p50_ms", (double)ended->p50_ns / 1e6);
	if (ended && ended->timed >= LEAST_FOR_P99)
		finding_number(f, "p99_ms", (double)ended->p99_ns / 1e6);
	if (d->most)
		finding_count(f, "dials", d->most);
	if (d->most)
		finding_number(f, "longest_dial_s",
			       d->oldest_s > d->most_oldest_s ? d->oldest_s : d->most_oldest_s);
}

static void evidence(struct finding *f, const struct sum *s, const struct net_phase_row *ended,
		     const struct net_dial_row *d)
{
	char a[HUMAN_MAX], b[HUMAN_MAX], host[NET_WORDS_HOST], place[WORDS_PLACE_MAX];

	finding_evidence(f, "%s of the time of requests to these hosts; most of it for %s",
			 human_percent(s->all_s > 0 ? 100 * s->dns_s / s->all_s : 0, 0, a),
			 net_words_host(s->most->name, host));
	if (ended)
		finding_evidence(f, "%s ended in this window, %s of them with an error",
				 human_counted(ended->count, "look-up", a),
				 human_count(ended->errors, b));
	if (d->count)
		finding_evidence(f, "%s under way%s%s", human_counted(d->count, "look-up", a),
				 d->given_up ? ", callers gave up on " : "",
				 d->given_up ? human_count(d->given_up, b) : "");
	if (f->place.function)
		finding_evidence(f, "most often called at %s",
				 words_place(&f->place, place, sizeof(place)));
}

/* Nothing has got through, and callers do not wait for it. */
static bool all_fail(const struct net_phase_row *ended, const struct net_dial_row *d)
{
	if (ended && ended->errors < ended->count)
		return false;
	return d->given_up >= MIN_COUNT || (ended && ended->errors >= MIN_COUNT);
}

static void add_finding(const struct net_window *n, const struct sum *s, struct findings *out)
{
	const struct net_phase_row *ended = all_ended(n);
	struct net_dial_row d = all_dials(n);
	bool fails = all_fail(ended, &d);
	struct finding *f = findings_add_about(out, fails ? "failing-phase" : "slow-phase",
					       "resolver:dns", SEVERITY_MEDIUM, NULL);

	if (!f)
		return;
	f->about.phase = NET_DNS;
	if (s->most->busiest)
		f->place = *s->most->busiest;
	title(f, s, ended, &d, fails);
	numbers(f, s, ended, &d);
	evidence(f, s, ended, &d);
	finding_advice(f, "check the resolver (/etc/resolv.conf: nameserver, ndots, search); reuse "
			  "connections");
	f->exactness = ended ? ended->exactness : EXACT;
	f->weight = s->dns_s;
}

static void judge(const struct window *w, struct findings *out)
{
	struct tally t = { 0 };
	struct sum s;

	if (tally_fill(&t, w) && is_common(&t, &s))
		add_finding(w->net, &s, out);
	tally_deinit(&t);
}

const struct detector resolver_detector = {
	.name = "slow-phase",
	.sensors = SENSOR_BIT(SENSOR_NET),
	.of_waits = true,
	.of_few = true,
	.judge = judge,
};
