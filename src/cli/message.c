/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/message.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "cli/options.h"
#include "cli/sink.h"

#define PENDING_MAX       (64u << 10)
#define LATE_TIMES        30
#define PROGRESS_MAX      80 /* a line of any terminal */
#define PROGRESS_AFTER_NS (500 * NS_PER_MS)
#define PROGRESS_EVERY_NS (200 * NS_PER_MS)

static struct {
	struct sink *sink;  /* NULL: not begun, lines are written as they come */
	struct buf pending; /* what has not been begun to be written */
	struct patience patience;
	bool progress;   /* such a line is there */
	uint64_t due_ns; /* the next one; 0: nothing is being done */
} messages;

void msg_begin(void)
{
	messages.sink = sink_new(STDERR_FILENO);
	buf_init(&messages.pending, PENDING_MAX);
	messages.patience = (struct patience){ .ns = 100 * NS_PER_MS, .signal_fd = -1 };
}

/* Waits until nothing is being written; false: stderr is stuck.  Who has found that once does
 * not wait for it again.  While there is room it is not stuck: on a busy machine the thread
 * that writes has had no CPU yet. */
static bool idle(void)
{
	struct patience at_once = { .ns = 1, .signal_fd = -1 };
	static bool stuck;
	int err = sink_wait(messages.sink, stuck ? &at_once : &messages.patience);

	for (int i = 0;
	     !stuck && err == -ETIMEDOUT && i < LATE_TIMES && sink_has_room(messages.sink, 1); i++)
		err = sink_wait(messages.sink, &messages.patience);
	stuck = err == -ETIMEDOUT;
	return !stuck;
}

/* Writes what is pending. */
static void push(void)
{
	while (idle() && messages.pending.len)
		sink_begin(messages.sink, &messages.pending, NULL, NULL);
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

static void put(const char *text)
{
	if (!messages.sink) {
		fputs(text, stderr);
		return;
	}
	buf_puts(&messages.pending, text);
	messages.pending.err = 0; /* full: this one is lost */
	push();
}

void msg_progress(const char *fmt, ...)
{
	uint64_t now = clock_mono_ns();
	char line[PROGRESS_MAX];
	va_list ap;

	if (!messages.due_ns)
		messages.due_ns = now + PROGRESS_AFTER_NS;
	if (now < messages.due_ns || !isatty(STDERR_FILENO))
		return;
	messages.due_ns = now + PROGRESS_EVERY_NS;
	messages.progress = true;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	put("\r\033[K");
	put(line);
}

static void clear_progress(void)
{
	if (messages.progress)
		put("\r\033[K");
	messages.progress = false;
}

void msg_progress_end(void)
{
	clear_progress();
	messages.due_ns = 0;
}

/* One line, one write: foreign names may hold anything, so control characters
 * do not reach the terminal. */
static void say(const char *prefix, const char *fmt, va_list ap)
{
	char line[1024];
	int n = snprintf(line, sizeof(line), "%s", prefix);

	vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	for (n = 0; line[n]; n++)
		if ((unsigned char)line[n] < 0x20 || line[n] == 0x7f)
			line[n] = '?';
	line[n] = '\n';
	line[n + 1] = '\0';
	clear_progress();
	put(line);
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
