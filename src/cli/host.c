/* SPDX-License-Identifier: BSD-2-Clause */
/* gospect host: hands over to gospect-host, which has libraries that nothing else needs. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/vec.h"
#include "cli/message.h"
#include "cli/options.h"

/* Where it may be, from the folder of this program. */
static const char *const places[] = { "gospect-host", "../libexec/gospect/gospect-host" };

/* Returns only when it could not be run: why, and where that was. */
static int hand_over(char **argv, char *own, size_t size, char path[PATH_MAX + 64])
{
	ssize_t n = readlink("/proc/self/exe", own, size - 1);
	int code = ENOENT;

	own[n > 0 ? n : 0] = '\0';
	if (strrchr(own, '/'))
		strrchr(own, '/')[1] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(places) && code == ENOENT; i++) {
		snprintf(path, PATH_MAX + 64, "%s%s", own, places[i]);
		/* its arguments begin where ours have the command */
		execv(path, argv + 1);
		code = errno;
	}
	return code;
}

void host_help(char **argv)
{
	char own[PATH_MAX], path[PATH_MAX + 64];

	hand_over(argv, own, sizeof(own), path);
}

int cmd_host(const struct options *o)
{
	char own[PATH_MAX], path[PATH_MAX + 64];
	int code = hand_over(o->argv, own, sizeof(own), path);

	if (code != ENOENT) {
		msg_error("cannot run '%s': %s", path, strerror(code));
		return EXIT_FAILED;
	}
	msg_error(
		"'gospect host' is a program of its own, gospect-host, and that is not installed");
	msg_hint(
		"put it beside gospect, in '%s'; 'make all' builds it where libmicrohttpd, libcurl "
		"and libyaml are",
		own);
	return EXIT_FAILED;
}
