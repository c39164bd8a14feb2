/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/features.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/vec.h"
#include "host/uprobe_multi.h"
#include "proc/procfs.h"

/* Newer than the headers of Debian 12. */
#define HELPER_GET_ATTACH_COOKIE 174 /* bpf_get_attach_cookie, Linux 5.15 */
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#define CAP_SYS_PTRACE_BIT 19
#define CAP_SYS_ADMIN_BIT  21
#define CAP_PERFMON_BIT    38
#define CAP_BPF_BIT        39
#define INIT_PID_NS        0xEFFFFFFCu /* PROC_PID_INIT_INO, include/linux/proc_ns.h */

struct machine {
	uint64_t caps;    /* effective */
	uint64_t seccomp; /* 0 off, 2 filter */
};

static void say(struct feature *f, enum feature_state s, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void hint(struct feature *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct feature *f, enum feature_state s, const char *fmt, ...)
{
	va_list ap;

	f->state = s;
	va_start(ap, fmt);
	vsnprintf(f->why, sizeof(f->why), fmt, ap);
	va_end(ap);
}

static void hint(struct feature *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->hint, sizeof(f->hint), fmt, ap);
	va_end(ap);
}

static bool has_cap(const struct machine *m, int bit)
{
	return m->caps >> bit & 1;
}

/* First line of a small file, or "". */
static bool first_line(const char *path, char *out, size_t size)
{
	if (procfs_read_short(AT_FDCWD, path, out, size))
		return false;
	out[strcspn(out, "\n")] = '\0';
	return true;
}

/* ---- the kernel ---- */

static void probe_kernel(const struct machine *m, struct feature *f)
{
	struct utsname u;

	(void)m;
	if (uname(&u))
		say(f, FEATURE_LIMITED, "uname: %s", strerror(errno));
	else
		say(f, FEATURE_FULL, "%s %.60s %.20s", u.sysname, u.release, u.machine);
}

static int sys_bpf(int cmd, void *attr, unsigned int size)
{
	int fd = (int)syscall(SYS_bpf, cmd, attr, size);

	return fd < 0 ? -errno : fd;
}

static int load_program(uint32_t type, uint32_t attach_type, const struct bpf_insn *insn,
			uint32_t n)
{
	static const char license[] = "Dual BSD/GPL";
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = type;
	attr.insns = (uintptr_t)insn;
	attr.insn_cnt = n;
	attr.license = (uintptr_t)license;
	attr.expected_attach_type = attach_type;
	return sys_bpf(BPF_PROG_LOAD, &attr, sizeof(attr));
}

static const struct bpf_insn return_0[] = {
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
	{ .code = BPF_JMP | BPF_EXIT },
};

static const struct bpf_insn return_cookie[] = {
	{ .code = BPF_JMP | BPF_CALL, .imm = HELPER_GET_ATTACH_COOKIE },
	{ .code = BPF_JMP | BPF_EXIT },
};

static void not_allowed(const struct machine *m, struct feature *f, const char *what, int err)
{
	say(f, FEATURE_NONE, "%s: %s", what, strerror(-err));
	if (err == -ENOSYS)
		hint(f, "the kernel was built without it (CONFIG_BPF_SYSCALL, CONFIG_UPROBES)%s",
		     m->seccomp ? ", or a seccomp filter hides it" : "");
	else if (err != -EPERM && err != -EACCES)
		f->hint[0] = '\0';
	else if (!has_cap(m, CAP_SYS_ADMIN_BIT) && has_cap(m, CAP_PERFMON_BIT) &&
		 !strcmp(what, "perf_event_open"))
		hint(f, "this kernel wants CAP_SYS_ADMIN for it (since CVE-2025-38466, or "
			"perf_event_paranoid above 2); uprobe_multi (6.10) does not need it");
	else if (!has_cap(m, CAP_SYS_ADMIN_BIT) &&
		 !(has_cap(m, CAP_BPF_BIT) && has_cap(m, CAP_PERFMON_BIT)))
		hint(f, "run as root, or with CAP_BPF and CAP_PERFMON");
	else
		hint(f, "seccomp, a security module or kernel lockdown forbids it: allow bpf and "
			"perf_event_open");
}

