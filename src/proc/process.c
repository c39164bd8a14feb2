/* SPDX-License-Identifier: BSD-2-Clause */
#include "proc/process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "gobin/image.h"
#include "proc/procfs.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434 /* Linux 5.3, every architecture */
#endif

#define PRIVILEGE_HINT "run as root, or with CAP_SYS_PTRACE (and CAP_BPF, CAP_PERFMON for probes)"

static int no_such_process(pid_t pid, struct err *err)
{
	err_set(err, -ESRCH, "there is no process '%d'", pid);
	err_hint(err, "'gospect list' shows the Go processes of this machine");
	return -ESRCH;
}

static int not_permitted(pid_t pid, const char *what, int code, struct err *err)
{
	err_set(err, code, "cannot read %s of process '%d': %s", what, pid, strerror(-code));
	err_hint(err, PRIVILEGE_HINT);
	return code;
}

static bool ended(const struct process *p)
{
	struct pollfd pfd = { .fd = p->pidfd, .events = POLLIN };

	return p->pidfd >= 0 && poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLIN);
}

/* A failure of a file under /proc/PID: gone, or not permitted. */
static int proc_failure(const struct process *p, const char *what, int code, struct err *err)
{
	if (code == -ENOENT || code == -ESRCH || ended(p))
		return no_such_process(p->pid, err);
	if (code == -EACCES || code == -EPERM)
		return not_permitted(p->pid, what, code, err);
	return err_set(err, code, "cannot read %s of process '%d': %s", what, p->pid,
		       strerror(-code));
}

/*
 * The pidfd comes first: all that is opened later belongs to the same process
 * if the pidfd says at the end that it still lives.
 */
static int open_pidfd(struct process *p, struct err *err)
{
	p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	if (p->pidfd >= 0)
		return 0;
	if (errno == ESRCH)
		return no_such_process(p->pid, err);
	/* A thread's id: EINVAL, since 6.15 ENOENT (kernel/pid.c). */
	if (errno == EINVAL || errno == ENOENT) {
		err_set(err, -ESRCH, "'%d' is a thread, not a process", p->pid);
		err_hint(err, "give the process id: 'Tgid' in /proc/%d/status", p->pid);
		return -ESRCH;
	}
	return 0; /* before 5.3, or a seccomp filter: the start time has to do */
}

static int open_proc(struct process *p, struct err *err)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", p->pid);
	p->proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (p->proc_fd >= 0)
		return 0;
	if (errno == ENOENT && p->pidfd >= 0 && !ended(p)) {
		err_set(err, -EACCES, "process '%d' exists, but /proc does not show it", p->pid);
		err_hint(err, "/proc is mounted with hidepid, or is of another pid namespace: run "
			      "as root");
		return -EACCES;
	}
	return proc_failure(p, "/proc", -errno, err);
}

static int read_stat(const struct process *p, struct procfs_stat *st)
{
	char text[2048];
	int err = procfs_read_short(p->proc_fd, "stat", text, sizeof(text));

	return err ? err : procfs_parse_stat(text, st);
}

/* Without a pidfd nothing has said yet that the pid is not a thread's. */
static bool is_thread(const struct process *p)
{
	char text[4096];
	uint64_t tgid;

	if (p->pidfd >= 0 || procfs_read_short(p->proc_fd, "status", text, sizeof(text)) ||
	    procfs_status_u64(text, "Tgid", 10, &tgid))
		return false;
	return (pid_t)tgid != p->pid;
}

static uint64_t ticks_to_ns(uint64_t ticks)
{
	long hz = sysconf(_SC_CLK_TCK);

	return ticks * (NS_PER_S / (uint64_t)(hz > 0 ? hz : 100));
}

static int identify(struct process *p, struct err *err)
{
	struct procfs_stat st;
	int code = read_stat(p, &st);

	if (code)
		return proc_failure(p, "'stat'", code, err);
	if (is_thread(p))
		return err_set(err, -ESRCH, "'%d' is a thread, not a process", p->pid);
	snprintf(p->comm, sizeof(p->comm), "%s", st.comm);
	if (st.flags & PROCFS_PF_KTHREAD)
		return err_set(err, -ESRCH, "process '%d' (%s) is a kernel thread", p->pid,
			       p->comm);
	if (st.state == 'Z' || st.state == 'X')
		return err_set(err, -ESRCH, "process '%d' (%s) is a zombie", p->pid, p->comm);
	p->start_ticks = st.start_ticks;
	p->start_stack = st.start_stack > 1 ? st.start_stack : 0;
	p->start_real_ns = clock_boot_to_real_ns(ticks_to_ns(st.start_ticks));
	return 0;
}

