/* SPDX-License-Identifier: BSD-2-Clause */
#include "crash/tables.h"

#include "base/text.h"
#include "crash/window.h"
#include "model/sentence.h"

static const struct stack_table *crash_stacks(const struct window *w)
{
	return &w->crash->stacks;
}

static bool has_status(const struct row *r)
{
	return ((const struct crash_window *)r->row)->status_known &&
	       ((const struct crash_window *)r->row)->exit_code >= 0;
}

#define S struct crash_panic
static const struct column panic_column[] = {
	CHARS(S, message, "message", "as the program prints it, at most 1,024 bytes",
	      .flags = COLUMN_ABSENT_0),
	CHARS(S, type, "type", "of the value", .flags = COLUMN_ABSENT_0),
	FLAG(S, recovered, "recovered", "it was, before the next one came"),
};
#undef S

static const struct table panics = TABLE("panic", "A panic of the chain, the first one first.",
					 struct crash_panic, panic_column);

#define S struct crash_other
static const struct column other_column[] = {
	TEXT(S, reason, "reason", "what it waits for, as the runtime has it"),
	PLACE(S, created, "created", "its go statement"),
	COUNT(S, count, "count", "goroutines"),
	GOID(S, goroutine, "goroutine", "the lowest id of them"),
};
#undef S

static const struct table others =
	TABLE("other", "Other goroutines of the program's own when one died.", struct crash_other,
	      other_column);

#define S struct crash_sender
static const struct column sender_column[] = {
	INT(S, pid, "pid",
	    "process, as gospect numbers it; absent where it is in another namespace",
	    .flags = COLUMN_ABSENT_0),
	CHARS(S, name, "name", "of the thread that sent it"),
};
#undef S

static const struct table sender =
	TABLE("sender", "Who sent the signal.", struct crash_sender, sender_column);

#define S struct shutdown_row
static bool is_dated(const struct row *r)
{
	return ((const S *)r->row)->what <= SHUTDOWN_STOPS;
}

static const struct column shutdown_row_column[] = {
	WORD(S, what, "what", shutdown_what_word,
	     "main: the first goroutine, with which the process ends; stops_server: in a server's "
	     "Shutdown or GracefulStop; handles_request; connection: of a server, without a "
	     "function of the program's; other"),
	FLAG(S, stops, "stops_server", "it is in Shutdown or GracefulStop",
	     .flags = COLUMN_ABSENT_0),
	PLACE(S, at, "place",
	      "where it stands in the program's code; where none of it is: in the standard "
	      "library"),
	PLACE(S, of, "handler", "of a request: the program's outermost function"),
	PLACE(S, created, "created", "its go statement"),
	TEXT(S, reason, "reason", "what it waits for, as the runtime has it"),
	COUNT(S, count, "count", "goroutines"),
	GOID(S, goroutine, "goroutine", "the lowest id of them"),
	REAL(S, since_s, "at_least_s", 0.001, "looks have seen it there for so long",
	     .known = is_dated),
};
#undef S

static const struct table shutdown_rows =
	TABLE("shutdown_wait", "Goroutines that are there while a process ends.",
	      struct shutdown_row, shutdown_row_column);

#define S struct shutdown_window
static bool has_asker(const struct row *r)
{
	return ((const S *)r->row)->sender.known;
}

static bool was_looked_at(const struct row *r)
{
	return ((const S *)r->row)->seen;
}

static bool knows_calls(const struct row *r)
{
	return ((const S *)r->row)->calls_known;
}

static bool knows_transactions(const struct row *r)
{
	return ((const S *)r->row)->transactions_known;
}

static const struct column shutdown_column[] = {
	TEXT(S, signal_name, "signal", "that asked it to end"),
	COUNT(S, times, "times", "that it came"),
	COLUMN(COLUMN_OBJECT, "sender", offsetof(S, sender), "another process that sent it",
	       .sub = &sender, .flags = COLUMN_INSIDE | COLUMN_SOMETIMES, .known = has_asker),
	TIME(S, real_ns, "time", "when it came first"),
	REAL(S, lasted_s, "lasted_s", 0.001, "until now, or until the process had ended"),
	FLAG(S, ended, "ended", "the process has"),
	REAL(S, seen_s, "seen_s", 0.001, "the goroutines below are of so long after the signal",
	     .known = was_looked_at),
	COUNT(S, goroutines, "goroutines", "of the program's own", .known = was_looked_at),
	COUNT(S, left_out, "left_out", "in no row: there are too many", .flags = COLUMN_ABSENT_0),
	ROWS(S, row, nrow, "waits", &shutdown_rows,
	     "goroutines by what they do and where they stand, the main one first"),
	COUNT(S, calls, "calls", "to others under way (HTTP, gRPC)", .known = knows_calls),
	COUNT(S, transactions, "transactions", "of databases open", .known = knows_transactions),
};
#undef S

