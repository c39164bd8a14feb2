/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two threads for each: one reads, the other one waits for it, though not for ever.  Who reads
 * may outlive the server: what it touches is its fetch, which is counted, and what is here.
 */
#include "export/fetch.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/thread.h"

struct fetches {
	int waiting; /* threads that wait */
	bool over;
};

struct fetch {
	int refs; /* who asked, who waits, who reads */
	struct fetches *of;
	struct snapshot_ask ask;
	void (*done)(void *arg);
	void *arg;
	bool there;
	int result;
	struct buf body; /* once it is there */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all fetches and what is in them */
static pthread_cond_t changed;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int reading; /* of all servers that there were */

static void make_changed(void)
{
	pthread_condattr_t a;

	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(&changed, &a);
	pthread_condattr_destroy(&a);
}

static void put_locked(struct fetch *f)
{
	if (--f->refs)
		return;
	if (f->there)
		buf_deinit(&f->body);
	free(f);
}

void fetch_put(struct fetch *f)
{
	if (!f)
		return;
	pthread_mutex_lock(&lock);
	put_locked(f);
	pthread_mutex_unlock(&lock);
}

static void *read_it(void *arg)
{
	struct fetch *f = arg;
	struct buf b;
	int result;

	buf_init(&b, SPOOL_MAX_SNAPSHOT);
	result = spool_read(f->ask.dir, f->ask.id, f->ask.form, &b);
	pthread_mutex_lock(&lock);
	f->result = result;
	f->body = b;
	f->there = true;
	reading--;
	pthread_cond_broadcast(&changed);
	put_locked(f);
	pthread_mutex_unlock(&lock);
	return NULL;
}

static void *wait_for_it(void *arg)
{
	struct fetch *f = arg;
	struct fetches *fs = f->of;
	uint64_t until = clock_mono_ns() + FETCH_MS * NS_PER_MS;
	const struct timespec end = { .tv_sec = (time_t)(until / NS_PER_S),
				      .tv_nsec = (long)(until % NS_PER_S) };
	int r = 0;

	pthread_mutex_lock(&lock);
	while (!f->there && !fs->over && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&changed, &lock, &end);
	pthread_mutex_unlock(&lock);
	f->done(f->arg);
	pthread_mutex_lock(&lock);
	put_locked(f);
	fs->waiting--; /* from now on the server may go */
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	return NULL;
}

static int begin(void *(*run)(void *arg), struct fetch *f)
{
	pthread_t thread;
	int r = thread_start(&thread, run, f);

	if (!r)
		pthread_detach(thread);
	return r;
}

/* With the lock: neither thread goes on before both are there. */
static int begin_both(struct fetch *f)
{
	int r = begin(read_it, f);

	if (r)
		return r;
	f->refs++;
	reading++;
	r = begin(wait_for_it, f);
	if (!r) {
		f->refs++;
		f->of->waiting++;
	}
	return r;
}

struct fetch *fetch_begin(struct fetches *fs, const struct snapshot_ask *ask,
			  void (*done)(void *arg), void *arg)
{
	struct fetch *f = calloc(1, sizeof(*f));
	int r = f ? 0 : -ENOMEM;

	pthread_once(&once, make_changed);
	pthread_mutex_lock(&lock);
	if (!r && (fs->over || reading >= FETCH_MAX))
		r = -EBUSY;
	if (!r) {
		*f = (struct fetch){ .refs = 1, .of = fs, .ask = *ask, .done = done, .arg = arg };
		r = begin_both(f);
		if (r)
			put_locked(f);
	} else {
		free(f);
	}
	pthread_mutex_unlock(&lock);
	return r ? NULL : f;
}

struct page fetch_take(struct fetch *f)
{
	struct page page;

	pthread_mutex_lock(&lock);
	page = f->there ? pages_snapshot(&f->ask, f->result, &f->body) : pages_hang();
	f->there = false; /* the body is the page's */
	put_locked(f);
	pthread_mutex_unlock(&lock);
	return page;
}

struct fetches *fetches_new(void)
{
	return calloc(1, sizeof(struct fetches));
}

void fetches_stop(struct fetches *fs)
{
	if (!fs)
		return;
	pthread_once(&once, make_changed);
	pthread_mutex_lock(&lock);
	fs->over = true;
	pthread_cond_broadcast(&changed);
	while (fs->waiting)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

void fetches_free(struct fetches *fs)
{
	free(fs);
}
