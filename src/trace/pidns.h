/* SPDX-License-Identifier: BSD-2-Clause */
/* How BPF programs tell a process from others: by its pid in a namespace that they are asked for. */
#ifndef GOSPECT_TRACE_PIDNS_H
#define GOSPECT_TRACE_PIDNS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct pidns {
	bool own;          /* we live in a pid namespace of our own */
	uint64_t dev, ino; /* the process's namespace; 0: the machine's first one, ours */
	uint32_t tgid;     /* its pid there */
};

/*
 * The kernel only tells a pid in the namespace that the process itself is in: that may be
 * one below ours (a container that we see from within another), not ours.
 */
void pidns_of(pid_t pid, struct pidns *out);
/* The last, innermost number of NSpid in the text of /proc/PID/status; 0: there is none. */
uint32_t pidns_innermost(const char *status);

#endif
