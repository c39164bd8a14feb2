/* SPDX-License-Identifier: BSD-2-Clause */
/* One Go process as the agent has it, and the table of them: for the agent alone. */
#ifndef GOSPECT_AGENT_ENTRY_H
#define GOSPECT_AGENT_ENTRY_H

#include "agent/config.h"
#include "agent/files.h"
#include "agent/life.h"
#include "agent/target.h"
#include "agent/view.h"

/* Who a process is that is not read.  Counted: views have it. */
struct stranger {
	unsigned int refs;
	struct who *who; /* counted */
	char exe[512], go[96], why[200];
	uint64_t started_real_ns;
};

/* Why a process should be probed; the later the more. */
enum suspicion {
	SUSPECT_NOT,
	SUSPECT_CPU,        /* it uses some */
	SUSPECT_REQUESTS,   /* those in flight get more */
	SUSPECT_GOROUTINES, /* they get more */
	SUSPECT_FINDINGS,   /* some are open */
	SUSPECT_CONFIGURED,
	SUSPICIONS
};

/* A process and its probes: of probes.c. */
struct probing {
	enum probe_when when; /* as configured */
	enum suspicion suspicion;
	/* our monotonic clock: known since, probed last, not before */
	uint64_t known_ns, ended_ns, not_before_ns;
	unsigned int failures;    /* in a row */
	char *why;                /* of the last one; owned; NULL */
	struct probed_sums *sums; /* NULL: none yet */
	/* what growth is measured from */
	uint64_t base_ns, base_cpu_ns, base_live, base_requests;
};

struct entry {
	pid_t pid;
	uint64_t key;
	uint64_t due_ns; /* not read yet: the next try; UINT64_MAX: none */
	int tries;
	enum shallow shallow;
	struct stranger *stranger; /* of those that are not read; NULL: nothing is known yet */
	struct analysis *analysis; /* NULL: not asked for yet */
	struct target *target;     /* NULL: not read (yet) */
	enum depth most;           /* as configured */
	uint64_t pass;             /* of the agent, that has read it last */
	/* walks; our monotonic clock */
	uint64_t walked_ns, not_before_ns;
	uint64_t verdict_ns; /* no verdict on leaks before */
	uint64_t keep_ns;    /* no snapshot is kept before */
	struct view_totals at_walk;
	struct probing probing;
};

/* By pid. */
struct entries {
	struct entry **e; /* owned */
	size_t n, cap;
};

struct entry *entries_find(const struct entries *t, pid_t pid);
/* The index of the first one of that pid or a higher one. */
size_t entries_from(const struct entries *t, pid_t pid);
/* A new one; there is none of that pid.  NULL: no memory. */
struct entry *entries_add(struct entries *t, pid_t pid);
/* Takes it out; its analysis is left, and lent by another. */
void entries_remove(struct entries *t, struct entry *e);
void entries_deinit(struct entries *t);

enum open_result {
	OPEN_GONE,  /* it has ended, or is not Go any more */
	OPEN_AGAIN, /* not yet: e->due_ns says when */
	OPEN_NO,    /* never, or not as long as it runs this: e->shallow and why */
	OPEN_DONE   /* e->target */
};
/* Opens what it runs, as configured. */
enum open_result entry_open(struct entry *e, struct entries *all, struct files *files,
			    const struct agent_config *cfg);
/* How deep a process is to be watched. */
enum depth entry_depth(const struct agent_config *cfg, const struct identity *who, const char *exe);
enum probe_when entry_probes(const struct agent_config *cfg, const struct identity *who,
			     const char *exe);
/* Looks whether its SDK has said since who it is.  True: as configured, it is let go for that. */
bool entry_rename(struct entry *e, const struct entries *all, const struct agent_config *cfg,
		  struct life *life);
/* Not watched as configured: what it has is given back, but for who it is. */
void entry_let_go(struct entry *e, const struct entries *all);
/* Keeps its last walk, with all goroutines by stack, if that is wanted and it is time.  True: so it
 * is, with the snapshot's id, or err tells that it cannot be; false: not now, or not yet. */
bool entry_keep(struct entry *e, const struct agent_config *cfg, char id[SPOOL_ID_SIZE], int *err);
/* As the view's process that was added last. */
int entry_fill(const struct entry *e, const struct agent_config *cfg, struct view *v);

#endif
