/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An exhausted database pool: all connections it may have are in use, and
 * somebody has waited for one for more than a second.  A busy pool, whose
 * waiters wait for milliseconds, is not reported.
 */
#include "sql/subject.h"

#include <stdio.h>
#include <string.h>

#include "base/human.h"
#include "model/words.h"
#include "base/text.h"
#include "model/place.h"

#define MIN_WAIT_S  1.0
#define MAX_HOLDERS 3 /* in the evidence */

static bool is_exhausted(const struct sql_pool *p)
{
	return p->max_open > 0 && p->in_use >= (uint64_t)p->max_open && p->waiters &&
	       p->age != AGE_UNKNOWN && p->longest_wait_s > MIN_WAIT_S;
}

static const struct sql_holder *main_holder(const struct sql_pool *p)
{
	for (int i = 0; i < p->nholder; i++)
		if (p->holder[i].place.function)
			return &p->holder[i];
	return NULL;
}

static const char *advice_for(const struct sql_holder *h)
{
	switch (h ? h->what : SQL_CALL) {
	case SQL_TRANSACTION:
		return "defer tx.Rollback() right after Begin, and commit before anything slow";
	case SQL_ROWS:
		return "defer rows.Close() right after Query, also where a loop returns early";
	case SQL_CONN:
		return "defer conn.Close() right after DB.Conn: it returns the connection";
	default:
		return "make these queries faster, give them a deadline, or raise "
		       "DB.SetMaxOpenConns";
	}
}

static void holder_evidence(struct finding *f, const struct sql_holder *h)
{
	static const char *const by[] = { "a transaction", "unclosed rows", "a DB.Conn", "a call" };
	char n[HUMAN_MAX], age[NET_WORDS_AGE], place[WORDS_PLACE_MAX];

	finding_evidence(f, "%s held by %s for %s, %s %s", human_count(h->count, n), by[h->what],
			 net_words_age(h->age, h->held_s, age),
			 h->place_is_now ? "now at" : "taken at",
			 words_place(&h->place, place, sizeof(place)));
}

static void evidence(struct finding *f, const struct sql_pool *p)
{
	char place[WORDS_PLACE_MAX];

	for (int i = 0; i < p->nholder && i < MAX_HOLDERS; i++)
		holder_evidence(f, &p->holder[i]);
	if (!p->nholder)
		finding_evidence(f, "unknown who holds the connections");
	if (p->waits_at.function)
		finding_evidence(f, "most wait at %s",
				 words_place(&p->waits_at, place, sizeof(place)));
}

/* Pools have no name: the driver, the limit, and which one of those alike. */
static void subject_of(const struct sql_window *s, int at, char *out, size_t size)
{
	const struct sql_pool *p = &s->pool[at];
	int nth = 1;

	for (int i = 0; i < at; i++)
		nth += !strcmp(s->pool[i].driver, p->driver) && s->pool[i].max_open == p->max_open;
	snprintf(out, size, nth > 1 ? "%s:%lld:%d" : "%s:%lld", p->driver, (long long)p->max_open,
		 nth);
}

static void add_finding(const struct sql_window *s, int at, struct findings *out)
{
	const struct sql_pool *p = &s->pool[at];
	const struct sql_holder *h = main_holder(p);
	char subject[160], n[HUMAN_MAX], m[HUMAN_MAX], driver[200], age[NET_WORDS_AGE];
	struct finding *f;

	subject_of(s, at, subject, sizeof(subject));
	f = findings_add_about(out, "pool-exhausted", subject, SEVERITY_CRITICAL, NULL);
	if (!f)
		return;
	f->place = h ? h->place : p->waits_at;
	f->about.row = p;
	finding_title(f, "database pool exhausted: all %s of %s in use, %s %s, the longest for %s",
		      human_count((uint64_t)p->max_open, n),
		      words_fit(p->driver, 40, driver, sizeof(driver)),
		      human_counted(p->waiters, "goroutine", m), p->waiters == 1 ? "waits" : "wait",
		      net_words_age(p->age, p->longest_wait_s, age));
	finding_count(f, "max_open", (uint64_t)p->max_open);
	finding_count(f, "in_use", p->in_use);
	finding_count(f, "waiters", p->waiters);
	finding_number(f, "longest_wait_s", p->longest_wait_s);
	evidence(f, p);
	finding_advice(f, "%s", advice_for(h));
	f->exactness = EXACT;
	f->weight = (double)p->waiters;
}

static void judge(const struct window *w, struct findings *out)
{
	for (int i = 0; w->sql->known && i < w->sql->npool; i++)
		if (is_exhausted(&w->sql->pool[i]))
			add_finding(w->sql, i, out);
}

const struct detector pool_exhausted_detector = {
	.name = "pool-exhausted",
	.sensors = SENSOR_BIT(SENSOR_SQL),
	.of_waits = true,
	.judge = judge,
};
