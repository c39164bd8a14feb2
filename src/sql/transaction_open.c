/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Open transactions: begun more than 3 s ago, neither committed nor rolled
 * back.  One finding per place; those of a pool that have no place are said with
 * the pool's others, and have one finding when there are none.
 */
#include "sql/subject.h"

#include "base/human.h"
#include "model/words.h"
#include "base/text.h"
#include "model/place.h"

#define MIN_AGE_S 3.0
#define ADVICE    "defer tx.Rollback() right after Begin, and do nothing slow before the Commit"

static void fill(struct finding *f, uint64_t count, double oldest_s)
{
	finding_count(f, "count", count);
	finding_number(f, "oldest_s", oldest_s);
	finding_advice(f, "%s", ADVICE);
	f->exactness = EXACT;
	f->weight = (double)count;
}

static struct finding *add_finding(const struct sql_pool *p, const struct sql_holder *first,
				   const struct sql_held *held, struct findings *out)
{
	const struct sql_holder *h = held->oldest;
	struct finding *f = findings_add(out, "transaction-open", "transaction-open", SEVERITY_HIGH,
					 &first->place);
	char n[HUMAN_MAX], age[NET_WORDS_AGE], place[WORDS_PLACE_MAX], driver[200];

	if (!f)
		return NULL;
	finding_title(f, "%s %s %s %s open, the oldest for %s",
		      human_counted(held->count, "database transaction", n),
		      first->place_is_now ? "of goroutines now at" : "begun at",
		      words_place(&first->place, place, sizeof(place)),
		      held->count == 1 ? "is" : "are", net_words_age(h->age, h->held_s, age));
	f->about.row = h;
	if (h->goroutine)
		finding_evidence(f, "the oldest belongs to goroutine %llu",
				 (unsigned long long)h->goroutine);
	if (h->out_of_sight)
		finding_evidence(f,
				 "whoever began it ended, or has it at hand no more: most likely "
				 "returned without Commit or Rollback");
	if (first->place_is_now)
		finding_evidence(f,
				 "begun before gospect attached: the place is where its goroutine "
				 "is now, not the Begin");
	finding_evidence(f,
			 "each holds a connection from the pool (%s, %s in use) and its locks in "
			 "the database",
			 words_fit(p->driver, 40, driver, sizeof(driver)),
			 human_count(p->in_use, n));
	if (held->begun_before)
		finding_evidence(f, "%s of them began before gospect attached: in %s now",
				 human_count(held->begun_before, n), first->place.function);
	fill(f, held->count, h->held_s);
	return f;
}

/* They are not known to have begun elsewhere: no second finding of the same pool. */
static void say_without_place(const struct sql_pool *p, struct finding *f)
{
	char n[HUMAN_MAX], age[NET_WORDS_AGE];

	finding_evidence(f,
			 "%s more of the pool began before gospect attached, the oldest open for "
			 "%s: where is not known",
			 human_count(p->transactions_without_place, n),
			 net_words_age(p->without_place_age, p->oldest_without_place_s, age));
}

static void add_without_place(const struct sql_pool *p, struct findings *out)
{
	struct finding *f =
		findings_add_about(out, "transaction-open", p->driver, SEVERITY_HIGH, NULL);
	char n[HUMAN_MAX], age[NET_WORDS_AGE], driver[200];

	if (!f)
		return;
	finding_title(f, "%s (%s) %s open, the oldest for %s",
		      human_counted(p->transactions_without_place, "database transaction", n),
		      words_fit(p->driver, 40, driver, sizeof(driver)),
		      p->transactions_without_place == 1 ? "is" : "are",
		      net_words_age(p->without_place_age, p->oldest_without_place_s, age));
	finding_evidence(f, "begun before gospect attached: where is not known");
	if (p->transactions_out_of_sight)
		finding_evidence(
			f,
			"%s of them: whoever began it ended, or has it at hand no more: most "
			"likely returned without Commit or Rollback",
			human_count(p->transactions_out_of_sight, n));
	fill(f, p->transactions_without_place, p->oldest_without_place_s);
}

/* The first that is found of the pool; NULL: none. */
static struct finding *judge_holders(const struct sql_window *s, int pool, struct findings *out)
{
	struct finding *first = NULL, *f;
	struct sql_held held;

	for (int k = 0; k < s->pool[pool].nholder; k++) {
		const struct sql_holder *h = &s->pool[pool].holder[k];

		/* one that waits for another connection is no cause: that it waits is */
		if (h->what != SQL_TRANSACTION || !h->place.function || h->waits ||
		    !sql_holders_first(s, pool, k, &held) || held.oldest->age == AGE_UNKNOWN ||
		    held.oldest->held_s <= MIN_AGE_S)
			continue;
		f = add_finding(&s->pool[pool], h, &held, out);
		first = first ? first : f;
	}
	return first;
}

static void judge(const struct window *w, struct findings *out)
{
	for (int i = 0; w->sql->known && i < w->sql->npool; i++) {
		const struct sql_pool *p = &w->sql->pool[i];
		struct finding *f = judge_holders(w->sql, i, out);

		if (!p->transactions_without_place || p->without_place_age == AGE_UNKNOWN ||
		    p->oldest_without_place_s <= MIN_AGE_S)
			continue;
		if (f)
			say_without_place(p, f);
		else
			add_without_place(p, out);
	}
}

const struct detector transaction_open_detector = {
	.name = "transaction-open",
	.sensors = SENSOR_BIT(SENSOR_SQL),
	.of_waits = true,
	.judge = judge,
};
