/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One live process: who it is, and that it still is.  Identity is pidfd +
 * start time + executable (device, inode): a pid that was reused or a process
 * that exec'ed is noticed.  Knows nothing of Go.
 */
#ifndef GOSPECT_PROC_PROCESS_H
#define GOSPECT_PROC_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct image;

struct process {
	pid_t pid;              /* in our pid namespace */
	int pidfd;              /* owned; -1 where the kernel has none (< 5.3) */
	int proc_fd;            /* owned: /proc/PID */
	int exe_fd;             /* owned: the executable, also when it was deleted */
	uint64_t start_ticks;   /* field 22 of stat: since boot, clock ticks */
	uint64_t start_real_ns; /* when it started, CLOCK_REALTIME */
	uint64_t start_stack; /* field 28: moves with every exec, also of the same file; 0 unseen */
	uint64_t exe_dev, exe_ino;
	char exe[512]; /* what /proc/PID/exe says, " (deleted)" removed */
	bool exe_deleted;
	char comm[64];
	char container[80]; /* container id from the cgroup (12 to 64 hex digits), or "" */
	bool other_mnt_ns, other_pid_ns; /* than ours */
	int64_t mono_offset_ns;          /* target's CLOCK_MONOTONIC − ours (time namespace) */
};

/*
 * -ESRCH: no such process, a kernel thread or a zombie (err says which);
 * -EACCES/-EPERM with a hint when it may not be read.
 */
int process_init(struct process *p, pid_t pid, struct err *err);
void process_deinit(struct process *p);
/* 0 when it is still the same; -ESRCH ended; -ESTALE exec'ed another program. Cheap. */
int process_check(const struct process *p);
/*
 * CPU time used so far by all its threads, ended ones included (user+system,
 * ns): the kernel's process CPU clock, exact to its scheduler tick (1 to 10 ms
 * per running thread, no drift), in one system call.  Where that clock is not
 * to be had: utime+stime of stat, in clock ticks of 10 ms.
 */
int process_cpu_ns(const struct process *p, uint64_t *out);
/* The same clock, of whoever has that pid; 0 or -errno. */
int process_clock_ns(pid_t pid, uint64_t *out);
/* Resident bytes, threads. */
int process_usage(const struct process *p, uint64_t *rss_bytes, int *threads);
/*
 * Load bias of the executable: run-time pc − link-time address, from
 * /proc/PID/maps against the image's first executable segment (0 when not PIE).
 */
int process_bias(const struct process *p, const struct image *im, uint64_t *bias, struct err *err);
/* The same from the text of a maps file: false when no mapping is the executable's. */
bool process_find_bias(const struct process *p, const struct image *im, const char *maps,
		       uint64_t *bias);
/* TracerPid of /proc/PID/status (0: none). */
pid_t process_tracer(const struct process *p);

#endif
