/* SPDX-License-Identifier: BSD-2-Clause */
/* Signals that end gospect wherever it stands, and the line that says what it is doing. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "cli/interrupt.h"
#include "cli/message.h"
#include "cli/options.h"
#include "cli/overdue.h"

#define DEADLINE_S 60

/* Never looks whether a signal has come, but tells of the first one that could be read. */
static void busy(int out)
{
	struct signalfd_siginfo si;
	int fd, null = open("/dev/null", O_RDWR);

	dup2(null, STDERR_FILENO);
	if (interrupt_begin(&fd) || write(out, "r", 1) != 1)
		_exit(1);
	while (read(fd, &si, sizeof(si)) != sizeof(si))
		;
	if (write(out, si.ssi_signo == SIGINT ? "i" : "t", 1) != 1)
		_exit(1);
	alarm(DEADLINE_S);
	for (;;)
		;
}

static pid_t start(int *from)
{
	int pair[2];
	char c;
	pid_t pid;

	assert_int_equal(pipe(pair), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		busy(pair[1]);
	close(pair[1]);
	assert_int_equal(read(pair[0], &c, 1), 1);
	*from = pair[0];
	return pid;
}

static char told(int from)
{
	char c = 0;

	assert_int_equal(read(from, &c, 1), 1);
	return c;
}

static int signal_that_ended(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	return WTERMSIG(status);
}

static void term_ends_what_does_not_look(void **state)
{
	int from;
	pid_t pid = start(&from);

	(void)state;
	kill(pid, SIGTERM);
	assert_int_equal(told(from), 't');
	assert_int_equal(signal_that_ended(pid), SIGTERM);
	close(from);
}

/* The first one is a wish, which may take its time; those that come with it are the same. */
static void second_interrupt_ends_it(void **state)
{
	siginfo_t info = { .si_pid = 0 };
	int from;
	pid_t pid = start(&from);

	(void)state;
	kill(pid, SIGINT);
	kill(pid, SIGINT);
	assert_int_equal(told(from), 'i');
	for (int i = 0;
	     i < 2 * DEADLINE_S &&
	     waitid(P_PID, (id_t)pid, &info, WNOWAIT | WEXITED | WNOHANG) == 0 && !info.si_pid;
	     i++) {
		clock_nap_ms(500);
		kill(pid, SIGINT);
	}
	assert_int_equal(signal_that_ended(pid), SIGINT);
	close(from);
}

/* ---- on a terminal ---- */

static int open_terminal(int *slave)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);

	assert_true(master >= 0);
	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	*slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	assert_true(*slave >= 0);
	return master;
}

/* What has come, up to `until`. */
static void read_terminal(int master, char *out, size_t size, const char *until)
{
	size_t n = strlen(out);
	struct pollfd p = { .fd = master, .events = POLLIN };

	while (!strstr(out, until)) {
		ssize_t got;

		if (poll(&p, 1, DEADLINE_S * 1000) != 1)
			fail_msg("no '%s' in '%s'", until, out);
		got = read(master, out + n, size - n - 1);
		assert_true(got > 0);
		n += (size_t)got;
		out[n] = '\0';
	}
}

static void progress_is_one_line(void **state)
{
	struct pollfd p = { .events = POLLIN };
	int slave, saved = dup(STDERR_FILENO);
	char text[4096] = "";

	(void)state;
	p.fd = open_terminal(&slave);
	dup2(slave, STDERR_FILENO);
	msg_begin();
	msg_progress("what takes %d", 1); /* not what is over at once */
	assert_int_equal(poll(&p, 1, 0), 0);
	while (poll(&p, 1, 10) == 0)
		msg_progress("what takes long");
	read_terminal(p.fd, text, sizeof(text), "\r\033[Kwhat takes long");
	msg_note("said");
	read_terminal(p.fd, text, sizeof(text), "\r\033[Kgospect: said\r\n");
	while (poll(&p, 1, 10) == 0)
		msg_progress("more");
	msg_progress_end();
	read_terminal(p.fd, text, sizeof(text), "more\r\033[K");
	msg_end();
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(slave);
	close(p.fd);
}

static void progress_is_for_terminals(void **state)
{
	int pair[2], saved = dup(STDERR_FILENO);
	uint64_t until = clock_mono_ns() + NS_PER_S;
	char text[64] = "";

	(void)state;
	assert_int_equal(pipe(pair), 0);
	dup2(pair[1], STDERR_FILENO);
	while (clock_mono_ns() < until)
		msg_progress("what takes long");
	msg_note("said");
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	assert_int_equal(read(pair[0], text, sizeof(text)), strlen("gospect: said\n"));
	assert_string_equal(text, "gospect: said\n");
	close(saved);
	close(pair[0]);
	close(pair[1]);
}

#define HEEDED 77

/* A service: with a loop that reads what came, or that is in the middle of something long. */
static pid_t serve(bool reads)
{
	struct signalfd_siginfo si;
	sigset_t set;
	int pair[2], fd;
	char c;
	pid_t pid;

	assert_int_equal(pipe(pair), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid) {
		close(pair[1]);
		assert_int_equal(read(pair[0], &c, 1), 1);
		close(pair[0]);
		return pid;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (overdue_begin(fd) || write(pair[1], "r", 1) != 1)
		_exit(1);
	alarm(DEADLINE_S);
	while (!reads)
		clock_nap_ms(500);
	do {
		clock_nap_ms(500); /* busy for less than is allowed */
		if (read(fd, &si, sizeof(si)) != sizeof(si))
			_exit(1);
	} while (si.ssi_signo == SIGHUP);
	_exit(HEEDED);
}

static int status_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void busy_service_ends(void **state)
{
	pid_t pid = serve(false);

	(void)state;
	kill(pid, SIGHUP); /* may wait for ever */
	kill(pid, SIGTERM);
	assert_int_equal(status_of(pid), EXIT_DONE);
}

static void service_that_heeds_ends_itself(void **state)
{
	pid_t pid = serve(true);

	(void)state;
	kill(pid, SIGHUP);
	kill(pid, SIGTERM);
	assert_int_equal(status_of(pid), HEEDED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(term_ends_what_does_not_look),
		cmocka_unit_test(second_interrupt_ends_it),
		cmocka_unit_test(busy_service_ends),
		cmocka_unit_test(service_that_heeds_ends_itself),
		cmocka_unit_test(progress_is_one_line),
		cmocka_unit_test(progress_is_for_terminals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
