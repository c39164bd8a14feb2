/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What may be configured of the agent: which processes, how often, how deep.
 * Knows nothing of files or of who shows what it finds.
 */
#ifndef GOSPECT_AGENT_CONFIG_H
#define GOSPECT_AGENT_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/probed.h"
#include "agent/view.h"

#define AGENT_RULES_MAX 64

enum probe_when { PROBE_NEVER, PROBE_IF_SUSPECT, PROBE_ALWAYS };

/* The first rule that fits says how deep a process is watched.  Patterns are fnmatch(3)'s
 * without flags; NULL: any. */
struct agent_rule {
	const char *exe, *service, *container, *k8s_namespace, *unit;
	enum depth depth; /* DEPTH_NONE, DEPTH_TOTALS, DEPTH_WALK or DEPTH_PROBES, at most */
	enum probe_when probes;
};

struct agent_config {
	uint64_t tick_ns;       /* between readings of totals; 15 s */
	uint64_t walk_ns;       /* a process is walked at least so often; 1 min */
	uint64_t scan_ns;       /* a pass over /proc though starts are told; 1 min */
	uint64_t young_ns;      /* a process is not walked so long after its start; 1 s */
	unsigned int walks_pct; /* of a CPU, that all walks together may take; 2 */
	/* Asked many times a second while something long is done: false ends it.  NULL: never. */
	bool (*go_on)(void *arg);
	void *go_on_arg;
	/* Keeps a report of the process of that key, which has a severe finding: 0 with its id;
	 * -EINPROGRESS: agent_kept() will tell; -EBUSY: not now; else negative: it cannot be.
	 * NULL: nobody does.  At most one of a process in keep_ns. */
	int (*keep)(void *arg, uint64_t key, const struct spool_what *what, char id[SPOOL_ID_SIZE]);
	void *keep_arg;
	uint64_t keep_ns;
	/* Begins a window with probes: a descriptor (cli/prober.h), or a negative errno.  NULL: there
	 * are none, probe_off (static) says why. */
	int (*probe)(void *arg, const struct probe_ask *q);
	void *probe_arg;
	const char *probe_off;
	uint32_t probes_at_once; /* processes; 0: none; PROBES_MOST */
	uint64_t probe_ns;       /* a window; 1 min */
	uint64_t probe_rest_ns;  /* a process that is suspect is probed again only after; 10 min */
	bool once;               /* it ends soon: nobody has to tell of starts */
	bool prove;              /* leaks are looked for where a site grows */
	size_t max_processes;    /* Go processes watched; 4,096 */
	const struct agent_rule *rule; /* borrowed as long as the agent has the configuration */
	int nrule;
};

#define AGENT_TICK_NS  (15ull * 1000000000)
#define AGENT_WALK_NS  (60ull * 1000000000)
#define AGENT_SCAN_NS  (60ull * 1000000000)
#define AGENT_YOUNG_NS (1ull * 1000000000)
#define AGENT_KEEP_NS  (600ull * 1000000000)
#define AGENT_MAX      4096
#define PROBES_MOST    4
#define PROBE_NS       (60ull * 1000000000)
#define PROBE_REST_NS  (600ull * 1000000000)

/* As it is where nothing is configured. */
struct agent_config agent_config_default(void);

#endif
