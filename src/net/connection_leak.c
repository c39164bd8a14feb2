/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connection leaks: responses whose body was neither read to its end nor
 * closed keep their connection (HTTP/2: their stream) for good.
 *
 * Which bodies are open and read by nobody for over a second is the window's
 * to say.  A row is a leak when there are three of them or more, or when they
 * become more by two or more.  Not when they do go away: no more than
 * at the first look, and the oldest is younger than the observation.
 *
 * The place of a body is that of its call, when gospect has seen that.  Where a
 * host's bodies without a place are a leak, a place that adds to them is reported,
 * with them, though it has only one.
 */
#include "net/subject.h"

#include <stdlib.h>
#include <string.h>

#include "base/human.h"
#include "base/text.h"
#include "base/map.h"
#include "model/place.h"
#include "model/words.h"

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

/* What the rows of one host have in common. */
struct host {
	const struct net_body_row *placeless; /* whose place is not known; NULL: none */
	bool leaks_at_place;
};

/* The rows by host. */
struct leaks {
	const struct window *w;
	struct host *host; /* owned; one for each row */
	struct bytesmap at;
};

static struct host *host_of(const struct leaks *l, const struct net_body_row *r)
{
	uint64_t *at = bytesmap_find(&l->at, r->host, strlen(r->host));

	return at ? &l->host[*at] : NULL;
}

static bool leaks(const struct leaks *l, const struct net_body_row *r)
{
	const struct host *h = host_of(l, r);

	if (leaks_alone(l->w, r))
		return true;
	/* a place that adds to a leak has a share in it */
	return !r->other && r->place.function && r->count > r->count_before && h && h->placeless &&
	       leaks_alone(l->w, h->placeless);
}

static void leaks_deinit(struct leaks *l)
{
	bytesmap_deinit(&l->at);
	free(l->host);
}

/* False: there is nothing to look at. */
static bool leaks_init(struct leaks *l, const struct window *w)
{
	const struct net_window *n = w->net;
	size_t rows = n->known && n->nunclosed > 0 ? (size_t)n->nunclosed : 0;

	*l = (struct leaks){ .w = w };
	bytesmap_init(&l->at, rows);
	l->host = rows ? calloc(rows, sizeof(*l->host)) : NULL;
	for (size_t i = 0; l->host && i < rows; i++) {
		const struct net_body_row *r = &n->unclosed[i];
		uint64_t *at = bytesmap_put(&l->at, r->host, strlen(r->host), i, NULL);

		if (at && !l->host[*at].placeless && !r->other && !r->place.function && r->count)
			l->host[*at].placeless = r;
	}
	for (size_t i = 0; l->host && i < rows; i++) {
		const struct net_body_row *r = &n->unclosed[i];
		struct host *h = host_of(l, r);

		if (h && r->place.function && leaks(l, r))
			h->leaks_at_place = true;
	}
	return l->host;
}

static double per_minute(const struct window *w, const struct net_body_row *r)
{
	double run_s = w->observed_s - w->process.paused_observed_s;

	return r->count > r->count_before && run_s > 0
		       ? (double)(r->count - r->count_before) * 60 / run_s
		       : 0;
}

static const struct net_connections *connections(const struct net_window *n, const char *host)
{
	for (int i = 0; i < n->nconnection; i++)
		if (!n->connection[i].other && !strcmp(n->connection[i].host, host))
			return &n->connection[i];
	return NULL;
}

static void evidence(struct finding *f, const struct leaks *l, const struct net_body_row *r)
{
	const struct host *h = host_of(l, r);
	const struct net_body_row *more = r->place.function && h ? h->placeless : NULL;
	const struct window *w = l->w;
	const struct net_connections *c = connections(w->net, r->host);
	char a[HUMAN_MAX], b[HUMAN_MAX], age[NET_WORDS_AGE];

	finding_evidence(f,
			 "neither read to EOF nor closed, and nobody is reading them: each holds a "
			 "connection%s%s",
			 r->age != AGE_UNKNOWN ? ", the oldest for " : "",
			 r->age != AGE_UNKNOWN ? net_words_age(r->age, r->oldest_s, age) : "");
	if (w->observed_s > 0 && r->count > r->count_before)
		finding_evidence(f, "from %s to %s in %s", human_count(r->count_before, a),
				 human_count(r->count, b), human_seconds(w->observed_s, age));
	if (more)
		finding_evidence(f, "%s more to this host%s; call site unknown",
				 human_count(more->count, a),
				 net_bodies_are_older(more) ? " were opened before gospect attached"
							    : ", whose calls were not seen");
	if (!r->place.function)
		finding_evidence(f, "%s; call site unknown",
				 net_bodies_are_older(r)
					 ? "opened before gospect attached"
					 : "the calls that opened them were not seen");
	if (c)
		finding_evidence(f, "%s to this host %s open, %s of them idle",
				 human_counted(c->open, "connection", a),
				 c->open == 1 ? "is" : "are", human_count(c->idle, b));
}

static void add_finding(const struct leaks *l, const struct net_body_row *r, struct findings *out)
{
	const struct window *w = l->w;
	struct finding *f =
		findings_add_about(out, "connection-leak", r->host, SEVERITY_MEDIUM, &r->place);
	char n[HUMAN_MAX], host[NET_WORDS_HOST], place[WORDS_PLACE_MAX];

	if (!f)
		return;
	f->about.host = r->host;
	f->about.row = r;
	finding_title(f, "%s from %s %s never closed%s%s",
		      human_counted(r->count, "response body", n), net_words_host(r->host, host),
		      r->count == 1 ? "was" : "were", r->place.function ? ", received at " : "",
		      r->place.function ? words_place(&r->place, place, sizeof(place)) : "");
	finding_count(f, "count", r->count);
	if (r->age != AGE_UNKNOWN)
		finding_number(f, "oldest_s", r->oldest_s);
	if (w->observed_s > 0)
		finding_number(f, "per_minute", per_minute(w, r));
	evidence(f, l, r);
	finding_advice(
		f, "defer resp.Body.Close() right after the err check, and read the body to EOF");
	f->exactness = r->exactness;
	f->weight = (double)r->count;
}

bool connection_leak_found(const struct window *w)
{
	struct leaks l;
	bool found = false;

	if (leaks_init(&l, w))
		for (int i = 0; i < w->net->nunclosed && !found; i++)
			found = leaks(&l, &w->net->unclosed[i]);
	leaks_deinit(&l);
	return found;
}

static void judge(const struct window *w, struct findings *out)
{
	struct leaks l;

	if (leaks_init(&l, w))
		for (int i = 0; i < w->net->nunclosed; i++) {
			const struct net_body_row *r = &w->net->unclosed[i];
			const struct host *h = host_of(&l, r);

			/* those without a place are reported with the place that goes on leaking */
			if (leaks(&l, r) && (r->place.function || !h || !h->leaks_at_place))
				add_finding(&l, r, out);
		}
	leaks_deinit(&l);
}

const struct detector connection_leak_detector = {
	.name = "connection-leak",
	.sensors = SENSOR_BIT(SENSOR_NET),
	.of_waits = true,
	.judge = judge,
};
