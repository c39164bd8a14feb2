/* SPDX-License-Identifier: BSD-2-Clause */
#include "prove/freeze.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "prove/hold.h"

#define PRIORITY  1          /* of SCHED_FIFO; the holder has one more */
#define MAX_WORDS (1u << 27) /* 65,536 threads with all there is */

void freeze_init(struct freeze *f)
{
	memset(f, 0, sizeof(*f));
	f->sock = -1;
}

int freeze_open(struct freeze *f)
{
	pid_t parent = getpid();
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -errno;
	f->holder = fork();
	if (!f->holder)
		hold_main(pair[1], parent);
	close(pair[1]);
	if (f->holder < 0) {
		close(pair[0]);
		return -errno;
	}
	f->sock = pair[0];
	return 0;
}

/*
 * What keeps a process standing still comes before all else on this CPU, and
 * neither Ctrl-Z nor a terminal's rules stop it.  Without the privilege for the
 * former it is as urgent as it was.
 */
static void hurry(struct freeze *f)
{
	struct sched_param p = { .sched_priority = PRIORITY };
	sigset_t stops;

	sigemptyset(&stops);
	sigaddset(&stops, SIGTSTP);
	sigaddset(&stops, SIGTTIN);
	sigaddset(&stops, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &stops, &f->signals);
	f->policy = sched_getscheduler(0);
	f->urgent = f->policy >= 0 && !sched_getparam(0, &f->priority) &&
		    !sched_setscheduler(0, SCHED_FIFO, &p);
}

static void take_time(struct freeze *f)
{
	if (f->urgent)
		sched_setscheduler(0, f->policy, &f->priority);
	f->urgent = false;
	pthread_sigmask(SIG_SETMASK, &f->signals, NULL);
}

/*
 * The holder is gone, and whatever it held goes on, since the kernel's timer at
 * the latest: this process may have been given no CPU for long since then.
 */
static int lost(struct freeze *f)
{
	uint64_t now = clock_mono_ns();

	close(f->sock);
	f->sock = -1;
	f->stop_ns = (now < f->kill_ns ? now : f->kill_ns) - f->began_ns;
	snprintf(f->why, sizeof(f->why), "the process that held it was ended");
	return -ETIME;
}

static int receive_threads(struct freeze *f, const struct hold_reply *r)
{
	struct frozen_thread *thread;
	uint64_t *word;

	if (r->n > HOLD_MAX_THREADS || r->nword > MAX_WORDS)
		return -EBADMSG;
	thread = realloc(f->thread, (r->n + 1) * sizeof(*thread));
	f->thread = thread ? thread : f->thread;
	word = realloc(f->word, (r->nword + 1) * sizeof(*word));
	f->word = word ? word : f->word;
	if (!thread || !word)
		return -ENOMEM;
	f->n = r->n;
	f->nword = r->nword;
	if (hold_receive(f->sock, thread, r->n * sizeof(*thread)) ||
	    hold_receive(f->sock, word, r->nword * sizeof(*word)))
		return lost(f);
	return 0;
}

static int ask(struct freeze *f, const struct hold_request *q)
{
	struct hold_reply r;
	int err;

	if (hold_send(f->sock, q, sizeof(*q)) || hold_receive(f->sock, &r, sizeof(r)))
		return lost(f);
	memcpy(f->why, r.why, sizeof(f->why));
	f->stop_ns = r.stop_ns;
	f->holds = !r.result;
	err = r.result ? r.result : receive_threads(f, &r);
	if (err && f->sock >= 0 && !r.result)
		lost(f); /* half of an answer: it lets go when nobody is there */
	return err;
}

int freeze_begin(struct freeze *f, pid_t pid, uint64_t until_ns, uint64_t kill_ns)
{
	struct hold_request q = { .pid = pid, .until_ns = until_ns, .kill_ns = kill_ns };
	int err;

	f->n = f->nword = 0;
	f->stop_ns = 0;
	f->why[0] = '\0';
	f->holds = false;
	f->began_ns = clock_mono_ns();
	f->kill_ns = kill_ns;
	if (f->sock < 0) {
		snprintf(f->why, sizeof(f->why), "there is no process to hold it");
		return -ETIME;
	}
	hurry(f);
	err = ask(f, &q);
	if (err) {
		f->holds = false;
		take_time(f);
	}
	return err;
}

int freeze_end(struct freeze *f)
{
	struct hold_end end = { .early = true };

	if (!f->holds)
		return 0;
	f->holds = false;
	if (hold_send(f->sock, "", 1) || hold_receive(f->sock, &end, sizeof(end)))
		lost(f);
	else
		f->stop_ns = end.stop_ns;
	take_time(f);
	return end.early ? -ETIME : 0;
}

void freeze_deinit(struct freeze *f)
{
	freeze_end(f);
	if (f->sock >= 0)
		close(f->sock);
	if (f->holder > 0) { /* it may be stopped: it has nothing left to do */
		kill(f->holder, SIGKILL);
		while (waitpid(f->holder, NULL, 0) < 0 && errno == EINTR)
			;
	}
	free(f->thread);
	free(f->word);
	freeze_init(f);
}
