/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether a process is kept from running: nothing in it goes on then, and all waits. */
#ifndef GOSPECT_PROC_PAUSE_H
#define GOSPECT_PROC_PAUSE_H

#include <stdbool.h>

struct process;

enum pause { PAUSE_NONE, PAUSE_SIGNAL, PAUSE_CGROUP };

enum pause pause_of(const struct process *p);
/* Whether one of the cgroups in the text of /proc/PID/cgroup is frozen.  root: "/sys/fs/cgroup". */
bool pause_is_frozen(const char *root, const char *text);

#endif
