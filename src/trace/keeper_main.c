/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The keeper itself.  It must never close a descriptor of a probe that nobody
 * else has: see keeper.h.  It allocates nothing, and does nothing for long.
 */
#include "trace/defined.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/vec.h"
#include "host/privileges.h"

#define LOOK_NS     NS_PER_S /* how often it asks whether gospect is alive and awake */
#define STOPPED_N   2        /* so many looks in a row find it stopped: let go */
#define MAX_CLOSERS 256

struct slot {
	struct attachment at;
	bool multi;
};

static struct {
	int sock, signal_fd, stat_fd;
	struct keeper_shared *shared;
	pid_t parent;
	struct slot slot[KEEPER_SLOTS];
	struct keeper_request job[KEEPER_MAX_JOBS]; /* of the series that is being sent */
	int prog_fd[KEEPER_MAX_JOBS], exe_fd[KEEPER_MAX_JOBS], njob;
	int defined[KEEPER_MAX_JOBS]; /* numbers; -1: without */
	pid_t closer[MAX_CLOSERS];    /* children that are closing */
	int closers;
	int owed;    /* answers when they are done */
	int stopped; /* looks in a row */
	uint64_t look_ns;
} k;

_Noreturn void keeper_die(void)
{
	kill(getpid(), SIGKILL);
	for (;;)
		_exit(0);
}

static uint64_t armed_slots(void)
{
	uint64_t slots = 0;

	for (int i = 0; i < KEEPER_SLOTS; i++)
		slots |= k.slot[i].at.n ? 1ull << i : 0;
	return slots;
}

static void close_slots(uint64_t slots)
{
	for (int i = 0; i < KEEPER_SLOTS; i++)
		if (slots & 1ull << i)
			attachment_close(&k.slot[i].at);
}

/* ---- letting go ---- */

/* Left alone with its slots when the gate closes. */
static _Noreturn void closer(uint64_t slots, int ready, int gate)
{
	char byte = 0;

	close(k.sock);
	close_slots(armed_slots() & ~slots);
	if (write(ready, &byte, 1) == 1) {
		close(ready);
		while (read(gate, &byte, 1) < 0 && errno == EINTR)
			;
	}
	keeper_die();
}

/* Links close side by side; events one after the other, whoever closes them
 * (the kernel's event_mutex): one closer for all of these. */
static uint64_t next_share(uint64_t *slots)
{
	uint64_t share = 0;

	for (int i = 0; i < KEEPER_SLOTS; i++)
		if (*slots & 1ull << i && !k.slot[i].multi)
			share |= 1ull << i;
	if (!share)
		share = *slots & -*slots;
	*slots &= ~share;
	return share;
}

static void let_go(uint64_t slots)
{
	uint64_t left = slots & armed_slots();
	int ready[2], gate[2], n = 0;
	char byte;

	if (!left)
		return;
	if (pipe2(ready, O_CLOEXEC))
		keeper_die();
	if (pipe2(gate, O_CLOEXEC))
		keeper_die();
	while (left) {
		uint64_t share = next_share(&left);
		pid_t pid = fork();

		if (!pid) {
			close(gate[1]);
			close(ready[0]);
			closer(share, ready[1], gate[0]);
		}
		if (pid < 0 || k.closers == MAX_CLOSERS)
			keeper_die(); /* which lets go of all, one after the other */
		k.closer[k.closers++] = pid;
		n++;
	}
	close(ready[1]);
	close(gate[0]);
	while (n && read(ready[0], &byte, 1) == 1)
		n--;
	close_slots(slots);
	close(ready[0]);
	close(gate[1]);
}

/* ---- arming ---- */

/*
 * A link on all places that is for nobody (but this process, which never gets
 * there): writes nothing now.  Should a SIGKILL hit the attacher half-way, its
 * end takes this link away, and with it whatever is left at these places.
 */
static void guard(void)
{
	static uint64_t offset[KEEPER_MAX_JOBS * ATTACH_MAX_SITES], cookie[ARRAY_SIZE(offset)];
	struct attach_point p = { .prog_fd = k.prog_fd[0],
				  .exe_fd = k.exe_fd[0],
				  .pid = getpid(),
				  .offsets = offset,
				  .cookies = cookie };
	struct attachment at;

	for (int i = 0; i < k.njob; i++) {
		if (!k.job[i].multi)
			return;
		memcpy(&offset[p.n], k.job[i].offset, k.job[i].n * sizeof(offset[0]));
		p.n += k.job[i].n;
	}
	attach_multi(&at, &p); /* without it, where the kernel refuses one of the places */
}

