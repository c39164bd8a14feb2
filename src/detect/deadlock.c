/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Deadlock: goroutines in a circle, each waiting for a lock that the next one
 * holds.  What each waits for is read; who holds it is written nowhere in Go
 * and inferred from stacks (target/golocks.h), and the finding says so.  Circles
 * found in several places of one program are one finding each; the same circle
 * met by more goroutines is the same finding.
 */
#include "detect/deadlock.h"

#include <string.h>

#include "base/human.h"
#include "detect/wording.h"

#define MAX_SHOWN 4		/* goroutines of the circle in the evidence */

/* The place that stands for the circle, whichever goroutine it is found from. */
static const struct deadlock_member *first_of(const struct deadlock_member *m, uint32_t n)
{
	const struct deadlock_member *best = m;

	for (uint32_t i = 1; i < n; i++) {
		int c = strcmp(m[i].at.function ? m[i].at.function : "", best->at.function ? best->at.function : "");

		if (c < 0 || (!c && m[i].at.line < best->at.line))
			best = &m[i];
	}
	return best;
}

static void evidence(struct finding *f, const struct deadlock_member *m, uint32_t n)
{
	char at[WORDS_PLACE_MAX], held[WORDS_PLACE_MAX];

	for (uint32_t i = 0; i < n && i < MAX_SHOWN; i++) {
		const struct deadlock_member *next = &m[(i + 1) % n];

		words_place_short(&m[i].at, at, sizeof(at));
		if (next->held_at.function)
			finding_evidence(f, "goroutine %llu waits at %s for the lock goroutine %llu took at %s (inferred)",
					 (unsigned long long)m[i].goid, at, (unsigned long long)next->goid,
					 words_place_short(&next->held_at, held, sizeof(held)));
		else
			finding_evidence(f, "goroutine %llu waits at %s for a lock of goroutine %llu",
					 (unsigned long long)m[i].goid, at, (unsigned long long)next->goid);
	}
}

static void add_finding(const struct window *w, const struct deadlock *d, struct findings *out)
{
	const struct deadlock_member *m = &w->locks.member[d->first], *first = first_of(m, d->n);
	struct finding *f = findings_add(out, "deadlock", "deadlock", SEVERITY_CRITICAL, &first->at);
	char place[WORDS_PLACE_MAX], count[HUMAN_MAX], waiting[HUMAN_MAX];
	uint32_t leaked = 0;

	if (!f)
		return;
	for (uint32_t i = 0; i < d->n; i++)
		leaked += m[i].leaked;
	finding_title(f, "deadlock: %s goroutines wait for each other's locks, one of them at %s%s%s%s",
		      human_count(d->n, count), words_place(&first->at, place, sizeof(place)),
		      d->waiting > d->n ? "; " : "", d->waiting > d->n ? human_count(d->waiting - d->n, waiting) : "",
		      d->waiting > d->n ? " more wait behind them" : "");
	finding_count(f, "count", d->n);
	finding_count(f, "waiting", d->waiting);
	evidence(f, m, d->n);
	finding_evidence(f, leaked == d->n ? "nothing that can still run reaches these locks; who holds which is inferred "
			 "from the stacks" : "who holds which lock is inferred from the stacks");
	finding_advice(f, "take the locks in the same order everywhere, or only one at a time");
	f->exactness = ESTIMATED;
	f->weight = (double)d->waiting;
}

/* A finding of this circle's place is there already. */
static bool is_known(const struct findings *out, const struct window *w, const struct deadlock *d)
{
	const struct deadlock_member *first = first_of(&w->locks.member[d->first], d->n);

	for (int i = 0; i < out->n; i++)
		if (!strcmp(out->f[i].kind, "deadlock") && out->f[i].place.line == first->at.line &&
		    out->f[i].place.function == first->at.function)
			return true;
	return false;
}

static void judge(const struct window *w, struct findings *out)
{
	for (int i = 0; i < w->locks.ndeadlock; i++)
		if (!is_known(out, w, &w->locks.deadlock[i]))
			add_finding(w, &w->locks.deadlock[i], out);
}

const struct detector deadlock_detector = {
	.name = "deadlock",
	.sensors = SENSOR_BIT(SENSOR_GOROUTINES),
	.judge = judge,
};
