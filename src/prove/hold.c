/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tracer is a thread of this process, and another one answers: a thread that
 * execs may have to be taken leave of while the tracer waits for it (reap()).
 *
 * A kernel timer that kills reaches a process also when it is stopped or its
 * cgroup (version 2) is frozen; of a frozen cgroup of version 1 it goes out first.
 */
#include "prove/hold.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/vec.h"

#define PRIORITY                 2    /* of SCHED_FIFO: above the one that copies */
#define MAX_LISTINGS             1000 /* a process that makes threads faster than they are stopped */
#define REAP_NS                  5000000     /* while threads are being stopped */
#define XSTATE_MAX               (16u << 10) /* with AMX tiles 11 KiB */
#define PTRACE_EVENT_STOP_STATUS 128         /* PTRACE_EVENT_STOP, linux/ptrace.h */

struct holder {
	int sock;
	pid_t pid;
	struct frozen_thread *thread;
	size_t n, cap;
	uint64_t *word;
	size_t nword, word_cap;
	uint64_t began_ns; /* when the first thread was interrupted */
	uint64_t stop_ns, until_ns;
	char why[160];
	timer_t kill;
	/* of the tracing thread */
	pthread_t tracer;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool ready, release, early;
	int result;
};

static struct frozen_thread *find_thread(struct holder *h, pid_t tid)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->thread[i].tid == tid)
			return &h->thread[i];
	return NULL;
}

static struct frozen_thread *add_thread(struct holder *h, pid_t tid)
{
	if (h->n == HOLD_MAX_THREADS)
		return NULL;
	if (array_room(&h->thread, h->n, &h->cap, sizeof(*h->thread)))
		return NULL;
	h->thread[h->n] = (struct frozen_thread){ .tid = tid };
	return &h->thread[h->n++];
}

/* PTRACE_SEIZE was refused: the thread is ending (0), somebody else has it (-EBUSY), or we may not. */
static int why_refused(const struct holder *h, struct frozen_thread *t)
{
	char path[64], line[256], state;
	long tracer = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", (int)h->pid, (int)t->tid);
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

static int seize(struct holder *h, pid_t tid)
{
	struct frozen_thread *t;

	pthread_mutex_lock(&h->lock); /* reap() goes through the list */
	t = add_thread(h, tid);
	pthread_mutex_unlock(&h->lock);
	if (!t)
		return -ENOMEM;
	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL)) {
		if (errno == ESRCH) { /* it ended meanwhile */
			t->gone = true;
			return 0;
		}
		return errno == EPERM ? why_refused(h, t) : -errno;
	}
	t->seized = true;
	if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL))
		t->gone = true;
	return 0;
}

/* Seizes the threads that are not yet: their number, or negative errno. */
static int seize_new(struct holder *h)
{
	char path[64];
	struct dirent *e;
	int found = 0, err = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)h->pid);
	d = opendir(path);
	if (!d)
		return errno == ENOENT ? -ESRCH : -errno;
	while (!err && (e = readdir(d))) {
		pid_t tid = (pid_t)strtol(e->d_name, NULL, 10);

		if (tid <= 0 || find_thread(h, tid))
			continue;
		err = seize(h, tid);
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
static int await_stop(struct holder *h, struct frozen_thread *t, uint64_t deadline_ns)
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
			snprintf(h->why, sizeof(h->why), "thread %d did not stop in time",
				 (int)t->tid);
			return -ETIME;
		} else {
			nap(round);
		}
	}
	return 0;
}

static int add_words(struct holder *h, const void *bytes, size_t n)
{
	if (array_grow(&h->word, h->nword + n / 8, &h->word_cap, sizeof(*h->word)))
		return -ENOMEM;
	memcpy(h->word + h->nword, bytes, n / 8 * 8);
	h->nword += n / 8;
	return 0;
}

