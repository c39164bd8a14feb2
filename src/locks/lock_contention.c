/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lock contention: goroutines that wait long for a mutex, or always some of
 * them.  Of one lock there must be
 *
 * - MIN_LONG waiters, the longest for MIN_WAIT_S,
 * - or MIN_MANY waiters at this look and at the one before; where the slow
 *   path's probe says that waits are short, and none of these is seen to wait
 *   for LONG_S, that is only a busy lock.  (The probe's median is of all locks
 *   of the process: a busy one must not hide a slow one.)
 *
 * Goroutines that wait in a cycle (deadlock.c) or that can never run again
 * (goroutine_leak.c) are reported there.
 */
#include "locks/subject.h"

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

static bool is_contended(const struct window *w, const struct lock_wait_row *r)
{
	const struct locks_window *c = w->locks;
	bool is_short = c->waits_known && c->waits && c->p50_ns < SHORT_NS;

	if (r->other || r->explained)
		return false;
	if (r->age != AGE_UNKNOWN && r->longest_s > LONG_S)
		is_short = false;
	if (r->waiters >= MIN_LONG && r->age != AGE_UNKNOWN && r->longest_s > MIN_WAIT_S)
		return true;
	return r->waiters >= MIN_MANY && r->waiters_before >= MIN_MANY && !is_short;
}

/* What waits at one place, for whichever locks. */
struct waits {
	const struct lock_wait_row *most; /* the row with most waiters */
	const struct lock_wait_row *longest;
	uint64_t waiters, locks;
};

/* False when an earlier row of that place was reported already. */
static bool at_place(const struct window *w, int first, struct waits *out)
{
	const struct lock_wait_row *row = w->locks->row;

	*out = (struct waits){ .most = &row[first], .longest = &row[first] };
	for (int i = 0; i < w->locks->nrow; i++) {
		const struct lock_wait_row *r = &row[i];

		if (i != first &&
		    (!place_equal(&r->place, &row[first].place) || !is_contended(w, r)))
			continue;
		if (i < first)
			return false;
		out->waiters += r->waiters;
		out->locks++;
		if (r->waiters > out->most->waiters)
			out->most = r;
		if (r->age != AGE_UNKNOWN &&
		    (out->longest->age == AGE_UNKNOWN || r->longest_s > out->longest->longest_s))
			out->longest = r;
	}
	return true;
}

static void evidence(struct finding *f, const struct window *w, const struct waits *x)
{
	const struct locks_window *c = w->locks;
	char n[HUMAN_MAX], a[HUMAN_MAX], b[HUMAN_MAX], age[NET_WORDS_AGE], place[WORDS_PLACE_MAX];

	if (x->longest->age != AGE_UNKNOWN)
		finding_evidence(f, "the longest waits for %s",
				 net_words_age(x->longest->age, x->longest->longest_s, age));
	if (x->most->waiters_before)
		finding_evidence(f, "%s waited for it at the look before",
				 human_count(x->most->waiters_before, n));
	if (x->most->holder && x->most->holder_at.function)
		finding_evidence(
			f,
			"goroutine %llu seems to hold it (inferred from stacks), and is now at %s",
			(unsigned long long)x->most->holder,
			words_place(&x->most->holder_at, place, sizeof(place)));
	else if (x->most->holder)
		finding_evidence(f, "goroutine %llu seems to hold it (inferred from stacks)",
				 (unsigned long long)x->most->holder);
	if (c->waits_known && c->waits)
		finding_evidence(f, "%s%s waits for locks ended in this window, p50 %s, p99 %s",
				 c->exactness == EXACT ? "" : "about ", human_count(c->waits, n),
				 human_seconds((double)c->p50_ns / 1e9, a),
				 human_seconds((double)c->p99_ns / 1e9, b));
}

static void add_finding(const struct window *w, const struct waits *x, struct findings *out)
{
	struct finding *f = findings_add(out, "lock-contention", "lock-contention", SEVERITY_INFO,
					 &x->most->place);
	char n[HUMAN_MAX], m[HUMAN_MAX], place[WORDS_PLACE_MAX];

	if (!f)
		return;
	finding_title(
		f, "%s goroutines wait at %s for %s%s%s", human_count(x->waiters, n),
		words_place(&x->most->place, place, sizeof(place)),
		x->locks > 1 ? human_count(x->locks, m) : "one",
		x->locks > 1 ? " locks: " : " lock: ", x->most->kind ? x->most->kind : "a lock");
	finding_count(f, "waiters", x->waiters);
	finding_count(f, "locks", x->locks);
	if (x->longest->age != AGE_UNKNOWN)
		finding_number(f, "longest_wait_s", x->longest->longest_s);
	evidence(f, w, x);
	finding_advice(
		f,
		"hold it for less (no I/O or sleep under it), split it by key, or use an RWMutex");
	f->exactness = EXACT;
	f->weight = (double)x->waiters;
}

static void judge(const struct window *w, struct findings *out)
{
	struct waits x;

	for (int i = 0; w->locks->known && i < w->locks->nrow; i++)
		if (is_contended(w, &w->locks->row[i]) && at_place(w, i, &x))
			add_finding(w, &x, out);
}

const struct detector lock_contention_detector = {
	.name = "lock-contention",
	.sensors = SENSOR_BIT(SENSOR_LOCKS),
	.of_waits = true,
	.judge = judge,
};
