/* SPDX-License-Identifier: BSD-2-Clause */
/* What both ends of the keeper's socket agree on. */
#ifndef GOSPECT_TRACE_KEEPER_PRIV_H
#define GOSPECT_TRACE_KEEPER_PRIV_H

#include "trace/keeper.h"

#define KEEPER_SLOTS 64 /* programs armed together */

/* In memory that both share. */
struct keeper_shared {
	uint64_t beat_ns;
	uint32_t lapses;
	uint32_t events; /* what was armed last is of tracefs's events (trace/events.h) */
};

enum keeper_op { KEEPER_ARM, KEEPER_DISARM, KEEPER_STATS, KEEPER_DEFINE };

struct keeper_request {
	enum keeper_op op;
	uint64_t slots; /* DISARM: bits */
	/* ARM, with two descriptors: the program, the executable */
	int slot;
	bool multi, events, cookies, last;
	pid_t pid;
	uint32_t n;
	uint64_t offset[ATTACH_MAX_SITES], cookie[ATTACH_MAX_SITES];
};

/* ARM: an answer to the last of a series; DISARM: when it is done; STATS: with a
 * descriptor, or an error in result[0].  Between attacher and keeper: one for each job,
 * with its descriptors; before it, in KEEPER_DEFINE, those of its definitions. */
struct keeper_answer {
	enum keeper_op op;
	int result[KEEPER_MAX_JOBS];
};

/* The keeper's life; does not return. */
_Noreturn void keeper_main(int sock, struct keeper_shared *shared, pid_t parent);

/*
 * By SIGKILL, not _exit(): one that arrives just as exit_group() begins would
 * stay pending through all of the exit.
 */
_Noreturn void keeper_die(void);

#endif
