/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/prober.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/vec.h"
#include "cli/forked.h"
#include "cli/interrupt.h"
#include "cli/message.h"
#include "cli/options.h"
#include "cli/watch.h"
#include "observe/detect.h"
#include "proc/usage.h"

#define SENSORS      "goroutines,alloc,net" /* what walks cannot count */
#define BUDGET       "1"                    /* percent of the process's own CPU time */
#define PACE_NS      (5 * NS_PER_S)
#define ANSWER_BYTES (1u << 20)
#define ANSWER_S     5 /* for an answer that nobody reads */

/* --- one window, in a process of its own ------------------------------------------------------ */

struct prober {
	const struct probe_ask *q;
	struct options o;
	struct watch w;
	int out;
};

static void put(int fd, const void *bytes, size_t n)
{
	const char *at = bytes;

	while (n) {
		ssize_t sent = send(fd, at, n, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return;
		at += sent;
		n -= (size_t)sent;
	}
}

static enum probed_outcome outcome_of(int status)
{
	return status == EXIT_TARGET_ENDED    ? PROBED_ENDED
	       : status == EXIT_NOT_PERMITTED ? PROBED_NOT_PERMITTED
	       : status == EXIT_NOT_GO        ? PROBED_EXECUTABLE
					      : PROBED_FAILED;
}

/* Memory could be read, but no probe be armed. */
static enum probed_outcome why_not_armed(const struct watch *w)
{
	struct trace_features f;
	struct err err = { 0 };

	if (!w->s.gb->layout || !goruntime_has(&w->s.rt, FACT_GOROUTINES))
		return PROBED_EXECUTABLE;
	if (trace_features_probe(&f, &err) || f.method == TRACE_METHOD_NONE)
		return f.denied ? PROBED_NOT_PERMITTED : PROBED_KERNEL;
	return PROBED_FAILED;
}

/* True: probes are armed. */
static bool say_begin(struct prober *p, int status)
{
	struct probed_begin b = { .outcome = PROBED_ARMED };

	if (status != EXIT_DONE) {
		b.outcome = outcome_of(status);
		snprintf(b.why, sizeof(b.why), "it cannot be opened");
	} else if (!p->w.trace) {
		b.outcome = why_not_armed(&p->w);
		snprintf(b.why, sizeof(b.why), "%s", p->w.memory_only);
	} else {
		const struct plan *plan = trace_plan(p->w.trace);

		for (int i = 0; i < plan->n; i++)
			b.probes += plan->probe[i].nsite > 0;
		b.bpf_bytes = trace_map_bytes(p->w.trace);
		b.rss_bytes = usage_self_rss();
	}
	put(p->out, &b, sizeof(b));
	return b.outcome == PROBED_ARMED;
}

/* Until the time is over, who asked wants no more, or the process has ended. */
static void look(struct prober *p)
{
	uint64_t end = clock_mono_ns() + p->q->time_ns;

	while (!p->w.end_reason) {
		struct pollfd asks = { .fd = p->out, .events = POLLIN };
		uint64_t now, due = observer_look_ns(p->w.observer);

		watch_wait(&p->w, due < end ? due : end, &asks, 1);
		now = clock_mono_ns();
		if (asks.revents || now >= end)
			p->w.end_reason = "over";
		else if (!p->w.end_reason && now >= observer_look_ns(p->w.observer))
			observer_look(p->w.observer);
	}
}

static void tell(struct prober *p)
{
	struct report r = { 0 };
	struct buf b;

	buf_init(&b, ANSWER_BYTES);
	if (!observer_take(p->w.observer, &r.window, p->w.end_reason)) {
		trace_disarm(p->w.trace); /* whoever reads it may take long */
		detect_all(&r.window, &r.findings);
		probed_write(&r, p->q, clock_self_cpu_ns(), &b);
	}
	if (!b.err)
		put(p->out, b.data, b.len);
	buf_deinit(&b);
	report_deinit(&r);
}

/* Whether it is the process that was meant: a pid may be another's by now. */
static int check(const struct probe_ask *q)
{
	struct err err = { 0 };
	struct process p;
	int r = process_init(&p, q->pid, &err);

	if (r)
		return r == -ESRCH ? EXIT_TARGET_ENDED : EXIT_NOT_PERMITTED;
	r = p.start_ticks == q->start_ticks ? EXIT_DONE : EXIT_TARGET_ENDED;
	process_deinit(&p);
	return r;
}

static int prepare(struct prober *p)
{
	char pid[16];
	char *argv[] = {
		(char *)"--only", (char *)SENSORS, (char *)"--budget", (char *)BUDGET, pid, NULL
	};
	int r = check(p->q);

	if (r != EXIT_DONE)
		return r;
	snprintf(pid, sizeof(pid), "%d", (int)p->q->pid);
	r = options_parse(command_find("attach"), ARRAY_SIZE(argv) - 1, argv, &p->o);
	if (r)
		return r;
	freeze_init(&p->w.freeze);
	return interrupt_begin(&p->w.signal_fd) ? EXIT_FAILED : EXIT_DONE;
}

static int observe(const struct probe_ask *q, int out)
{
	const struct watch_mode mode = { .pace_ns = PACE_NS };
	struct prober p = { .q = q, .out = out, .w = { .signal_fd = -1, .stop_fd = -1 } };
	int status;

	p.w.o = &p.o;
	status = prepare(&p);

	if (status == EXIT_DONE)
		status = watch_start(&p.w, &mode);
	if (say_begin(&p, status)) {
		look(&p);
		tell(&p);
	}
	watch_close(&p.w);
	return status;
}

/* What it has to say is said to who asked. */
static void run(const struct probe_ask *q, int out, const struct forked *f)
{
	const struct timeval wait = { .tv_sec = ANSWER_S };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0)
		_exit(EXIT_FAILED);
	close(null);
	setsockopt(out, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	forked_child(f);
	_exit(observe(q, out));
}

/* --- requests ------------------------------------------------------------------------------ */

/* False: the other end is closed.  *out -1: it came without its descriptor. */
static bool receive(int fd, struct probe_ask *q, int *out)
{
	int fds[DESCRIPTORS_MAX], nfd;
	int n = descriptors_receive(fd, q, sizeof(*q), fds, &nfd);

	*out = nfd == 1 ? fds[0] : -1;
	for (int i = 0; nfd > 1 && i < nfd; i++)
		close(fds[i]);
	return n == (int)sizeof(*q);
}

static bool serve_one(const struct forked *f)
{
	struct probe_ask q;
	int out;
	pid_t pid;

	if (!receive(f->fd, &q, &out))
		return false;
	if (out < 0)
		return true;
	pid = fork();
	if (!pid)
		run(&q, out, f);
	close(out); /* without a process: its end says so */
	return true;
}

static void reap(int signals)
{
	struct signalfd_siginfo si;

	while (read(signals, &si, sizeof(si)) > 0)
		;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void serve(const struct forked *f)
{
	for (;;) {
		struct pollfd p[] = { { .fd = f->fd, .events = POLLIN },
				      { .fd = f->signals, .events = POLLIN } };

		poll(p, ARRAY_SIZE(p), -1);
		if (p[1].revents)
			reap(f->signals);
		if (p[0].revents && !serve_one(f))
			return;
	}
}

int prober_start(void)
{
	return forked_start("gospect-probes", serve);
}

/* --- asking ---------------------------------------------------------------------------------- */

int prober_begin(int prober, const struct probe_ask *q)
{
	int fd[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd))
		return -errno;
	r = descriptors_send(prober, q, sizeof(*q), &fd[1], 1, MSG_DONTWAIT);
	r = r < 0 ? r : 0;
	close(fd[1]);
	if (!r && fcntl(fd[0], F_SETFL, O_NONBLOCK))
		r = -errno;
	if (r)
		close(fd[0]);
	return r ? r : fd[0];
}
