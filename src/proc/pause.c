/* SPDX-License-Identifier: BSD-2-Clause */
#include "proc/pause.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/vec.h"
#include "proc/process.h"
#include "proc/procfs.h"

#define ROOT           "/sys/fs/cgroup"
#define PATH_MAX_BYTES 1024

/* What a file of a cgroup says when it or one above it is frozen, version 2 and 1. */
static const struct {
	const char *controller, *mount, *file, *says;
} kept[] = {
	{ "", "", "cgroup.events", "frozen 1" },
	{ "", "/unified", "cgroup.events", "frozen 1" },
	{ "freezer", "/freezer", "freezer.state", "FROZEN" },
};

bool pause_is_frozen(const char *root, const char *text)
{
	char name[PATH_MAX_BYTES], says[256];

	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
		int n = path ? (int)strcspn(path + 1, "\n") : 0;

		for (size_t i = 0; path && i < ARRAY_SIZE(kept); i++) {
			size_t len = strlen(kept[i].controller);

			if ((size_t)(path - list - 1) != len ||
			    strncmp(list + 1, kept[i].controller, len) != 0 ||
			    (size_t)snprintf(name, sizeof(name), "%s%s%.*s/%s", root, kept[i].mount,
					     n, path + 1, kept[i].file) >= sizeof(name) ||
			    strstr(name, "/../"))
				continue;
			if (!procfs_read_short(AT_FDCWD, name, says, sizeof(says)) &&
			    strstr(says, kept[i].says))
				return true;
		}
	}
	return false;
}

enum pause pause_of(const struct process *p)
{
	char text[4096];
	struct procfs_stat st;

	if (!procfs_read_short(p->proc_fd, "stat", text, sizeof(text)) &&
	    !procfs_parse_stat(text, &st) && (st.state == 'T' || st.state == 't'))
		return PAUSE_SIGNAL;
	if (!procfs_read_short(p->proc_fd, "cgroup", text, sizeof(text)) &&
	    pause_is_frozen(ROOT, text))
		return PAUSE_CGROUP;
	return PAUSE_NONE;
}
