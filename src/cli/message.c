/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/message.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "cli/options.h"
#include "cli/sink.h"

#define PENDING_MAX (64u << 10)

static struct {
	struct sink *sink;  /* NULL: not begun, lines are written as they come */
	struct buf pending; /* what has not been begun to be written */
	struct patience patience;
} messages;

void msg_begin(void)
{
	messages.sink = sink_new(STDERR_FILENO);
	buf_init(&messages.pending, PENDING_MAX);
	messages.patience = (struct patience){ .ns = 100 * NS_PER_MS, .signal_fd = -1 };
}

/* Writes what is pending.  Who has found stderr stuck once does not wait for it again. */
static void push(void)
{
	struct patience at_once = { .ns = 1, .signal_fd = -1 };
	static bool stuck;

	for (;;) {
		stuck = sink_wait(messages.sink, stuck ? &at_once : &messages.patience) ==
			-ETIMEDOUT;
		if (stuck || !messages.pending.len)
			return;
		sink_begin(messages.sink, &messages.pending, NULL, NULL);
	}
}

void msg_end(void)
{
	if (!messages.sink)
		return;
	push();
	sink_free(messages.sink);
	buf_deinit(&messages.pending);
	messages.sink = NULL;
}

static void put_line(const char *line)
{
	if (!messages.sink) {
		fprintf(stderr, "%s\n", line);
		return;
	}
	buf_printf(&messages.pending, "%s\n", line);
	messages.pending.err = 0; /* full: this one is lost */
	push();
}

/* One line, one write: foreign names may hold anything, so control characters
 * do not reach the terminal. */
static void say(const char *prefix, const char *fmt, va_list ap)
{
	char line[1024];
	int n = snprintf(line, sizeof(line), "%s", prefix);

	vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
	for (int i = 0; line[i]; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	put_line(line);
}

void msg_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("gospect: ", fmt, ap);
	va_end(ap);
}

void msg_hint(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("hint: ", fmt, ap);
	va_end(ap);
}

void msg_note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("gospect: ", fmt, ap);
	va_end(ap);
}

int exit_status_of(int code)
{
	switch (code) {
	case 0:
		return EXIT_DONE;
	case -ENOEXEC:
	case -EBADMSG:
	case -EOPNOTSUPP:
	case -ESRCH:
	case -ENOENT:
		return EXIT_NOT_GO;
	case -EPERM:
	case -EACCES:
		return EXIT_NOT_PERMITTED;
	default:
		return EXIT_FAILED;
	}
}

int msg_fail(const struct err *e)
{
	msg_error("%s", e->what[0] ? e->what : strerror(-e->code));
	if (e->hint[0])
		msg_hint("%s", e->hint);
	return exit_status_of(e->code);
}
