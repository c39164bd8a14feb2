/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unbounded goroutine creation: a site whose goroutines become more and more,
 * though they still run now and then (a ticker, a slow call), or wait for I/O
 * or sleep.  Those that are parked for good are goroutine_leak.c's, and are
 * not reported here.
 *
 * The number alive keeps growing (growth.c), by much more than it ever fell on
 * the way, and either
 *
 * - most of what is started stays: at most KEPT_SHARE times as many were born
 *   in this window as were left over, growth of MIN_GROWN or more, and
 *   MIN_PER_MINUTE at least (a few connections more each minute are no flood),
 *
 * - or more are started than end, for SLOW_RUN_S or longer, and the number at
 *   least doubled and grew by SLOW_MIN_GROWN: a queue that is not kept up with.
 *
 * What the standard library starts for a dial is none: it ends by itself, and it is the host or the
 * resolver that is slow.
 *
 * A high birth rate alone is no flood: a goroutine per request that ends with it
 * is how Go programs are written.
 */
#include "goroutines/subject.h"

#include <stdio.h>
#include <string.h>

#include "base/human.h"
#include "goroutines/growth.h"
#include "base/text.h"
#include "model/sentence.h"

#define MIN_GROWN      10
#define MIN_PER_MINUTE 60
#define KEPT_SHARE     2
#define FALL_SHARE     4
#define SLOW_RUN_S     10
#define SLOW_MIN_GROWN 100
#define LIVED_LONGER   2 /* times as long as at first: worth a line */

/* At least half of those born in the window are still there. */
static bool most_stay(const struct site_row *s)
{
	if (!s->births_known || !(s->births + s->deaths))
		return true; /* nothing known against it */
	return s->live > s->live_at_start && (s->live - s->live_at_start) * KEPT_SHARE >= s->births;
}

static bool floods(const struct site_row *s, struct growth *g)
{
	growth_measure(s, 0, GROWTH_LIVE, g);
	if (!g->goes_on || g->grown < MIN_GROWN || g->max_fall * FALL_SHARE > g->grown)
		return false;
	if (most_stay(s) && g->per_minute >= MIN_PER_MINUTE)
		return true;
	return g->run_s >= SLOW_RUN_S && g->grown >= SLOW_MIN_GROWN && g->to >= 2 * g->from;
}

/* Blocked in the kernel: the runtime makes another thread for the others. */
static bool in_kernel(const struct wait_row *wait)
{
	return wait && wait->reason && !strcmp(wait->reason, "syscall");
}

/* "waiting in sleep", "running": what most of them do. */
static const char *doing(const struct wait_row *wait, char *out, size_t size)
{
	char reason[200];

	if (!wait || !wait->reason)
		return "running";
	if (in_kernel(wait))
		return "in a system call";
	words_fit(wait->reason, 48, reason, sizeof(reason));
	snprintf(out, size, wait->klass == WAIT_NOT ? "%s" : "in %s", reason);
	return out;
}

static const char *advice_for(const struct wait_row *wait)
{
	if (in_kernel(wait))
		return "a call that hangs in the kernel holds its thread and cannot be cancelled: "
		       "bound how many there may be (a semaphore), and start no new one while one "
		       "hangs";
	switch (wait ? wait->klass : WAIT_NOT) {
	case WAIT_IO:
		return "bound them (errgroup.SetLimit, a semaphore), and give the I/O a deadline";
	case WAIT_SLEEP:
		return "one goroutine with a ticker, or time.AfterFunc, instead of one sleeper "
		       "each";
	case WAIT_BLOCKED:
		return "let each loop end (return on ctx.Done(), stop its ticker), or start it "
		       "only once";
	default:
		return "bound them: a fixed pool of workers, a semaphore, or errgroup.SetLimit";
	}
}

