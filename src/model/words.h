/* SPDX-License-Identifier: BSD-2-Clause */
/* Words that findings on the network, pools and locks share. */
#ifndef GOSPECT_MODEL_WORDS_H
#define GOSPECT_MODEL_WORDS_H

#include "model/window.h"

#define WORDS_PERCENTILES_MAX 256
/* "p50 121ms, p99 140ms" of n durations; what so few do not have is left out, "max 140ms" is
 * there for it.  Returns out (>= WORDS_PERCENTILES_MAX bytes). */
char *words_percentiles(uint64_t n, uint64_t p50_ns, uint64_t p99_ns, uint64_t max_ns, char *out);

#define NET_WORDS_HOST 240 /* bytes of a host in a sentence */
#define NET_WORDS_AGE  48

/* Hosts are foreign text: cleaned, and cut in the middle.  Returns out (>= NET_WORDS_HOST bytes). */
char *net_words_host(const char *host, char *out);
/* "14.2s", "at least 14.2s".  Returns out (>= NET_WORDS_AGE bytes). */
char *net_words_age(enum age_kind age, double s, char *out);
/* "the DNS look-up": what a request does in it; -1: "between phases".  Static. */
const char *net_words_phase(int phase);
/* "s" behind a number, but not behind 1.  Static. */
const char *net_words_s(uint64_t n);

/* What the id of a finding about a host's phase names: "api:443:dns". */
void net_words_subject(const char *host, enum net_phase phase, char *out, size_t size);

#endif
