/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One BPF program on one process's instruction, held by file descriptors
 * only: closing them, or dying, takes the probe away.
 */
#ifndef GOSPECT_TRACE_ATTACH_H
#define GOSPECT_TRACE_ATTACH_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "host/uprobe_multi.h"

#define ATTACH_MAX_SITES 64 /* of one program; more is refused (-E2BIG) */

/* Where a program goes; all sites are in one file. */
struct attach_point {
	int prog_fd;             /* borrowed */
	const char *path;        /* borrowed: the executable, /proc/self/fd/N works */
	pid_t pid;               /* only in this process */
	const uint64_t *offsets; /* borrowed: file offsets, n of them */
	const uint64_t *cookies; /* borrowed: of each site */
	uint32_t n;
};

/* The descriptors that keep it attached; -1 where there is none. */
struct attachment {
	int link_fd[ATTACH_MAX_SITES];
	int perf_fd[ATTACH_MAX_SITES];
};

void attachment_init(struct attachment *a);
bool attachment_is_on(const struct attachment *a);
/* One link for all sites (Linux 6.6).  The program was loaded for ATTACH_UPROBE_MULTI. */
int attach_multi(struct attachment *a, const struct attach_point *p);
/* One perf event per site. The program was loaded without an attach type. */
int attach_perf(struct attachment *a, const struct attach_point *p, bool cookies);
/* Blocks for a grace period of the kernel: 25 to 150 ms. */
void attachment_close(struct attachment *a);

/* PMU type of perf-event uprobes, or -ENOENT where the kernel has none. */
int attach_perf_type(void);

/*
 * Several at once, each in a thread of its own, because each waits for a
 * grace period.  Threads block all signals.
 */
#define ATTACH_MAX_JOBS 16
struct attach_job {
	struct attachment *a;
	struct attach_point point;
	bool multi, cookies;
	int result; /* of attaching */
};
/* Returns when all are done; each job has its result. */
void attach_all(struct attach_job *jobs, int n);

/* Closing in the background. */
struct detacher {
	struct attachment *a[ATTACH_MAX_JOBS];
	pthread_t thread[ATTACH_MAX_JOBS];
	bool running[ATTACH_MAX_JOBS];
	int n;
};
/* Takes over until detacher_wait(); the attachments are off after it. */
void detacher_start(struct detacher *d, struct attachment *const *a, int n);
void detacher_wait(struct detacher *d);

#endif
