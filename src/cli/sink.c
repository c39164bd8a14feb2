/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"

#define AT_ONCE        16384             /* bytes: after each it is seen that the reader reads */
#define HURRIED_NS     (400 * NS_PER_MS) /* cli/interrupt.c ends all after twice that */
#define SIGNALS_ENOUGH 3
#define ROOM_MS        20 /* between two looks whether there is room: no event says it */

struct sink {
	int fd; /* borrowed */
	int event;
	bool running; /* there is a thread to join */
	pthread_t thread;
	/* the thread's while it runs */
	struct buf buf;
	int (*then)(void *arg, int err);
	void *arg;
	int result;
	/* read by both */
	atomic_size_t done;
	atomic_bool busy;
};

struct sink *sink_new(int fd)
{
	struct sink *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->fd = fd;
	s->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->event >= 0)
		return s;
	free(s);
	return NULL;
}

static int write_all(struct sink *s)
{
	while (s->done < s->buf.len) {
		size_t left = s->buf.len - s->done;
		ssize_t n = write(s->fd, s->buf.data + s->done, left < AT_ONCE ? left : AT_ONCE);

		if (n >= 0)
			s->done += (size_t)n;
		else if (errno == EAGAIN) /* somebody else made it non-blocking */
			poll(&(struct pollfd){ .fd = s->fd, .events = POLLOUT }, 1, -1);
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

static void *run(void *arg)
{
	struct sink *s = arg;

	s->result = write_all(s);
	if (s->then)
		s->result = s->then(s->arg, s->result);
	s->busy = false;
	eventfd_write(s->event, 1);
	return NULL;
}

/* Takes back what a thread that has ended had. */
static void settle(struct sink *s)
{
	if (!s->running || s->busy)
		return;
	pthread_join(s->thread, NULL);
	s->running = false;
	eventfd_read(s->event, &(eventfd_t){ 0 });
	buf_reset(&s->buf);
}

void sink_free(struct sink *s)
{
	if (!s || sink_busy(s))
		return;
	close(s->event);
	buf_deinit(&s->buf);
	free(s);
}

bool sink_busy(struct sink *s)
{
	settle(s);
	return s->running;
}

int sink_event(const struct sink *s)
{
	return s->event;
}

/* A pipe is made of pages, of which the first and the last may not be full. */
static bool pipe_has_room(size_t size, size_t used, size_t bytes)
{
	size_t slack = 2 * (size_t)sysconf(_SC_PAGESIZE);

	return bytes + slack > size ? !used : used + bytes + slack <= size;
}

bool sink_has_room(const struct sink *s, size_t bytes)
{
	struct pollfd p = { .fd = s->fd, .events = POLLOUT };
	int size, used = 0;

	if (poll(&p, 1, 0) <= 0)
		return false;
	size = fcntl(s->fd, F_GETPIPE_SZ);
	if (size <= 0 || p.revents & POLLERR || ioctl(s->fd, FIONREAD, &used))
		return true;
	return pipe_has_room((size_t)size, (size_t)used, bytes);
}

void sink_begin(struct sink *s, struct buf *b, int (*then)(void *arg, int err), void *arg)
{
	struct buf written = s->buf;

	written.max = b->max;
	s->buf = *b;
	*b = written;
	s->then = then;
	s->arg = arg;
	s->done = 0;
	s->busy = true;
	s->running = !thread_start(&s->thread, run, s);
	if (!s->running) { /* no thread to be had: at least it is written */
		run(s);
		eventfd_read(s->event, &(eventfd_t){ 0 });
		buf_reset(&s->buf);
	}
}

int sink_result(const struct sink *s)
{
	return s->result;
}

/* ---- waiting ---- */

struct wait {
	struct patience *patience;
	uint64_t since_ns; /* when something was taken last */
	size_t taken;
};

static struct wait wait_begin(struct patience *p, size_t taken)
{
	return (struct wait){ .patience = p, .since_ns = clock_mono_ns(), .taken = taken };
}

/* How long it may still take, in ms; -1: for ever. */
static int left_ms(struct wait *w, size_t taken)
{
	uint64_t now = clock_mono_ns();
	uint64_t limit = w->patience->hurry ? HURRIED_NS : w->patience->ns;

	if (taken != w->taken)
		w->since_ns = now;
	w->taken = taken;
	if (!limit)
		return -1;
	return now - w->since_ns >= limit ? 0
					  : (int)((limit - (now - w->since_ns)) / NS_PER_MS) + 1;
}

/* Sleeps until something happens; false when signals say that it is enough.  Two are
 * often one: of the terminal and of its shell. */
static bool sleep_for(struct wait *w, int fd, int ms)
{
	struct pollfd p[2] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = w->patience->signal_fd, .events = POLLIN },
	};
	struct signalfd_siginfo si;

	if (poll(p, 2, ms) <= 0 || !p[1].revents ||
	    read(w->patience->signal_fd, &si, sizeof(si)) != sizeof(si))
		return true;
	if (!w->patience->hurry)
		w->since_ns = clock_mono_ns();
	return ++w->patience->hurry < SIGNALS_ENOUGH;
}

int sink_wait(struct sink *s, struct patience *p)
{
	struct wait w = wait_begin(p, s->done);

	while (sink_busy(s)) {
		int ms = left_ms(&w, s->done);

		if (!ms || !sleep_for(&w, s->event, ms))
			return sink_busy(s) ? -ETIMEDOUT : s->result;
	}
	return s->result;
}

int sink_wait_room(struct sink *s, size_t bytes, struct patience *p)
{
	struct wait w = wait_begin(p, 0);

	while (!sink_has_room(s, bytes)) {
		int used = 0, ms;

		ioctl(s->fd, FIONREAD, &used); /* of another kind: it stays 0 */
		ms = left_ms(&w, (size_t)used);
		if (!ms || !sleep_for(&w, -1, ms > 0 && ms < ROOM_MS ? ms : ROOM_MS))
			return sink_has_room(s, bytes) ? 0 : -ETIMEDOUT;
	}
	return 0;
}
