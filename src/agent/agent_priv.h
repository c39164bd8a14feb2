/* SPDX-License-Identifier: BSD-2-Clause */
/* The agent's state: for agent.c, and for agent_view.c, which makes its views. */
#ifndef GOSPECT_AGENT_AGENT_PRIV_H
#define GOSPECT_AGENT_AGENT_PRIV_H

#include "agent/agent.h"
#include "agent/entry.h"
#include "agent/life.h"
#include "agent/probes.h"

struct agent {
	struct agent_config cfg;
	int epoll_fd;
	struct execs *execs; /* NULL: polling */
	uint64_t execs_ns;   /* then starts are heard of again; 0: each at once */
	char why_polling[200];
	struct files *files;
	struct entries entries;
	struct life *life;
	struct probes *probes;
	struct view *view; /* the latest */
	struct view_self self;
	char host_name[256];
	uint64_t next_key, next_view;
	/* passes over /proc */
	uint64_t scan_ns, scanned_ns, lost; /* when due; when last; events lost by then */
	bool scan_asked;
	/* the pass over the entries */
	uint64_t tick_ns; /* when the next begins */
	uint64_t pass;    /* its number */
	bool passing, scanned;
	pid_t at, walk_at;    /* it goes on there; walks begin there */
	uint64_t walks_ns;    /* CPU time of this pass's */
	bool walks_exhausted; /* the others' turn comes first in the next one */
};

/* Of what is known now; the one before stays where there is no memory. */
void agent_make_view(struct agent *a);

#endif
