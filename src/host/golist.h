/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Go processes of this machine, as far as /proc shows them.  A process
 * that ends meanwhile is left out; one that may not be read is listed with
 * what is known, and counted.
 */
#ifndef GOSPECT_HOST_GOLIST_H
#define GOSPECT_HOST_GOLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define GOLIST_MAX 16384 /* Go processes listed; more are counted in `beyond` */

struct golist_entry {
	pid_t pid;
	char exe[512]; /* as /proc/PID/exe has it, in the target's own mount namespace */
	bool exe_deleted;
	char library[512]; /* not the executable is Go, but this library in it; "" */
	char go[96];       /* "go1.26.8"; "" when the build info is missing or says unknown */
	char module[256];  /* main module or package path; "" when not known */
	char module_version[96];
	char container[80];     /* container id, or "" */
	uint64_t start_real_ns; /* CLOCK_REALTIME */
	bool has_goroutines;
	uint64_t goroutines; /* as NumGoroutine */
	char why[160];       /* why there is no number, or "" */
};

struct golist {
	struct golist_entry *e; /* owned; by pid */
	size_t n, cap;
	size_t processes;  /* seen in /proc, threads and kernel threads apart */
	size_t unreadable; /* of them: executable not permitted to be read */
	size_t beyond;     /* Go processes beyond GOLIST_MAX */
};

/*
 * Fills *l.  Goroutines are counted while less than budget_ns of time have
 * passed (0: not at all); what comes later has only the rest.  -EACCES or
 * what opening /proc said.
 */
int golist_scan(struct golist *l, uint64_t budget_ns, struct err *err);
void golist_deinit(struct golist *l);

#endif
