/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connection leaks: responses whose body was neither read to its end nor
 * closed keep their connection (HTTP/2: their stream) for good.
 *
 * Which bodies are open and read by nobody for over a second is the window's
 * to say.  A row is a leak when there are three of them or more, or when they
 * become more by two or more.  It is none when they do go away: not more than
 * at the first look, and the oldest is younger than the observation.
 *
 * The place of a body is that of its call, when gospect has seen that.  Where a
 * host's bodies without a place are a leak, a place that adds to them is told,
 * with them, though it has only one.
 */
#include "net/connection_leak.h"

#include <string.h>

#include "base/human.h"
#include "model/words.h"
#include "base/text.h"
#include "model/place.h"
#include "net/window.h"

#define MIN_COUNT 3
#define MIN_GROWN 2
#define LOOK_S    1.0 /* looks are about so far apart */

static bool goes_away(const struct window *w, const struct net_body_row *r)
{
	return r->count <= r->count_before && r->age == AGE_EXACT &&
	       r->oldest_s + LOOK_S < w->observed_s;
}

static bool leaks_alone(const struct window *w, const struct net_body_row *r)
{
	if (r->other || goes_away(w, r))
		return false;
	return r->count >= MIN_COUNT || r->count >= r->count_before + MIN_GROWN;
}

/* The row of that host whose place is not known, or NULL. */
static const struct net_body_row *without_place(const struct net_window *n,
						const struct net_body_row *r)
{
	for (int i = 0; i < n->nunclosed; i++) {
		const struct net_body_row *o = &n->unclosed[i];

		if (!o->other && !o->place.function && o->count && !strcmp(o->host, r->host))
			return o;
	}
	return NULL;
}

static bool leaks(const struct window *w, const struct net_body_row *r)
{
	const struct net_body_row *o;

	if (leaks_alone(w, r))
		return true;
	if (r->other || !r->place.function || r->count <= r->count_before)
		return false;
	o = without_place(w->net, r);
	return o && leaks_alone(w, o);
}

static double per_minute(const struct window *w, const struct net_body_row *r)
{
	return r->count > r->count_before
		       ? (double)(r->count - r->count_before) * 60 / w->observed_s
		       : 0;
}

static const struct net_connections *connections(const struct net_window *n, const char *host)
{
	for (int i = 0; i < n->nconnection; i++)
		if (!n->connection[i].other && !strcmp(n->connection[i].host, host))
			return &n->connection[i];
	return NULL;
}

static void evidence(struct finding *f, const struct window *w, const struct net_body_row *r)
{
	const struct net_body_row *more = r->place.function ? without_place(w->net, r) : NULL;
	const struct net_connections *c = connections(w->net, r->host);
	char a[HUMAN_MAX], b[HUMAN_MAX], age[NET_WORDS_AGE];

	finding_evidence(f,
			 "not read to the end, and nobody reads them: each keeps a connection%s%s",
			 r->age != AGE_UNKNOWN ? ", the oldest for " : "",
			 r->age != AGE_UNKNOWN ? net_words_age(r->age, r->oldest_s, age) : "");
	if (w->observed_s > 0 && r->count > r->count_before)
		finding_evidence(f, "from %s to %s in %s", human_count(r->count_before, a),
				 human_count(r->count, b), human_seconds(w->observed_s, age));
	if (more)
		finding_evidence(f, "%s more to this host%s: their place is not known",
				 human_count(more->count, a),
				 net_bodies_are_older(more) ? " are older than gospect"
							    : ", whose calls were not seen");
	if (!r->place.function)
		finding_evidence(f, "%s: the place is not known",
				 net_bodies_are_older(r) ? "they are older than gospect"
							 : "the calls that got them were not seen");
	if (c)
		finding_evidence(f, "%s connections to this host are open, %s of them idle",
				 human_count(c->open, a), human_count(c->idle, b));
}

static void add_finding(const struct window *w, const struct net_body_row *r, struct findings *out)
{
	struct finding *f =
		findings_add_about(out, "connection-leak", r->host, SEVERITY_MEDIUM, &r->place);
	char n[HUMAN_MAX], host[NET_WORDS_HOST], place[WORDS_PLACE_MAX];

	if (!f)
		return;
	finding_title(f, "%s response bod%s from %s %s never closed%s%s", human_count(r->count, n),
		      r->count == 1 ? "y" : "ies", net_words_host(r->host, host),
		      r->count == 1 ? "was" : "were", r->place.function ? ", got at " : "",
		      r->place.function ? words_place(&r->place, place, sizeof(place)) : "");
	finding_count(f, "count", r->count);
	if (r->age != AGE_UNKNOWN)
		finding_number(f, "oldest_s", r->oldest_s);
	if (w->observed_s > 0)
		finding_number(f, "per_minute", per_minute(w, r));
	evidence(f, w, r);
	finding_advice(
		f, "defer resp.Body.Close() behind the check of err, and read the body to its end");
	f->exactness = r->exactness;
	f->weight = (double)r->count;
}

/* Those without a place are told with the place that goes on leaking. */
static bool told_elsewhere(const struct window *w, const struct net_body_row *r)
{
	for (int i = 0; !r->place.function && i < w->net->nunclosed; i++) {
		const struct net_body_row *o = &w->net->unclosed[i];

		if (o->place.function && !strcmp(o->host, r->host) && leaks(w, o))
			return true;
	}
	return false;
}

bool connection_leak_found(const struct window *w)
{
	for (int i = 0; w->net->known && i < w->net->nunclosed; i++)
		if (leaks(w, &w->net->unclosed[i]))
			return true;
	return false;
}

static void judge(const struct window *w, struct findings *out)
{
	for (int i = 0; w->net->known && i < w->net->nunclosed; i++) {
		const struct net_body_row *r = &w->net->unclosed[i];

		if (leaks(w, r) && !told_elsewhere(w, r))
			add_finding(w, r, out);
	}
}

const struct detector connection_leak_detector = {
	.name = "connection-leak",
	.sensors = SENSOR_BIT(SENSOR_NET),
	.judge = judge,
};
