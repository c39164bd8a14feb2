/* SPDX-License-Identifier: BSD-2-Clause */
/* A time.Time in memory. */
#ifndef GOSPECT_GORT_GOTIME_H
#define GOSPECT_GORT_GOTIME_H

#include <stdint.h>

/* Unix time in ns; 0: before 1970, or beyond what is believed (2242). */
int64_t gotime_unix_ns(uint64_t wall, uint64_t ext);

#endif
