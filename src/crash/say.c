/* SPDX-License-Identifier: BSD-2-Clause */
/* What it ended of, in one line. */
#include <string.h>

#include "base/buf.h"
#include "base/human.h"
#include "base/text.h"
#include "crash/fill.h"
#include "model/sentence.h"

#define MESSAGE_COLUMNS 160

static void add_message(struct buf *b, const char *before, const struct crash_window *c)
{
	char text[MESSAGE_COLUMNS * 4 + 1];

	buf_puts(b, before);
	if (c->message[0])
		buf_printf(b, ": %s", words_fit(c->message, MESSAGE_COLUMNS, text, sizeof(text)));
	else if (c->type[0])
		buf_printf(b, " (%s)", words_fit(c->type, MESSAGE_COLUMNS, text, sizeof(text)));
}

static void add_place(struct buf *b, const struct crash_window *c)
{
	char text[WORDS_PLACE_MAX];
	struct place at;

	if (stack_table_place(&c->stacks, c->stack, &at))
		buf_printf(b, ", at %s", words_place(&at, text, sizeof(text)));
}

static void add_sender(struct buf *b, const struct crash_window *c)
{
	char text[sizeof(c->sender.name) * 4];

	if (c->sender.itself)
		buf_puts(b, " of its own");
	if (!c->sender.known)
		return;
	buf_puts(b, " from ");
	if (c->sender.pid)
		buf_printf(b, "process %d (", c->sender.pid);
	buf_puts(b, words_fit(c->sender.name, 16, text, sizeof(text)));
	buf_puts(b, c->sender.pid ? ")" : "");
}

static void add_status(struct buf *b, const struct crash_window *c)
{
	if (c->status_known && c->exit_code >= 0)
		buf_printf(b, ", exit status %d", c->exit_code);
}

static void add_cause(struct buf *b, const struct crash_window *c)
{
	switch (c->cause) {
	case CRASH_BY_PANIC:
		add_message(b, "panic", c);
		add_place(b, c);
		add_status(b, c);
		break;
	case CRASH_BY_FATAL:
		add_message(b, "fatal error", c);
		add_place(b, c);
		add_status(b, c);
		break;
	case CRASH_BY_SIGNAL:
		buf_printf(b, "%s", c->signal_name);
		add_sender(b, c);
		add_status(b, c);
		break;
	case CRASH_BY_OOM:
		buf_puts(b, "killed by the kernel's OOM killer");
		if (c->oom.anon_bytes)
			sentence_bytes(b, " at ", (double)c->oom.anon_bytes, " of its own memory");
		break;
	default:
		buf_printf(b, "exit status %d", c->exit_code);
		add_place(b, c);
	}
}

void crash_say(struct crash_window *out)
{
	static const char ended[] = "the process ended: ";
	struct buf b;

	buf_init(&b, 4096);
	buf_puts(&b, ended);
	add_cause(&b, out);
	words_fit(b.data, sizeof(out->ended) / 2, out->ended, sizeof(out->ended));
	out->says = out->ended + (strlen(out->ended) < sizeof(ended) ? 0 : sizeof(ended) - 1);
	buf_deinit(&b);
}