static void probe_load(const struct machine *m, struct feature *f, uint32_t type, const char *what,
		       const char *works)
{
	int fd = load_program(type, 0, return_0, 2);

	if (fd < 0) {
		not_allowed(m, f, what, fd);
		return;
	}
	close(fd);
	say(f, FEATURE_FULL, "%s", works);
}

static void probe_bpf(const struct machine *m, struct feature *f)
{
	probe_load(m, f, BPF_PROG_TYPE_SOCKET_FILTER, "bpf(2)", "a program loads");
}

static void probe_tracing(const struct machine *m, struct feature *f)
{
	probe_load(m, f, BPF_PROG_TYPE_KPROBE, "loading a tracing program",
		   "a tracing program loads");
}

/*
 * A uprobe on a file that is not there: ENOENT says that it would be allowed,
 * and nothing was armed.
 */
static void probe_perf_uprobe(const struct machine *m, struct feature *f)
{
	char text[32];
	struct perf_event_attr attr;
	int fd;

	if (!first_line("/sys/bus/event_source/devices/uprobe/type", text, sizeof(text))) {
		say(f, FEATURE_NONE, "the kernel offers no uprobes through perf events");
		hint(f, "a kernel with CONFIG_UPROBE_EVENTS (and /sys mounted) is needed");
		return;
	}
	memset(&attr, 0, sizeof(attr));
	attr.size = sizeof(attr);
	attr.type = (uint32_t)strtoul(text, NULL, 10);
	attr.uprobe_path = (uintptr_t) "/proc/self/no-such-file";
	attr.disabled = 1;
	fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 8 /* PERF_FLAG_FD_CLOEXEC */);
	if (fd >= 0)
		close(fd);
	if (fd >= 0 || errno == ENOENT)
		say(f, FEATURE_FULL, "perf_event_open supports uprobes");
	else
		not_allowed(m, f, "perf_event_open", -errno);
}

static int link_nowhere(int prog, uint32_t pid)
{
	static const uint64_t offset;
	struct uprobe_multi_attr attr;
	int fd;

	memset(&attr, 0, sizeof(attr));
	attr.prog_fd = (uint32_t)prog;
	attr.attach_type = ATTACH_UPROBE_MULTI;
	attr.path = (uintptr_t) "/";
	attr.offsets = (uintptr_t)&offset;
	attr.cnt = 1;
	attr.pid = pid;
	fd = sys_bpf(BPF_LINK_CREATE, &attr, sizeof(attr));
	if (fd >= 0)
		close(fd);
	return fd;
}

/*
 * As libbpf asks (src/features.c): a link on "/" fails with EBADF where the
 * kernel knows uprobe_multi, and with EINVAL for pid -1 where the pid filter
 * compares processes; the first kernels compared threads, and events of a Go
 * program's other threads were lost.
 */
static void probe_uprobe_multi(const struct machine *m, struct feature *f)
{
	int prog = load_program(BPF_PROG_TYPE_KPROBE, ATTACH_UPROBE_MULTI, return_0, 2);
	int here, pid;

	if (prog == -EPERM || prog == -EACCES) {
		not_allowed(m, f, "loading a tracing program", prog);
		return;
	}
	if (prog < 0) {
		say(f, FEATURE_NONE,
		    "this kernel has no uprobe_multi: attaching and detaching are slow");
		hint(f, "Linux 6.10 or newer attaches thousands of probes at once");
		return;
	}
	here = link_nowhere(prog, 0);
	pid = link_nowhere(prog, UINT32_MAX);
	close(prog);
	if (here != -EBADF)
		say(f, FEATURE_NONE, "cannot create a uprobe_multi link: %s", strerror(-here));
	else if (pid != -EINVAL)
		say(f, FEATURE_LIMITED,
		    "uprobe_multi exists, but its pid filter misses threads (6.6 to 6.9)");
	else
		say(f, FEATURE_FULL, "uprobe_multi works; its pid filter matches whole processes");
	if (f->state != FEATURE_FULL)
		hint(f, "perf events are used instead; Linux 6.10 or newer does not need them");
}

static void probe_cookie(const struct machine *m, struct feature *f)
{
	int fd = load_program(BPF_PROG_TYPE_KPROBE, 0, return_cookie, 2);

	if (fd >= 0) {
		close(fd);
		say(f, FEATURE_FULL, "programs can tell which probe they run for");
	} else if (fd == -EPERM || fd == -EACCES) {
		not_allowed(m, f, "loading a tracing program", fd);
	} else {
		say(f, FEATURE_LIMITED,
		    "no attach cookies (need Linux 5.15): sites are distinguished by address");
	}
}

