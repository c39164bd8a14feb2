/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What this kernel, these privileges and this place allow: the table behind
 * `gospect doctor`.  Every row is tried where trying is possible and leaves
 * nothing behind; versions are shown, not compared.  Knows nothing of Go and
 * does not use libbpf (raw bpf(2)).
 */
#ifndef GOSPECT_HOST_FEATURES_H
#define GOSPECT_HOST_FEATURES_H

enum feature_state {
	FEATURE_FULL,    /* all of it works */
	FEATURE_LIMITED, /* works in part, or not for every process */
	FEATURE_NONE,    /* does not work */
};

struct feature {
	const char *name; /* static */
	enum feature_state state;
	char why[200];  /* what was seen; never empty */
	char hint[200]; /* what to do, or "" */
};

#define FEATURES_MAX 32
/* Fills at most max rows; returns how many. */
int features_probe(struct feature *out, int max);
/* "full", "limited", "none"; static. */
const char *feature_state_name(enum feature_state s);

#endif
