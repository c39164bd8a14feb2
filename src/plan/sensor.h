/* SPDX-License-Identifier: BSD-2-Clause */
/* What a user switches on and off (`--only`), and how well it was covered. */
#ifndef GOSPECT_PLAN_SENSOR_H
#define GOSPECT_PLAN_SENSOR_H

#include <stdint.h>

enum sensor {
	SENSOR_GOROUTINES,
	SENSOR_ALLOC,
	SENSOR_GC,
	SENSOR_NET,
	SENSOR_SQL,
	SENSOR_LOCKS,
	SENSOR_LIFETIMES,  /* of goroutines; nothing without GOROUTINES */
	SENSOR_CPU,        /* samples */
	SENSOR_STATEMENTS, /* of database/sql and pgx, timed; only when asked for, and with SQL */
	SENSOR_CRASH,      /* the end of the process; attach only, unless asked for */
	SENSOR_SLICES,     /* that grow; only when asked for */
	/* accepted, not implemented yet: coverage "off" */
	SENSOR_ERRORS,
	SENSOR_COUNT
};

#define SENSOR_BIT(s) (1u << (s))
#define SENSOR_ALL    ((1u << SENSOR_COUNT) - 1)
/* Only when they are named. */
#define SENSORS_NAMED (SENSOR_BIT(SENSOR_STATEMENTS) | SENSOR_BIT(SENSOR_SLICES))

/* "goroutines", …; static. */
const char *sensor_name(enum sensor s);
/* "goroutines,alloc" to a mask: 0, or -EINVAL with *bad the unknown word's start. */
int sensor_parse(const char *list, uint32_t *mask, const char **bad);

#endif
