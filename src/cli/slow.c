/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/slow.h"

#include "base/clock.h"
#include "base/human.h"
#include "model/sentence.h"
#include "model/words.h"
#include "net/window.h"

#define LEAST_SHOWN_S 0.001

static void phases(const struct net_slow *q, struct buf *out)
{
	const char *sep = ": ";

	for (int i = 0; i < NET_PHASES; i++)
		if (q->in_phase_s[i] >= LEAST_SHOWN_S) {
			buf_printf(out, "%s%s", sep, net_phase_name((enum net_phase)i));
			sentence_seconds(out, " ", q->in_phase_s[i], "");
			sep = ", ";
		}
	if (q->unseen_s >= LEAST_SHOWN_S)
		sentence_seconds(out, sep, q->unseen_s, " not seen");
}

/* ">3.2s  api:443  main.charge charge.go:52: tls 1.2s, ttfb 2.0s  (goroutine 12)" */
static void line(const struct net_slow *q, struct buf *out)
{
	char took[HUMAN_MAX], host[NET_WORDS_HOST];

	buf_printf(out, "%s%s  %s  ", q->age == AGE_EXACT ? "" : ">",
		   human_seconds(q->took_s, took), net_words_host(q->host, host));
	sentence_place(out, &q->place, "?");
	phases(q, out);
	buf_printf(out, "  (goroutine %llu%s)\n", (unsigned long long)q->goroutine,
		   q->ended ? "" : ", still under way");
}

void slow_lines(const struct window *w, uint64_t least_ns, bool last, struct buf *out)
{
	for (int i = 0; i < w->net->nslow; i++) {
		const struct net_slow *q = &w->net->slow[i];

		if ((q->ended || last) && q->took_s * (double)NS_PER_S >= (double)least_ns)
			line(q, out);
	}
}
