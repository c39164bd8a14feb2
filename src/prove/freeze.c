/* SPDX-License-Identifier: BSD-2-Clause */
#include "prove/freeze.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/vec.h"

#define MAX_LISTINGS             1000 /* a process that makes threads faster than they are stopped */
#define REAP_NS                  5000000     /* while threads are being stopped */
#define XSTATE_MAX               (16u << 10) /* with AMX tiles 11 KiB */
#define PTRACE_EVENT_STOP_STATUS 128         /* PTRACE_EVENT_STOP, linux/ptrace.h */

static struct frozen_thread *find_thread(struct freeze *f, pid_t tid)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->thread[i].tid == tid)
			return &f->thread[i];
	return NULL;
}

static struct frozen_thread *add_thread(struct freeze *f, pid_t tid)
{
	if (f->n == FREEZE_MAX_THREADS)
		return NULL;
	if (array_room(&f->thread, f->n, &f->cap, sizeof(*f->thread)))
		return NULL;
	f->thread[f->n] = (struct frozen_thread){ .tid = tid };
	return &f->thread[f->n++];
}

/* PTRACE_SEIZE was refused: the thread is ending (0), somebody else has it (-EBUSY), or we may not. */
static int why_refused(const struct freeze *f, struct frozen_thread *t)
{
	char path[64], line[256], state;
	long tracer = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", (int)f->pid, (int)t->tid);
	file = fopen(path, "re");
	state = file || errno == ENOENT ? 'X' : '?'; /* nothing to be read in it: gone */
	while (file && fgets(line, sizeof(line), file)) {
		sscanf(line, "State: %c", &state);
		if (sscanf(line, "TracerPid: %ld", &tracer) == 1)
			break;
	}
	if (file)
		fclose(file);
	t->gone = state == 'Z' || state == 'X';
	return t->gone ? 0 : tracer ? -EBUSY : -EPERM;
}

static int seize(struct freeze *f, pid_t tid)
{
	struct frozen_thread *t;

	pthread_mutex_lock(&f->lock); /* reap() goes through the list */
	t = add_thread(f, tid);
	pthread_mutex_unlock(&f->lock);
	if (!t)
		return -ENOMEM;
	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL)) {
		if (errno == ESRCH) { /* it ended meanwhile */
			t->gone = true;
			return 0;
		}
		return errno == EPERM ? why_refused(f, t) : -errno;
	}
	t->seized = true;
	if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL))
		t->gone = true;
	return 0;
}

/* Seizes the threads that are not yet: their number, or negative errno. */
static int seize_new(struct freeze *f)
{
	char path[64];
	struct dirent *e;
	int found = 0, err = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)f->pid);
	d = opendir(path);
	if (!d)
		return errno == ENOENT ? -ESRCH : -errno;
	while (!err && (e = readdir(d))) {
		pid_t tid = (pid_t)strtol(e->d_name, NULL, 10);

		if (tid <= 0 || find_thread(f, tid))
			continue;
		err = seize(f, tid);
		found++;
	}
	closedir(d);
	return err ? err : found;
}

static void nap(unsigned int round)
{
	/* it takes some tens of microseconds when its CPU is free */
	struct timespec ts = { .tv_nsec = round < 20 ? 20000 : 200000 };

	nanosleep(&ts, NULL);
}

/* Waits until the thread has stopped, or is gone. */
static int await_stop(struct freeze *f, struct frozen_thread *t, uint64_t deadline_ns)
{
	for (unsigned int round = 0; !t->stopped && !t->gone; round++) {
		int status;
		pid_t got = waitpid(t->tid, &status, __WALL | WNOHANG);

		if (got == t->tid && WIFSTOPPED(status)) {
			t->stopped = true;
			/* on its way to deliver a signal: it gets it when it resumes */
			if (status >> 16 != PTRACE_EVENT_STOP_STATUS)
				t->signal = WSTOPSIG(status);
		} else if (got == t->tid || (got < 0 && errno != EINTR)) {
			t->gone = true;
		} else if (clock_mono_ns() > deadline_ns) {
			snprintf(f->why, sizeof(f->why), "thread %d did not stop in time",
				 (int)t->tid);
			return -ETIME;
		} else {
			nap(round);
		}
	}
	return 0;
}

static int add_words(struct freeze *f, const void *bytes, size_t n)
{
	if (array_grow(&f->word, f->nword + n / 8, &f->word_cap, sizeof(*f->word)))
		return -ENOMEM;
	memcpy(f->word + f->nword, bytes, n / 8 * 8);
	f->nword += n / 8;
	return 0;
}

static int read_registers(struct freeze *f, struct frozen_thread *t)
{
	struct user_regs_struct regs;
	uint8_t state[XSTATE_MAX];
	struct iovec io = { &regs, sizeof(regs) };
	int err;

	t->first_word = f->nword;
	if (ptrace(PTRACE_GETREGSET, t->tid, NT_PRSTATUS, &io))
		return errno == ESRCH ? 0 : -errno;
#ifdef __x86_64__
	t->pc = regs.rip;
	t->sp = regs.rsp;
	t->in_syscall = (int64_t)regs.orig_rax >= 0;
#else
	t->pc = regs.pc;
	t->sp = regs.sp;
#endif
	err = add_words(f, &regs, io.iov_len);
	io = (struct iovec){ state, sizeof(state) };
#ifdef __x86_64__
	if (!err && !ptrace(PTRACE_GETREGSET, t->tid, NT_X86_XSTATE, &io))
		err = add_words(f, state, io.iov_len);
#else
	if (!err && !ptrace(PTRACE_GETREGSET, t->tid, NT_PRFPREG, &io))
		err = add_words(f, state, io.iov_len);
#endif
	t->nwords = f->nword - t->first_word;
	return err;
}

