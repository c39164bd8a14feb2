/* SPDX-License-Identifier: BSD-2-Clause */
#include "proc/usage.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/vec.h"
#include "proc/process.h"
#include "proc/procfs.h"

#define ROOT           "/sys/fs/cgroup"
#define PATH_MAX_BYTES 1024

uint64_t usage_self_rss(void)
{
	unsigned long long size, resident;
	char text[128];

	if (procfs_read_short(AT_FDCWD, "/proc/self/statm", text, sizeof(text)) ||
	    sscanf(text, "%llu %llu", &size, &resident) != 2)
		return 0;
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* A line of status in kB. */
static bool kib(const char *status, const char *field, uint64_t *out)
{
	if (procfs_status_u64(status, field, 10, out))
		return false;
	*out *= 1024;
	return true;
}

int usage_parse(const char *status, struct usage *out)
{
	const char *state = strstr(status, "\nState:");
	uint64_t threads;

	*out = (struct usage){ .state = '?' };
	if (state)
		sscanf(state + 7, " %c", &out->state);
	if (procfs_status_u64(status, "Threads", 10, &threads))
		return -EBADMSG;
	out->threads = (int)threads;
	if (!kib(status, "VmRSS", &out->rss) || !kib(status, "RssAnon", &out->anon) ||
	    !kib(status, "RssFile", &out->file) || !kib(status, "RssShmem", &out->shared) ||
	    !kib(status, "VmData", &out->data))
		return -EBADMSG;
	kib(status, "VmSwap", &out->swap);
	return 0;
}

int usage_read(const struct process *p, struct usage *out)
{
	char text[8192];
	int err = procfs_read_short(p->proc_fd, "status", text, sizeof(text));

	*out = (struct usage){ .state = '?' };
	if (err)
		return err == -ENOENT ? -ESRCH : err;
	return usage_parse(text, out);
}

/* --- CPUs ---------------------------------------------------------------------- */

static bool read_file(const char *path, char *out, size_t size)
{
	return !procfs_read_short(AT_FDCWD, path, out, size);
}

/* Of one directory, version 2 or 1; 0: no limit. */
static double quota_of(const char *dir)
{
	char path[PATH_MAX_BYTES + 32], text[64];
	long long quota = 0, period = 0;

	snprintf(path, sizeof(path), "%s/cpu.max", dir);
	if (read_file(path, text, sizeof(text))) { /* "max 100000" */
		if (sscanf(text, "%lld %lld", &quota, &period) != 2)
			return 0;
	} else {
		snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", dir);
		if (!read_file(path, text, sizeof(text)) || sscanf(text, "%lld", &quota) != 1)
			return 0;
		snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", dir);
		if (!read_file(path, text, sizeof(text)) || sscanf(text, "%lld", &period) != 1)
			return 0;
	}
	return quota > 0 && period > 0 ? (double)quota / (double)period : 0;
}

/* A directory with a quota, with what was found in the others so far. */
typedef void (*quota_fn)(const char *dir, double quota, void *found);

static void least_quota(const char *dir, double quota, void *found)
{
	double *least = found;

	(void)dir;
	if (!*least || quota < *least)
		*least = quota;
}

/* A line "nr_periods 17" of cpu.stat. */
static bool stat_line(const char *text, const char *name, uint64_t *out)
{
	size_t n = strlen(name);

	for (const char *l = text; l && *l; l = strchr(l, '\n'), l += l != NULL)
		if (!strncmp(l, name, n) && l[n] == ' ') {
			*out = strtoull(l + n + 1, NULL, 10);
			return true;
		}
	return false;
}

static void take_throttling(const char *dir, double quota, void *found)
{
	struct throttling *t = found;
	char path[PATH_MAX_BYTES + 32], text[4096];
	uint64_t periods, throttled, us;

	if (t->known && quota >= t->quota)
		return;
	snprintf(path, sizeof(path), "%s/cpu.stat", dir);
	if (!read_file(path, text, sizeof(text)) || !stat_line(text, "nr_periods", &periods) ||
	    !stat_line(text, "nr_throttled", &throttled))
		return;
	*t = (struct throttling){ true, quota, periods, throttled, 0 };
	if (stat_line(text, "throttled_usec", &us))
		t->ns = us * 1000;
	else if (stat_line(text, "throttled_time", &us)) /* version 1 */
		t->ns = us;
}

/* A directory and those above it, down to `stop` bytes of the path. */
static void each_level(char *dir, size_t stop, quota_fn fn, void *found)
{
	for (;;) {
		double q = quota_of(dir);
		char *slash = strrchr(dir, '/');

		if (q > 0)
			fn(dir, q, found);
		if (!slash || (size_t)(slash - dir) < stop)
			return;
		*slash = '\0';
	}
}

/* Whether a list "cpu,cpuacct" of controllers has the CPUs. */
static bool has_cpu(const char *list, size_t n)
{
	for (const char *p = list; p < list + n; p += strcspn(p, ",:") + 1)
		if (!strncmp(p, "cpu", 3) && (p[3] == ',' || p[3] == ':'))
			return true;
	return false;
}

static void each_quota(const char *root, const char *text, quota_fn fn, void *found)
{
	static const char *const mounts[] = { "", "/cpu,cpuacct", "/cpu", "/unified" };

	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *list = strchr(line, ':'), *path;
		bool v2 = !strncmp(line, "0::", 3);

		path = list ? strchr(list + 1, ':') : NULL;
		if (!path || (!v2 && !has_cpu(list + 1, (size_t)(path - list))))
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
			char dir[PATH_MAX_BYTES];
			size_t n = strcspn(path + 1, "\n"), stop = strlen(root) + strlen(mounts[i]);

			if (n == 1)
				n = 0;
			if ((size_t)snprintf(dir, sizeof(dir), "%s%s%.*s", root, mounts[i], (int)n,
					     path + 1) >= sizeof(dir) ||
			    strstr(dir, "/.."))
				continue;
			each_level(dir, stop, fn, found);
		}
	}
}

double usage_cgroup_cpus(const char *root, const char *text)
{
	double least = 0;

	each_quota(root, text, least_quota, &least);
	return least;
}

void usage_cgroup_throttling(const char *root, const char *text, struct throttling *out)
{
	*out = (struct throttling){ 0 };
	each_quota(root, text, take_throttling, out);
}

void usage_throttling(const struct process *p, struct throttling *out)
{
	char text[4096];

	*out = (struct throttling){ 0 };
	if (!procfs_read_short(p->proc_fd, "cgroup", text, sizeof(text)))
		usage_cgroup_throttling(ROOT, text, out);
}

double usage_cpus(const struct process *p)
{
	cpu_set_t set;
	char text[4096];
	double quota = 0, allowed = 0;

	if (!sched_getaffinity(p->pid, sizeof(set), &set))
		allowed = CPU_COUNT(&set);
	if (!procfs_read_short(p->proc_fd, "cgroup", text, sizeof(text)))
		quota = usage_cgroup_cpus(ROOT, text);
	return quota > 0 && (allowed <= 0 || quota < allowed) ? quota : allowed;
}
