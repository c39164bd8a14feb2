/* SPDX-License-Identifier: BSD-2-Clause */
/* One Go process opened for reading: identity, executable, memory, runtime. */
#ifndef GOSPECT_CLI_SESSION_H
#define GOSPECT_CLI_SESSION_H

#include "base/err.h"
#include "gobin/gobin.h"
#include "gort/goruntime.h"
#include "proc/mem.h"
#include "proc/process.h"

struct session {
	struct process proc;
	struct gobin *gb;      /* owned */
	struct memreader *mem; /* owned */
	struct goruntime rt;
	uint64_t bias;
	bool proc_open, rt_open;
};

/* Fills err with what to say; session_close() is right also after a failure. */
int session_open(struct session *s, pid_t pid, struct err *err);
void session_close(struct session *s);

#endif
