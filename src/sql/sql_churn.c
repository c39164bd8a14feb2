/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Churn in a pool of database/sql: connections are closed by the pool's own
 * limits, and opened again, all the time.  What the DB counts, by difference.
 *
 * Limits close connections now and then in every healthy pool.  It takes MIN_CLOSED
 * of them, MIN_PER_S, and KEPT_TIMES as many as are open: each connection lives for
 * less than a third of the window.
 */
#include "sql/subject.h"

#include "base/human.h"
#include "base/text.h"
#include "model/words.h"

#define MIN_CLOSED   10
#define MIN_PER_S    2.0
#define KEPT_TIMES   3
#define SHARE        5 /* a limit that closes one of so many is named */
#define DEFAULT_IDLE 2 /* of database/sql, where SetMaxIdleConns was not called */

static uint64_t closed(const struct sql_pool *p)
{
	return p->closed.lifetime + p->closed.idle + p->closed.idle_time;
}

static bool churns(const struct sql_pool *p, double window_s)
{
	uint64_t n = closed(p);

	return p->closes_known && n >= MIN_CLOSED && n >= KEPT_TIMES * p->open &&
	       (double)n >= MIN_PER_S * window_s;
}

static uint64_t idle_limit(const struct sql_pool *p)
{
	return p->max_idle > 0 ? (uint64_t)p->max_idle : p->max_idle ? 0 : DEFAULT_IDLE;
}

static void evidence(struct finding *f, const struct sql_pool *p)
{
	char n[HUMAN_MAX], limit[HUMAN_MAX];

	if (p->closed.lifetime)
		finding_evidence(f, "%s by DB.SetConnMaxLifetime(%s)",
				 human_count(p->closed.lifetime, n),
				 human_seconds(p->max_lifetime_s, limit));
	if (p->closed.idle)
		finding_evidence(f, "%s because only %s may be idle (DB.SetMaxIdleConns%s)",
				 human_count(p->closed.idle, n), human_count(idle_limit(p), limit),
				 p->max_idle ? "" : ", the default");
	if (p->closed.idle_time)
		finding_evidence(f, "%s by DB.SetConnMaxIdleTime(%s)",
				 human_count(p->closed.idle_time, n),
				 human_seconds(p->max_idle_time_s, limit));
	finding_evidence(
		f, "each is dialled again, with its handshake and login, while a query waits");
}

static const char *advice_for(const struct sql_pool *p)
{
	bool lifetime = p->closed.lifetime * SHARE >= closed(p);

	if (p->closed.idle * SHARE >= closed(p))
		return lifetime ? "raise DB.SetConnMaxLifetime to minutes, and DB.SetMaxIdleConns "
				  "to "
				  "what is in use at a time"
				: "raise DB.SetMaxIdleConns to what is in use at a time, up to "
				  "DB.SetMaxOpenConns";
	if (lifetime)
		return "raise DB.SetConnMaxLifetime to minutes";
	return "raise DB.SetConnMaxIdleTime to minutes";
}

static void add_finding(const struct window *w, const struct sql_pool *p, struct findings *out)
{
	struct finding *f =
		findings_add_about(out, "connection-churn", p->driver, SEVERITY_LOW, NULL);
	char n[HUMAN_MAX], m[HUMAN_MAX], s[HUMAN_MAX], driver[200];

	if (!f)
		return;
	finding_title(f,
		      "database connections of %s are not kept: %s closed in %s by the pool's "
		      "limits, %s open",
		      words_fit(p->driver, 40, driver, sizeof(driver)), human_count(closed(p), n),
		      human_seconds(w->window_s, s), human_count(p->open, m));
	finding_count(f, "closed", closed(p));
	finding_count(f, "closed_max_lifetime", p->closed.lifetime);
	finding_count(f, "closed_max_idle", p->closed.idle);
	finding_count(f, "closed_max_idle_time", p->closed.idle_time);
	finding_count(f, "open", p->open);
	evidence(f, p);
	finding_advice(f, "%s", advice_for(p));
	f->exactness = EXACT;
	f->weight = (double)closed(p);
}

static void judge(const struct window *w, struct findings *out)
{
	for (int i = 0; w->sql->known && i < w->sql->npool; i++)
		if (churns(&w->sql->pool[i], w->window_s))
			add_finding(w, &w->sql->pool[i], out);
}

const struct detector sql_churn_detector = {
	.name = "connection-churn",
	.sensors = SENSOR_BIT(SENSOR_SQL),
	.of_rates = true,
	.judge = judge,
};