/* The second result of KEEPER_ARM: whether it is of tracefs. */
static int send_attached(int sock, enum keeper_op op, int result, bool events,
			 const struct attachment *at)
{
	const struct keeper_answer a = { .op = op, .result = { result, events } };

	return descriptors_send(sock, &a, sizeof(a), at->fd, at->n, 0);
}

/* By events of tracefs, as far as that goes.  What is handed over is no longer in *at. */
static int attach_defined(int number, const struct attach_point *p, bool cookies, int sock,
			  struct attachment *at)
{
	int e = 0;

	if (!defined_is_made(number)) {
		e = defined_make(number, p, cookies, at);
		if (send_attached(sock, KEEPER_DEFINE, e, true, at) < 0)
			keeper_die();
		at->n = 0;
	}
	return e ? e : defined_attach(number, p, at);
}

static int attach_job(int i, int sock)
{
	const struct keeper_request *r = &k.job[i];
	const struct attach_point p = { .prog_fd = k.prog_fd[i],
					.exe_fd = k.exe_fd[i],
					.pid = r->pid,
					.offsets = r->offset,
					.cookies = r->cookie,
					.n = r->n };
	struct attachment at = { .n = 0 };
	int e = -ENOENT;

	if (k.defined[i] >= 0)
		e = attach_defined(k.defined[i], &p, r->cookies, sock, &at);
	if (!e || at.n)
		return send_attached(sock, KEEPER_ARM, e, true, &at);
	e = r->multi ? attach_multi(&at, &p) : attach_perf(&at, &p, r->cookies);
	return send_attached(sock, KEEPER_ARM, e, false, &at);
}

static _Noreturn void attacher(int first, int sock)
{
	close(k.sock);
	close_slots(armed_slots());
	guard();
	for (int i = first; i < k.njob; i++)
		if (attach_job(i, sock) < 0)
			break;
	keeper_die();
}

/* The next answer of an attacher about a job: its size.  -EMFILE: without its descriptors. */
static int next_of(int sock, int i, struct keeper_answer *a)
{
	struct slot *s = &k.slot[k.job[i].slot];
	int n;

	do {
		a->op = KEEPER_ARM;
		n = descriptors_receive(sock, a, sizeof(*a), s->at.fd, &s->at.n);
		if (a->op == KEEPER_DEFINE)
			defined_take(k.defined[i], &s->at, n < 0 ? n : a->result[0]);
	} while (a->op == KEEPER_DEFINE);
	return n;
}

/* Takes over what an attacher arms: how many jobs are done. */
static int take_over(int sock, int first, struct keeper_answer *out)
{
	struct keeper_answer a;
	int i;

	for (i = first; i < k.njob; i++) {
		struct slot *s = &k.slot[k.job[i].slot];
		int n = next_of(sock, i, &a);

		s->multi = k.job[i].multi;
		if (!n || n == -ECONNRESET)
			break;
		out->result[i] = n < 0 ? n : a.result[0];
		__atomic_store_n(&k.shared->events, n > 0 && a.result[1], __ATOMIC_RELAXED);
		if (out->result[i])
			let_go(1ull << k.job[i].slot);
	}
	return i;
}

/* What the next attacher finds defined, or is to define. */
static void find_defined(int first)
{
	for (int i = first; i < k.njob; i++) {
		k.defined[i] = k.job[i].events && !k.job[i].multi
				       ? defined_for(&k.job[i], k.prog_fd[i], k.exe_fd[i])
				       : -1;
		if (k.defined[i] >= 0)
			defined_renew(k.defined[i]);
	}
}

/* One that is killed is followed by another, which takes what it left half done. */
#define ATTACHERS 3

static void arm(void)
{
	struct keeper_answer a = { .op = KEEPER_ARM };
	int done = 0, e = 0;

	for (int i = 0; !e && done < k.njob && i < ATTACHERS; i++) {
		int pair[2];
		pid_t pid;

		e = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) ? -errno : 0;
		if (e)
			break;
		find_defined(done);
		pid = fork();
		if (!pid) {
			close(pair[0]);
			attacher(done, pair[1]);
		}
		e = pid < 0 ? -errno : 0;
		close(pair[1]);
		if (!e)
			done = take_over(pair[0], done, &a);
		close(pair[0]);
	}
	for (int i = done; i < k.njob; i++)
		a.result[i] = e ? e : -EINTR;
	for (int i = 0; i < k.njob; i++) {
		close(k.prog_fd[i]);
		close(k.exe_fd[i]);
	}
	k.njob = 0;
	descriptors_send(k.sock, &a, sizeof(a), NULL, 0, 0);
}

