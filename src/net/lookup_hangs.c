/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Look-ups of the program's own that the resolver does not answer: one question is open for over
 * NET_LOOKUP_S (an answer takes milliseconds, Go asks anew after 5 s).  Those of dials are
 * resolver.c's and slow_phase.c's.
 */
#include "net/subject.h"

#include "base/human.h"
#include "base/text.h"
#include "model/place.h"
#include "model/words.h"

static void add_finding(const struct net_own_lookup *r, struct findings *out)
{
	char n[HUMAN_MAX], age[NET_WORDS_AGE], place[WORDS_PLACE_MAX];
	struct finding *f =
		findings_add_about(out, "slow-phase", "lookup", SEVERITY_MEDIUM, &r->place);

	if (!f)
		return;
	finding_title(f, "%s at %s wait%s for the resolver, the oldest for %s",
		      human_counted(r->hanging, "look-up", n),
		      words_place(&r->place, place, sizeof(place)), r->hanging == 1 ? "s" : "",
		      net_words_age(r->age, r->oldest_s, age));
	finding_count(f, "in_flight", r->count);
	finding_count(f, "hanging", r->hanging);
	finding_number(f, "longest_in_flight_s", r->oldest_s);
	finding_evidence(f, "the program asks for names itself there (net.Resolver), and not to "
			    "dial: how many came back is not counted");
	finding_advice(f, "the resolver does not answer: check /etc/resolv.conf (nameserver, "
			  "timeout, attempts) and the way to it; bound look-ups by a context");
	f->exactness = EXACT; /* what is under way is read from memory */
	f->weight = (double)r->hanging;
}

static void judge(const struct window *w, struct findings *out)
{
	for (int i = 0; w->net->known && i < w->net->nown_lookup; i++)
		if (!w->net->own_lookup[i].other && w->net->own_lookup[i].hanging)
			add_finding(&w->net->own_lookup[i], out);
}

const struct detector lookup_hangs_detector = {
	.name = "slow-phase",
	.sensors = SENSOR_BIT(SENSOR_NET),
	.of_waits = true,
	.judge = judge,
};