static void probe_btf(const struct machine *m, struct feature *f)
{
	(void)m;
	if (!access("/sys/kernel/btf/vmlinux", R_OK))
		say(f, FEATURE_FULL, "/sys/kernel/btf/vmlinux is present (not required)");
	else
		say(f, FEATURE_LIMITED, "no kernel type information (not required)");
}

static void probe_lockdown(const struct machine *m, struct feature *f)
{
	char text[128];

	(void)m;
	if (!first_line("/sys/kernel/security/lockdown", text, sizeof(text))) {
		say(f, FEATURE_FULL, "no kernel lockdown");
	} else if (strstr(text, "[confidentiality]")) {
		say(f, FEATURE_LIMITED, "lockdown is 'confidentiality': tracing may be forbidden");
		hint(f, "boot with lockdown=integrity or none to trace");
	} else {
		say(f, FEATURE_FULL, "lockdown: %.100s", text);
	}
}

/* ---- privileges ---- */

static void probe_sysctl_paranoid(const struct machine *m, struct feature *f)
{
	char text[32];

	if (!first_line("/proc/sys/kernel/perf_event_paranoid", text, sizeof(text))) {
		say(f, FEATURE_NONE, "the kernel has no perf events");
		return;
	}
	if (has_cap(m, CAP_PERFMON_BIT) || has_cap(m, CAP_SYS_ADMIN_BIT)) {
		say(f, FEATURE_FULL,
		    "kernel.perf_event_paranoid is %.20s: irrelevant with these privileges", text);
		return;
	}
	say(f, FEATURE_LIMITED, "kernel.perf_event_paranoid is %.20s, and CAP_PERFMON is missing",
	    text);
	hint(f, "run as root, or with CAP_PERFMON");
}

static void probe_sysctl_bpf(const struct machine *m, struct feature *f)
{
	char text[32];

	if (has_cap(m, CAP_BPF_BIT) || has_cap(m, CAP_SYS_ADMIN_BIT)) {
		say(f, FEATURE_FULL, "irrelevant with these privileges");
		return;
	}
	if (!first_line("/proc/sys/kernel/unprivileged_bpf_disabled", text, sizeof(text)))
		snprintf(text, sizeof(text), "absent");
	say(f, FEATURE_LIMITED, "kernel.unprivileged_bpf_disabled is %.20s, and CAP_BPF is missing",
	    text);
	hint(f, "run as root, or with CAP_BPF");
}

static void probe_yama(const struct machine *m, struct feature *f)
{
	char text[32];
	int scope;

	if (!first_line("/proc/sys/kernel/yama/ptrace_scope", text, sizeof(text))) {
		say(f, FEATURE_FULL, "yama is not enabled");
		return;
	}
	scope = atoi(text);
	if (scope >= 3) {
		say(f, FEATURE_NONE, "kernel.yama.ptrace_scope is 3: no process may read another");
		hint(f, "only a reboot with another value in /etc/sysctl.d changes it");
	} else if (scope == 0 || has_cap(m, CAP_SYS_PTRACE_BIT)) {
		say(f, FEATURE_FULL,
		    "kernel.yama.ptrace_scope is %d: irrelevant with these privileges", scope);
	} else {
		say(f, FEATURE_LIMITED,
		    "kernel.yama.ptrace_scope is %d: being the same user is not enough", scope);
		hint(f, "run as root or with CAP_SYS_PTRACE, or sysctl kernel.yama.ptrace_scope=0");
	}
}

static void probe_capabilities(const struct machine *m, struct feature *f)
{
	static const struct {
		int bit;
		const char *name;
	} cap[] = {
		{ CAP_BPF_BIT, "CAP_BPF" },
		{ CAP_PERFMON_BIT, "CAP_PERFMON" },
		{ CAP_SYS_PTRACE_BIT, "CAP_SYS_PTRACE" },
	};
	char missing[100] = "";
	int n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(cap); i++) {
		/* CAP_SYS_ADMIN includes BPF and PERFMON, not PTRACE */
		if (has_cap(m, cap[i].bit) ||
		    (cap[i].bit != CAP_SYS_PTRACE_BIT && has_cap(m, CAP_SYS_ADMIN_BIT)))
			continue;
		snprintf(missing + strlen(missing), sizeof(missing) - strlen(missing), "%s%s",
			 n++ ? ", " : "", cap[i].name);
	}
	if (!n) {
		say(f, FEATURE_FULL, "CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE are effective");
		return;
	}
	say(f, n == 3 ? FEATURE_NONE : FEATURE_LIMITED, "missing: %s", missing);
	hint(f,
	     "run as root, or: setcap cap_bpf,cap_perfmon,cap_sys_ptrace+ep on the gospect binary");
}

