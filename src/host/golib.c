/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/golib.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "gobin/gobin.h"
#include "proc/procfs.h"

static bool has_go(int proc_fd, const char *path, struct buildinfo *build)
{
	char name[600];
	int fd, err;

	snprintf(name, sizeof(name), "root%s", path);
	fd = openat(proc_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return false;
	err = gobin_peek_library_fd(fd, build);
	close(fd);
	return !err;
}

/* Each file is looked at once: with Go in it (1), without (0). */
static bool look_at(int proc_fd, struct u64map *seen, const struct procfs_mapping *m,
		    const char *path, struct buildinfo *build)
{
	uint64_t id[2] = { m->dev, m->ino }, key = hash_bytes(id, sizeof(id)), *known;
	bool is;

	known = seen ? u64map_find(seen, key) : NULL;
	if (known && !*known)
		return false;
	is = has_go(proc_fd, path, build);
	if (seen)
		u64map_put(seen, key, is, NULL);
	return is;
}

int golib_find(int proc_fd, struct u64map *seen, char *path, size_t size, struct buildinfo *build)
{
	struct procfs_mapping m;
	const char *pos;
	uint64_t last = 0;
	size_t len;
	char *text;
	int err = procfs_read(proc_fd, "maps", &text, &len);

	if (err)
		return err;
	pos = text;
	err = -ENOENT;
	while (err && procfs_next_mapping(&pos, &m) == 1) {
		if (!m.exec || m.path_len >= size || !m.path_len || m.path[0] != '/' ||
		    m.ino == last)
			continue;
		last = m.ino;
		snprintf(path, size, "%.*s", (int)m.path_len, m.path);
		if (look_at(proc_fd, seen, &m, path, build))
			err = 0;
	}
	free(text);
	return err;
}
