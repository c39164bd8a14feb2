/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The process has been asked to end (SIGTERM, or the signal that --until-exit names), and
 * does not for over five seconds.
 *
 * Finding: that it lasts is a fact, and so is where the first goroutine stands: a Go
 * process ends when that one returns, or somebody calls os.Exit.  What else is there is
 * said as what it is, not as the cause: a server's Shutdown waits for requests, the rest
 * may have nothing to do with it.
 * No finding: it ends within five seconds, however much it had to do; it was stopped
 * meanwhile (SIGSTOP, a debugger).
 */
#include <stdio.h>
#include <string.h>

#include "base/human.h"
#include "base/text.h"
#include "crash/subject.h"
#include "crash/window.h"

#define SLOW_S      5.0
#define LINES       12
#define MAX_HANDLED 2 /* places of requests that are named, */
#define MAX_OTHERS  2 /* and of goroutines that have none */

static const struct shutdown_row *row_of(const struct shutdown_window *s, enum shutdown_what what)
{
	for (int i = 0; i < s->nrow; i++)
		if (s->row[i].what == what)
			return &s->row[i];
	return NULL;
}

static uint64_t count_of(const struct shutdown_window *s, enum shutdown_what what)
{
	uint64_t n = 0;

	for (int i = 0; i < s->nrow; i++)
		n += s->row[i].what == what ? s->row[i].count : 0;
	return n;
}

/* The goroutine that waits in Shutdown: the first one, or another. */
static const struct shutdown_row *stopper(const struct shutdown_window *s)
{
	for (int i = 0; i < s->nrow; i++)
		if (s->row[i].stops)
			return &s->row[i];
	return NULL;
}

static void add_asked(struct finding *f, const struct shutdown_window *s)
{
	char name[sizeof(s->sender.name) * 4], times[HUMAN_MAX + 16] = "", n[HUMAN_MAX];

	if (s->times > 1)
		snprintf(times, sizeof(times), ", %s times", human_count(s->times, n));
	if (!s->sender.known) {
		finding_evidence(f, "asked by %s%s%s", s->signal_name,
				 s->sender.itself ? " of its own" : "", times);
		return;
	}
	words_fit(s->sender.name, 16, name, sizeof(name));
	if (s->sender.pid)
		finding_evidence(f, "asked by %s from process %d (%s)%s", s->signal_name,
				 s->sender.pid, name, times);
	else
		finding_evidence(f, "asked by %s from %s%s", s->signal_name, name, times);
}

static void add_main(struct finding *f, const struct shutdown_row *r)
{
	char place[WORDS_PLACE_MAX], for_s[HUMAN_MAX + 16] = "", s[HUMAN_MAX];

	if (r->since_s >= 1)
		snprintf(for_s, sizeof(for_s), ", for at least %s", human_seconds(r->since_s, s));
	finding_evidence(f, "the main goroutine: %s at %s%s", r->reason,
			 words_place(&r->at, place, sizeof(place)), for_s);
}

static void add_stop(struct finding *f, const struct shutdown_window *s,
		     const struct shutdown_row *r)
{
	uint64_t n = count_of(s, SHUTDOWN_HANDLES);
	char place[WORDS_PLACE_MAX], text[HUMAN_MAX];

	words_place(&r->at, place, sizeof(place));
	if (n)
		finding_evidence(f, "%s waits for %s under way", place,
				 human_counted(n, "request", text));
	else
		finding_evidence(f, "%s waits; no request of a handler is under way", place);
}

static void add_handled(struct finding *f, const struct shutdown_window *s)
{
	char at[WORDS_PLACE_MAX], of[WORDS_PLACE_MAX], n[HUMAN_MAX];
	int shown = 0;

	for (int i = 0; i < s->nrow && shown < MAX_HANDLED; i++) {
		const struct shutdown_row *r = &s->row[i];

		if (r->what != SHUTDOWN_HANDLES)
			continue;
		shown++;
		words_place(&r->at, at, sizeof(at));
		human_counted(r->count, "request", n);
		if (r->of.function && r->at.function && !strcmp(r->of.function, r->at.function))
			finding_evidence(f, "%s: %s at %s", n, r->reason, at);
		else
			finding_evidence(f, "%s of %s: %s at %s", n,
					 words_place(&r->of, of, sizeof(of)), r->reason, at);
	}
}

static void add_others(struct finding *f, const struct shutdown_window *s)
{
	char place[WORDS_PLACE_MAX], n[HUMAN_MAX];
	uint64_t connections = count_of(s, SHUTDOWN_CONNECTION),
		 others = count_of(s, SHUTDOWN_OTHER);
	int shown = 0;

	if (s->transactions)
		finding_evidence(f, "%s open, the oldest begun at %s",
				 human_counted(s->transactions, "transaction", n),
				 words_place(&s->transaction, place, sizeof(place)));
	if (s->calls)
		finding_evidence(f, "%s to others under way, the oldest at %s",
				 human_counted(s->calls, "call", n),
				 words_place(&s->call, place, sizeof(place)));
	if (connections)
		finding_evidence(f, "%s of its servers without a handler of the program's",
				 human_counted(connections, "connection", n));
	for (int i = 0; i < s->nrow && shown < MAX_OTHERS; i++) {
		const struct shutdown_row *r = &s->row[i];

		if (r->what != SHUTDOWN_OTHER || !r->own)
			continue;
		finding_evidence(f, "%s: %s at %s", human_counted(r->count, "goroutine", n),
				 r->reason, words_place(&r->at, place, sizeof(place)));
		others -= r->count;
		shown++;
	}
	if (others)
		finding_evidence(f, "%s", human_counted(others, "other goroutine", n));
}

static void advise(struct finding *f, const struct shutdown_window *s)
{
	if (stopper(s) && count_of(s, SHUTDOWN_HANDLES))
		finding_advice(f, "give Shutdown a context with a deadline and call Close after "
				  "it; end handlers when their request's context, or one of "
				  "Server.BaseContext, is cancelled");
	else if (s->seen)
		finding_advice(f, "let what it waits for end when the signal comes: "
				  "signal.NotifyContext, and a deadline for the rest");
}

static void say_title(struct finding *f, const struct shutdown_window *s)
{
	char lasted[HUMAN_MAX];

	human_seconds(s->lasted_s, lasted);
	if (s->ended)
		finding_title(f, "the process took %s to end after %s", lasted, s->signal_name);
	else
		finding_title(f, "the process was asked to end %s ago and has not", lasted);
}

static void judge(const struct window *w, struct findings *out)
{
	const struct shutdown_window *s = &w->crash->shutdown;
	const struct shutdown_row *first = row_of(s, SHUTDOWN_MAIN), *stop = stopper(s);
	struct finding *f;

	if (!s->known || s->lasted_s <= SLOW_S)
		return;
	f = findings_add(out, "slow-shutdown", "slow-shutdown", SEVERITY_MEDIUM,
			 first && first->at.function ? &first->at : NULL);
	if (!f)
		return;
	f->weight = s->lasted_s;
	f->since_s = s->lasted_s;
	f->exactness = EXACT;
	f->lines = LINES;
	say_title(f, s);
	finding_number(f, "lasted_s", s->lasted_s);
	add_asked(f, s);
	if (first)
		add_main(f, first);
	if (stop)
		add_stop(f, s, stop);
	add_handled(f, s);
	add_others(f, s);
	advise(f, s);
}

const struct detector slow_shutdown_detector = {
	.name = "slow-shutdown",
	.sensors = SENSOR_BIT(SENSOR_CRASH),
	.of_waits = true,
	.judge = judge,
};
