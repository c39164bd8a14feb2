/* SPDX-License-Identifier: BSD-2-Clause */
/* What a process uses of the machine: memory by kind, threads, the CPUs it may use. */
#ifndef GOSPECT_PROC_USAGE_H
#define GOSPECT_PROC_USAGE_H

#include <stdbool.h>
#include <stdint.h>

struct process;

struct usage {
	char state; /* as in stat: R S D T … */
	int threads;
	/* resident bytes: of all; of its own; of mapped files (the machine's page cache); shared */
	uint64_t rss, anon, file, shared;
	uint64_t swap;
	uint64_t data; /* private writable mappings, touched or not */
};

/* 0, -ESRCH, -EBADMSG: a kernel before 4.5 does not tell the kinds apart. */
int usage_read(const struct process *p, struct usage *out);
/* The same from the text of /proc/PID/status. */
int usage_parse(const char *status, struct usage *out);

/* Bytes that this process has resident; 0: not known. */
uint64_t usage_self_rss(void);

/* How many CPUs it may use: by its cgroup's quota and its affinity; 0: not known. */
double usage_cpus(const struct process *p);
/*
 * What the cgroups in the text of /proc/PID/cgroup grant, the least of all levels;
 * 0: no limit, or none can be seen.  root: "/sys/fs/cgroup".
 */
double usage_cgroup_cpus(const char *root, const char *text);

/* What the least quota of its cgroups has done since that was made. */
struct throttling {
	bool known;                  /* there is a quota */
	double quota;                /* CPUs */
	uint64_t periods, throttled; /* of a quota; in which it was used up */
	uint64_t ns;                 /* that threads were kept from running, of all of the group */
};
void usage_throttling(const struct process *p, struct throttling *out);
/* The same from the text of /proc/PID/cgroup. */
void usage_cgroup_throttling(const char *root, const char *text, struct throttling *out);

#endif
