/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Slots of MaxConnsPerHost that go1.22.0 has lost (slots.c): nothing but another release of Go, or
 * a start of the program anew, gives them back.  Requests that time out or hang in the pool are
 * its effect.
 */
#include "net/subject.h"

#include "base/human.h"
#include "model/words.h"

static void add_finding(const struct net_connections *c, struct findings *out)
{
	struct finding *f = findings_add_about(out, "lost-slot", c->host, SEVERITY_HIGH, NULL);
	char host[NET_WORDS_HOST], a[HUMAN_MAX];

	if (!f)
		return;
	f->about.host = c->host;
	f->about.phase = NET_POOL_WAIT;
	finding_title(f, "%s of MaxConnsPerHost %lld to %s lost: counted, but no connection has %s",
		      human_counted(c->lost_slots, "slot", a), (long long)c->max_per_host,
		      net_words_host(c->host, host), c->lost_slots == 1 ? "it" : "them");
	finding_count(f, "lost_slots", c->lost_slots);
	finding_count(f, "waiting", c->waiting);
	finding_evidence(f, "%s open, none being dialled, and %s queued",
			 human_counted(c->open, "connection", a),
			 c->waiting ? "requests are" : "requests were");
	finding_evidence(f,
			 "a bug of go1.22.0 (golang.org/issue/65705): a request that is cancelled "
			 "before its dial begins keeps its slot for ever");
	finding_advice(f,
		       "build with go1.22.1 or newer: nothing else gives slots back but a restart");
	f->exactness = EXACT; /* read from memory */
	f->weight = (double)c->lost_slots;
}

static void judge(const struct window *w, struct findings *out)
{
	for (int i = 0; w->net->known && i < w->net->nconnection; i++)
		if (!w->net->connection[i].other && w->net->connection[i].lost_slots)
			add_finding(&w->net->connection[i], out);
}

const struct detector lost_slot_detector = {
	.name = "lost-slot",
	.sensors = SENSOR_BIT(SENSOR_NET),
	.of_waits = true,
	.judge = judge,
};
