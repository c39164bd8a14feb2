/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers as people read them.  Each writes into the caller's buffer
 * (HUMAN_MAX bytes) and returns it. */
#ifndef GOSPECT_BASE_HUMAN_H
#define GOSPECT_BASE_HUMAN_H

#include <stdint.h>

#define HUMAN_MAX 64
char *human_count(uint64_t n, char *out); /* 1,204 */
/* "1 pass", "1,204 passes": a number and what is counted */
char *human_counted(uint64_t n, const char *one, char *out);
char *human_bytes(double bytes, char *out); /* 10.0 MiB */
char *human_seconds(double s, char *out);   /* 2h58m, 14.2s, 310µs */
char *human_rate(double per_s, char *out);  /* 38.0, 1,204 */
/* A share with so many decimals: "38%", "0.41%".  What rounds to none or to all and is
 * neither says so: "<1%", "<0.01%"; without decimals ">99%". */
char *human_percent(double pct, int decimals, char *out);

#endif
