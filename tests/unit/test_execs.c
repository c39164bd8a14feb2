/* SPDX-License-Identifier: BSD-2-Clause */
/* src/trace/execs: each exec is told, in order, with the pid as we know it. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "trace/execs.h"

#define STARTS 50

struct seen {
	pid_t pid[STARTS];
	int want, got;
};

/* Of all that the machine starts, those in their order. */
static void note(void *arg, pid_t pid)
{
	struct seen *s = arg;

	if (s->got < s->want && pid == s->pid[s->got])
		s->got++;
}

static pid_t start(void)
{
	pid_t pid = fork();

	if (!pid) {
		execl("/proc/self/exe", "test_execs", "ended", NULL);
		_exit(1);
	}
	return pid;
}

static void test_starts(void **state)
{
	struct seen s = { .want = STARTS };
	struct err err = { 0 };
	struct execs *e;
	int r = execs_open(&e, &err), status;

	(void)state;
	if (r == -EPERM || r == -EOPNOTSUPP) {
		print_message("%s\n", err.what);
		skip();
	}
	assert_int_equal(r, 0);
	for (int i = 0; i < STARTS; i++) {
		s.pid[i] = start();
		assert_true(s.pid[i] > 0);
		assert_int_equal(waitpid(s.pid[i], &status, 0), s.pid[i]);
		assert_int_equal(status, 0);
	}
	while (s.got < s.want) {
		struct pollfd p = { .fd = execs_fd(e), .events = POLLIN };

		assert_int_equal(poll(&p, 1, 20000), 1);
		assert_int_equal(execs_take(e, note, &s), 0);
	}
	assert_int_equal(execs_lost(e), 0);
	assert_true(execs_bytes(e) >= 256 << 10);
	execs_close(e);
	execs_close(NULL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_starts) };

	(void)argv;
	if (argc > 1) /* one that was started */
		return 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
