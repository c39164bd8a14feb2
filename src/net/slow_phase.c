/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A phase of a host's requests that is slow or stuck.
 *
 * Slow: of the time that requests to the host spent in all phases, those in
 * flight included, one phase has more than half, and its median is over
 * SLOW_NS, or TIMES its own earlier median; a median of a few that a busy
 * machine held up for a moment is compared with none.  MIN_COUNT requests must have
 * ended it (one slow request does not count), or fewer when the median is over
 * VERY_SLOW_NS; a body that takes long is often a stream, so that exception is
 * not for bodies.  What a phase takes that does the caller's work (the request
 * written, the answer made, the body) is as much as the work needs: whether a
 * second is too much nobody here can know, so this is a remark, unless it takes
 * ten times as long as before, half of the requests fail, they are stuck in it, or it
 * is so long that they would be (of bodies none is, of those written only those
 * of which nothing is sent any more).  Ten times as long and still
 * under SLOW_NS is a remark as well: a busy machine does that.
 *
 * Stuck: requests are in a phase that never ends for them, so that no duration
 * of it is known (a connect to a black hole): one for STUCK_S, or SEVERAL for
 * SEVERAL_S, and again more than half of the host's time.  Whether they have a
 * timeout does not matter.  One that is being written is stuck since data was last
 * sent of it.  A body is never stuck: that is a download, a
 * stream, or one nobody reads (connection_leak.c).  Dials count in the same way,
 * whoever waits for them: with Go 1.23 and later they outlive the request, and up
 * to 1.22 they end with it, so that those count, too, that a look of the window has
 * seen go on for SEVERAL_S: JAM of them at once.  Where no dial gets through, or calls
 * fail, it is a phase that fails (failing_phase.c), and where the look-ups of many hosts are
 * slow it is the resolver (resolver.c).
 */
#include "net/subject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/human.h"
#include "base/text.h"
#include "base/map.h"
#include "model/words.h"
#include "model/place.h"

#define MIN_COUNT       3
#define SLOW_NS         100000000ull
#define VERY_SLOW_NS    1000000000ull
#define TIMES           10
#define BEFORE_COUNT    10         /* a median of fewer is compared with none */
#define BEFORE_LEAST_NS 5000000ull /* ten times a very short time is no problem */
#define STUCK_S         3.0
#define SEVERAL         5
#define SEVERAL_S       1.0
#define JAM             3 /* a dial of a second is slow, whatever it is to */
#define MAX_HOSTS       4096

struct in_phase {
	const struct net_phase_row *row; /* of those that ended it; NULL: none */
	bool judged;                     /* the window is long enough for its median */
	uint64_t stuck, several;         /* in flight there for STUCK_S, for several_s() */
	const struct net_request *oldest;
	const struct net_dial_row *dials; /* that are in it; NULL: none */
	double stuck_s;                   /* what all in flight spent: at least */
};

struct host {
	const char *name;
	struct in_phase phase[NET_PHASES];
	double total_s;
};

struct hosts {
	struct host *h; /* owned */
	size_t n, max;
	struct bytesmap index;
};

static struct host *host_of(struct hosts *hs, const char *name)
{
	bool made;
	uint64_t *at;

	if (!*name)
		return NULL;
	at = bytesmap_put(&hs->index, name, strlen(name), hs->n, &made);
	if (!at || *at >= hs->max)
		return NULL;
	if (made)
		hs->h[hs->n++].name = name;
	return &hs->h[*at];
}

static void add_row(struct hosts *hs, const struct net_phase_row *r, bool judged)
{
	struct host *h =
		r->other || (unsigned int)r->phase >= NET_PHASES ? NULL : host_of(hs, r->host);

	if (!h)
		return;
	h->phase[r->phase].row = r;
	h->phase[r->phase].judged = judged;
	h->total_s += (double)r->total_ns / 1e9;
}

/* How long it has not moved. */
static double still_s(const struct net_request *r)
{
	return r->since_s - r->moved_s;
}

/* A server may well need a second for each answer, a dial does not. */
static double several_s(int phase)
{
	return phase == NET_TTFB ? STUCK_S : SEVERAL_S;
}

static void add_request(struct hosts *hs, const struct net_request *r)
{
	bool counts = r->phase >= 0 && r->phase < NET_BODY && r->age != AGE_UNKNOWN;
	struct host *h = counts ? host_of(hs, r->host) : NULL;
	struct in_phase *p;

	if (!h)
		return;
	p = &h->phase[r->phase];
	p->stuck += still_s(r) > STUCK_S;
	p->several += still_s(r) > several_s(r->phase);
	if (!p->oldest || still_s(r) > still_s(p->oldest))
		p->oldest = r;
	if (still_s(r) > several_s(r->phase)) {
		p->stuck_s += r->since_s;
		h->total_s += r->since_s;
	}
}

