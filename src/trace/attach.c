/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/attach.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>

void attachment_init(struct attachment *a)
{
	for (int i = 0; i < ATTACH_MAX_SITES; i++)
		a->link_fd[i] = a->perf_fd[i] = -1;
}

bool attachment_is_on(const struct attachment *a)
{
	return a->link_fd[0] >= 0 || a->perf_fd[0] >= 0;
}

int attach_multi(struct attachment *a, const struct attach_point *p)
{
	struct uprobe_multi_attr attr = {
		.prog_fd = (uint32_t)p->prog_fd,
		.attach_type = ATTACH_UPROBE_MULTI,
		.path = (uint64_t)(uintptr_t)p->path,
		.offsets = (uint64_t)(uintptr_t)p->offsets,
		.cookies = (uint64_t)(uintptr_t)p->cookies,
		.cnt = p->n,
		.pid = (uint32_t)p->pid,
	};
	long fd;

	if (!p->n || p->n > ATTACH_MAX_SITES)
		return -E2BIG;
	fd = syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
	if (fd < 0)
		return -errno;
	a->link_fd[0] = (int)fd;
	return 0;
}

int attach_perf_type(void)
{
	FILE *f = fopen("/sys/bus/event_source/devices/uprobe/type", "re");
	int type = -1;

	if (!f)
		return -ENOENT;
	if (fscanf(f, "%d", &type) != 1)
		type = -1;
	fclose(f);
	return type < 0 ? -ENOENT : type;
}

/* The event is of one thread, but its program runs for every thread that
 * shares the mm (kernel/trace/trace_uprobe.c: uprobe_perf_filter() compares
 * mm, and __uprobe_perf_func() runs programs before it looks for events of
 * the current thread). */
static int perf_open(const struct attach_point *p, uint64_t offset)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.uprobe_path = (uint64_t)(uintptr_t)p->path,
		.probe_offset = offset,
	};
	int type = attach_perf_type();
	long fd;

	if (type < 0)
		return type;
	attr.type = (uint32_t)type;
	fd = syscall(SYS_perf_event_open, &attr, p->pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : (int)fd;
}

static int perf_set_prog(struct attachment *a, uint32_t i, const struct attach_point *p,
			 bool cookies)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .perf_event.bpf_cookie = p->cookies[i]);

	if (cookies) {
		a->link_fd[i] = bpf_link_create(p->prog_fd, a->perf_fd[i], BPF_PERF_EVENT, &opts);
		return a->link_fd[i] < 0 ? a->link_fd[i] : 0;
	}
	if (ioctl(a->perf_fd[i], PERF_EVENT_IOC_SET_BPF, p->prog_fd) ||
	    ioctl(a->perf_fd[i], PERF_EVENT_IOC_ENABLE, 0))
		return -errno;
	return 0;
}

int attach_perf(struct attachment *a, const struct attach_point *p, bool cookies)
{
	int err = 0;

	if (!p->n || p->n > ATTACH_MAX_SITES)
		return -E2BIG;
	for (uint32_t i = 0; !err && i < p->n; i++) {
		a->perf_fd[i] = perf_open(p, p->offsets[i]);
		err = a->perf_fd[i] < 0 ? a->perf_fd[i] : perf_set_prog(a, i, p, cookies);
	}
	if (err)
		attachment_close(a);
	return err;
}

void attachment_close(struct attachment *a)
{
	for (int i = 0; i < ATTACH_MAX_SITES; i++) {
		if (a->link_fd[i] >= 0)
			close(a->link_fd[i]);
		if (a->perf_fd[i] >= 0)
			close(a->perf_fd[i]);
	}
	attachment_init(a);
}

/* A thread without signals: they belong to the caller's loop. */
static int thread_start(pthread_t *t, void *(*fn)(void *), void *arg)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(t, NULL, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return err;
}

static void *job_run(void *arg)
{
	struct attach_job *j = arg;

	j->result =
		j->multi ? attach_multi(j->a, &j->point) : attach_perf(j->a, &j->point, j->cookies);
	return NULL;
}

void attach_all(struct attach_job *jobs, int n)
{
	pthread_t thread[ATTACH_MAX_JOBS];
	bool running[ATTACH_MAX_JOBS];

	for (int i = 0; i < n; i++) {
		running[i] =
			i && i < ATTACH_MAX_JOBS && !thread_start(&thread[i], job_run, &jobs[i]);
		if (!running[i] && i)
			job_run(&jobs[i]);
	}
	if (n)
		job_run(&jobs[0]);
	for (int i = 0; i < n; i++)
		if (running[i])
			pthread_join(thread[i], NULL);
}

static void *close_run(void *arg)
{
	attachment_close(arg);
	return NULL;
}

void detacher_start(struct detacher *d, struct attachment *const *a, int n)
{
	int i;

	detacher_wait(d);
	for (i = 0; i < n && i < ATTACH_MAX_JOBS; i++) {
		d->a[i] = a[i];
		d->running[i] = !thread_start(&d->thread[i], close_run, a[i]);
		if (!d->running[i])
			attachment_close(a[i]);
	}
	d->n = i;
}

void detacher_wait(struct detacher *d)
{
	for (int i = 0; i < d->n; i++)
		if (d->running[i])
			pthread_join(d->thread[i], NULL);
	d->n = 0;
}
