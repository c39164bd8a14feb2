/* SPDX-License-Identifier: BSD-2-Clause */
#include "proc/waiting.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A file of a thread, as a string; empty: it cannot be read. */
static void read_file(pid_t pid, pid_t tid, const char *name, char *text, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", (int)pid, (int)tid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, size - 1);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
}

static bool is_waiting(pid_t pid, pid_t tid)
{
	char text[512];
	const char *p;

	read_file(pid, tid, "stat", text, sizeof(text));
	p = strrchr(text, ')');
	return p && p[1] == ' ' && p[2] == 'R';
}

/* Without CONFIG_SCHED_INFO the kernel does not say: 0. */
static uint64_t run_ns(pid_t pid, pid_t tid)
{
	char text[128];

	read_file(pid, tid, "schedstat", text, sizeof(text));
	return strtoull(text, NULL, 10);
}

int waiting_read(struct waiting *w, pid_t pid)
{
	char path[64];
	struct dirent *e;
	DIR *d;

	w->n = 0;
	if (!w->v)
		w->v = malloc(WAITING_MAX * sizeof(*w->v));
	if (!w->v)
		return -ENOMEM;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	d = opendir(path);
	if (!d)
		return -ESRCH;
	while (w->n < WAITING_MAX && (e = readdir(d))) {
		pid_t tid = atoi(e->d_name);
		uint64_t ns;

		if (!tid || !is_waiting(pid, tid))
			continue;
		ns = run_ns(pid, tid);
		if (ns)
			w->v[w->n++] = (struct waiting_thread){ tid, ns };
	}
	closedir(d);
	return 0;
}

bool waiting_all_ran(struct waiting *w, pid_t pid)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n; i++)
		if (run_ns(pid, w->v[i].tid) == w->v[i].run_ns && is_waiting(pid, w->v[i].tid))
			w->v[n++] = w->v[i];
	w->n = n;
	return !n;
}

void waiting_deinit(struct waiting *w)
{
	free(w->v);
	*w = (struct waiting){ NULL, 0 };
}
