/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A child process of a test, that talks over its standard input and output.
 * Include it behind cmocka.h.
 */
#ifndef GO_CHILD_H
#define GO_CHILD_H

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

/*
 * Starts argv[0].  *to and *from are the caller's to close.  A program that
 * inherits another's pipe would keep it from ending, and one that outlives a
 * failed test would disturb the next.
 */
static inline pid_t go_child(char *const *argv, int *to, int *from)
{
	int in[2], out[2];
	pid_t pid;

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(in[0], 0);
		dup2(out[1], 1);
		for (int fd = 3; fd < 64; fd++)
			close(fd);
		execv(argv[0], argv);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	*to = in[1];
	*from = out[0];
	return pid;
}

#endif
