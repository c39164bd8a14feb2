/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pool of a kind that gospect cannot read, which may be used up: goroutines have waited in it for
 * over 3 s, and none that waits there has come through in all that time.  A suspicion, by names and
 * by nothing that moves: who holds what is not known, and they may just work for long.  A busy pool
 * lets somebody through now and then, however long its queue is.
 */
#include "locks/subject.h"

#include <stdio.h>

#include "base/human.h"
#include "base/text.h"
#include "locks/window.h"
#include "model/words.h"

#define MIN_WAIT_S 3.0
#define LONG_S     10.0 /* more than a word of notice */

static void add_finding(const struct pool_wait_row *r, struct findings *out)
{
	char subject[320], n[HUMAN_MAX], age[HUMAN_MAX], quiet[HUMAN_MAX], place[WORDS_PLACE_MAX],
		in[200];
	struct finding *f;

	snprintf(subject, sizeof(subject), "wait %s", r->function);
	f = findings_add_about(out, "pool-exhausted", subject,
			       r->quiet_s < LONG_S ? SEVERITY_INFO : SEVERITY_LOW, &r->place);
	if (!f)
		return;
	words_fit(r->function, 60, in, sizeof(in));
	finding_title(
		f, "%s %s at %s in %s, and none has come through for %s: a pool that is used up?",
		human_counted(r->waiting, "goroutine", n), r->waiting == 1 ? "waits" : "wait",
		words_place(&r->place, place, sizeof(place)), in, human_seconds(r->quiet_s, quiet));
	finding_count(f, "waiters", r->waiting);
	finding_number(f, "longest_wait_s", r->longest_s);
	finding_number(f, "quiet_s", r->quiet_s);
	finding_evidence(f,
			 "suspected by its name and by nothing that moves; the first has waited "
			 "for %s%s",
			 r->age == AGE_EXACT ? "" : "at least ", human_seconds(r->longest_s, age));
	finding_evidence(f, "who holds what they wait for is not known");
	finding_advice(f, "see who takes and does not give back: a Release, Close or Put on every "
			  "path (defer), errors too; give the wait a context with a deadline");
	f->exactness = ESTIMATED;
	f->weight = (double)r->waiting;
}

static void judge(const struct window *w, struct findings *out)
{
	for (int i = 0; w->locks->known && i < w->locks->npool_wait; i++) {
		const struct pool_wait_row *r = &w->locks->pool_wait[i];

		if (r->age != AGE_UNKNOWN && r->longest_s >= MIN_WAIT_S && r->quiet_s >= MIN_WAIT_S)
			add_finding(r, out);
	}
}

const struct detector pool_suspected_detector = {
	.name = "pool-exhausted",
	.sensors = SENSOR_BIT(SENSOR_LOCKS),
	.of_waits = true,
	.judge = judge,
};