static int read_registers(struct holder *h, struct frozen_thread *t)
{
	struct user_regs_struct regs;
	uint8_t state[XSTATE_MAX];
	struct iovec io = { &regs, sizeof(regs) };
	int err;

	t->first_word = h->nword;
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
	err = add_words(h, &regs, io.iov_len);
	io = (struct iovec){ state, sizeof(state) };
#ifdef __x86_64__
	if (!err && !ptrace(PTRACE_GETREGSET, t->tid, NT_X86_XSTATE, &io))
		err = add_words(h, state, io.iov_len);
#else
	if (!err && !ptrace(PTRACE_GETREGSET, t->tid, NT_PRFPREG, &io))
		err = add_words(h, state, io.iov_len);
#endif
	t->nwords = h->nword - t->first_word;
	return err;
}

static int stop_all(struct holder *h, uint64_t deadline_ns)
{
	for (int listing = 0; listing < MAX_LISTINGS; listing++) {
		int found = seize_new(h), err = 0;

		if (found <= 0)
			return found;
		for (size_t i = 0; i < h->n && !err; i++)
			err = await_stop(h, &h->thread[i], deadline_ns);
		if (err)
			return err;
	}
	snprintf(h->why, sizeof(h->why), "it creates threads faster than they can be stopped");
	return -ETIME;
}

static int hold(struct holder *h)
{
	bool any = false;
	int err = stop_all(h, h->until_ns);

	for (size_t i = 0; i < h->n && !err; i++) {
		any = any || h->thread[i].stopped;
		if (h->thread[i].stopped)
			err = read_registers(h, &h->thread[i]);
	}
	if (!err && !any)
		err = -ESRCH;
	return err;
}

/* What is not let go here, because it has not stopped, the kernel lets go when this thread ends. */
static void let_go(struct holder *h)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->thread[i].stopped)
			ptrace(PTRACE_DETACH, h->thread[i].tid, NULL,
			       (void *)(intptr_t)h->thread[i].signal);
	h->stop_ns = clock_mono_ns() - h->began_ns;
}

static struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / NS_PER_S),
				  .tv_nsec = (long)(ns % NS_PER_S) };
}

static void *trace(void *arg)
{
	struct holder *h = arg;
	struct timespec until = timespec_of(h->until_ns);
	int result = hold(h);

	if (result)
		let_go(h);
	pthread_mutex_lock(&h->lock);
	h->result = result;
	h->ready = true;
	pthread_cond_broadcast(&h->changed);
	while (!result && !h->release && !h->early)
		h->early = pthread_cond_timedwait(&h->changed, &h->lock, &until) == ETIMEDOUT;
	pthread_mutex_unlock(&h->lock);
	if (!result)
		let_go(h);
	return NULL;
}

/*
 * Takes leave of threads that have ended.  A thread that execs waits, with the
 * process's cred_guard_mutex, until its tracer has done so for all others
 * (fs/exec.c, de_thread), and meanwhile the tracer may be waiting for that
 * mutex to seize the next one (kernel/ptrace.c, ptrace_attach): both for ever.
 * Any thread of ours may do it, so the one that waits for the tracer does.
 * Only a look at first: waiting for a stop is the tracer's business.
 */
static void reap(const struct holder *h)
{
	for (size_t i = 0; i < h->n; i++) {
		id_t tid = (id_t)h->thread[i].tid;
		siginfo_t info = { .si_pid = 0 };

		if (!waitid(P_PID, tid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) &&
		    info.si_pid &&
		    (info.si_code == CLD_EXITED || info.si_code == CLD_KILLED ||
		     info.si_code == CLD_DUMPED))
			waitid(P_PID, tid, &info, WEXITED | WNOHANG | __WALL);
	}
}

/* With the lock: until the tracer has stopped all, or has failed. */
static void await_ready(struct holder *h)
{
	while (!h->ready) {
		uint64_t until = clock_mono_ns() + REAP_NS;
		struct timespec ts = timespec_of(until);

		if (pthread_cond_timedwait(&h->changed, &h->lock, &ts) == ETIMEDOUT)
			reap(h);
	}
}