static int read_child(pid_t child, const uint64_t *word)
{
	uint64_t got = 0;
	struct iovec local = { &got, sizeof(got) };
	struct iovec remote = { (void *)(uintptr_t)word, sizeof(*word) };

	if (process_vm_readv(child, &local, 1, &remote, 1, 0) != sizeof(got))
		return -errno;
	return got == *word ? 0 : -EIO;
}

/* A child of ours, which waits for the pipe to close and ends. */
static void probe_vm_read(const struct machine *m, struct feature *f)
{
	static const uint64_t word = 0x676f737065637421ull;
	int pipe_fd[2], err;
	pid_t child;
	char c;

	if (pipe2(pipe_fd, O_CLOEXEC)) {
		say(f, FEATURE_LIMITED, "not tested: %s", strerror(errno));
		return;
	}
	child = fork();
	if (child == 0) {
		close(pipe_fd[1]);
		_exit(read(pipe_fd[0], &c, 1) < 0);
	}
	err = child < 0 ? -errno : read_child(child, &word);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	if (child > 0)
		waitpid(child, NULL, 0);
	if (err) {
		say(f, FEATURE_NONE, "process_vm_readv: %s", strerror(-err));
		hint(f, "%s",
		     err == -ENOSYS ? "a kernel with CONFIG_CROSS_MEMORY_ATTACH is needed"
				    : "seccomp or a security module forbids it");
	} else if (has_cap(m, CAP_SYS_PTRACE_BIT)) {
		say(f, FEATURE_FULL, "process_vm_readv reads other processes");
	} else {
		say(f, FEATURE_LIMITED,
		    "process_vm_readv works, but only for processes of the same user");
		hint(f, "run as root or with CAP_SYS_PTRACE");
	}
}

/* A map larger than the limit: newer kernels (5.11) charge it to the cgroup. */
static void probe_memlock(const struct machine *m, struct feature *f)
{
	union bpf_attr attr;
	struct rlimit lim;
	int fd;

	if (getrlimit(RLIMIT_MEMLOCK, &lim) || lim.rlim_cur == RLIM_INFINITY ||
	    lim.rlim_cur >= 64u << 20) {
		say(f, FEATURE_FULL, "locked memory is not limited");
		return;
	}
	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_ARRAY;
	attr.key_size = 4;
	attr.value_size = 65536;
	attr.max_entries = (uint32_t)(lim.rlim_cur / 65536 + 16);
	fd = sys_bpf(BPF_MAP_CREATE, &attr, sizeof(attr));
	if (fd >= 0) {
		close(fd);
		say(f, FEATURE_FULL,
		    "limited to %" PRIu64 " KiB, which this kernel does not apply to BPF maps",
		    (uint64_t)lim.rlim_cur >> 10);
		return;
	}
	if (!has_cap(m, CAP_BPF_BIT) && !has_cap(m, CAP_SYS_ADMIN_BIT)) {
		say(f, FEATURE_LIMITED,
		    "limited to %" PRIu64
		    " KiB; whether it matters cannot be tested without CAP_BPF",
		    (uint64_t)lim.rlim_cur >> 10);
		return;
	}
	say(f, FEATURE_LIMITED, "locked memory is limited to %" PRIu64 " KiB",
	    (uint64_t)lim.rlim_cur >> 10);
	hint(f,
	     "raise it if maps cannot be created: ulimit -l unlimited, or LimitMEMLOCK=infinity");
}

/* ---- where we are ---- */

static bool option_hides(const char *mounts)
{
	const char *p = strstr(mounts, " /proc proc ");
	const char *end, *opt;

	if (!p)
		return false;
	end = strchrnul(p, '\n');
	opt = strstr(p, "hidepid=");
	/* 0 and off hide nothing; since 5.8 the words noaccess, invisible, ptraceable too */
	return opt && opt < end && opt[8] != '0' && strncmp(opt + 8, "off", 3);
}

