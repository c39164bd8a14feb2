/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/events.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>

#define TRACEFS    "/sys/kernel/tracing"
#define GROUP      "gospect/"
#define LIST_BYTES (256 << 10) /* of the list of definitions, which may be others' */
/* At the end, for what somebody who was killed is still closing. */
#define SWEEPS   50
#define SWEEP_US 100000

/* Whose definitions they are: what comes before the serial in a name. */
struct owner {
	uint64_t pidns, start; /* inode; clock ticks since the boot */
	int pid;
};

static struct {
	int dir_fd; /* of tracefs */
	struct owner me;
} events = { .dir_fd = -1 };

/* Where it is not mounted, for ourselves alone: as linux/mount.h has it, which not
 * all have. */
static int mount_private(void)
{
	int fs = (int)syscall(430 /* fsopen */, "tracefs", 1 /* FSOPEN_CLOEXEC */), fd = -1;

	if (fs < 0)
		return -errno;
	if (!syscall(431 /* fsconfig */, fs, 6 /* FSCONFIG_CMD_CREATE */, NULL, NULL, 0))
		fd = (int)syscall(432 /* fsmount */, fs, 1 /* FSMOUNT_CLOEXEC */, 0);
	if (fd < 0)
		fd = -errno;
	close(fs);
	return fd;
}

