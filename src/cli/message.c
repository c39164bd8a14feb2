/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/message.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cli/options.h"

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
	fprintf(stderr, "%s\n", line);
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
