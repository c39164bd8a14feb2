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
	GOID(S, goroutine, "goroutine", "that died, or called os.Exit"),
	FLAG(S, of_first, "first_goroutine",
	     "no goroutine was running: this is the first, and where it waits",
	     .flags = COLUMN_ABSENT_0),
	PLACE(S, created, "created", "its go statement; the main goroutine has none"),
	STACK(S, stack, crash_stacks, "of the goroutine, innermost first, inlined frames included"),
	FLAG(S, stack_whole, "stack_whole", "the stack is there to where the goroutine began"),
	ROWS(S, panic, npanic, "chain", &panics,
	     "panics, the first one first, where one came while another was under way"),
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

#define MAX_LINES 60 /* of the stack */

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

static void stack_lines_of(const struct window *w, struct buf *out)
{
	const struct place *line[SCHEMA_MAX_FRAMES];
	int n = stack_lines(&w->crash->stacks, w->crash->stack, line, SCHEMA_MAX_FRAMES);
	char text[WORDS_PLACE_MAX];

	for (int i = 0; i < n && i < MAX_LINES; i++)
		buf_printf(out, "  %s\n", words_place(line[i], text, sizeof(text)));
	if (n > MAX_LINES)
		buf_printf(out, "  and %d more\n", n - MAX_LINES);
}

const struct table crash_summary = {
	.name = "crash",
	.label = "crash",
	.title = "Crash",
	.any = any_stack,
	.sentence = crash_sentence,
	.below = stack_lines_of,
};