/* ---- the loop ---- */

/* gospect is gone.  Who never reaps is often a container's first process. */
static _Noreturn void end(void)
{
	let_go(armed_slots());
	while (waitpid(-1, NULL, 0) > 0)
		;
	defined_end();
	keeper_die();
}

static void send_stats(void)
{
	int fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
	const struct keeper_answer a = { .op = KEEPER_STATS, .result = { fd < 0 ? fd : 0 } };

	descriptors_send(k.sock, &a, sizeof(a), &fd, fd >= 0, 0);
	if (fd >= 0)
		close(fd);
}

static void on_request(void)
{
	struct keeper_request *r = &k.job[k.njob];
	int fds[ATTACH_MAX_FDS], nfd;
	int n = descriptors_receive(k.sock, r, sizeof(*r), fds, &nfd);

	if (n != (int)sizeof(*r))
		end();
	if (r->op == KEEPER_DISARM) {
		k.owed++;
		let_go(r->slots);
		return;
	}
	if (r->op == KEEPER_STATS) {
		send_stats();
		return;
	}
	if (nfd != 2 || r->n > ATTACH_MAX_SITES || r->slot < 0 || r->slot >= KEEPER_SLOTS)
		end();
	let_go(1ull << r->slot);
	k.prog_fd[k.njob] = fds[0];
	k.exe_fd[k.njob++] = fds[1];
	if (r->last || k.njob == KEEPER_MAX_JOBS)
		arm();
}

/* A child has ended: all it held is closed. */
static void reaped(pid_t pid)
{
	for (int i = 0; i < k.closers; i++)
		if (k.closer[i] == pid)
			k.closer[i--] = k.closer[--k.closers];
}

static void reap(void)
{
	struct signalfd_siginfo si;
	pid_t pid;

	while (read(k.signal_fd, &si, sizeof(si)) > 0)
		;
	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		reaped(pid);
}

static void pay_answers(void)
{
	const struct keeper_answer a = { .op = KEEPER_DISARM };

	for (; k.owed && !k.closers; k.owed--)
		descriptors_send(k.sock, &a, sizeof(a), NULL, 0, 0);
}

static bool is_stopped(void)
{
	char text[512], *p;
	ssize_t n = pread(k.stat_fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return false;
	text[n] = '\0';
	p = strrchr(text, ')');
	return p && (p[2] == 'T' || p[2] == 't');
}

/* Nobody holds the probes within their budget while gospect stands still. */
static void look(void)
{
	uint64_t beat = __atomic_load_n(&k.shared->beat_ns, __ATOMIC_RELAXED);
	uint64_t now = clock_mono_ns();

	if (now < k.look_ns)
		return;
	k.look_ns = now + LOOK_NS;
	if (getppid() != k.parent)
		end();
	k.stopped = is_stopped() ? k.stopped + 1 : 0;
	if (!armed_slots() ||
	    (k.stopped < STOPPED_N && (now < beat || now - beat < KEEPER_PATIENCE_NS)))
		return;
	let_go(armed_slots());
	__atomic_fetch_add(&k.shared->lapses, 1, __ATOMIC_RELAXED);
}

/* Nothing of gospect's files stays open here: a pipe's reader waits for its end. */
static void close_others(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	for (int fd = 3; fd < 1024; fd++)
		if (fd != k.sock)
			close(fd);
}

static void settle(void)
{
	char path[32];
	sigset_t all;

	setsid();
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	prctl(PR_SET_NAME, "gospect-keeper");
	prctl(PR_SET_PDEATHSIG, SIGCONT); /* it may have been stopped */
	close_others();
	if (chdir("/"))
		keeper_die();
	sigemptyset(&all);
	sigaddset(&all, SIGCHLD);
	k.signal_fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)k.parent);
	k.stat_fd = open(path, O_RDONLY | O_CLOEXEC);
	privileges_keep(PRIVILEGE_PROBE);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

void keeper_main(int sock, struct keeper_shared *shared, pid_t parent)
{
	k.sock = sock;
	k.shared = shared;
	k.parent = parent;
	settle();
	for (;;) {
		struct pollfd p[2] = { { .fd = k.sock, .events = POLLIN },
				       { .fd = k.signal_fd, .events = POLLIN } };
		int n = poll(p, 2, LOOK_NS / NS_PER_MS);

		if (n < 0 && errno != EINTR)
			end();
		if (p[1].revents)
			reap();
		if (p[0].revents)
			on_request();
		pay_answers();
		look();
	}
}
