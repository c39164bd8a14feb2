/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/profiler.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/vec.h"
#include "cli/forked.h"
#include "cli/message.h"
#include "cli/options.h"
#include "export/ask.h"
#include "proc/process.h"

#define POLITE_NS (2 * NS_PER_S) /* between SIGTERM and SIGKILL */

/* --- one profile, in a process of its own --------------------------------------------------- */

/* Whether it is the process that was meant: a pid may be another's by now. */
static int check(const struct ask *q)
{
	struct err err = { 0 };
	struct process p;
	int r = process_init(&p, q->pid, &err);

	if (r)
		return msg_fail(&err);
	if (p.start_ticks != q->start_ticks) {
		msg_error("process %d has ended", (int)q->pid);
		r = EXIT_TARGET_ENDED;
	}
	process_deinit(&p);
	return r;
}

static int take(const struct ask *q)
{
	static const struct {
		const char *profile, *sensor;
	} of[ASK_KINDS] = {
		[ASK_GOROUTINE] = { "goroutine", "goroutines" },
		[ASK_HEAP] = { "heap", "alloc" },
		[ASK_ALLOCS] = { "allocs", "alloc" },
		[ASK_CPU] = { "cpu", "cpu" },
	};
	const struct command *c = command_find("snapshot");
	char pid[16], seconds[16];
	struct options o;
	int r = q->kind < ASK_KINDS ? check(q) : EXIT_USAGE;
	char *argv[] = { (char *)"--format",
			 (char *)"pprof",
			 (char *)"--profile",
			 (char *)of[q->kind % ASK_KINDS].profile,
			 (char *)"--only",
			 (char *)of[q->kind % ASK_KINDS].sensor,
			 (char *)"--window",
			 seconds,
			 pid,
			 NULL };

	if (r)
		return r;
	snprintf(pid, sizeof(pid), "%d", (int)q->pid);
	snprintf(seconds, sizeof(seconds), "%us", q->kind == ASK_CPU ? (unsigned)q->seconds : 0);
	r = options_parse(c, ARRAY_SIZE(argv) - 1, argv, &o);
	return r ? r : c->run(&o);
}

static void run(const struct ask *q, const int out[2], const struct forked *f)
{
	int status;

	if (dup2(out[0], STDOUT_FILENO) < 0 || dup2(out[1], STDERR_FILENO) < 0)
		_exit(EXIT_FAILED);
	for (int i = 0; i < 2; i++)
		close(out[i]);
	forked_child(f);
	status = take(q);
	msg_end();
	fflush(NULL);
	_exit(status);
}

/* --- requests ------------------------------------------------------------------------------ */

/* False: the other end is closed.  out[0] -1: it came without descriptors. */
static bool receive(int fd, struct ask *q, int out[2])
{
	int fds[DESCRIPTORS_MAX], nfd;
	int n = descriptors_receive(fd, q, sizeof(*q), fds, &nfd);

	out[0] = nfd == 2 ? fds[0] : -1;
	out[1] = nfd == 2 ? fds[1] : -1;
	for (int i = 0; nfd != 2 && i < nfd; i++)
		close(fds[i]);
	return n == (int)sizeof(*q);
}

/* Its end: by itself, or as it is told, for it took too long, or nobody waits for it.  False: the
 * other end is closed. */
static bool wait_for(pid_t pid, int fd, int signals, uint64_t end_ns, int *status)
{
	bool told = false, open = true;
	int signo = SIGTERM;

	while (!waitpid(pid, status, WNOHANG)) {
		struct pollfd p[] = { { .fd = open ? fd : -1, .events = POLLIN },
				      { .fd = signals, .events = POLLIN } };
		uint64_t now = clock_mono_ns();
		struct signalfd_siginfo si;
		struct ask q;
		int out[2];

		if (now >= end_ns || told) {
			kill(pid, signo);
			signo = SIGKILL;
			end_ns = now + POLITE_NS;
			told = false;
		}
		poll(p, ARRAY_SIZE(p), (int)((end_ns - now) / NS_PER_MS) + 1);
		if (p[0].revents) {
			open = receive(fd, &q, out); /* whatever it is: the one before is to end */
			told = true;
			for (int i = 0; i < 2; i++)
				if (out[i] >= 0)
					close(out[i]);
		}
		if (p[1].revents && read(signals, &si, sizeof(si)) < 0)
			errno = 0; /* waitpid() tells */
	}
	return open;
}

static bool serve_one(const struct forked *f)
{
	struct asked answer = { .status = -EAGAIN };
	struct ask q;
	int out[2], status = 0;
	bool open;
	pid_t pid;

	if (!receive(f->fd, &q, out))
		return false;
	if (out[0] < 0)
		return true; /* the one that is to end has ended */
	pid = fork();
	if (!pid)
		run(&q, out, f);
	close(out[0]);
	close(out[1]);
	open = pid < 0 ||
	       wait_for(pid, f->fd, f->signals,
			clock_mono_ns() + (q.seconds + ASK_OTHERS_S) * NS_PER_S, &status);
	if (pid > 0)
		answer.status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
	return open && send(f->fd, &answer, sizeof(answer), MSG_NOSIGNAL) == sizeof(answer);
}

static void serve(const struct forked *f)
{
	while (serve_one(f))
		;
}

int profiler_start(void)
{
	return forked_start("gospect-profile", serve);
}
