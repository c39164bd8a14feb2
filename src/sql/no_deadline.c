/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Queries without a deadline that hang: the database has them, and nothing but
 * its answer will end them.
 *
 * A query may take long and come back all the same.  One alone is not reported before
 * LONE_S, several of one place as soon as the first is at it for SQL_HANGS_S; before LONE_S
 * they are said to have no answer, not to hang.  Where looks have seen one of the place come
 * back, those that take no more than AS_LONG times as long are slow: not reported.
 */
#include "sql/subject.h"

#include "base/human.h"
#include "base/text.h"
#include "model/place.h"
#include "model/words.h"

#define LONE_S  30.0
#define AS_LONG 3.0

static bool is_found(const struct sql_query *q)
{
	return q->hanging && q->hanging_age != AGE_UNKNOWN &&
	       q->longest_hanging_s > (q->hanging > 1 ? SQL_HANGS_S : LONE_S) &&
	       q->longest_hanging_s > AS_LONG * q->came_back_s;
}

static void evidence(struct finding *f, const struct sql_query *q)
{
	char n[HUMAN_MAX];

	finding_evidence(f, "their context has no deadline and cannot be cancelled: nothing will "
			    "end them but the database");
	if (q->longest_hanging_s <= LONE_S)
		finding_evidence(f, "slow ones look the same until they come back: no such slow "
				    "one of this place was seen to");
	if (q->in_flight > q->hanging)
		finding_evidence(f, "%s from this call site are under way",
				 human_counted(q->in_flight, "query", n));
	if (q->waiting)
		finding_evidence(f, "%s there for a connection of the pool besides",
				 human_counted(q->waiting, "goroutine waits", n));
}

static void add_finding(const struct sql_query *q, struct findings *out)
{
	bool hangs = q->longest_hanging_s > LONE_S;
	struct finding *f = findings_add_about(out, "no-timeout", "sql",
					       hangs ? SEVERITY_HIGH : SEVERITY_MEDIUM, &q->place);
	char n[HUMAN_MAX], age[NET_WORDS_AGE], place[WORDS_PLACE_MAX];

	if (!f)
		return;
	finding_title(f, "%s at %s %s without a deadline, the oldest for %s",
		      human_counted(q->hanging, "database query", n),
		      words_place(&q->place, place, sizeof(place)),
		      !hangs            ? "have no answer yet,"
		      : q->hanging == 1 ? "hangs"
					: "hang",
		      net_words_age(q->hanging_age, q->longest_hanging_s, age));
	finding_count(f, "in_flight", q->in_flight);
	finding_number(f, "longest_in_flight_s", q->longest_hanging_s);
	finding_count(f, "hanging", q->hanging);
	evidence(f, q);
	finding_advice(f,
		       "give them a context with a deadline (QueryContext, ExecContext, BeginTx), "
		       "and see why the database does not answer");
	f->exactness = EXACT;
	f->weight = (double)q->hanging;
}

static void judge(const struct window *w, struct findings *out)
{
	for (int i = 0; w->sql->known && i < w->sql->nquery; i++)
		if (is_found(&w->sql->query[i]))
			add_finding(&w->sql->query[i], out);
}

const struct detector sql_no_deadline_detector = {
	.name = "no-timeout",
	.sensors = SENSOR_BIT(SENSOR_SQL),
	.of_waits = true,
	.judge = judge,
};
