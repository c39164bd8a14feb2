/* SPDX-License-Identifier: BSD-2-Clause */
/* What a failed call of an HTTP client means: kinds of failure, their words, and advice. */
#ifndef GOSPECT_NET_FAILURES_H
#define GOSPECT_NET_FAILURES_H

#include "net/window.h"

/* Names in JSON, by kind. */
extern const char *const net_failure_names[NET_FAILURES];

/* By the types of an error and of those it wraps (struct gs_fail_key). */
enum net_failure net_failure_of(uint64_t types, uint64_t detail);
/* The phase that only such an error can come from; -1: it does not say. */
int net_failure_phase(uint64_t types, uint64_t detail);
/* "connection refused"; static. */
const char *net_failure_words(enum net_failure kind);
const char *net_failure_advice(enum net_failure kind, int phase);

#endif
