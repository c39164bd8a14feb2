/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/overdue.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"
#include "cli/options.h"

#define STEP_MS 100
#define STEPS   15 /* in a row in which it stayed unread */

static bool waits(void)
{
	sigset_t set;

	return !sigpending(&set) && (sigismember(&set, SIGTERM) || sigismember(&set, SIGINT));
}

static void *watch(void *arg)
{
	struct pollfd p = { .fd = (int)(intptr_t)arg, .events = POLLIN };

	for (int unread = 0; unread < STEPS; unread = waits() ? unread + 1 : 0) {
		poll(&p, 1, -1);
		poll(NULL, 0, STEP_MS);
	}
	_exit(EXIT_DONE);
}

int overdue_begin(int signal_fd)
{
	pthread_t thread;
	int err = thread_start(&thread, watch, (void *)(intptr_t)signal_fd);

	if (!err)
		pthread_detach(thread);
	return err;
}
