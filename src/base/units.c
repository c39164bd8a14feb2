/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/units.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"

int duration_parse(const char *s, uint64_t *ns)
{
	static const struct {
		const char *unit;
		double ns;
	} units[] = {
		{ "ms", 1e6 },
		{ "s", 1e9 },
		{ "m", 60e9 },
		{ "h", 3600e9 },
	};
	char *end;
	double v;

	if (!isdigit((unsigned char)s[0]))
		return -EINVAL;
	if (!strcmp(s, "0")) {
		*ns = 0;
		return 0;
	}
	errno = 0;
	v = strtod(s, &end);
	if (errno || !isfinite(v) || strspn(s, "0123456789.") != (size_t)(end - s))
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (!strcmp(end, units[i].unit)) {
			v *= units[i].ns;
			if (v > 3.2e17) /* ten years */
				return -EINVAL;
			*ns = (uint64_t)v;
			return 0;
		}
	return -EINVAL;
}

int size_parse(const char *s, uint64_t *bytes)
{
	static const struct {
		const char *unit;
		int shift;
	} units[] = { { "M", 20 }, { "MiB", 20 }, { "G", 30 }, { "GiB", 30 } };
	size_t digits = strspn(s, "0123456789");
	unsigned long long v;

	if (!digits || digits > 6)
		return -EINVAL;
	v = strtoull(s, NULL, 10);
	for (size_t i = 0; i < ARRAY_SIZE(units) && v; i++)
		if (!strcmp(s + digits, units[i].unit)) {
			*bytes = (uint64_t)v << units[i].shift;
			return 0;
		}
	return -EINVAL;
}

int percent_parse(const char *s, double *pct)
{
	char *end;
	double v;

	if (!isdigit((unsigned char)s[0]))
		return -EINVAL;
	v = strtod(s, &end);
	if (strspn(s, "0123456789.") != (size_t)(end - s) || (*end && strcmp(end, "%")))
		return -EINVAL;
	if (!(v >= 0 && v <= 100))
		return -EINVAL;
	*pct = v;
	return 0;
}