static int stop_all(struct freeze *f, uint64_t deadline_ns)
{
	for (int listing = 0; listing < MAX_LISTINGS; listing++) {
		int found = seize_new(f), err = 0;

		if (found <= 0)
			return found;
		for (size_t i = 0; i < f->n && !err; i++)
			err = await_stop(f, &f->thread[i], deadline_ns);
		if (err)
			return err;
	}
	snprintf(f->why, sizeof(f->why), "it creates threads faster than they can be stopped");
	return -ETIME;
}

static int hold(struct freeze *f)
{
	bool any = false;
	int err = stop_all(f, f->deadline_ns);

	for (size_t i = 0; i < f->n && !err; i++) {
		any = any || f->thread[i].stopped;
		if (f->thread[i].stopped)
			err = read_registers(f, &f->thread[i]);
	}
	if (!err && !any)
		err = -ESRCH;
	return err;
}

/* What is not let go here, because it has not stopped, the kernel lets go when this thread ends. */
static void let_go(struct freeze *f)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->thread[i].stopped)
			ptrace(PTRACE_DETACH, f->thread[i].tid, NULL,
			       (void *)(intptr_t)f->thread[i].signal);
	f->stop_ns = clock_mono_ns() - f->began_ns;
}

static void *trace(void *arg)
{
	struct freeze *f = arg;
	int result = hold(f);

	if (result)
		let_go(f);
	pthread_mutex_lock(&f->lock);
	f->result = result;
	f->ready = true;
	pthread_cond_broadcast(&f->changed);
	while (!result && !f->release)
		pthread_cond_wait(&f->changed, &f->lock);
	pthread_mutex_unlock(&f->lock);
	if (!result)
		let_go(f);
	return NULL;
}

/* Signals are for the other threads. */
static int start_tracer(struct freeze *f)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&f->tracer, NULL, trace, f);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -err;
}

int freeze_init(struct freeze *f)
{
	pthread_condattr_t attr;

	memset(f, 0, sizeof(*f));
	pthread_mutex_init(&f->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&f->changed, &attr);
	pthread_condattr_destroy(&attr);
	return 0;
}

/*
 * Takes leave of threads that have ended.  A thread that execs waits, with the
 * process's cred_guard_mutex, until its tracer has done so for all others
 * (fs/exec.c, de_thread), and meanwhile the tracer may be waiting for that
 * mutex to seize the next one (kernel/ptrace.c, ptrace_attach): both for ever.
 * Any thread of ours may do it, so the one that waits for the tracer does.
 * Only a look at first: waiting for a stop is the tracer's business.
 */
static void reap(const struct freeze *f)
{
	for (size_t i = 0; i < f->n; i++) {
		id_t tid = (id_t)f->thread[i].tid;
		siginfo_t info = { .si_pid = 0 };

		if (!waitid(P_PID, tid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) &&
		    info.si_pid &&
		    (info.si_code == CLD_EXITED || info.si_code == CLD_KILLED ||
		     info.si_code == CLD_DUMPED))
			waitid(P_PID, tid, &info, WEXITED | WNOHANG | __WALL);
	}
}

/* With the lock: until the tracer has stopped all, or has failed. */
static void await_ready(struct freeze *f)
{
	while (!f->ready) {
		uint64_t until = clock_mono_ns() + REAP_NS;
		struct timespec ts = { .tv_sec = (time_t)(until / NS_PER_S),
				       .tv_nsec = (long)(until % NS_PER_S) };

		if (pthread_cond_timedwait(&f->changed, &f->lock, &ts) == ETIMEDOUT)
			reap(f);
	}
}

int freeze_begin(struct freeze *f, pid_t pid, uint64_t deadline_ns)
{
	int err;

	f->pid = pid;
	f->deadline_ns = deadline_ns;
	f->n = f->nword = 0;
	f->stop_ns = 0;
	f->why[0] = '\0';
	f->ready = f->release = false;
	f->began_ns = clock_mono_ns();
	err = start_tracer(f);
	if (err)
		return err;
	f->running = true;
	pthread_mutex_lock(&f->lock);
	await_ready(f);
	err = f->result;
	pthread_mutex_unlock(&f->lock);
	if (err)
		freeze_end(f);
	return err;
}

void freeze_end(struct freeze *f)
{
	if (!f->running)
		return;
	pthread_mutex_lock(&f->lock);
	f->release = true;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
	pthread_join(f->tracer, NULL);
	f->running = false;
}

void freeze_deinit(struct freeze *f)
{
	freeze_end(f);
	free(f->thread);
	free(f->word);
	pthread_mutex_destroy(&f->lock);
	pthread_cond_destroy(&f->changed);
	memset(f, 0, sizeof(*f));
}
