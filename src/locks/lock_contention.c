/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lock contention: goroutines that wait long for a lock, or always some of
 * them.  Of one lock, wherever they wait for it, there must be
 *
 * - MIN_LONG waiters, the longest for MIN_WAIT_S,
 * - or MIN_MANY waiters at this look and at the one before, in no short window;
 *   where the slow path's probe says that waits are short, and none of these is
 *   seen to wait for LONG_S, that is only a busy lock.  (The probe's median is of
 *   all locks of the process: a busy one must not hide a slow one.)
 * - or one, for MIN_WAIT_S, whose lock is held by one that waits for a lock itself.
 *
 * Goroutines that wait in a cycle (deadlock.c), that can never run again, or
 * that pile up behind the lock (goroutine_leak.c) are reported there.
 */
#include "locks/subject.h"

#include <string.h>

#include "base/human.h"
#include "base/text.h"
#include "model/words.h"
#include "model/place.h"
#include "locks/window.h"

#define MIN_LONG   2
#define MIN_WAIT_S 1.0
#define MIN_MANY   5
#define SHORT_NS   1000000 /* median of all waits */
#define LONG_S     0.1
#define MAX_JUDGED 200 /* rows: those with most waiters */

/* What waits for one lock, or, of several at the same place, for each of them. */
struct waits {
	const struct lock_wait_row *most; /* the row with most waiters, of the lock with most */
	const struct lock_wait_row *longest;
	uint64_t waiters, before, locks;
	uint64_t most_of_one; /* waiters of one lock */
};

static void add_row(struct waits *x, const struct lock_wait_row *r)
{
	x->waiters += r->waiters;
	x->before += r->waiters_before;
	if (r->waiters > x->most->waiters)
		x->most = r;
	if (r->age != AGE_UNKNOWN &&
	    (x->longest->age == AGE_UNKNOWN || r->longest_s > x->longest->longest_s))
		x->longest = r;
}

/* All that wait for the lock of a row; false when an earlier row is of the same lock. */
static bool of_lock(const struct window *w, int first, struct waits *out)
{
	const struct lock_wait_row *row = w->locks->row;

	*out = (struct waits){ .most = &row[first], .longest = &row[first], .locks = 1 };
	for (int i = 0; i < w->locks->nrow; i++) {
		if (row[i].lock != row[first].lock)
			continue;
		if (i < first)
			return false;
		add_row(out, &row[i]);
	}
	out->most_of_one = out->waiters;
	return true;
}

/* Whose lock the holder waits for, and so on: the last of them, who waits for none; NULL: it is not
 * known, or they go round. */
static const struct lock_wait_row *last_holder(const struct window *w,
					       const struct lock_wait_row *first)
{
	const struct lock_wait_row *r = first;

	for (int step = 0; r->holder_wants; step++) {
		int i = 0;

		while (i < w->locks->nrow &&
		       (w->locks->row[i].other || w->locks->row[i].lock != r->holder_wants))
			i++;
		if (i == w->locks->nrow || step > w->locks->nrow)
			return NULL;
		r = &w->locks->row[i];
	}
	return r->holder && r->holders <= 1 ? r : NULL;
}

static bool waits_for_waiter(const struct window *w, const struct lock_wait_row *r)
{
	return r->holder && strstr(r->holder_does, "for a lock") &&
	       (!r->holder_wants || !last_holder(w, r));
}

static bool is_contended(const struct window *w, const struct waits *x)
{
	const struct locks_window *c = w->locks;
	bool is_short = c->waits_known && c->waits && c->p50_ns < SHORT_NS;
	bool aged = x->longest->age != AGE_UNKNOWN;

	if (x->most->other || x->most->explained)
		return false;
	if (aged && x->longest->longest_s > LONG_S)
		is_short = false;
	if (aged && x->longest->longest_s > MIN_WAIT_S &&
	    (x->waiters >= MIN_LONG || (!c->is_sought && waits_for_waiter(w, x->most))))
		return true;
	return !window_is_short(w) && x->waiters >= MIN_MANY && x->before >= MIN_MANY && !is_short;
}

/* With other locks that goroutines wait for at the same place; false: an earlier one is there. */
static bool at_place(const struct window *w, int first, struct waits *out)
{
	const struct place *place = &out->most->place;

	for (int i = 0; i < w->locks->nrow && i < MAX_JUDGED; i++) {
		struct waits other;

		if (i == first || !of_lock(w, i, &other) ||
		    !place_equal(&other.most->place, place) || !is_contended(w, &other))
			continue;
		if (i < first)
			return false;
		add_row(out, other.most);
		out->waiters += other.waiters - other.most->waiters;
		out->before += other.before - other.most->waiters_before;
		out->locks++;
		if (other.most_of_one > out->most_of_one)
			out->most_of_one = other.most_of_one;
	}
	return true;
}

