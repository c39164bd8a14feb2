/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The text files of /proc/PID, as text: parsers that need no process, and the
 * one way to read such a file.  What is in them is written by the kernel, but
 * partly in the target's words (its name, its paths), so it is parsed as
 * foreign bytes.
 */
#ifndef GOSPECT_PROC_PROCFS_H
#define GOSPECT_PROC_PROCFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCFS_PF_KTHREAD 0x00200000u /* linux/sched.h; in field 9 of stat */
#define PROCFS_MAX        (16u << 20) /* bytes read of one file; beyond: -EFBIG */

struct procfs_stat {
	pid_t pid, ppid;
	char comm[64];
	char state;     /* R S D Z T X … */
	uint32_t flags; /* PF_… */
	uint64_t user_ticks, system_ticks;
	int threads;
	uint64_t start_ticks;        /* since boot */
	uint64_t start_stack;        /* 0 or 1 when it may not be seen */
	uint64_t env_start, env_end; /* run-time addresses of the environment; likewise */
};

/* One line of maps. */
struct procfs_mapping {
	uint64_t start, end, off; /* run-time addresses, file offset */
	uint64_t dev, ino;        /* dev as makedev() */
	bool read, write, exec;
	const char *path; /* into the text, not terminated */
	size_t path_len;
};

/*
 * Reads dirfd/name whole, with a NUL behind (free() it).  0, or what open and
 * read said; -EFBIG beyond PROCFS_MAX.
 */
int procfs_read(int dirfd, const char *name, char **text, size_t *len);
/* The same into the caller's buffer, cut off when it is longer. */
int procfs_read_short(int dirfd, const char *name, char *out, size_t size);

/* /proc/PID/stat; the name may hold any byte, ')' and newline too.  0, -EBADMSG. */
int procfs_parse_stat(const char *text, struct procfs_stat *out);
/* Next line of /proc/PID/maps: 1, 0 at the end; damaged lines are skipped. */
int procfs_next_mapping(const char **pos, struct procfs_mapping *out);
/* A decimal field of /proc/PID/status ("TracerPid"): 0, -ENOENT. */
int procfs_status_u64(const char *text, const char *field, int base, uint64_t *out);
/*
 * The container id in /proc/PID/cgroup (docker, containerd, cri-o, podman,
 * kubernetes; cgroup v1 and v2): 12 to 64 hex digits, or "".
 */
void procfs_parse_container(const char *text, char *out, size_t size);
/* "monotonic S NS" of /proc/PID/timens_offsets; 0 when it is not there. */
int64_t procfs_parse_timens_mono(const char *text);

#endif
