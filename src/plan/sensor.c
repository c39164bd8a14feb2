/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan/sensor.h"

#include <errno.h>
#include <string.h>

static const char *const names[SENSOR_COUNT] = {
	[SENSOR_GOROUTINES] = "goroutines",
	[SENSOR_ALLOC] = "alloc",
	[SENSOR_GC] = "gc",
	[SENSOR_NET] = "net",
	[SENSOR_SQL] = "sql",
	[SENSOR_LOCKS] = "locks",
	[SENSOR_LIFETIMES] = "lifetimes",
	[SENSOR_CPU] = "cpu",
	[SENSOR_STATEMENTS] = "statements",
	[SENSOR_ERRORS] = "errors",
	[SENSOR_CRASH] = "crash",
	[SENSOR_SLICES] = "slices",
};

const char *sensor_name(enum sensor s)
{
	return (unsigned int)s < SENSOR_COUNT ? names[s] : "?";
}

static int sensor_find(const char *word, size_t len)
{
	for (int i = 0; i < SENSOR_COUNT; i++)
		if (strlen(names[i]) == len && !memcmp(names[i], word, len))
			return i;
	return -1;
}

int sensor_parse(const char *list, uint32_t *mask, const char **bad)
{
	uint32_t m = 0;
	const char *word = list;

	for (;;) {
		size_t len = strcspn(word, ",");
		int s = sensor_find(word, len);

		if (s < 0) {
			*bad = word;
			return -EINVAL;
		}
		m |= SENSOR_BIT(s);
		if (!word[len])
			break;
		word += len + 1;
	}
	/* An end says how long only where the birth was seen. */
	if (m & SENSOR_BIT(SENSOR_LIFETIMES))
		m |= SENSOR_BIT(SENSOR_GOROUTINES);
	/* Their table is of the same object. */
	if (m & SENSOR_BIT(SENSOR_STATEMENTS))
		m |= SENSOR_BIT(SENSOR_SQL);
	*mask = m;
	return 0;
}
