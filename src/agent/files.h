/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The executables of the machine: which are Go, asked once per file; and the
 * analysis of those that are, made once for all processes that run the same
 * program and dropped with the last of them.
 *
 * A file is known by device, inode, size and times; a program by its build ids,
 * its size and a hash of its headers, since inode numbers repeat across the mounts
 * of containers, and `strip` keeps a build id.
 */
#ifndef GOSPECT_AGENT_FILES_H
#define GOSPECT_AGENT_FILES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/target.h"

#define FILES_MAX 65536 /* files of which it is known whether they are Go */

struct files;

/* A program, or why it cannot be analysed. */
struct analysis {
	struct executable *x; /* NULL: code and why say it */
	int code;
	char why[200];
	size_t users;
	/* private */
	uint64_t file;    /* hash of which file it was */
	uint64_t headers; /* hash of what tells it from others; 0: only the file does */
};

/* NULL: no memory. */
struct files *files_new(void);
void files_free(struct files *f); /* NULL is fine */

/* Whether a process runs a Go executable: 1, 0; -ESRCH: gone, a kernel thread; -EACCES. */
int files_is_go(struct files *f, pid_t pid);
/* The analysis of what it runs; one user more.  NULL: no memory. */
struct analysis *files_analyse(struct files *f, const struct process *p);
/* One user less.  When it was of x->from: files_lend() with another one. */
void files_leave(struct analysis *a);
/* The file is open through a process: another one's is opened in its place, so that no
 * descriptor keeps a dead container's mount. */
void files_lend(struct analysis *a, const struct process *other);
/* Drops what has no users. */
void files_sweep(struct files *f);

size_t files_known(const struct files *f);  /* analyses that are kept */
size_t files_not_go(const struct files *f); /* files known not to be Go */

#endif