static void probe_hidepid(const struct machine *m, struct feature *f)
{
	char *mounts;
	bool hides;

	if (procfs_read(AT_FDCWD, "/proc/self/mounts", &mounts, NULL)) {
		say(f, FEATURE_NONE, "/proc is not mounted");
		hint(f, "mount -t proc proc /proc");
		return;
	}
	hides = option_hides(mounts);
	free(mounts);
	if (!hides) {
		say(f, FEATURE_FULL, "/proc shows every process");
	} else if (has_cap(m, CAP_SYS_PTRACE_BIT)) {
		say(f, FEATURE_FULL,
		    "/proc is mounted with hidepid: irrelevant with these privileges");
	} else {
		say(f, FEATURE_LIMITED,
		    "/proc is mounted with hidepid: other users' processes are hidden");
		hint(f, "run as root or with CAP_SYS_PTRACE");
	}
}

static void probe_pid_ns(const struct machine *m, struct feature *f)
{
	struct stat st;

	(void)m;
	if (stat("/proc/self/ns/pid", &st)) {
		say(f, FEATURE_LIMITED, "unknown: %s", strerror(errno));
	} else if (st.st_ino == INIT_PID_NS) {
		say(f, FEATURE_FULL, "the host's: every process is visible");
	} else {
		say(f, FEATURE_LIMITED, "a container's: only its own processes are visible");
		hint(f, "run on the host, or with --pid=host (hostPID: true)");
	}
}

static void probe_seccomp(const struct machine *m, struct feature *f)
{
	if (!m->seccomp) {
		say(f, FEATURE_FULL, "no filter");
		return;
	}
	say(f, FEATURE_LIMITED, "a seccomp filter is active: the rows above show what it allows");
	hint(f, "in a container: --security-opt seccomp=unconfined, or a profile with bpf, "
		"perf_event_open and process_vm_readv");
}

static void probe_pidfd(const struct machine *m, struct feature *f)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	(void)m;
	if (fd >= 0) {
		close(fd);
		say(f, FEATURE_FULL, "pidfd_open works: a reused pid is noticed at once");
	} else {
		say(f, FEATURE_LIMITED, "pidfd_open: %s: a reused pid is noticed by its start time",
		    strerror(errno));
	}
}

static const struct {
	const char *name;
	void (*probe)(const struct machine *m, struct feature *f);
} table[] = {
	{ "kernel", probe_kernel },
	{ "capabilities", probe_capabilities },
	{ "read memory", probe_vm_read },
	{ "bpf", probe_bpf },
	{ "bpf tracing", probe_tracing },
	{ "uprobe (perf)", probe_perf_uprobe },
	{ "uprobe_multi", probe_uprobe_multi },
	{ "attach cookies", probe_cookie },
	{ "kernel BTF", probe_btf },
	{ "lockdown", probe_lockdown },
	{ "perf_event_paranoid", probe_sysctl_paranoid },
	{ "unprivileged bpf", probe_sysctl_bpf },
	{ "yama", probe_yama },
	{ "memlock", probe_memlock },
	{ "pidfd", probe_pidfd },
	{ "/proc", probe_hidepid },
	{ "pid namespace", probe_pid_ns },
	{ "seccomp", probe_seccomp },
};

int features_probe(struct feature *out, int max)
{
	int n = (int)ARRAY_SIZE(table);
	struct machine m = { 0 };
	char text[8192];

	if (!procfs_read_short(AT_FDCWD, "/proc/self/status", text, sizeof(text))) {
		procfs_status_u64(text, "CapEff", 16, &m.caps);
		procfs_status_u64(text, "Seccomp", 10, &m.seccomp);
	}
	if (n > max)
		n = max;
	for (int i = 0; i < n; i++) {
		memset(&out[i], 0, sizeof(out[i]));
		out[i].name = table[i].name;
		table[i].probe(&m, &out[i]);
	}
	return n;
}

const char *feature_state_name(enum feature_state s)
{
	switch (s) {
	case FEATURE_FULL:
		return "full";
	case FEATURE_LIMITED:
		return "limited";
	default:
		return "none";
	}
}
