/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections of HTTP/2 that requests wait on, and nothing comes (fill_silent.c).
 *
 * One is dead when a PING, which every server answers at once, is unanswered for GONE_S; who
 * gives a request up sends one (golang.org/x/net 0.33, Go 1.24).  What TCP says of it is
 * dead_connection.c's.  Silence alone proves nothing: a server that is merely slow is silent,
 * too; there the findings of the requests that wait say what would tell the two apart.  With
 * ReadIdleTimeout the transport finds out by itself, and it is no finding.
 */
#include "net/subject.h"

#include <stdio.h>
#include <string.h>

#include "base/human.h"
#include "base/text.h"
#include "model/place.h"
#include "model/words.h"

#define GONE_S 3.0

#define ADVICE                                                                                   \
	"set http2.Transport.ReadIdleTimeout and PingTimeout (http.HTTP2Config.SendPingTimeout " \
	"and PingTimeout from Go 1.24 on): a dead connection is then noticed and closed"

/* TCP says it already. */
static bool is_known_dead(const struct net_window *n, const char *host)
{
	for (int i = 0; i < n->ndead; i++)
		if (!n->dead[i].other && !strcmp(n->dead[i].host, host))
			return true;
	return false;
}

static bool is_dead(const struct net_silent *s)
{
	return s->waiting && s->host[0] && s->read_idle != KNOWN_YES && s->ping_s > GONE_S;
}

static void add_finding(const struct net_silent *s, struct findings *out)
{
	struct finding *f =
		findings_add_about(out, "dead-connection", s->host, SEVERITY_HIGH, &s->place);
	char n[HUMAN_MAX], m[HUMAN_MAX], host[NET_WORDS_HOST], place[WORDS_PLACE_MAX];

	if (!f)
		return;
	f->about.host = s->host;
	finding_title(f, "%s to %s wait%s on a dead HTTP/2 connection: nothing has come for %s",
		      human_counted(s->waiting, "request", n), net_words_host(s->host, host),
		      s->waiting == 1 ? "s" : "", human_seconds(s->heard_s, m));
	finding_count(f, "streams", s->waiting);
	finding_number(f, "silent_s", s->heard_s);
	finding_evidence(f, "a PING is unanswered for at least %s", human_seconds(s->ping_s, n));
	finding_evidence(f, "new requests go there, too: the transport does not close it");
	if (s->place.function)
		finding_evidence(f, "the oldest was called at %s",
				 words_place(&s->place, place, sizeof(place)));
	finding_advice(f, ADVICE);
	f->exactness = EXACT; /* read from memory, and from the kernel */
	f->weight = (double)s->waiting;
}

static void judge(const struct window *w, struct findings *out)
{
	for (int i = 0; w->net->known && i < w->net->nsilent; i++)
		if (is_dead(&w->net->silent[i]) && !is_known_dead(w->net, w->net->silent[i].host))
			add_finding(&w->net->silent[i], out);
}

const char *net_say_silent(struct finding *f, const struct net_window *n, const char *host,
			   int phase, uint64_t stuck)
{
	char m[HUMAN_MAX], k[HUMAN_MAX];

	for (int i = 0; i < n->nsilent && phase == NET_TTFB && !is_known_dead(n, host); i++) {
		const struct net_silent *s = &n->silent[i];

		if (strcmp(s->host, host) || s->read_idle != KNOWN_NO || is_dead(s) ||
		    s->waiting * 2 < stuck)
			continue;
		finding_evidence(
			f,
			"%s in flight on one HTTP/2 connection, on which nothing has come for %s: "
			"the server is slow, or the connection is dead, and without "
			"ReadIdleTimeout the transport does not ask",
			human_count(s->waiting, m), human_seconds(s->heard_s, k));
		return ADVICE;
	}
	return NULL;
}

const struct detector silent_connection_detector = {
	.name = "dead-connection",
	.sensors = SENSOR_BIT(SENSOR_NET),
	.of_waits = true,
	.judge = judge,
};
