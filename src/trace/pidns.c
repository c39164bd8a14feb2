/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/pidns.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proc/procfs.h"

uint32_t pidns_innermost(const char *status)
{
	const char *line = strstr(status, "\nNSpid:"), *end, *last;

	if (!line)
		return 0;
	end = strchrnul(line + 1, '\n');
	last = memrchr(line, '\t', (size_t)(end - line));
	return last ? (uint32_t)strtoul(last + 1, NULL, 10) : 0;
}

static bool of_process(pid_t pid, struct pidns *out)
{
	char path[64], text[8192];
	struct stat st;
	uint32_t tgid;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (procfs_read_short(AT_FDCWD, path, text, sizeof(text)))
		return false;
	tgid = pidns_innermost(text);
	snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)pid);
	if (!tgid || stat(path, &st))
		return false;
	*out = (struct pidns){ true, st.st_dev, st.st_ino, tgid };
	return true;
}

void pidns_of(pid_t pid, struct pidns *out)
{
	enum { FIRST_PID_NS = 0xEFFFFFFC }; /* PROC_PID_INIT_INO, include/linux/proc_ns.h */
	struct stat st;

	*out = (struct pidns){ .tgid = (uint32_t)pid };
	if (stat("/proc/self/ns/pid", &st) || st.st_ino == (ino_t)FIRST_PID_NS)
		return;
	if (!of_process(pid, out))
		*out = (struct pidns){ true, st.st_dev, st.st_ino, (uint32_t)pid };
}
