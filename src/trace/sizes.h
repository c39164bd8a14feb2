/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How large each BPF table is made: by what one process can use of it, so that
 * all of them together stay within 8 MiB.  Arithmetic only.
 */
#ifndef GOSPECT_TRACE_SIZES_H
#define GOSPECT_TRACE_SIZES_H

#include <stdint.h>

#include "plan/sensor.h"

#define SIZES_MAX_BYTES (8u << 20)

/* What is known of the target before anything is loaded. */
struct map_needs {
	uint32_t sensors;   /* SENSOR_BIT() of those that have a probe */
	uint64_t functions; /* in its function table; 0 not known */
	uint64_t threads;   /* it has now; 0 not known */
};

/* Entries of each; 1: nobody uses it. */
struct map_sizes {
	uint32_t specs, counters, gc;
	uint32_t sites, births;
	uint32_t stacks, alloc_scratch;
	uint32_t opens, holds, conn_hosts, hosts, phases, calls, sums, pages, net_scratch;
	uint32_t errtypes, fails;
	uint32_t growths, crashes, panics, panicking;
};

#define NET_SENSORS                                                                        \
	(SENSOR_BIT(SENSOR_NET) | SENSOR_BIT(SENSOR_SQL) | SENSOR_BIT(SENSOR_STATEMENTS) | \
	 SENSOR_BIT(SENSOR_LOCKS))

void map_sizes(const struct map_needs *n, struct map_sizes *s);

#endif
