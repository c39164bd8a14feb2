/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Servers without read timeouts on which connections hang: clients that
 * connected and never send their request (slowly on purpose, or gone without a
 * word) keep a goroutine and a descriptor each, for good.  A missing timeout
 * alone is not reported.
 */
#include "net/subject.h"

#include "base/human.h"
#include "base/text.h"
#include "model/place.h"
#include "model/words.h"

#define MIN_HANGING 3
#define HANGS_S     3.0

bool server_no_timeout_hangs(double age_s)
{
	return age_s > HANGS_S;
}

/* What hangs belongs to a server, not to one of its handlers, and may stand in
 * the row of any of them: the row that tells of most stands for all, and the
 * finding's id has no place. */
static const struct net_server *worst(const struct net_window *n)
{
	const struct net_server *best = NULL;

	for (int i = 0; i < n->nserver; i++) {
		const struct net_server *s = &n->server[i];

		if (s->no_read_timeout && s->hanging >= MIN_HANGING &&
		    (!best || s->hanging > best->hanging))
			best = s;
	}
	return best;
}

static void judge(const struct window *w, struct findings *out)
{
	const struct net_server *s = w->net->known ? worst(w->net) : NULL;
	char n[HUMAN_MAX], place[WORDS_PLACE_MAX];
	struct finding *f;

	f = s ? findings_add(out, "server-no-timeout", "server-no-timeout", SEVERITY_LOW, NULL)
	      : NULL;
	if (!f)
		return;
	f->place = s->place;
	finding_title(
		f,
		s->hanging == 1
			? "%s hangs on an HTTP server without a read timeout and sends no request"
			: "%s hang on an HTTP server without a read timeout and send no request",
		human_counted(s->hanging, "connection", n));
	finding_count(f, "hanging", s->hanging);
	finding_evidence(f, "each holds a goroutine and a file descriptor until the peer gives up");
	if (s->place.function)
		finding_evidence(f, "the server calls %s",
				 words_place(&s->place, place, sizeof(place)));
	finding_advice(f, "set http.Server.ReadHeaderTimeout, ReadTimeout and IdleTimeout");
	f->exactness = EXACT;
	f->weight = (double)s->hanging;
}

const struct detector server_no_timeout_detector = {
	.name = "server-no-timeout",
	.sensors = SENSOR_BIT(SENSOR_NET),
	.of_waits = true,
	.judge = judge,
};
