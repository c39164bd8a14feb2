/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/attach.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>

#define PATH_BYTES 32

static uint64_t path_of(const struct attach_point *p, char path[PATH_BYTES])
{
	snprintf(path, PATH_BYTES, "/proc/self/fd/%d", p->exe_fd);
	return (uint64_t)(uintptr_t)path;
}

int attach_multi(struct attachment *a, const struct attach_point *p)
{
	char path[PATH_BYTES];
	struct uprobe_multi_attr attr = {
		.prog_fd = (uint32_t)p->prog_fd,
		.attach_type = ATTACH_UPROBE_MULTI,
		.path = path_of(p, path),
		.offsets = (uint64_t)(uintptr_t)p->offsets,
		.cookies = (uint64_t)(uintptr_t)p->cookies,
		.cnt = p->n,
		.pid = (uint32_t)p->pid,
	};
	long fd = syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));

	a->n = 0;
	if (fd < 0)
		return -errno;
	a->fd[a->n++] = (int)fd;
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
	char path[PATH_BYTES];
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.uprobe_path = path_of(p, path),
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

int attach_program(struct attachment *a, int event, const struct attach_point *p, uint32_t i,
		   bool cookies)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .perf_event.bpf_cookie = p->cookies[i]);
	int link;

	if (cookies) {
		link = bpf_link_create(p->prog_fd, event, BPF_PERF_EVENT, &opts);
		if (link >= 0)
			a->fd[a->n++] = link;
		return link < 0 ? link : 0;
	}
	if (ioctl(event, PERF_EVENT_IOC_SET_BPF, p->prog_fd) ||
	    ioctl(event, PERF_EVENT_IOC_ENABLE, 0))
		return -errno;
	return 0;
}

int attach_perf(struct attachment *a, const struct attach_point *p, bool cookies)
{
	int err = 0, event;

	a->n = 0;
	for (uint32_t i = 0; !err && i < p->n; i++) {
		event = perf_open(p, p->offsets[i]);
		if (event >= 0)
			a->fd[a->n++] = event;
		err = event < 0 ? event : attach_program(a, event, p, i, cookies);
	}
	if (err)
		attachment_close(a);
	return err;
}

void attachment_close(struct attachment *a)
{
	while (a->n)
		close(a->fd[--a->n]);
}
