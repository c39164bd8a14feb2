/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"

#define PATIENCE_NS (800 * NS_PER_MS)
/* Two signals within are one: of the terminal, and of a sudo that passes it on. */
#define SAME_NS (200 * NS_PER_MS)

#define SCREEN_OFF "\033[?1049l\033[?25h\033[0m" /* back from full screen, with a cursor */
#define SAYS       "gospect: ended before it was done\n"

struct guard {
	int signals; /* a signalfd */
	int forward; /* a pipe */
	bool has_terminal;
	struct termios terminal; /* as it was */
	uint64_t last_ns;        /* signal; 0: none yet */
	uint64_t end_ns;         /* 0: not yet to be ended */
};

/* Nothing that could hang, or that needs what another thread may have in its hands. */
static void leave_terminal(const struct guard *g)
{
	struct termios now;
	struct pollfd err = { .fd = STDERR_FILENO, .events = POLLOUT };
	ssize_t n = 0;

	if (g->has_terminal && !tcgetattr(STDIN_FILENO, &now) &&
	    now.c_lflag != g->terminal.c_lflag) {
		tcsetattr(STDIN_FILENO, TCSANOW, &g->terminal);
		if (isatty(STDERR_FILENO) && poll(&err, 1, 0) > 0)
			n = write(STDERR_FILENO, SCREEN_OFF, strlen(SCREEN_OFF));
	}
	if (n >= 0 && poll(&err, 1, 0) > 0)
		n = write(STDERR_FILENO, SAYS, strlen(SAYS));
}

/* As if it had never been caught: the shell sees which signal it was. */
static void end(const struct guard *g, int signo)
{
	sigset_t set;

	leave_terminal(g);
	signal(signo, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, signo);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	kill(getpid(), signo);
	_exit(128 + signo);
}

static void take(struct guard *g, const struct signalfd_siginfo *si)
{
	uint64_t now = clock_mono_ns();

	if (write(g->forward, si, sizeof(*si)) < 0)
		errno = 0; /* nobody listens any more */
	if (g->last_ns && now - g->last_ns > SAME_NS)
		g->end_ns = now;
	else if (si->ssi_signo != SIGINT && !g->end_ns)
		g->end_ns = now + PATIENCE_NS;
	g->last_ns = now;
}

static void *watch(void *arg)
{
	struct guard *g = arg;
	struct signalfd_siginfo si = { 0 };

	for (;;) {
		struct pollfd p = { .fd = g->signals, .events = POLLIN };
		uint64_t now = clock_mono_ns();

		if (g->end_ns && now >= g->end_ns)
			end(g, (int)si.ssi_signo);
		poll(&p, 1, g->end_ns ? (int)((g->end_ns - now) / NS_PER_MS) + 1 : -1);
		if (p.revents && read(g->signals, &si, sizeof(si)) == sizeof(si))
			take(g, &si);
	}
	return NULL;
}

static int start(struct guard *g)
{
	pthread_t thread;
	int err = thread_start(&thread, watch, g);

	if (!err)
		pthread_detach(thread);
	return err;
}

int interrupt_begin(int *fd)
{
	static struct guard guard;
	sigset_t set;
	int pair[2];

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (pipe2(pair, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	*fd = pair[0];
	guard.forward = pair[1];
	guard.has_terminal = !tcgetattr(STDIN_FILENO, &guard.terminal);
	guard.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return guard.signals < 0 ? -errno : start(&guard);
}
