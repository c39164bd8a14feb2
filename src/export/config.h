/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration of `gospect host`: defaults, then a file of YAML, then the
 * environment, then options; what comes later wins.  One table says for each key
 * its name in the file ("otlp.endpoint": endpoint under otlp), in the environment
 * (GOSPECT_HOST_OTLP_ENDPOINT), and what it may be.
 *
 * Knows nothing of what is done with it.
 */
#ifndef GOSPECT_EXPORT_CONFIG_H
#define GOSPECT_EXPORT_CONFIG_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "agent/config.h"
#include "base/err.h"

#define CONFIG_MAX_PAIRS 32

struct config_pair {
	const char *name, *value;
};

struct config_pairs {
	struct config_pair pair[CONFIG_MAX_PAIRS];
	size_t n;
};

/* All strings are the configuration's own. */
struct host_config {
	struct agent_config agent;
	const char *listen;         /* "127.0.0.1:9464", "[::1]:9464"; "": no server */
	uint32_t max_series;        /* of the page of metrics */
	uint32_t max_sites;         /* creation sites of a process; the rest is one row */
	bool pprof;                 /* profiles are served */
	const char *pprof_token;    /* who has it may be anywhere; "": this machine alone */
	struct config_pairs labels; /* on all series and resources */
	struct {
		const char *endpoint; /* "http://collector:4318"; "": nothing is pushed */
		struct config_pairs headers;
		uint64_t every_ns, timeout_ns;
		uint64_t queue_bytes;
	} otlp;
	struct {
		const char *dir; /* of snapshots, absolute; "": none are kept */
		uint64_t max_bytes;
	} spool;
	/* private */
	struct agent_rule rule[AGENT_RULES_MAX];
	char **text; /* owned, each of them */
	size_t ntext, text_cap;
};

/* Defaults, the file (NULL: none), the environment: 0, -EINVAL, -ENOENT, -EACCES, … */
int config_load(struct host_config **out, const char *file, struct err *err);
void config_free(struct host_config *c); /* NULL is fine */
/* One key as text, as in the environment: lists with commas, rules with semicolons. */
int config_set(struct host_config *c, const char *key, const char *value, struct err *err);
/* Every key with its environment variable, default and meaning, for --help. */
void config_help(FILE *f);

#endif
