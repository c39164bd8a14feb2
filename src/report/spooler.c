/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/spooler.h"

#include "base/thread.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LAST_MS 500 /* for what is being written when all ends */

struct spooler {
	int event; /* the thread has done */
	pthread_t thread;
	bool busy; /* from the begin to the taking */
	/* the thread's, as long as it runs */
	char dir[PATH_MAX];
	uint64_t max_bytes;
	struct spool_files files;
	struct spooled result;
};

struct spooler *spooler_new(void)
{
	struct spooler *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->event < 0) {
		free(s);
		return NULL;
	}
	return s;
}

int spooler_event(const struct spooler *s)
{
	return s->event;
}

static void *run(void *arg)
{
	const uint64_t one = 1;
	struct spooler *s = arg;

	spool_write(s->dir, s->max_bytes, &s->files, &s->result.err);
	if (write(s->event, &one, sizeof(one)) < 0)
		return NULL; /* it never is full */
	return NULL;
}

int spooler_begin(struct spooler *s, const char *dir, uint64_t max_bytes,
		  const struct spool_what *what, uint64_t key)
{
	int err;

	if (s->busy)
		return -EBUSY;
	err = spool_make(what, &s->files);
	if (err)
		return err;
	s->max_bytes = max_bytes;
	s->result = (struct spooled){ .key = key };
	snprintf(s->dir, sizeof(s->dir), "%s", dir);
	snprintf(s->result.id, sizeof(s->result.id), "%s", s->files.id);
	err = thread_start(&s->thread, run, s);
	if (err)
		spool_drop(&s->files);
	s->busy = !err;
	return err;
}

bool spooler_take(struct spooler *s, int timeout_ms, struct spooled *out)
{
	struct pollfd p = { .fd = s->event, .events = POLLIN };
	uint64_t n;

	if (!s->busy || poll(&p, 1, timeout_ms) != 1 || read(s->event, &n, sizeof(n)) != sizeof(n))
		return false;
	pthread_join(s->thread, NULL);
	spool_drop(&s->files);
	s->busy = false;
	*out = s->result;
	return true;
}

void spooler_free(struct spooler *s)
{
	struct spooled unused;

	if (!s)
		return;
	spooler_take(s, LAST_MS, &unused);
	if (s->busy) { /* the thread may still come to it */
		pthread_detach(s->thread);
		return;
	}
	close(s->event);
	free(s);
}