static void strip_deleted(struct process *p)
{
	static const char suffix[] = " (deleted)";
	size_t n = strlen(p->exe), k = sizeof(suffix) - 1;
	struct stat st;

	if (n <= k || strcmp(p->exe + n - k, suffix))
		return;
	/* A file may be named so: a deleted one has no links left. */
	if (!fstat(p->exe_fd, &st) && st.st_nlink > 0)
		return;
	p->exe[n - k] = '\0';
	p->exe_deleted = true;
}

static int open_exe(struct process *p, struct err *err)
{
	struct stat st;
	ssize_t n = readlinkat(p->proc_fd, "exe", p->exe, sizeof(p->exe) - 1);

	if (n < 0)
		return proc_failure(p, "the executable", -errno, err);
	p->exe[n] = '\0';
	p->exe_fd = openat(p->proc_fd, "exe", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (p->exe_fd < 0)
		return proc_failure(p, "the executable", -errno, err);
	if (fstat(p->exe_fd, &st))
		return proc_failure(p, "the executable", -errno, err);
	p->exe_dev = st.st_dev;
	p->exe_ino = st.st_ino;
	strip_deleted(p);
	return 0;
}

static bool other_ns(const struct process *p, const char *name)
{
	struct stat theirs, ours;
	char path[32];

	snprintf(path, sizeof(path), "ns/%s", name);
	if (fstatat(p->proc_fd, path, &theirs, 0))
		return false;
	snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
	if (stat(path, &ours))
		return false;
	return theirs.st_ino != ours.st_ino || theirs.st_dev != ours.st_dev;
}

static int64_t timens_mono(int dirfd, const char *name)
{
	char text[256];

	if (procfs_read_short(dirfd, name, text, sizeof(text)))
		return 0;
	return procfs_parse_timens_mono(text);
}

static void find_surroundings(struct process *p)
{
	char *text;

	p->other_mnt_ns = other_ns(p, "mnt");
	p->other_pid_ns = other_ns(p, "pid");
	p->mono_offset_ns = timens_mono(p->proc_fd, "timens_offsets") -
			    timens_mono(AT_FDCWD, "/proc/self/timens_offsets");
	if (!procfs_read(p->proc_fd, "cgroup", &text, NULL)) {
		procfs_parse_container(text, p->container, sizeof(p->container));
		free(text);
	}
}

static int process_open(struct process *p, struct err *err)
{
	int code = open_pidfd(p, err);

	if (!code)
		code = open_proc(p, err);
	if (!code)
		code = identify(p, err);
	if (!code)
		code = open_exe(p, err);
	if (code)
		return code;
	find_surroundings(p);
	/* An exec in the middle: the stack's place and the file must be of one image. */
	code = process_check(p);
	if (code == -ESRCH)
		return no_such_process(p->pid, err);
	return code ? err_set(err, code, "process '%d' is in the middle of exec", p->pid) : 0;
}

int process_init(struct process *p, pid_t pid, struct err *err)
{
	int code = 0;

	for (int attempt = 0; attempt < 3; attempt++) {
		memset(p, 0, sizeof(*p));
		p->pid = pid;
		p->pidfd = p->proc_fd = p->exe_fd = -1;
		if (pid <= 0)
			return no_such_process(pid, err);
		code = process_open(p, err);
		if (code)
			process_deinit(p);
		if (code != -ESTALE)
			break;
	}
	return code;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void process_deinit(struct process *p)
{
	close_fd(&p->pidfd);
	close_fd(&p->proc_fd);
	close_fd(&p->exe_fd);
}

int process_check(const struct process *p)
{
	struct procfs_stat now;
	struct stat st;

	if (ended(p))
		return -ESRCH;
	/* The directory is bound to the process, not to the pid: ESRCH when it ended. */
	if (read_stat(p, &now) || now.state == 'Z' || now.state == 'X')
		return -ESRCH;
	if (now.start_ticks != p->start_ticks)
		return -ESRCH;
	if (fstatat(p->proc_fd, "exe", &st, 0)) {
		/* A process that dropped privileges may hide it: it still lives. */
		return errno == EACCES || errno == EPERM ? 0 : -ESRCH;
	}
	if (st.st_dev != p->exe_dev || st.st_ino != p->exe_ino)
		return -ESTALE;
	if (p->start_stack && now.start_stack > 1 && now.start_stack != p->start_stack)
		return -ESTALE;
	return 0;
}

int process_clock_ns(pid_t pid, uint64_t *out)
{
	/* posix-timers_types.h: ~pid << 3 | CPUCLOCK_SCHED, any process may be asked. */
	clockid_t id = (clockid_t)((~(unsigned int)pid << 3) | 2u);
	struct timespec ts;

	if (clock_gettime(id, &ts))
		return -errno;
	*out = (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
	return 0;
}

int process_cpu_ns(const struct process *p, uint64_t *out)
{
	struct procfs_stat st;
	int err;

	if (!process_clock_ns(p->pid, out) && !ended(p))
		return 0;
	err = read_stat(p, &st);
	if (err)
		return err == -ENOENT ? -ESRCH : err;
	*out = ticks_to_ns(st.user_ticks + st.system_ticks);
	return 0;
}

int process_usage(const struct process *p, uint64_t *rss_bytes, int *threads)
{
	struct procfs_stat st;
	uint64_t total, rss;
	char text[256];
	int err = procfs_read_short(p->proc_fd, "statm", text, sizeof(text));

	if (!err)
		err = read_stat(p, &st);
	if (err)
		return err == -ENOENT ? -ESRCH : err;
	if (sscanf(text, "%" SCNu64 " %" SCNu64, &total, &rss) != 2)
		return -EBADMSG;
	*rss_bytes = rss * (uint64_t)sysconf(_SC_PAGESIZE);
	*threads = st.threads;
	return 0;
}

/*
 * How well a mapping is known to be the executable's.  The device in maps is
 * the file system's own, in stat it may be another one (btrfs, overlayfs):
 * then the path decides.
 */
static int mapping_fits(const struct process *p, const struct procfs_mapping *m)
{
	size_t n = strlen(p->exe);

	if (m->ino == p->exe_ino && m->dev == p->exe_dev)
		return 2;
	if (m->ino && m->path_len >= n && !memcmp(m->path, p->exe, n) &&
	    (m->path_len == n || p->exe_deleted))
		return 1;
	return 0;
}

static bool holds(const struct procfs_mapping *m, const struct image_segment *s)
{
	return s->off + s->file_size > m->off && s->off < m->off + (m->end - m->start);
}

bool process_find_bias(const struct process *p, const struct image *im, const char *maps,
		       uint64_t *bias)
{
	struct procfs_mapping m;
	int best = 0;

	while (procfs_next_mapping(&maps, &m)) {
		int fits = mapping_fits(p, &m);

		if (!m.exec || fits <= best)
			continue;
		for (int i = 0; i < im->nseg; i++) {
			const struct image_segment *s = &im->seg[i];

			if (!s->exec || !holds(&m, s))
				continue;
			/* Page rounding moves address and file offset alike. */
			*bias = (m.start - m.off) - (s->addr - s->off);
			best = fits;
			break;
		}
	}
	return best > 0;
}

int process_bias(const struct process *p, const struct image *im, uint64_t *bias, struct err *err)
{
	char *maps;
	bool found;
	int code;

	*bias = 0;
	if (!im->is_pie)
		return 0;
	code = procfs_read(p->proc_fd, "maps", &maps, NULL);
	if (code)
		return proc_failure(p, "the mappings", code, err);
	found = process_find_bias(p, im, maps, bias);
	free(maps);
	if (!found)
		return err_set(err, -ENOENT, "process '%d' has no mapping of its executable '%s'",
			       p->pid, p->exe);
	return 0;
}

pid_t process_tracer(const struct process *p)
{
	char text[4096];
	uint64_t pid;

	if (procfs_read_short(p->proc_fd, "status", text, sizeof(text)) ||
	    procfs_status_u64(text, "TracerPid", 10, &pid))
		return 0;
	return (pid_t)pid;
}
