/* SPDX-License-Identifier: BSD-2-Clause */
#include "gort/gotime.h"

/* time/time.go: with a monotonic reading (in ext) the seconds are in wall, since
 * 1885; else they are ext, since year 1. */
#define HAS_MONOTONIC (1ull << 63)
#define NSEC_BITS     30
#define UNIX_OF_1885  2682288000ll
#define UNIX_OF_1     62135596800ull

int64_t gotime_unix_ns(uint64_t wall, uint64_t ext)
{
	int64_t nsec = (int64_t)(wall & ((1u << NSEC_BITS) - 1)), sec;

	if (wall & HAS_MONOTONIC)
		sec = (int64_t)(wall << 1 >> (NSEC_BITS + 1)) - UNIX_OF_1885;
	else
		sec = (int64_t)(ext - UNIX_OF_1);
	if (sec < 0 || sec > (1ll << 33))
		return 0;
	return sec * 1000000000 + nsec;
}