/* Who holds the lock with most waiters. */
static void evidence_holder(struct finding *f, const struct window *w, const struct waits *x)
{
	const struct lock_wait_row *r = x->most, *last = last_holder(w, r);
	const char *of = x->locks > 1 ? "the lock of most of them" : "it", *at;
	char words[WORDS_PLACE_MAX], n[HUMAN_MAX];
	const struct place *place;

	if (!last)
		last = r;
	place = &last->holder_at;
	at = place->function ? words_place(place, words, sizeof(words))
			     : "a place that is not known";
	if (!r->holder)
		finding_evidence(f, "who holds it is not known");
	else if (last != r)
		finding_evidence(
			f,
			"goroutine %llu holds %s (inferred) and waits behind %llu, which %s, at %s",
			(unsigned long long)r->holder, of, (unsigned long long)last->holder,
			last->holder_does, at);
	else if (r->holders > 1)
		finding_evidence(f, "%s hold it for reading (inferred); goroutine %llu %s, at %s",
				 human_count(r->holders, n), (unsigned long long)r->holder,
				 r->holder_does, at);
	else
		finding_evidence(f, "goroutine %llu holds %s (inferred) and %s, at %s",
				 (unsigned long long)r->holder, of, r->holder_does, at);
}

static void evidence(struct finding *f, const struct window *w, const struct waits *x)
{
	const struct locks_window *c = w->locks;
	char n[HUMAN_MAX], age[NET_WORDS_AGE], took[WORDS_PERCENTILES_MAX];

	if (x->longest->age != AGE_UNKNOWN)
		finding_evidence(f, "the longest waits for %s",
				 net_words_age(x->longest->age, x->longest->longest_s, age));
	evidence_holder(f, w, x);
	if (x->locks > 1)
		finding_evidence(f, "at most %s of them wait for the same one",
				 human_count(x->most_of_one, n));
	if (x->before)
		finding_evidence(f, "%s waited for %s at the look before",
				 human_count(x->before, n), x->locks > 1 ? "these" : "it");
	if (c->waits_known && c->waits)
		finding_evidence(
			f, "%s%s for locks ended in this window, %s",
			c->exactness == EXACT ? "" : "about ", human_counted(c->waits, "wait", n),
			words_percentiles(c->timed, c->p50_ns, c->p99_ns, c->max_ns, took));
}

static const char *advice(const struct window *w, const struct lock_wait_row *r)
{
	if (!w->locks->is_sought && waits_for_waiter(w, r))
		return "perhaps a deadlock: 'gospect snapshot PID' looks for it";
	return r->rw ? "hold it for less (no I/O or sleep under it), or split it by key"
		     : "hold it for less (no I/O or sleep under it), split it by key, or use an "
		       "RWMutex";
}

static void add_finding(const struct window *w, const struct waits *x, struct findings *out)
{
	struct finding *f = findings_add(out, "lock-contention", "lock-contention", SEVERITY_INFO,
					 &x->most->place);
	char n[HUMAN_MAX], m[HUMAN_MAX], place[WORDS_PLACE_MAX];

	if (!f)
		return;
	f->about.row = x->most;
	finding_title(
		f, "%s%s %s at %s for %s%s%s", x->most->exactness == EXACT ? "" : "about ",
		human_counted(x->waiters, "goroutine", n), x->waiters == 1 ? "waits" : "wait",
		words_place(&x->most->place, place, sizeof(place)),
		x->locks > 1 ? human_count(x->locks, m) : "one",
		x->locks > 1 ? " locks: " : " lock: ", x->most->kind ? x->most->kind : "a lock");
	finding_count(f, "waiters", x->waiters);
	finding_count(f, "locks", x->locks);
	if (x->longest->age != AGE_UNKNOWN)
		finding_number(f, "longest_wait_s", x->longest->longest_s);
	evidence(f, w, x);
	finding_advice(f, "%s", advice(w, x->most));
	f->exactness = x->most->exactness;
	f->weight = (double)x->waiters;
}

static void judge(const struct window *w, struct findings *out)
{
	struct waits x;

	for (int i = 0; w->locks->known && i < w->locks->nrow && i < MAX_JUDGED; i++)
		if (of_lock(w, i, &x) && is_contended(w, &x) && at_place(w, i, &x))
			add_finding(w, &x, out);
}

const struct detector lock_contention_detector = {
	.name = "lock-contention",
	.sensors = SENSOR_BIT(SENSOR_LOCKS),
	.of_waits = true,
	.judge = judge,
};
