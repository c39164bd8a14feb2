/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The Go releases by name, and the programs that tests/gobuild makes with them.
 */
#ifndef GOSPECT_TESTS_RELEASES_H
#define GOSPECT_TESTS_RELEASES_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/vec.h"

static const char *const releases[] = {
#define RELEASE(minor, release) release,
#include "gobin/releases.def"
};

/* Of "oldest", "usual", "newest" or "1.24" the release; any other word as it is. */
static inline const char *release_named(const char *word)
{
	size_t len = strlen(word);

	if (!strcmp(word, "oldest"))
		return releases[0];
	if (!strcmp(word, "newest"))
		return releases[ARRAY_SIZE(releases) - 1];
#define RELEASE(minor, release)
#define USUAL(minor, release)       \
	if (!strcmp(word, "usual")) \
		return release;
#include "gobin/releases.def"
	for (size_t i = 0; i < ARRAY_SIZE(releases); i++)
		if (!strncmp(releases[i], word, len) && releases[i][len] == '.')
			return releases[i];
	return word;
}

/* The path of PROGRAM-RELEASE-VARIANT, the release by any name: false when it was not built. */
__attribute__((format(printf, 3, 4))) static inline bool program_path(char *path, size_t size,
								      const char *fmt, ...)
{
	const char *dir = getenv("GOSPECT_BIN_DIR"), *variant;
	char name[128], *release;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	release = strchr(name, '-');
	variant = release ? strchr(release + 1, '-') : NULL;
	if (!variant)
		return false;
	*release++ = '\0';
	name[variant - name] = '\0';
	snprintf(path, size, "%s/%s-%s-%s", dir ? dir : "(GOSPECT_BIN_DIR is not set)", name,
		 release_named(release), variant + 1);
	if (!access(path, R_OK))
		return true;
	print_message("no program '%s'\n", path);
	return false;
}

#endif
