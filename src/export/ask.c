/* SPDX-License-Identifier: BSD-2-Clause */
#include "export/ask.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/thread.h"
#include "base/vec.h"

#define PROFILE_MAX (64u << 20) /* bytes */
#define WORDS_MAX   4096
#define LAST_NS     (5 * NS_PER_S) /* for its end, once it was asked for */

struct asker {
	int fd;   /* to the profiler */
	int over; /* an eventfd: all ends */
	pthread_mutex_t lock;
	bool busy, joinable; /* from the begin to the taking; there is a thread */
	bool stopped;
	pthread_t thread;
	/* the one under way: its thread's */
	int profile, words; /* ends of pipes; -1: closed */
	int client;
	uint64_t end_ns;
	bool stopping;
	struct buf body, said;
	int status;
	void (*done)(void *arg);
	void *arg;
};

struct asker *asker_new(int fd)
{
	struct asker *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->fd = fd;
	a->over = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	a->profile = a->words = -1;
	pthread_mutex_init(&a->lock, NULL);
	return a;
}

/* Its two descriptors go along; none: the one under way is to end. */
static int tell(int fd, const struct ask *q, const int *out)
{
	int n = descriptors_send(fd, q, sizeof(*q), out, out ? 2 : 0, MSG_DONTWAIT);

	return n < 0 ? n : 0;
}

static void stop(struct asker *a)
{
	const struct ask none = { 0 };

	if (a->stopping)
		return;
	a->stopping = true;
	a->end_ns = clock_mono_ns() + LAST_NS;
	tell(a->fd, &none, NULL);
}

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* What has come; nothing more comes: it is closed. */
static void take_in(struct asker *a, int *fd, struct buf *to)
{
	char chunk[65536];
	ssize_t n = read(*fd, chunk, sizeof(chunk));

	if (n > 0) {
		buf_add(to, chunk, (size_t)n);
		if (to->err && to == &a->body)
			stop(a);
	} else if (!n || (errno != EINTR && errno != EAGAIN)) {
		close_one(fd);
	}
}

/* The profiler has the last word: true when it was said, or when there is none any more. */
static bool answered(struct asker *a)
{
	struct asked answer;
	ssize_t n = recv(a->fd, &answer, sizeof(answer), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	a->status = n == sizeof(answer) ? answer.status : -EPIPE;
	return true;
}

static int until_ms(const struct asker *a)
{
	uint64_t now = clock_mono_ns();

	return now >= a->end_ns ? 0 : (int)((a->end_ns - now + NS_PER_MS - 1) / NS_PER_MS);
}

static void follow(struct asker *a)
{
	bool known = false;

	while (!known || a->profile >= 0 || a->words >= 0) {
		struct pollfd p[] = {
			{ .fd = a->profile, .events = POLLIN },
			{ .fd = a->words, .events = POLLIN },
			{ .fd = known ? -1 : a->fd, .events = POLLIN },
			{ .fd = a->stopping ? -1 : a->client, .events = POLLRDHUP },
			{ .fd = a->stopping ? -1 : a->over, .events = POLLIN },
		};
		int n = poll(p, ARRAY_SIZE(p), until_ms(a));

		if (!n && a->stopping)
			break; /* it does not end */
		if (!n || p[3].revents || p[4].revents)
			stop(a);
		if (p[0].revents)
			take_in(a, &a->profile, &a->body);
		if (p[1].revents)
			take_in(a, &a->words, &a->said);
		if (p[2].revents)
			known = answered(a);
	}
	if (!known || (a->stopping && a->status >= 0))
		a->status = a->body.err ? -EFBIG : -ETIMEDOUT;
	close_one(&a->profile);
	close_one(&a->words);
}

static void *run(void *arg)
{
	struct asker *a = arg;

	follow(a);
	a->done(a->arg);
	return NULL;
}

static int open_pipes(struct asker *a, int out[2])
{
	int profile[2], words[2];

	if (pipe2(profile, O_CLOEXEC))
		return -errno;
	if (pipe2(words, O_CLOEXEC)) {
		int err = -errno;

		close(profile[0]);
		close(profile[1]);
		return err;
	}
	a->profile = profile[0];
	a->words = words[0];
	out[0] = profile[1];
	out[1] = words[1];
	return 0;
}

/* Answers to what was given up before. */
static void forget_answers(struct asker *a)
{
	struct asked old;

	while (recv(a->fd, &old, sizeof(old), MSG_DONTWAIT) == sizeof(old))
		;
}

static int begin(struct asker *a, const struct ask *q)
{
	int out[2] = { -1, -1 }, err;

	forget_answers(a);
	err = open_pipes(a, out);
	if (err)
		return err;
	err = tell(a->fd, q, out);
	close(out[0]);
	close(out[1]);
	if (!err) {
		a->stopping = false;
		a->end_ns = clock_mono_ns() + (q->seconds + ASK_OTHERS_S) * NS_PER_S;
		buf_init(&a->body, PROFILE_MAX);
		buf_init(&a->said, WORDS_MAX);
		err = thread_start(&a->thread, run, a);
	}
	if (err) {
		close_one(&a->profile); /* who writes there ends */
		close_one(&a->words);
	}
	return err;
}

int asker_begin(struct asker *a, const struct ask *q, int client, void (*done)(void *arg),
		void *arg)
{
	int err = -EBUSY;

	pthread_mutex_lock(&a->lock);
	if (!a->busy && !a->stopped) {
		a->client = client;
		a->done = done;
		a->arg = arg;
		err = begin(a, q);
		a->busy = a->joinable = !err;
	}
	pthread_mutex_unlock(&a->lock);
	return err;
}

static void join(struct asker *a)
{
	if (a->joinable)
		pthread_join(a->thread, NULL);
	a->joinable = false;
}

int asker_take(struct asker *a, struct buf *out, int *status)
{
	bool good;

	pthread_mutex_lock(&a->lock);
	join(a);
	*status = a->status;
	good = !a->status && !a->body.err;
	*out = good ? a->body : a->said;
	out->err = 0; /* of words: that they are cut */
	buf_deinit(good ? &a->said : &a->body);
	memset(&a->body, 0, sizeof(a->body));
	memset(&a->said, 0, sizeof(a->said));
	a->busy = false;
	pthread_mutex_unlock(&a->lock);
	return !good;
}

void asker_stop(struct asker *a)
{
	const uint64_t one = 1;

	if (write(a->over, &one, sizeof(one)) < 0)
		errno = 0; /* it is told already */
	pthread_mutex_lock(&a->lock);
	a->stopped = true;
	join(a);
	pthread_mutex_unlock(&a->lock);
}

void asker_free(struct asker *a)
{
	if (!a)
		return;
	if (a->busy) {
		buf_deinit(&a->body);
		buf_deinit(&a->said);
	}
	close(a->over);
	pthread_mutex_destroy(&a->lock);
	free(a);
}
