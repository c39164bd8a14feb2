/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One BPF program on one process's instructions, held by file descriptors
 * only: with them the probe goes.  Only the keeper's children call this: see
 * trace/keeper.h for why.
 */
#ifndef GOSPECT_TRACE_ATTACH_H
#define GOSPECT_TRACE_ATTACH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "host/uprobe_multi.h"

#define ATTACH_MAX_SITES 64 /* of one program; more is refused (-E2BIG) */

/* Where a program goes; all sites are in one file. */
struct attach_point {
	int prog_fd;             /* borrowed */
	int exe_fd;              /* borrowed: the executable */
	pid_t pid;               /* only in this process */
	const uint64_t *offsets; /* borrowed: file offsets, n of them */
	const uint64_t *cookies; /* borrowed: of each site */
	uint32_t n;
};

/* The descriptors that keep it attached. */
#define ATTACH_MAX_FDS (2 * ATTACH_MAX_SITES)
struct attachment {
	int fd[ATTACH_MAX_FDS];
	int n;
};

/* One link for all sites (Linux 6.6).  The program was loaded for ATTACH_UPROBE_MULTI. */
int attach_multi(struct attachment *a, const struct attach_point *p);
/* One perf event per site. The program was loaded without an attach type. */
int attach_perf(struct attachment *a, const struct attach_point *p, bool cookies);
/* Gives a perf event the program, with the cookie of place i: a link is added to *a where there
 * are cookies. */
int attach_program(struct attachment *a, int event, const struct attach_point *p, uint32_t i,
		   bool cookies);
/* Blocks for a grace period of the kernel: 25 to 150 ms for each link and event. */
void attachment_close(struct attachment *a);

/* PMU type of perf-event uprobes, or -ENOENT where the kernel has none. */
int attach_perf_type(void);

#endif
