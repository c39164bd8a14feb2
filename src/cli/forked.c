/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/forked.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/options.h"

#define MEMORY_BYTES (512ull << 20) /* of a child's data, which the largest executables need */

static _Noreturn void run(int fd, const char *name, void (*serve)(const struct forked *f))
{
	struct forked f = { .fd = fd };
	sigset_t set;

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	prctl(PR_SET_NAME, name, 0, 0, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGINT); /* it ends with the other one */
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, &f.mask);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	f.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (f.signals < 0)
		_exit(EXIT_FAILED);
	serve(&f);
	_exit(EXIT_DONE);
}

int forked_start(const char *name, void (*serve)(const struct forked *f))
{
	int fd[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd))
		return -errno;
	pid = fork();
	if (!pid) {
		close(fd[0]);
		run(fd[1], name, serve);
	}
	close(fd[1]);
	if (pid < 0) {
		int err = -errno;

		close(fd[0]);
		return err;
	}
	return fd[0];
}

static void bound_memory(void)
{
#ifndef __SANITIZE_ADDRESS__
	const struct rlimit l = { MEMORY_BYTES, MEMORY_BYTES };

	setrlimit(RLIMIT_DATA, &l);
#endif
}

void forked_child(const struct forked *f)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	close(f->fd);
	close(f->signals);
	sigprocmask(SIG_SETMASK, &f->mask, NULL);
	bound_memory();
}
