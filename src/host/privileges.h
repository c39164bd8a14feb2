/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Giving up, for good, what is no longer needed: hostile files and memory are
 * parsed from here on.
 */
#ifndef GOSPECT_HOST_PRIVILEGES_H
#define GOSPECT_HOST_PRIVILEGES_H

#include <stdbool.h>
#include <stdint.h>

/* What stays of the capabilities, of those there are. */
#define PRIVILEGE_READ  (1ull << 19 | 1ull << 2)            /* SYS_PTRACE, DAC_READ_SEARCH */
#define PRIVILEGE_WRITE (1ull << 1 | 1ull << 0 | 1ull << 3) /* -o: DAC_OVERRIDE, CHOWN, FOWNER */
#define PRIVILEGE_STOP  (1ull << 23) /* --prove: SYS_NICE, to hurry; another process stops */
#define PRIVILEGE_PROBE (PRIVILEGE_READ | PRIVILEGE_BPF | 1ull << 38) /* … and PERFMON */
#define PRIVILEGE_BPF   (1ull << 39 | 1ull << 21)                     /* BPF, or SYS_ADMIN */

#define PRIVILEGE_PERFMON (1ull << 38)
#define PRIVILEGE_ADMIN   (1ull << 21)
#define PRIVILEGE_MEMLOCK (1ull << 24) /* SYS_RESOURCE, before Linux 5.11 */
/* To make maps and load programs, without arming them. */
#define PRIVILEGE_LOAD (PRIVILEGE_BPF | PRIVILEGE_PERFMON | PRIVILEGE_MEMLOCK)

/* Whether all of them are effective, or were at the start. */
bool privileges_had(uint64_t caps);
/* Nothing that is executed gains privileges, no core is written.  At the start. */
void privileges_begin(void);
/* Only these stay, for the calling thread and those it makes. */
void privileges_keep(uint64_t keep);
/*
 * Before a foreign file is parsed by who has yet to load programs: these stay, and
 * PRIVILEGE_LOAD; the kernel refuses what privileges_drop() has refused, but for
 * loading.  privileges_lower() for the time of the parsing.
 */
void privileges_prepare(uint64_t keep);
/*
 * Only these are effective from now on; privileges_drop() makes it final, for
 * the calling thread and those it makes.
 */
void privileges_lower(uint64_t keep);
/*
 * Also: others of the same user cannot read this process, and the kernel refuses
 * (EPERM) what is never needed: exec, writing to other processes, ptrace, new BPF programs and probes, sockets, mounts, namespaces, modules,
 * opening a file for writing that is not a new one.
 */
void privileges_drop(uint64_t keep);
/* The same of who serves and pushes: sockets are allowed. */
void privileges_serve(uint64_t keep);
/* The same of who sets watchpoints: events of perf may be made. */
void privileges_watch(uint64_t keep);

#endif