static const void *shutdown_part(const struct window *w)
{
	return w->crash->shutdown.known ? &w->crash->shutdown : NULL;
}

const struct table shutdown_object =
	TABLE("shutdown", "A process that has been asked to end.", struct shutdown_window,
	      shutdown_column, .part = shutdown_part);

#define S struct crash_oom
static const struct column oom_column[] = {
	BYTES(S, anon_bytes, "anon_bytes", "the process's own memory, roughly"),
	BYTES(S, file_bytes, "file_bytes", "of mapped files"),
	BYTES(S, shared_bytes, "shared_bytes", "shared memory"),
};
#undef S

static const struct table oom =
	TABLE("oom", "What the kernel's OOM killer counted.", struct crash_oom, oom_column);

#define S struct crash_window
static bool has_sender(const struct row *r)
{
	return ((const S *)r->row)->sender.known;
}

static bool was_oom(const struct row *r)
{
	return ((const S *)r->row)->cause == CRASH_BY_OOM;
}

static const struct column crash_column[] = {
	WORD(S, cause, "cause", crash_cause_word, "what it ended of"),
	TEXT(S, says, "says", "the same in one line, for people"),
	CHARS(S, message, "message",
	      "of the panic or the fatal error, at most 1,024 bytes; absent with --redact-messages",
	      .flags = COLUMN_ABSENT_0),
	FLAG(S, message_cut, "message_cut", "the message is longer", .flags = COLUMN_ABSENT_0),
	CHARS(S, type, "type", "of the value it panicked with", .flags = COLUMN_ABSENT_0),
	CHARS(S, typed_nil, "typed_nil",
	      "type of the nil pointer whose Error was called and read through it",
	      .flags = COLUMN_ABSENT_0),
	GOID(S, goroutine, "goroutine", "that died, or called os.Exit"),
	FLAG(S, of_first, "first_goroutine",
	     "no goroutine was running: this is the first, and where it waits",
	     .flags = COLUMN_ABSENT_0),
	PLACE(S, created, "created", "its go statement; the main goroutine has none"),
	STACK(S, stack, crash_stacks, "of the goroutine, innermost first, inlined frames included"),
	FLAG(S, stack_whole, "stack_whole", "the stack is there to where the goroutine began"),
	ROWS(S, panic, npanic, "chain", &panics,
	     "panics, the first one first, where one came while another was under way"),
	ROWS(S, other, nother, "others", &others, "the other goroutines, by what they waited for"),
	COUNT(S, others_read, "others_read", "of the others", .flags = COLUMN_ABSENT_0),
	COUNT(S, others_total, "others_total",
	      "of how many, at most: what was not read has the runtime's own and ended ones, too",
	      .flags = COLUMN_ABSENT_0),
	TEXT(S, signal_name, "signal", "that killed it, or that Go's handler ended it for",
	     .flags = COLUMN_SOMETIMES),
	COLUMN(COLUMN_OBJECT, "sender", offsetof(S, sender), "another process that sent it",
	       .sub = &sender, .flags = COLUMN_INSIDE | COLUMN_SOMETIMES, .known = has_sender),
	COLUMN(COLUMN_OBJECT, "oom", offsetof(S, oom), "the OOM killer", .sub = &oom,
	       .flags = COLUMN_INSIDE | COLUMN_SOMETIMES, .known = was_oom),
	INT(S, exit_code, "exit_code", "of exit(2); absent where a signal killed it",
	    .known = has_status),
	TIME(S, real_ns, "time", "when"),
};
#undef S

static const void *crash_part(const struct window *w)
{
	return w->crash->known ? w->crash : NULL;
}

