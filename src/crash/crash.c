/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The process died.
 *
 * Finding: a panic that nobody recovered, a fatal error of the runtime, a signal, the OOM
 * killer, os.Exit with a status that is not 0.  The cause is what the program or the
 * kernel itself said, copied as it happened: nothing is inferred.
 * No finding: main returned, os.Exit(0).  A process that somebody else asked to end
 * (SIGTERM, SIGINT, SIGHUP) is a fact, no fault of anybody's: severity info.
 */
#include <signal.h>
#include <stdio.h>

#include "base/human.h"
#include "base/text.h"
#include "crash/subject.h"
#include "crash/window.h"

#define LINES           14
#define STACK_LINES     7
#define MESSAGE_COLUMNS 200

static bool was_asked(const struct crash_window *c)
{
	return c->cause == CRASH_BY_SIGNAL && c->sender.known &&
	       (c->signal == SIGTERM || c->signal == SIGINT || c->signal == SIGHUP);
}

static const char *title_of(const struct crash_window *c)
{
	switch (c->cause) {
	case CRASH_BY_PANIC:
		return "the process died of a panic that nobody recovered";
	case CRASH_BY_FATAL:
		return "the process died of a fatal error of the Go runtime";
	case CRASH_BY_OOM:
		return "the process was killed for want of memory";
	case CRASH_BY_SIGNAL:
		return was_asked(c) ? "the process was asked to end" : "the process was killed";
	default:
		return "the process ended itself";
	}
}

static void add_goroutine(struct finding *f, const struct crash_window *c)
{
	char place[WORDS_PLACE_MAX];
	const char *first = c->of_first ? " (the first; none was running)" : "";

	if (c->goroutine && c->created.function)
		finding_evidence(f, "goroutine %llu%s, created at %s",
				 (unsigned long long)c->goroutine, first,
				 words_place(&c->created, place, sizeof(place)));
	else if (c->goroutine)
		finding_evidence(f, "goroutine %llu%s", (unsigned long long)c->goroutine, first);
}

/* The user's part of the stack. */
static void add_stack(struct finding *f, const struct crash_window *c)
{
	const struct place *line[256];
	int n = stack_lines(&c->stacks, c->stack, line, 256), shown = 0;
	char place[WORDS_PLACE_MAX];

	for (int i = 0; i < n && shown < STACK_LINES - f->nevidence; i++) {
		if (stack_line_is_runtime(line[i]))
			continue;
		finding_evidence(f, "%s %s", shown++ ? "called by" : "in",
				 words_place(line[i], place, sizeof(place)));
	}
}

static void add_chain(struct finding *f, const struct crash_window *c)
{
	char text[MESSAGE_COLUMNS * 4 + 1];

	for (int i = c->npanic - 2; i >= 0 && i >= c->npanic - 3; i--)
		finding_evidence(f, "while it panicked already%s: %s",
				 c->panic[i].recovered ? " (recovered)" : "",
				 words_fit(c->panic[i].message[0] ? c->panic[i].message
								  : c->panic[i].type,
					   MESSAGE_COLUMNS / 2, text, sizeof(text)));
}

/* How the nil came to be called is not in the stack; an interface is the usual way. */
static void add_typed_nil(struct finding *f, const struct crash_window *c)
{
	char type[MESSAGE_COLUMNS * 4 + 1];

	if (c->typed_nil[0])
		finding_evidence(f,
				 "Error was called on a nil %s: an error that holds one is not nil",
				 words_fit(c->typed_nil, MESSAGE_COLUMNS / 3, type, sizeof(type)));
}

static void advise(struct finding *f, const struct crash_window *c)
{
	char text[MESSAGE_COLUMNS];

	if (c->typed_nil[0]) {
		finding_advice(f, "return nil, and not a nil pointer, as the error: gospect lint "
				  "finds lines that do");
		return;
	}

	switch (c->cause) {
	case CRASH_BY_PANIC:
		finding_advice(f, "mend the line; a panic in a goroutine of its own ends the whole "
				  "program unless that goroutine recovers it");
		break;
	case CRASH_BY_FATAL:
		finding_advice(f, "mend the line: a fatal error cannot be recovered");
		break;
	case CRASH_BY_OOM:
		finding_advice(f, "set GOMEMLIMIT below the limit of the container, and see what "
				  "keeps memory (memory-growth)");
		break;
	case CRASH_BY_SIGNAL:
		if (!was_asked(c) && c->sender.known)
			finding_advice(f, "ask %s",
				       words_fit(c->sender.name, 16, text, sizeof(text)));
		break;
	default:
		break;
	}
}

static void judge(const struct window *w, struct findings *out)
{
	const struct crash_window *c = w->crash;
	struct place at = { 0 };
	struct finding *f;
	bool placed;

	if (!c->known || (c->cause == CRASH_BY_EXIT && !c->exit_code))
		return;
	placed = stack_table_place(&c->stacks, c->stack, &at);
	f = findings_add(out, "crash", "crash", was_asked(c) ? SEVERITY_INFO : SEVERITY_CRITICAL,
			 placed ? &at : NULL);
	if (!f)
		return;
	f->weight = 1e18; /* what ended it comes first */
	f->exactness = EXACT;
	f->lines = LINES;
	finding_title(f, "%s: %s", title_of(c), c->says);
	if (c->status_known && c->exit_code >= 0)
		finding_count(f, "exit_status", (uint64_t)c->exit_code);
	add_chain(f, c);
	add_typed_nil(f, c);
	add_goroutine(f, c);
	add_stack(f, c);
	advise(f, c);
}

const struct detector crash_detector = {
	.name = "crash",
	.sensors = SENSOR_BIT(SENSOR_CRASH),
	.judge = judge,
};