/* A request that waits for a dial is in the same phase: the more of the two count. */
static void add_dials(struct hosts *hs, const struct net_dial_row *r)
{
	struct host *h = r->other ? NULL : host_of(hs, r->host);
	struct in_phase *p;

	if (!h)
		return;
	p = &h->phase[r->phase];
	p->dials = r;
	if (r->several && r->sum_s > p->stuck_s) {
		h->total_s += r->sum_s - p->stuck_s;
		p->stuck_s = r->sum_s;
	}
	if (r->most_sum_s > p->stuck_s) {
		h->total_s += r->most_sum_s - p->stuck_s;
		p->stuck_s = r->most_sum_s;
	}
}

static int hosts_fill(struct hosts *hs, const struct window *w)
{
	const struct net_window *n = w->net;

	hs->max = (size_t)n->nphase + (size_t)n->nin_flight + (size_t)n->ndial;
	if (hs->max > MAX_HOSTS)
		hs->max = MAX_HOSTS;
	bytesmap_init(&hs->index, hs->max);
	hs->h = hs->max ? calloc(hs->max, sizeof(*hs->h)) : NULL;
	if (!hs->h)
		return -1;
	for (int i = 0; n->phases_known && i < n->nphase; i++)
		add_row(hs, &n->phase[i], !window_is_short(w));
	for (int i = 0; n->known && i < n->nin_flight; i++)
		add_request(hs, &n->in_flight[i]);
	for (int i = 0; n->known && i < n->ndial; i++)
		add_dials(hs, &n->dial[i]);
	return 0;
}

static void hosts_deinit(struct hosts *hs)
{
	bytesmap_deinit(&hs->index);
	free(hs->h);
}

static double spent_s(const struct in_phase *p)
{
	return p->stuck_s + (p->row ? (double)p->row->total_ns / 1e9 : 0);
}

static bool became_slow(const struct net_phase_row *r)
{
	return r->before_count >= BEFORE_COUNT && r->count >= BEFORE_COUNT && r->before_p50_ns &&
	       r->p50_ns >= BEFORE_LEAST_NS && r->p50_ns / TIMES >= r->before_p50_ns;
}

static bool is_slow(const struct in_phase *p)
{
	const struct net_phase_row *r = p->row;

	if (!r || !p->judged || !r->count || (r->p50_ns <= SLOW_NS && !became_slow(r)))
		return false;
	return r->count + p->several >= MIN_COUNT ||
	       (r->p50_ns > VERY_SLOW_NS && r->phase != NET_BODY);
}

/* More of them than of requests, which gave up. */
static bool dials_are_stuck(const struct in_phase *p)
{
	const struct net_dial_row *d = p->dials;

	return d && (d->stuck || d->several >= SEVERAL) && d->several > p->several;
}

/* They were, at a look of the window. */
static bool dials_were_stuck(const struct in_phase *p)
{
	return p->dials && p->dials->most >= JAM;
}

static bool is_stuck(const struct in_phase *p)
{
	return p->stuck || p->several >= SEVERAL || dials_are_stuck(p) || dials_were_stuck(p);
}

/* ---- words ---- */

static const char *advice_for(int phase)
{
	switch (phase) {
	case NET_POOL_WAIT:
		return "raise Transport.MaxConnsPerHost, make fewer concurrent requests, close "
		       "bodies early";
	case NET_DNS:
		return "check the resolver (/etc/resolv.conf: nameserver, ndots, search); reuse "
		       "connections";
	case NET_CONNECT:
		return "check the path to it (firewall, route, full backlog); bound it with "
		       "net.Dialer.Timeout";
	case NET_TLS:
		return "check the server's load; reuse connections; bound it with "
		       "Transport.TLSHandshakeTimeout";
	case NET_REQUEST_WRITE:
		return "the server reads slowly, or the request's Body is produced slowly: check "
		       "both";
	case NET_TTFB:
		return "check that server; bound it with a context deadline or "
		       "Transport.ResponseHeaderTimeout";
	default:
		return "the server sends slowly, or the caller is busy between its reads: check "
		       "both";
	}
}