const struct table crash_object = TABLE("crash", "How the process ended: in the last report.",
					struct crash_window, crash_column, .part = crash_part);

/* ---- for people ---- */

#define MAX_LINES  60 /* of the stack */
#define MAX_OTHERS 10

static bool any_stack(const struct window *w)
{
	return w->crash->known && w->crash->stack != STACK_NONE &&
	       !(w->crash->cause == CRASH_BY_EXIT && !w->crash->exit_code);
}

static void crash_sentence(const struct window *w, struct buf *out)
{
	const struct crash_window *c = w->crash;

	if (c->goroutine)
		sentence_count(out, "the stack of goroutine ", c->goroutine, "");
	else
		buf_puts(out, "the stack");
	if (c->type[0]) {
		buf_puts(out, "; it panicked with ");
		sentence_name(out, "", c->type, 80);
	}
	if (!c->stack_whole)
		buf_puts(out, "; what is deeper was not kept");
}

static void other_lines(const struct crash_window *c, struct buf *out)
{
	char text[WORDS_PLACE_MAX];

	if (!c->nother)
		return;
	buf_printf(out, "  others: %llu", (unsigned long long)c->others_read);
	if (c->others_read < c->others_total)
		buf_printf(out, " of at most %llu", (unsigned long long)c->others_total);
	buf_puts(out, "\n");
	for (int i = 0; i < c->nother && i < MAX_OTHERS; i++)
		buf_printf(out, "  %6llu  %s%s%s\n", (unsigned long long)c->other[i].count,
			   c->other[i].reason, c->other[i].created.function ? ", created at " : "",
			   c->other[i].created.function
				   ? words_place(&c->other[i].created, text, sizeof(text))
				   : "");
	if (c->nother > MAX_OTHERS)
		buf_printf(out, "  and of %d kinds more\n", c->nother - MAX_OTHERS);
}

static void stack_lines_of(const struct window *w, struct buf *out)
{
	const struct place *line[SCHEMA_MAX_FRAMES];
	int n = stack_lines(&w->crash->stacks, w->crash->stack, line, SCHEMA_MAX_FRAMES);
	char text[WORDS_PLACE_MAX];

	for (int i = 0; i < n && i < MAX_LINES; i++)
		buf_printf(out, "  %s\n", words_place(line[i], text, sizeof(text)));
	if (n > MAX_LINES)
		buf_printf(out, "  and %d more\n", n - MAX_LINES);
	other_lines(w->crash, out);
}

const struct table crash_summary = {
	.name = "crash",
	.label = "crash",
	.title = "Crash",
	.any = any_stack,
	.sentence = crash_sentence,
	.below = stack_lines_of,
};

/* ---- the shutdown ---- */

#define MAX_WAITS     10
#define PLACE_COLUMNS 48

static bool any_shutdown(const struct window *w)
{
	return w->crash->shutdown.known;
}

static void shutdown_sentence(const struct window *w, struct buf *out)
{
	const struct shutdown_window *s = &w->crash->shutdown;

	buf_printf(out, "%s came ", s->signal_name);
	if (s->ended)
		sentence_seconds(out, "and the process ended ", s->lasted_s, " later");
	else
		sentence_seconds(out, "", s->lasted_s, " ago");
	if (!s->seen) {
		buf_puts(out, "; its goroutines were not looked at meanwhile");
		return;
	}
	sentence_seconds(out, "; what was there ", s->seen_s, " after it:");
	sentence_counted(out, " ", s->goroutines, "goroutine");
	if (s->calls_known)
		sentence_counted(out, ", ", s->calls, "call");
	if (s->transactions_known)
		sentence_counted(out, ", ", s->transactions, "transaction");
}

static const char *people_call(const struct shutdown_row *r)
{
	static const char *const word[SHUTDOWN_WHATS] = {
		[SHUTDOWN_MAIN] = "main goroutine",   [SHUTDOWN_STOPS] = "stops a server",
		[SHUTDOWN_HANDLES] = "has a request", [SHUTDOWN_CONNECTION] = "connection",
		[SHUTDOWN_OTHER] = "other",
	};

	return word[r->what];
}

