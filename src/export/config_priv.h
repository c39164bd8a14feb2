/* SPDX-License-Identifier: BSD-2-Clause */
/* What the reader of the file (config_file.c) and the table of keys (config.c) share. */
#ifndef GOSPECT_EXPORT_CONFIG_PRIV_H
#define GOSPECT_EXPORT_CONFIG_PRIV_H

#include "export/config.h"

enum key_kind {
	KEY_DURATION, /* uint64_t, ns */
	KEY_BOOL,
	KEY_BYTES,   /* uint64_t */
	KEY_SIZE,    /* size_t, a count */
	KEY_U32,     /* a count */
	KEY_ADDRESS, /* const char * */
	KEY_URL,     /* const char * */
	KEY_FOLDER,  /* const char * */
	KEY_TOKEN,   /* const char * */
	KEY_PAIRS,   /* struct config_pairs */
	KEY_RULES    /* struct agent_rule[] */
};

struct config_key {
	const char *name; /* with the name of its section and '.' before it */
	enum key_kind kind;
	size_t offset; /* in struct host_config */
	uint64_t min, max;
	const char *standard; /* as text */
	const char *help;
};
extern const struct config_key config_keys[]; /* ends with name NULL */

const struct config_key *config_key_find(const char *name);
/* A copy that the configuration owns; NULL: no memory. */
const char *config_keep(struct host_config *c, const char *s, size_t n);
int config_scalar(struct host_config *c, const struct config_key *k, const char *value,
		  struct err *err);
/* Lists: emptied, then one after the other. */
void config_list_begin(struct host_config *c, const struct config_key *k);
int config_pair_add(struct host_config *c, const struct config_key *k, const char *name,
		    const char *value, struct err *err);
struct agent_rule *config_rule_add(struct host_config *c, struct err *err);
int config_rule_set(struct host_config *c, struct agent_rule *r, const char *name,
		    const char *value, struct err *err);
/* Everything that the file says. */
int config_file(struct host_config *c, const char *file, struct err *err);

#endif
