/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/sizes.h"

#include <stdbool.h>

#include "gospect/abi.h"
#include "gospect/crash.h"

/* Most functions start no goroutine: seen are one `go` statement in 20 to 100. */
#define FUNCTIONS_A_SITE 4
#define LEAST_SITES      1024
/* Threads come and go; entries of those that ended are removed when half of the table is in use. */
#define THREADS_ROOM  4
#define LEAST_THREADS 256

static uint32_t within(uint64_t n, uint32_t least, uint32_t most)
{
	return n < least ? least : n > most ? most : (uint32_t)n;
}

/* What is not known is as much as it can be. */
static uint32_t sites_of(uint64_t functions)
{
	return functions ? within(functions / FUNCTIONS_A_SITE, LEAST_SITES, GS_MAX_SITES)
			 : GS_MAX_SITES;
}

static uint32_t threads_of(uint64_t threads)
{
	return threads ? within(threads * THREADS_ROOM, LEAST_THREADS, GS_MAX_THREADS)
		       : GS_MAX_THREADS;
}

void map_sizes(const struct map_needs *n, struct map_sizes *s)
{
	bool goroutines = n->sensors & SENSOR_BIT(SENSOR_GOROUTINES);
	bool alloc = n->sensors & SENSOR_BIT(SENSOR_ALLOC);
	bool net = n->sensors & SENSOR_BIT(SENSOR_NET);
	bool calls = n->sensors & NET_SENSORS;
	bool crash = n->sensors & SENSOR_BIT(SENSOR_CRASH);
	bool lifetimes = n->sensors & SENSOR_BIT(SENSOR_LIFETIMES);

	*s = (struct map_sizes){
		/* a row for each target: there is one */
		.specs = 1,
		.counters = 1,
		.gc = 1,
		.sites = goroutines ? sites_of(n->functions) : 1,
		.births = goroutines ? GS_BIRTH_SLOTS : 1,
		.stacks = alloc ? GS_MAX_STACKS : 1,
		.alloc_scratch = alloc ? threads_of(n->threads) : 1,
		.opens = calls ? GS_MAX_OPENS : 1,
		.holds = n->sensors & SENSOR_BIT(SENSOR_SQL) ? GS_MAX_HOLDS : 1,
		.conn_hosts = net ? GS_MAX_CONN_HOSTS : 1,
		.hosts = net ? GS_MAX_HOSTS : 1,
		.phases = net ? GS_MAX_PHASES : 1,
		.calls = calls ? GS_MAX_CALLS : 1,
		/* rows of lifetimes come first, of calls next, of phases last */
		.sums = net         ? GS_MAX_SUMS
			: calls     ? GS_PHASE_ROWS
			: lifetimes ? GS_MAX_LIVES
				    : 1,
		.pages = calls || lifetimes ? GS_MAX_PAGES : 1,
		.errtypes = net ? GS_MAX_ERRTYPES : 1,
		.fails = net ? GS_MAX_FAILS : 1,
		.net_scratch = calls ? GS_SCRATCHES : 1,
		.growths = n->sensors & SENSOR_BIT(SENSOR_SLICES) ? GS_MAX_GROWTHS : 1,
		.crashes = crash ? GS_CRASH_RECORDS : 1,
		.panics = crash ? GS_MAX_PANICS : 1,
		.panicking = crash ? GS_MAX_PANICKING : 1,
	};
}
