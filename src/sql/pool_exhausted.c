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

/* Whoever has all of its connections waits for one more of them: nobody gives one back. */
static bool waits_for_itself(const struct sql_pool *p)
{
	return p->held_by_waiters && p->held_by_waiters >= p->in_use;
}

static const struct sql_holder *main_holder(const struct sql_pool *p)
{
	for (int i = 0; i < p->nholder; i++)
		if (p->holder[i].place.function && (p->holder[i].waits || !p->held_by_waiters))
			return &p->holder[i];
	return NULL;
}

static const char *advice_for(const struct sql_pool *p, const struct sql_holder *h)
{
	if (p->library == SQL_PGX)
		return "defer conn.Release() right after Acquire, close Rows and end transactions, "
		       "or raise pool_max_conns";
	if (p->library == SQL_REDIS && p->kept * 2 > p->in_use)
		return "close every Conn (client.Conn()), and do nothing slow within Watch: "
		       "each keeps its connection; PoolTimeout ends the wait, and what waited "
		       "fails";
	if (p->library == SQL_REDIS)
		return "raise PoolSize, or give commands that block (BLPOP, XREAD) and slow ones a "
		       "client of their own; PoolTimeout ends the wait, and what waited fails";
	if (!h)
		return "defer the Close of every Rows and DB.Conn and the Rollback of every Tx; "
		       "attached before they are taken, gospect sees where";
	if (h->waits && h->what == SQL_TRANSACTION)
		return "inside a transaction ask the Tx (tx.Query, tx.Exec), not the DB: a larger "
		       "pool "
		       "only puts it off";
	if (h->waits)
		return "read the rows to their end and close them before the next query, or join "
		       "the "
		       "two: a larger pool only puts it off";
	switch (h->what) {
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
	char n[HUMAN_MAX], age[NET_WORDS_AGE], place[WORDS_PLACE_MAX], waits[WORDS_PLACE_MAX];

	finding_evidence(f, "%s held by %s for %s, %s %s", human_count(h->count, n), by[h->what],
			 net_words_age(h->age, h->held_s, age),
			 h->place_is_now ? "now at" : "taken at",
			 words_place(&h->place, place, sizeof(place)));
	if (h->waits)
		finding_evidence(f, "the same %s for another connection at %s",
				 h->count == 1 ? "goroutine waits" : "goroutines wait",
				 words_place(&h->waits_at, waits, sizeof(waits)));
}

static void evidence(struct finding *f, const struct sql_pool *p)
{
	char place[WORDS_PLACE_MAX], n[HUMAN_MAX], age[NET_WORDS_AGE];

	for (int i = 0; i < p->nholder && i < MAX_HOLDERS; i++)
		holder_evidence(f, &p->holder[i]);
	if (p->kept && p->library == SQL_REDIS)
		finding_evidence(f,
				 "%s held with no command seen under way: by a Conn that is "
				 "not closed, or a connection that is being made",
				 human_count(p->kept, n));
	else if (p->kept)
		finding_evidence(f,
				 "%s held for %s with no query running: by Rows, a Tx or a DB.Conn "
				 "that is not closed, taken before gospect attached",
				 human_count(p->kept, n),
				 net_words_age(p->kept_age, p->longest_kept_s, age));
	if (p->transactions_without_place)
		finding_evidence(f,
				 "%s held by transactions that were begun before gospect attached",
				 human_count(p->transactions_without_place, n));
	if (!p->kept && !p->transactions_without_place && !p->nholder)
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

static void title(struct finding *f, const struct sql_pool *p)
{
	char n[HUMAN_MAX], m[HUMAN_MAX], driver[200], age[NET_WORDS_AGE];

	human_count((uint64_t)p->max_open, n);
	words_fit(p->driver, 40, driver, sizeof(driver));
	net_words_age(p->age, p->longest_wait_s, age);
	if (waits_for_itself(p))
		finding_title(
			f,
			"database pool deadlocks itself: who holds all %s of %s waits for one "
			"more, the longest for %s",
			n, driver, age);
	else
		finding_title(f,
			      "%s pool exhausted: all %s of %s in use, %s %s, the longest "
			      "for %s",
			      p->library == SQL_REDIS ? "connection" : "database", n, driver,
			      human_counted(p->waiters, "goroutine", m),
			      p->waiters == 1 ? "waits" : "wait", age);
}

static void add_finding(const struct sql_window *s, int at, struct findings *out)
{
	const struct sql_pool *p = &s->pool[at];
	const struct sql_holder *h = main_holder(p);
	char subject[160];
	struct finding *f;

	subject_of(s, at, subject, sizeof(subject));
	f = findings_add_about(out, "pool-exhausted", subject, SEVERITY_CRITICAL, NULL);
	if (!f)
		return;
	f->place = h ? h->place : p->waits_at;
	f->about.row = p;
	title(f, p);
	finding_count(f, "max_open", (uint64_t)p->max_open);
	finding_count(f, "in_use", p->in_use);
	finding_count(f, "waiters", p->waiters);
	if (p->held_by_waiters)
		finding_count(f, "held_by_waiters", p->held_by_waiters);
	finding_number(f, "longest_wait_s", p->longest_wait_s);
	evidence(f, p);
	finding_advice(f, "%s", advice_for(p, h));
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