static void shutdown_lines(const struct window *w, struct buf *out)
{
	const struct shutdown_window *s = &w->crash->shutdown;
	char text[WORDS_PLACE_MAX], fit[PLACE_COLUMNS * 4 + 8];

	for (int i = 0; i < s->nrow && i < MAX_WAITS; i++) {
		const struct shutdown_row *r = &s->row[i];
		struct place at = r->at.function ? r->at : r->created;

		at.in = r->own ? at.in : NULL; /* it is all the library's */
		buf_printf(out, "  %6llu  %-15s %s: %s\n", (unsigned long long)r->count,
			   people_call(r),
			   words_fit(words_place_short(&at, text, sizeof(text)), PLACE_COLUMNS, fit,
				     sizeof(fit)),
			   r->reason);
	}
	if (s->nrow > MAX_WAITS)
		buf_printf(out, "  and goroutines of %d places more\n", s->nrow - MAX_WAITS);
}

const struct table shutdown_summary = {
	.name = "shutdown",
	.label = "shutdown",
	.title = "Shutdown",
	.any = any_shutdown,
	.sentence = shutdown_sentence,
	.below = shutdown_lines,
};

/* ---- panics that are recovered ---- */

static void type_cell(const struct row *r, struct buf *out)
{
	const struct panic_row *p = r->row;

	sentence_name(out, "", p->type[0] ? p->type : "-", 30);
}

static void message_cell(const struct row *r, struct buf *out)
{
	const struct panic_row *p = r->row;

	sentence_name(out, "", p->message[0] ? p->message : "-", 60);
}

#define S struct panic_row
static const struct column recovered_column[] = {
	PLACE(S, place, "place", "the line that panicked, or that called what did",
	      SHOWN(1, "panicked at"), .min = 24, .none = "?", .flags = COLUMN_NAME_REST, .id = 1),
	COUNT(S, recovered, "recovered", "panics of this window that a recover() ended",
	      SHOWN(2, "recovered"), .flags = COLUMN_MARK),
	CHARS(S, type, "type", "of the value of the first one", .cell = type_cell, SHOWN(3, "type"),
	      .min = 10, .flags = COLUMN_ABSENT_0 | COLUMN_NO_REST),
	CHARS(S, message, "message",
	      "of the first one, at most 1,024 bytes: of strings, numbers, and errors of "
	      "errors.New, fmt.Errorf and the runtime; absent with --redact-messages",
	      .cell = message_cell, SHOWN(4, "message of the first"), .min = 16,
	      .flags = COLUMN_ABSENT_0 | COLUMN_NO_REST),
	EXACTNESS(S, exactness, RATE(S, rate)),
};
#undef S

static bool any_recovered(const struct window *w)
{
	return w->crash->nrecovered;
}

static void recovered_sentence(const struct window *w, struct buf *out)
{
	const struct crash_window *c = w->crash;
	uint64_t n = 0;

	for (int i = 0; i < c->nrecovered; i++)
		n += c->recovered[i].recovered;
	buf_puts(out, exactness_mark(c->nrecovered ? c->recovered[0].exactness : EXACT));
	sentence_counted(out, "", n, "panic");
	buf_puts(out, n == 1 ? " was recovered" : " were recovered");
}

static const struct column recovered_list[] = {
	ROWS(struct crash_window, recovered, nrecovered, "panics", &panic_sites,
	     "panics that were recovered, by place",
	     .known_at = OFFSET(struct crash_window, recovered_known, bool)),
};

static const void *recovered_part(const struct window *w)
{
	return w->crash;
}

static const struct table recovered_object = {
	.name = "panics",
	TABLE_ROWS(struct crash_window, recovered_list),
	.part = recovered_part,
};

const struct table panic_sites = {
	.name = "recovered",
	.what = "Panics that were recovered, by the place that panicked.",
	TABLE_ROWS(struct panic_row, recovered_column),
	.other_at = OFFSET(struct panic_row, other, bool),
	.exactness_at = OFFSET(struct panic_row, exactness, enum exactness),
	.of = &recovered_object,
	.label = "panics",
	.title = "Panics that were recovered",
	.any = any_recovered,
	.sentence = recovered_sentence,
	.max_rows = 10,
	.diff_title = "recovered panics per second by place",
	.diff_key = "recovered",
	.diff_per_s = true,
};
