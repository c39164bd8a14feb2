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

#define MAX_SHOWN 6 /* goroutines of the cycle in the evidence, a line each */

/* The place that stands for a cycle, whichever goroutine it is found from. */
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

/* " at main.go:7", of what the goroutine would do; a lock it just holds. */
static const char *where(const struct deadlock_member *m, char *out, size_t size)
{
	out[0] = '\0';
	if (m->wakeup != DEADLOCK_UNLOCKS && m->wakeup_at.function)
		snprintf(out, size, " at %.40s:%d", m->wakeup_at.file, m->wakeup_at.line);
	return out;
}

/* A line: what goroutine m waits for, which the next one would do. */
static void evidence_of(struct finding *f, const struct deadlock_member *m,
			const struct deadlock_member *next)
{
	static const char *const waits[] = {
		[DEADLOCK_LOCK] = "for a lock that",
		[DEADLOCK_READ_LOCK] = "to read under a lock that",
		[DEADLOCK_SEND] = "to send to a channel that",
		[DEADLOCK_RECEIVE] = "to receive from a channel that",
		[DEADLOCK_GROUP] = "for a wait group that",
	};
	static const char *const acts[] = {
		[DEADLOCK_UNLOCKS] = "holds",
		[DEADLOCK_LOCKS_FIRST] = "wants to write under and asked for first",
		[DEADLOCK_RECEIVES] = "would receive from",
		[DEADLOCK_SENDS] = "would send to",
		[DEADLOCK_CLOSES] = "would close",
		[DEADLOCK_IS_DONE] = "would call Done on",
	};
	char at[WORDS_PLACE_MAX], there[64], who[48];

	if (next->goid == m->goid)
		snprintf(who, sizeof(who), "it");
	else
		snprintf(who, sizeof(who), "goroutine %llu", (unsigned long long)next->goid);
	finding_evidence(f, "goroutine %llu at %s waits %s %s %s%s", (unsigned long long)m->goid,
			 words_place_short(&m->at, at, sizeof(at)), waits[m->wait], who,
			 acts[next->wakeup], where(next, there, sizeof(there)));
}

static void evidence(struct finding *f, const struct deadlock_member *m, uint32_t n)
{
	/* the last of six gives way to the number of the others */
	uint32_t shown = n > MAX_SHOWN ? MAX_SHOWN - 1 : n;

	for (uint32_t i = 0; i < shown; i++)
		evidence_of(f, &m[i], &m[(i + 1) % n]);
	if (n > shown)
		finding_evidence(f, "and %u more, the last of them for what goroutine %llu has",
				 n - shown, (unsigned long long)m[0].goid);
	f->lines = 2 * (int)shown + 6; /* none of it is cut */
}

/* A reader that reads again under its own read lock, with a writer in between; NULL. */
static const struct deadlock_member *reads_again(const struct deadlock_member *m, uint32_t n)
{
	if (n != 2 || m[0].lock != m[1].lock)
		return NULL;
	for (uint32_t i = 0; i < n; i++)
		if (m[i].wait == DEADLOCK_READ_LOCK && m[1 - i].wakeup == DEADLOCK_LOCKS_FIRST &&
		    m[i].wakeup == DEADLOCK_UNLOCKS)
			return &m[i];
	return NULL;
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

/* Whose read lock it is that it has: the function that gives it back, and where. */
static const char *before(const struct deadlock_member *m, char *out, size_t size)
{
	char name[96], own[256];
	char *wrapper;

	if (!m->wakeup_at.function)
		return "before";
	snprintf(own, sizeof(own), "%s", m->wakeup_at.function);
	wrapper = strstr(own, "·dwrap·"); /* 1.18; ".func1" up to 1.20, ".deferwrap1" */
	if (!wrapper)
		wrapper = strrchr(own, '.');
	if (wrapper && m->wakeup_deferred)
		*wrapper = '\0';
	snprintf(out, size, "before, in %s (%.40s:%d)", words_fit_end(own, 60, name, sizeof(name)),
		 m->wakeup_at.file, m->wakeup_at.line);
	return out;
}

static void title(struct finding *f, const struct deadlock *d, const struct deadlock_member *m,
		  const struct place *at)
{
	char place[WORDS_PLACE_MAX], count[HUMAN_MAX], waiting[HUMAN_MAX], more[80] = "",
									   first[160];

	if (d->waiting > d->n)
		snprintf(more, sizeof(more), "; %s more wait%s behind %s",
			 human_count(d->waiting - d->n, waiting), d->waiting - d->n == 1 ? "s" : "",
			 d->n == 1 ? "it" : "them");
	words_place(at, place, sizeof(place));
	if (reads_again(m, d->n))
		finding_title(f,
			      "deadlock: a goroutine read-locks at %s what it has read-locked "
			      "%s, and a writer waits in between%s",
			      place, before(reads_again(m, d->n), first, sizeof(first)), more);
	else if (d->n == 1)
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
	if (reads_again(m, n))
		return "do not take a read lock twice: once a writer waits, no reader gets in; "
		       "split it into one function that locks and one that expects it locked";
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

static const struct deadlock_member *stands_for(const struct deadlock_member *m, uint32_t n)
{
	const struct deadlock_member *again = reads_again(m, n);

	return again ? again : first_of(m, n);
}

static void add_finding(const struct window *w, const struct deadlock *d, struct findings *out)
{
	const struct deadlock_member *m = &w->goroutines->deadlocks.member[d->first],
				     *first = stands_for(m, d->n);
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
	finding_evidence(f,
			 "inferred from stacks and code: who holds which lock, and would do what "
			 "next%s",
			 leaked == d->n  ? "; nobody else who can run reaches it"
			 : stuck == d->n ? "; if so, nobody else who can run reaches it"
					 : "");
	finding_advice(f, "%s", advice(m, d->n));
	f->exactness = ESTIMATED;
	f->weight = (double)d->waiting;
}

/* A finding of this cycle's place is there already. */
static bool is_known(const struct findings *out, const struct window *w, const struct deadlock *d)
{
	const struct deadlock_member *first =
		stands_for(&w->goroutines->deadlocks.member[d->first], d->n);

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