/* "p50 121ms, p99 140ms of 120" */
static void durations(const struct net_phase_row *r, char *out, size_t size)
{
	char took[WORDS_PERCENTILES_MAX], n[HUMAN_MAX];

	snprintf(out, size, "%s of %s%s",
		 words_percentiles(r->timed, r->p50_ns, r->p99_ns, r->max_ns, took),
		 r->exactness == EXACT ? "" : "about ", human_count(r->count, n));
}

/* All of a request but the way to a connection. */
static bool is_work(int phase)
{
	return phase == NET_REQUEST_WRITE || phase == NET_TTFB || phase == NET_BODY;
}

static bool is_remark(const struct in_phase *p, int phase)
{
	const struct net_phase_row *r = p->row;

	if (is_stuck(p) || r->errors * 2 >= r->count)
		return false;
	if (r->p50_ns <= SLOW_NS)
		return true; /* that a machine that is busy does to all it runs */
	return is_work(phase) && !became_slow(r) &&
	       (phase != NET_TTFB || (double)r->p50_ns / NS_PER_S <= STUCK_S);
}

/* Several are one row: one may be full while the other is idle. */
static void evidence_of_transports(struct finding *f, const struct net_window *net,
				   const char *host)
{
	char n[HUMAN_MAX];

	for (int i = 0; i < net->nconnection; i++)
		if (net->connection[i].transports > 1 && !strcmp(net->connection[i].host, host))
			finding_evidence(f,
					 "connections to it are of %s http.Transports, each with "
					 "a limit of its own",
					 human_count(net->connection[i].transports, n));
}

static enum net_waits evidence(struct finding *f, const struct net_window *net,
			       const struct host *h, int phase)
{
	const struct in_phase *p = &h->phase[phase];
	char n[HUMAN_MAX], s[HUMAN_MAX], age[NET_WORDS_AGE], place[WORDS_PLACE_MAX];

	finding_evidence(f, "%s of the time that requests to this host spent in all phases",
			 human_percent(h->total_s > 0 ? 100 * spent_s(p) / h->total_s : 0, 0, n));
	if (phase == NET_REQUEST_WRITE)
		net_upload_evidence(f, net, h->name);
	if (p->row && became_slow(p->row))
		finding_evidence(f, "its p50 was %s before this window",
				 human_seconds((double)p->row->before_p50_ns / 1e9, s));
	if (p->row && !is_slow(p))
		finding_evidence(f, "%s completed it in this window, %s of them failed",
				 human_count(p->row->count, n), human_count(p->row->errors, s));
	else if (p->row && p->row->errors)
		finding_evidence(f, "%s of them failed", human_count(p->row->errors, n));
	if (dials_are_stuck(p) && p->dials->given_up)
		finding_evidence(f, "nobody waits for %s of these connections any more",
				 human_count(p->dials->given_up, n));
	if (is_stuck(p) && is_slow(p) && p->oldest && p->several)
		finding_evidence(
			f, "%s more in flight have been in it for long, the oldest began %s ago",
			human_count(p->several, n),
			net_words_age(p->oldest->age, p->oldest->since_s, age));
	if (phase == NET_POOL_WAIT)
		evidence_of_transports(f, net, h->name);
	if (f->place.function)
		finding_evidence(f, "%s at %s",
				 is_slow(p) ? "most often called" : "the oldest was called",
				 words_place(&f->place, place, sizeof(place)));
	return net_say_waits(f, net, h->name, phase, NULL);
}

static void numbers(struct finding *f, const struct in_phase *p)
{
	if (p->row && p->row->count) {
		if (p->row->timed >= LEAST_FOR_P50)
			finding_number(f, "p50_ms", (double)p->row->p50_ns / 1e6);
		if (p->row->timed >= LEAST_FOR_P99)
			finding_number(f, "p99_ms", (double)p->row->p99_ns / 1e6);
		finding_number(f, "max_ms", (double)p->row->max_ns / 1e6);
	}
	finding_count(f, "count", p->row ? p->row->count : 0);
	if (p->several) {
		finding_count(f, "in_flight", p->several);
		finding_number(f, "longest_in_flight_s", p->oldest->since_s);
	}
	if (dials_are_stuck(p)) {
		finding_count(f, "dials", p->dials->several);
		finding_number(f, "longest_dial_s", p->dials->oldest_s);
	} else if (dials_were_stuck(p)) {
		finding_count(f, "dials", p->dials->most);
		finding_number(f, "longest_dial_s", p->dials->most_oldest_s);
	}
}

static const struct place *place_of(const struct in_phase *p)
{
	if (p->row && p->row->busiest.function)
		return &p->row->busiest;
	if (p->oldest && p->oldest->place.function)
		return &p->oldest->place;
	return p->dials && p->dials->busiest.function ? &p->dials->busiest : NULL;
}