static int open_tracefs(void)
{
	struct statfs s;

	if (statfs(TRACEFS, &s) || s.f_type != TRACEFS_MAGIC)
		return mount_private();
	events.dir_fd = open(TRACEFS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return events.dir_fd < 0 ? -errno : events.dir_fd;
}

/* When a process began; 0: there is none, or it has ended. */
static uint64_t start_of(const char *pid)
{
	char path[64], text[1024], *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	p = strrchr(text, ')');
	if (p && (p[1] != ' ' || p[2] == 'Z' || p[2] == 'X'))
		p = NULL;
	/* behind it: fields 3 to 21, then that */
	for (int i = 0; p && i < 20; i++)
		p = strchr(p + 1, ' ');
	return p ? strtoull(p, NULL, 10) : 0;
}

static int who_am_i(struct owner *o)
{
	char pid[16];
	ssize_t n = readlink("/proc/self", pid, sizeof(pid) - 1);
	struct stat st;

	if (n <= 0 || stat("/proc/self/ns/pid", &st))
		return -errno;
	pid[n] = '\0';
	*o = (struct owner){ .pidns = st.st_ino, .start = start_of(pid), .pid = atoi(pid) };
	return o->start ? 0 : -ESRCH;
}

#define NAME_BYTES 64 /* the kernel's limit, too */

static void name_of(char name[NAME_BYTES], unsigned int serial, uint32_t i)
{
	snprintf(name, NAME_BYTES, "n%" PRIu64 "_p%d_t%" PRIu64 "_%u_%u", events.me.pidns,
		 events.me.pid, events.me.start, serial, i);
}

static int command(const char *text)
{
	int fd = openat(events.dir_fd, "uprobe_events", O_WRONLY | O_APPEND | O_CLOEXEC), e = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		e = -errno;
	close(fd);
	return e;
}

static int remove_one(const char *name)
{
	char text[NAME_BYTES + 16];

	snprintf(text, sizeof(text), "-:" GROUP "%s\n", name);
	return command(text);
}

/*
 * Our own, and those whose keeper is gone.  In another pid namespace that cannot be
 * seen: what is in use there the kernel does not remove, and who finds his gone before
 * he uses it does without.
 */
static bool is_left(const char *name)
{
	const struct owner *me = &events.me;
	struct owner o;
	char pid[16];

	if (sscanf(name, "n%" SCNu64 "_p%d_t%" SCNu64 "_", &o.pidns, &o.pid, &o.start) != 3)
		return false;
	if (o.pidns != me->pidns || (o.pid == me->pid && o.start == me->start))
		return true;
	snprintf(pid, sizeof(pid), "%d", o.pid);
	return start_of(pid) != o.start;
}

/* The name of a definition that is left; NULL: this line of the list is another's. */
static char *left_of(char *line)
{
	static const char begin[] = "p:" GROUP;
	char *name = line + strlen(begin);

	if (strncmp(line, begin, strlen(begin)))
		return NULL;
	name[strcspn(name, " ")] = '\0';
	return strlen(name) < NAME_BYTES && is_left(name) ? name : NULL;
}

/* Removes what is left, as far as it is not in use; how many are. */
static int sweep(void)
{
	static char list[LIST_BYTES];
	int fd = openat(events.dir_fd, "uprobe_events", O_RDONLY | O_CLOEXEC), n = 0;
	char *save = NULL, *name;
	size_t len = 0;
	ssize_t got;

	if (fd < 0)
		return 0;
	while (len < sizeof(list) - 1 && (got = read(fd, list + len, sizeof(list) - 1 - len)) > 0)
		len += (size_t)got;
	close(fd);
	list[len] = '\0';
	for (char *l = strtok_r(list, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		name = left_of(l);
		n += name && remove_one(name) == -EBUSY;
	}
	return n;
}

void events_remove_all(void)
{
	for (int i = 0; events.dir_fd >= 0 && i < SWEEPS && sweep(); i++)
		usleep(SWEEP_US);
}

int events_open(void)
{
	int e = 0;

	if (events.dir_fd >= 0)
		return 0;
	events.dir_fd = open_tracefs();
	if (events.dir_fd < 0)
		return events.dir_fd;
	if (faccessat(events.dir_fd, "uprobe_events", W_OK, AT_EACCESS))
		e = -errno;
	if (!e)
		e = who_am_i(&events.me);
	if (e) {
		close(events.dir_fd);
		events.dir_fd = -1;
		return e;
	}
	sweep();
	return 0;
}

/* A perf event of a definition, for the threads that share this one's memory; it counts
 * nothing itself. */
static int perf_open(const char *name, pid_t pid)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT,
					.size = sizeof(attr),
					.disabled = 1 };
	char path[NAME_BYTES + 32], text[16];
	long fd;
	ssize_t n;
	int file;

	snprintf(path, sizeof(path), "events/" GROUP "%s/id", name);
	file = openat(events.dir_fd, path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return -errno;
	n = read(file, text, sizeof(text) - 1);
	close(file);
	text[n > 0 ? n : 0] = '\0';
	attr.config = strtoull(text, NULL, 10);
	if (!attr.config)
		return -EINVAL;
	fd = syscall(SYS_perf_event_open, &attr, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : (int)fd;
}

static int define_one(struct attachment *a, const struct attach_point *p, bool cookies,
		      unsigned int serial, uint32_t i)
{
	char name[NAME_BYTES], text[NAME_BYTES + 96];
	int e, event;

	name_of(name, serial, i);
	snprintf(text, sizeof(text), "p:" GROUP "%s /proc/self/fd/%d:0x%" PRIx64 "\n", name,
		 p->exe_fd, p->offsets[i]);
	e = command(text);
	if (e)
		return e;
	event = perf_open(name, getpid());
	if (event < 0)
		return event;
	a->fd[a->n++] = event;
	return attach_program(a, event, p, i, cookies);
}

int events_define(struct attachment *a, const struct attach_point *p, bool cookies,
		  unsigned int serial)
{
	int e = events.dir_fd < 0 ? -ENOENT : 0;

	a->n = 0;
	for (uint32_t i = 0; !e && i < p->n; i++)
		e = define_one(a, p, cookies, serial, i);
	return e;
}

int events_attach(struct attachment *a, const struct attach_point *p, unsigned int serial)
{
	char name[NAME_BYTES];
	int event = 0;

	a->n = 0;
	for (uint32_t i = 0; event >= 0 && i < p->n; i++) {
		name_of(name, serial, i);
		event = perf_open(name, p->pid);
		if (event >= 0)
			a->fd[a->n++] = event;
	}
	return event < 0 ? event : 0;
}
