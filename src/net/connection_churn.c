/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connection churn: a host is dialled again for most of its requests, because
 * connections are closed instead of kept.  The usual reason is
 * Transport.MaxIdleConnsPerHost, two where it is not set: of the connections
 * that more requests at a time need, all but two are thrown away each time.  Where there
 * is room for more, another reason is named.
 *
 * Many dials alone are not reported (a program that starts, connections that are kept):
 * there must be MIN_DIALS that worked, KEPT_TIMES as many as connections are
 * open now, and one for every other request at least.  A connection whose request
 * fails or is given up is closed for that, which is another finding's matter
 * (failing_phase.c): so many dials do not count.
 */
#include "net/subject.h"

#include <string.h>

#include "base/human.h"
#include "model/words.h"

#define MIN_DIALS  10
#define KEPT_TIMES 3

/*
 * A Transport for each request keeps its connections, open and idle: many dials all the same,
 * from MIN_TRANSPORTS on that have two connections each at most on average.
 */
#define MIN_TRANSPORTS 10

struct traffic {
	uint64_t requests; /* to the host in the window; 0 not known */
	uint64_t failed;   /* connects, handshakes, and requests on a connection */
	const struct place *busiest;
	enum exactness exactness;
};

/* Sampled counts are scaled already; a request is in each of the last phases once. */
static struct traffic traffic_of(const struct net_window *n, const char *host)
{
	struct traffic t = { 0 };

	for (int i = 0; i < n->nphase; i++) {
		const struct net_phase_row *p = &n->phase[i];

		if (p->other || strcmp(p->host, host))
			continue;
		if (p->phase >= NET_REQUEST_WRITE && p->count > t.requests) {
			t.requests = p->count;
			t.exactness = p->exactness;
		}
		if (p->phase >= NET_CONNECT) /* each in the phase it failed in */
			t.failed += p->errors;
		if (p->busiest.function)
			t.busiest = &p->busiest;
	}
	return t;
}

static bool has_many_transports(const struct net_connections *c)
{
	return c->transports >= MIN_TRANSPORTS && c->transports * 2 >= c->open;
}

static bool churns(const struct net_connections *c, const struct traffic *t, uint64_t dials)
{
	if (c->other || !t->requests || dials < MIN_DIALS ||
	    (dials < KEPT_TIMES * c->open && !has_many_transports(c)))
		return false;
	return dials * 2 >= t->requests;
}

static void evidence(struct finding *f, const struct net_connections *c)
{
	char a[HUMAN_MAX], b[HUMAN_MAX];

	finding_evidence(f, "%s open now, %s idle", human_counted(c->open, "connection", a),
			 human_count(c->idle, b));
	if (c->transports > 1)
		finding_evidence(f, "they are of %s http.Transports, which share nothing",
				 human_count(c->transports, a));
	if (c->max_idle_per_host > 0)
		finding_evidence(f, "at most %s %s kept per host (Transport.MaxIdleConnsPerHost)",
				 human_counted((uint64_t)c->max_idle_per_host, "idle connection",
					       a),
				 c->max_idle_per_host == 1 ? "is" : "are");
	finding_evidence(f, "each dial costs a TCP connect, with TLS a handshake, and a port in "
			    "TIME_WAIT for a minute");
}

/* More may be kept than there are: it is not the limit that closes them. */
static bool has_room(const struct net_connections *c)
{
	return c->max_idle_per_host > 0 && c->idle < (uint64_t)c->max_idle_per_host &&
	       c->open <= (uint64_t)c->max_idle_per_host;
}

static const char *advice_for(const struct net_connections *c)
{
	if (has_many_transports(c))
		return "make one http.Client or Transport and share it: each of these keeps its "
		       "own idle connections, and goroutines with them";
	if (c->keeps_none)
		return "keep-alives are off: drop Transport.DisableKeepAlives, share one Transport";
	if (has_room(c))
		return "more may be kept, so something closes them: a server whose idle timeout is "
		       "short (IdleConnTimeout), bodies not read to EOF, a Transport per request";
	return "raise Transport.MaxIdleConnsPerHost, share one Transport, read bodies to EOF";
}

static void add_finding(const struct window *w, const struct net_connections *c,
			const struct traffic *t, uint64_t dials, struct findings *out)
{
	struct finding *f =
		findings_add_about(out, "connection-churn", c->host, SEVERITY_LOW, t->busiest);
	char a[HUMAN_MAX], b[HUMAN_MAX], s[HUMAN_MAX], host[NET_WORDS_HOST];

	if (!f)
		return;
	f->about.host = c->host;
	finding_title(f, "connections to %s are not reused: %s for %s%s in %s",
		      net_words_host(c->host, host), human_counted(dials, "dial", a),
		      t->exactness == EXACT ? "" : "about ",
		      human_counted(t->requests, "request", b), human_seconds(w->window_s, s));
	finding_count(f, "dials", dials);
	finding_count(f, "requests", t->requests);
	finding_count(f, "open", c->open);
	evidence(f, c);
	finding_advice(f, "%s", advice_for(c));
	f->exactness = t->exactness;
	f->weight = (double)dials;
}

static void judge(const struct window *w, struct findings *out)
{
	for (int i = 0; w->net->known && w->net->phases_known && i < w->net->nconnection; i++) {
		const struct net_connections *c = &w->net->connection[i];
		struct traffic t;
		uint64_t dials;

		if (c->dials < MIN_DIALS)
			continue;
		t = traffic_of(w->net, c->host);
		dials = c->dials > t.failed ? c->dials - t.failed : 0;
		if (churns(c, &t, dials))
			add_finding(w, c, &t, dials, out);
	}
}

const struct detector connection_churn_detector = {
	.name = "connection-churn",
	.sensors = SENSOR_BIT(SENSOR_NET),
	.of_rates = true,
	.judge = judge,
};