static const char *advice_of(const struct net_window *net, const struct host *h, int phase,
			     enum net_waits waits)
{
	const char *more = net_advice_for(waits);

	if (!more && phase == NET_REQUEST_WRITE)
		more = net_upload_advice(net, h->name);
	return more ? more : advice_for(phase);
}

static void add_finding(const struct net_window *net, const struct host *h, int phase,
			struct findings *out)
{
	const struct in_phase *p = &h->phase[phase];
	char subject[WINDOW_MAX_HOST + 32], host[NET_WORDS_HOST], text[160], n[HUMAN_MAX],
		age[NET_WORDS_AGE];
	const struct place *place = place_of(p);
	const char *words = net_words_phase(phase);
	const char *in = strncmp(words, "the ", 4) ? "" : "in "; /* "stuck reading the body" */
	struct finding *f;
	enum net_waits waits;
	const char *silent;

	net_words_subject(h->name, (enum net_phase)phase, subject, sizeof(subject));
	f = findings_add_about(out, "slow-phase", subject,
			       is_remark(p, phase) ? SEVERITY_INFO : SEVERITY_MEDIUM, NULL);
	if (!f)
		return;
	if (place)
		f->place = *place;
	f->about.host = h->name;
	f->about.phase = phase;
	net_words_host(h->name, host);
	if (is_slow(p)) {
		durations(p->row, text, sizeof(text));
		finding_title(f, "requests to %s spend most of their time %s%s: %s", host, in,
			      words, text);
	} else if (dials_are_stuck(p)) {
		finding_title(f, "%s connection%s to %s %s stuck %s%s, the oldest began %s ago",
			      human_count(p->dials->several, n), net_words_s(p->dials->several),
			      host, p->dials->several == 1 ? "is" : "are", in, words,
			      net_words_age(p->dials->age, p->dials->oldest_s, age));
	} else if (!p->stuck && p->several < SEVERAL) {
		finding_title(f, "%s connections to %s were stuck %s%s at once, the oldest for %s",
			      human_count(p->dials->most, n), host, in, words,
			      net_words_age(AGE_AT_LEAST, p->dials->most_oldest_s, age));
	} else {
		finding_title(f, "%s to %s %s stuck %s%s, the oldest began %s ago",
			      human_counted(p->several, "request", n), host,
			      p->several == 1 ? "is" : "are", in, words,
			      net_words_age(p->oldest->age, p->oldest->since_s, age));
	}
	numbers(f, p);
	waits = evidence(f, net, h, phase);
	silent = is_stuck(p) ? net_say_silent(f, net, h->name, phase, p->several) : NULL;
	finding_advice(f, "%s%s%s", advice_of(net, h, phase, waits), silent ? "; " : "",
		       silent ? silent : "");
	f->exactness = p->row ? p->row->exactness : EXACT;
	f->weight = spent_s(p);
}

static void judge_host(const struct net_window *n, const struct host *h, bool resolver,
		       struct findings *out)
{
	for (int i = 0; i < NET_PHASES; i++) {
		const struct in_phase *p = &h->phase[i];

		if ((p->dials && net_dials_fail(n, p->dials)) || net_calls_fail(n, h->name, i))
			continue; /* failing_phase.c's */
		if (i == NET_DNS && resolver)
			continue; /* resolver.c's */
		if (spent_s(p) * 2 > h->total_s && (is_slow(p) || is_stuck(p)))
			add_finding(n, h, i, out);
	}
}

static void judge(const struct window *w, struct findings *out)
{
	bool resolver = net_resolver_is_slow(w);
	struct hosts hs = { 0 };

	if (!hosts_fill(&hs, w))
		for (size_t i = 0; i < hs.n; i++)
			judge_host(w->net, &hs.h[i], resolver, out);
	hosts_deinit(&hs);
}

bool slow_phase_found(const struct findings *fs, const char *host, enum net_phase phase)
{
	char subject[WINDOW_MAX_HOST + 32], id[FINDING_PREFIX_MAX];

	net_words_subject(host, phase, subject, sizeof(subject));
	finding_prefix("slow-phase", subject, id);
	for (int i = 0; i < fs->n; i++)
		if (!strcmp(fs->f[i].id, id))
			return true;
	return false;
}

const struct detector slow_phase_detector = {
	.name = "slow-phase",
	.sensors = SENSOR_BIT(SENSOR_NET),
	.of_waits = true,
	.of_few = true,
	.judge = judge,
};
