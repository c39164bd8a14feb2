/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rows that are never closed: a query's result that is neither read to its end
 * nor closed keeps its connection.  A long export does so too while it reads,
 * so that it takes MIN_COUNT of one place, one of them for MIN_AGE_S.
 */
#include "sql/subject.h"

#include "base/human.h"
#include "model/words.h"
#include "base/text.h"
#include "model/place.h"

#define MIN_COUNT 3
#define MIN_AGE_S 10.0

static void add_finding(const struct sql_pool *p, const struct sql_held *held, struct findings *out)
{
	const struct sql_holder *h = held->oldest;
	struct finding *f = findings_add(out, "rows-open", "rows-open", SEVERITY_LOW, &h->place);
	char n[HUMAN_MAX], m[HUMAN_MAX], age[NET_WORDS_AGE], place[WORDS_PLACE_MAX], driver[200];

	if (!f)
		return;
	f->about.row = h;
	finding_title(f,
		      "%s %s %s not closed, the oldest for %s: each holds a "
		      "database connection",
		      human_counted(held->count, "query result", n),
		      h->place_is_now ? "of goroutines now at" : "opened at",
		      words_place(&h->place, place, sizeof(place)),
		      net_words_age(h->age, h->held_s, age));
	finding_count(f, "count", held->count);
	finding_number(f, "oldest_s", h->held_s);
	finding_evidence(f, "pool of %s: %s of %s in use",
			 words_fit(p->driver, 40, driver, sizeof(driver)),
			 human_count(p->in_use, n), human_counted(p->open, "connection", m));
	finding_advice(f, "defer rows.Close() right after Query, also where the loop may return "
			  "early; check rows.Err()");
	f->exactness = EXACT;
	f->weight = (double)held->count;
}

static void judge(const struct window *w, struct findings *out)
{
	struct sql_held held;

	for (int i = 0; w->sql->known && i < w->sql->npool; i++)
		for (int k = 0; k < w->sql->pool[i].nholder; k++) {
			const struct sql_holder *h = &w->sql->pool[i].holder[k];

			if (h->what == SQL_ROWS && h->place.function && !h->waits &&
			    sql_holders_first(w->sql, i, k, &held) && held.count >= MIN_COUNT &&
			    held.oldest->age != AGE_UNKNOWN && held.oldest->held_s > MIN_AGE_S)
				add_finding(&w->sql->pool[i], &held, out);
		}
}

const struct detector rows_open_detector = {
	.name = "rows-open",
	.sensors = SENSOR_BIT(SENSOR_SQL),
	.of_waits = true,
	.judge = judge,
};
