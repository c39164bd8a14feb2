/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Deadlock: goroutines in a cycle, each waiting for what the next one would do,
 * or one that waits for a lock which it holds itself.  What each waits for is
 * read; who would end the wait is written nowhere in Go and inferred from stacks
 * and code (goroutines/deadlocks.c), and the finding says so.  Cycles found in
 * several places of one program are one finding each; the same cycle met by more
 * goroutines is the same finding.
 */
#include "goroutines/subject.h"

#include <stdio.h>
#include <string.h>

#include "base/human.h"
#include "base/text.h"
#include "goroutines/window.h"

#define MAX_SHOWN 4 /* goroutines of the cycle in the evidence */

/* The place that stands for the cycle, whichever goroutine it is found from. */
static const struct deadlock_member *first_of(const struct deadlock_member *m, uint32_t n)
{
	const struct deadlock_member *best = m;

	for (uint32_t i = 1; i < n; i++) {
		int c = strcmp(m[i].at.function ? m[i].at.function : "",
			       best->at.function ? best->at.function : "");

		if (c < 0 || (!c && m[i].at.line < best->at.line))
			best = &m[i];
	}
	return best;
}

/* What goroutine m waits for, as the goroutine that would end it sees it. */
static void evidence_of(struct finding *f, const struct deadlock_member *m,
			const struct deadlock_member *next)
{
	static const char *const waits[] = {
		[DEADLOCK_LOCK] = "for the lock",
		[DEADLOCK_READ_LOCK] = "to read under the lock",
		[DEADLOCK_SEND] = "to send to the channel",
		[DEADLOCK_RECEIVE] = "to receive from the channel",
		[DEADLOCK_GROUP] = "for the wait group",
	};
	static const char *const acts[] = {
		[DEADLOCK_UNLOCKS] = "holds and would release",
		[DEADLOCK_LOCKS_FIRST] = "waits to lock for writing, before all new readers,",
		[DEADLOCK_RECEIVES] = "would receive from",
		[DEADLOCK_SENDS] = "would send to",
		[DEADLOCK_CLOSES] = "would close",
		[DEADLOCK_IS_DONE] = "would call Done on",
	};
	char at[WORDS_PLACE_MAX], there[WORDS_PLACE_MAX], who[48];
	const struct place *p = next->held_at.function                 ? &next->held_at
				: next->wakeup == DEADLOCK_LOCKS_FIRST ? &next->at
								       : &next->wakeup_at;

	if (next->goid == m->goid)
		snprintf(who, sizeof(who), "itself");
	else
		snprintf(who, sizeof(who), "goroutine %llu", (unsigned long long)next->goid);
	words_place_short(&m->at, at, sizeof(at));
	words_place_short(p, there, sizeof(there));
	if (next->held_at.function)
		finding_evidence(f, "goroutine %llu waits at %s %s %s took at %s (inferred)",
				 (unsigned long long)m->goid, at, waits[m->wait], who, there);
	else
		finding_evidence(f, "goroutine %llu waits at %s %s that %s %s%s%s",
				 (unsigned long long)m->goid, at, waits[m->wait],
				 next->goid == m->goid ? "it" : who, acts[next->wakeup],
				 p->function ? " at " : "", p->function ? there : "");
}

static void evidence(struct finding *f, const struct deadlock_member *m, uint32_t n)
{
	for (uint32_t i = 0; i < n && i < MAX_SHOWN; i++)
		evidence_of(f, &m[i], &m[(i + 1) % n]);
}

static bool only_locks(const struct deadlock_member *m, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (m[i].wait != DEADLOCK_LOCK && m[i].wait != DEADLOCK_READ_LOCK)
			return false;
	return true;
}

static bool any_channel(const struct deadlock_member *m, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (m[i].wait == DEADLOCK_SEND || m[i].wait == DEADLOCK_RECEIVE)
			return true;
	return false;
}

static void title(struct finding *f, const struct deadlock *d, const struct deadlock_member *m,
		  const struct place *at)
{
	char place[WORDS_PLACE_MAX], count[HUMAN_MAX], waiting[HUMAN_MAX], more[80] = "";

	if (d->waiting > d->n)
		snprintf(more, sizeof(more), "; %s more wait%s behind %s",
			 human_count(d->waiting - d->n, waiting), d->waiting - d->n == 1 ? "s" : "",
			 d->n == 1 ? "it" : "them");
	words_place(at, place, sizeof(place));
	if (d->n == 1)
		finding_title(
			f, "deadlock: a goroutine waits for a lock that it holds itself, at %s%s",
			place, more);
	else
		finding_title(f,
			      "deadlock: %s goroutines wait for each other%s, one of them at %s%s",
			      human_count(d->n, count), only_locks(m, d->n) ? "'s locks" : "",
			      place, more);
}

static const char *advice(const struct deadlock_member *m, uint32_t n)
{
	if (n == 1)
		return "call it without the lock held, or split it into one function that locks "
		       "and one that expects the lock held; a read lock cannot be upgraded";
	if (only_locks(m, n))
		return "take the locks in the same order everywhere, or only one at a time";
	if (any_channel(m, n))
		return "do not wait on a channel while holding a lock that the other end needs; "
		       "let one side give up: a buffer, or select with ctx.Done()";
	return "do not wait for others while holding a lock that they need";
}

static void add_finding(const struct window *w, const struct deadlock *d, struct findings *out)
{
	const struct deadlock_member *m = &w->goroutines->deadlocks.member[d->first],
				     *first = first_of(m, d->n);
	struct finding *f =
		findings_add(out, "deadlock", "deadlock", SEVERITY_CRITICAL, &first->at);
	uint32_t leaked = 0, stuck = 0;

	if (!f)
		return;
	for (uint32_t i = 0; i < d->n; i++) {
		leaked += m[i].leaked;
		stuck += m[i].stuck;
	}
	title(f, d, m, &first->at);
	finding_count(f, "count", d->n);
	finding_count(f, "waiting", d->waiting);
	evidence(f, m, d->n);
	if (leaked == d->n)
		finding_evidence(f,
				 "nothing that can still run reaches what they wait for; which "
				 "goroutine would unblock which is inferred from stacks and code");
	else if (stuck == d->n)
		finding_evidence(
			f, "which goroutine holds which lock is inferred from stacks and code; if "
			   "that holds, nothing that can still run reaches what they wait for");
	else
		finding_evidence(
			f, "which goroutine would unblock which is inferred from stacks and code");
	finding_advice(f, "%s", advice(m, d->n));
	f->exactness = ESTIMATED;
	f->weight = (double)d->waiting;
}

/* A finding of this cycle's place is there already. */
static bool is_known(const struct findings *out, const struct window *w, const struct deadlock *d)
{
	const struct deadlock_member *first =
		first_of(&w->goroutines->deadlocks.member[d->first], d->n);

	for (int i = 0; i < out->n; i++)
		if (!strcmp(out->f[i].kind, "deadlock") &&
		    place_equal(&out->f[i].place, &first->at))
			return true;
	return false;
}

static void judge(const struct window *w, struct findings *out)
{
	for (int i = 0; i < w->goroutines->deadlocks.ndeadlock; i++)
		if (!is_known(out, w, &w->goroutines->deadlocks.deadlock[i]))
			add_finding(w, &w->goroutines->deadlocks.deadlock[i], out);
}

const struct detector deadlock_detector = {
	.name = "deadlock",
	.sensors = SENSOR_BIT(SENSOR_GOROUTINES),
	.judge = judge,
};