static void holder_init(struct holder *h, int sock)
{
	struct sigevent kill = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL };
	pthread_condattr_t attr;

	memset(h, 0, sizeof(*h));
	h->sock = sock;
	pthread_mutex_init(&h->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&h->changed, &attr);
	pthread_condattr_destroy(&attr);
	if (timer_create(CLOCK_MONOTONIC, &kill, &h->kill))
		_exit(1); /* without it nothing is frozen */
}

/* 0: never. */
static void set_kill(struct holder *h, uint64_t at_ns)
{
	struct itimerspec its = { .it_value = timespec_of(at_ns) };

	if (timer_settime(h->kill, TIMER_ABSTIME, &its, NULL) && at_ns)
		_exit(1);
}

int hold_send(int sock, const void *data, size_t len)
{
	const char *from = data;

	while (len) {
		ssize_t n = send(sock, from, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EPIPE;
		from += n;
		len -= (size_t)n;
	}
	return 0;
}

int hold_receive(int sock, void *data, size_t len)
{
	char *to = data;

	while (len) {
		ssize_t n = recv(sock, to, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EPIPE;
		to += n;
		len -= (size_t)n;
	}
	return 0;
}

static int reply(const struct holder *h)
{
	struct hold_reply r = { .result = h->result };

	memcpy(r.why, h->why, sizeof(r.why));
	if (r.result) {
		r.stop_ns = h->stop_ns;
	} else {
		r.n = h->n;
		r.nword = h->nword;
	}
	if (hold_send(h->sock, &r, sizeof(r)) ||
	    hold_send(h->sock, h->thread, r.n * sizeof(*h->thread)))
		return -EPIPE;
	return hold_send(h->sock, h->word, r.nword * sizeof(*h->word));
}

/* False: nobody listens any more. */
static bool serve(struct holder *h, const struct hold_request *q)
{
	struct hold_end end;
	bool there;
	char byte;

	h->pid = q->pid;
	h->until_ns = q->until_ns;
	h->n = h->nword = 0;
	h->why[0] = '\0';
	h->ready = h->release = h->early = false;
	set_kill(h, q->kill_ns == UINT64_MAX ? 0 : q->kill_ns);
	h->began_ns = clock_mono_ns();
	if (pthread_create(&h->tracer, NULL, trace, h))
		return false;
	pthread_mutex_lock(&h->lock);
	await_ready(h);
	pthread_mutex_unlock(&h->lock);
	there = !reply(h) && (h->result || !hold_receive(h->sock, &byte, 1));
	pthread_mutex_lock(&h->lock);
	h->release = true;
	pthread_cond_broadcast(&h->changed);
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->tracer, NULL);
	set_kill(h, 0);
	end = (struct hold_end){ .early = h->early, .stop_ns = h->stop_ns };
	return there && (h->result || !hold_send(h->sock, &end, sizeof(end)));
}

/* Nobody can freeze the root of the hierarchy.  What is no version 1 has no such file. */
static void leave_frozen_cgroup(void)
{
	int fd = open("/sys/fs/cgroup/freezer/cgroup.procs", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, "0", 1) != 1) /* not ours: as it is */
		errno = 0;
	close(fd);
}

/* Only the socket stays open: the parent's files are the parent's. */
static int keep_only(int sock)
{
	int null = open("/dev/null", O_RDWR);

	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	if (sock != 3)
		dup2(sock, 3);
	closefrom(4);
	return 3;
}

_Noreturn void hold_main(int sock, pid_t parent)
{
	struct sched_param p = { .sched_priority = PRIORITY };
	struct hold_request q;
	struct holder h;
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setsid();
	prctl(PR_SET_NAME, "gospect-hold");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	leave_frozen_cgroup();
	if (sched_setscheduler(0, SCHED_FIFO, &p))
		setpriority(PRIO_PROCESS, 0, -20);
	holder_init(&h, keep_only(sock));
	while (!hold_receive(h.sock, &q, sizeof(q)))
		if (!serve(&h, &q))
			break;
	_exit(0);
}