static void evidence(struct finding *f, const struct window *w, const struct site_row *s,
		     const struct wait_row *wait, const struct growth *g)
{
	char a[HUMAN_MAX], b[HUMAN_MAX], c[HUMAN_MAX], place[WORDS_PLACE_MAX], what[240];
	const struct place *at = goroutine_wait_place(wait);
	uint64_t ran = 0;

	for (int i = g->begin + 1; i < s->npoint; i++)
		ran += s->point[i].ran;
	if (wait)
		finding_evidence(f, "%s of %s are %s%s%s", human_count(wait->count, a),
				 human_count(s->live, b), doing(wait, what, sizeof(what)),
				 at ? " at " : "", at ? words_place(at, place, sizeof(place)) : "");
	goroutine_evidence_lock(f, s);
	finding_evidence(f, "grew from %s to %s in %s; %s%s", human_count((uint64_t)g->from, a),
			 human_count((uint64_t)g->to, b), human_seconds(g->run_s, c),
			 ran ? "times one of them was seen running: "
			     : "none of them was seen running",
			 ran ? human_count(ran, what) : "");
	goroutine_evidence_births(f, w, s);
	if (s->lived_before_ns && s->lifetime.p50_ns >= LIVED_LONGER * s->lived_before_ns)
		finding_evidence(f,
				 "those that end live longer and longer: half of them for %s or "
				 "more, %s when first measured",
				 human_seconds((double)s->lifetime.p50_ns / 1e9, a),
				 human_seconds((double)s->lived_before_ns / 1e9, b));
}

static void evidence_threads(struct finding *f, const struct window *w, const struct growth *g)
{
	const struct process_window *p = &w->process;
	double left = p->threads_max - p->threads, per_s = g->per_minute / 60;
	char a[HUMAN_MAX], b[HUMAN_MAX], c[HUMAN_MAX];

	finding_evidence(
		f, "each holds a thread: %s now; Go ends the program at %s, at this rate in %s",
		human_count((uint64_t)p->threads, a), human_count((uint64_t)p->threads_max, b),
		human_seconds(left > 0 ? left / per_s : 0, c));
	finding_count(f, "threads", (uint64_t)p->threads);
	finding_count(f, "threads_max", (uint64_t)p->threads_max);
}

static void add_finding(const struct window *w, const struct site_row *s, const struct growth *g,
			struct findings *out)
{
	const struct wait_row *wait = goroutine_site_wait(s, WAIT_ANY);
	const struct place *handler = goroutine_wait_handler(wait);
	char count[HUMAN_MAX], rate[HUMAN_MAX], place[WORDS_PLACE_MAX], what[240];
	struct finding *f =
		findings_add(out, "goroutine-flood", "flood", growth_severity(w, g->run_s),
			     handler ? handler : &s->place);

	if (!f)
		return;
	finding_title(f,
		      "%s %s pile up: %s now, most of them %s, and growing by "
		      "%s a minute",
		      handler ? "requests in handler" : "goroutines created at",
		      words_place(&f->place, place, sizeof(place)), human_count(s->live, count),
		      doing(wait, what, sizeof(what)), human_rate(g->per_minute, rate));
	finding_count(f, "count", s->live);
	finding_number(f, "per_minute", g->per_minute);
	if (s->births_known && window_run_s(w) > 0)
		finding_number(f, "births_per_s", window_per_s(w, s->births));
	if (s->age != AGE_UNKNOWN)
		finding_number(f, "oldest_s", s->oldest_s);
	/* fewer threads: these calls are short, and the runtime has not made them */
	if (in_kernel(wait) && w->process.known && (uint64_t)w->process.threads >= wait->count / 2)
		evidence_threads(f, w, g);
	evidence(f, w, s, wait, g);
	finding_advice(f, "%s", advice_for(wait));
	f->since_s = g->run_s;
	f->weight = (double)s->live + g->per_minute;
}

static void judge(const struct window *w, struct findings *out)
{
	struct leak_signs signs;
	struct growth g;

	if (!w->goroutines->known)
		return;
	for (int i = 0; i < w->goroutines->nsite; i++) {
		const struct site_row *s = &w->goroutines->site[i];

		if (!goroutine_site_is_special(s) && !goroutine_site_is_dial(s) &&
		    !goroutine_leak_suspected(w, s, &signs) &&
		    goroutine_leaked_at(w, &s->place) * 2 < s->live + 1 && floods(s, &g))
			add_finding(w, s, &g, out);
	}
}

const struct detector goroutine_flood_detector = {
	.name = "goroutine-flood",
	.sensors = SENSOR_BIT(SENSOR_GOROUTINES),
	.judge = judge,
};
