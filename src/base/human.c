/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/human.h"

#include <stdio.h>
#include <string.h>

#include "base/vec.h"

char *human_count(uint64_t n, char *out)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
	char *p = out;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			*p++ = ',';
		*p++ = digits[i];
	}
	*p = '\0';
	return out;
}

/* The ending of several: passes, bodies, days, processes, requests. */
static const char *plural(const char *one, size_t *keep)
{
	size_t n = *keep;
	char last = n ? one[n - 1] : 0, before = n > 1 ? one[n - 2] : 0;

	if (last == 'y' && !strchr("aeiou", before)) {
		*keep = n - 1;
		return "ies";
	}
	return last == 's' || last == 'x' || (last == 'h' && strchr("cs", before)) ? "es" : "s";
}

char *human_counted(uint64_t n, const char *one, char *out)
{
	char count[HUMAN_MAX];
	size_t keep = strlen(one);
	const char *more = n == 1 ? "" : plural(one, &keep);

	snprintf(out, HUMAN_MAX, "%s %.*s%s", human_count(n, count), (int)keep, one, more);
	return out;
}

char *human_bytes(double bytes, char *out)
{
	static const char *const unit[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	size_t u = 0;

	while (bytes >= 1024 && u + 1 < ARRAY_SIZE(unit)) {
		bytes /= 1024;
		u++;
	}
	snprintf(out, HUMAN_MAX, u ? "%.1f %s" : "%.0f %s", bytes, unit[u]);
	return out;
}

char *human_seconds(double s, char *out)
{
	unsigned long long t = s > 0 && s < 1e15 ? (unsigned long long)s : 0;

	if (s < 1e-6)
		snprintf(out, HUMAN_MAX, "%.0fns", s * 1e9);
	else if (s < 1e-3)
		snprintf(out, HUMAN_MAX, "%.0fµs", s * 1e6);
	else if (s < 1)
		snprintf(out, HUMAN_MAX, s < 0.01 ? "%.1fms" : "%.0fms", s * 1e3);
	else if (s < 60)
		snprintf(out, HUMAN_MAX, "%.1fs", s);
	else if (t < 3600)
		snprintf(out, HUMAN_MAX, "%llum%02llus", t / 60, t % 60);
	else if (t < 86400)
		snprintf(out, HUMAN_MAX, "%lluh%02llum", t / 3600, t % 3600 / 60);
	else
		snprintf(out, HUMAN_MAX, "%llud%02lluh", t / 86400, t % 86400 / 3600);
	return out;
}

char *human_rate(double per_s, char *out)
{
	if (per_s >= 1000)
		return human_count((uint64_t)(per_s + 0.5), out);
	snprintf(out, HUMAN_MAX, "%.1f", per_s);
	return out;
}

char *human_percent(double pct, int decimals, char *out)
{
	double least = 1;

	for (int i = 0; i < decimals; i++)
		least /= 10;
	if (pct > 0 && pct < least / 2)
		snprintf(out, HUMAN_MAX, "<%.*f%%", decimals, least);
	else if (!decimals && pct >= 99.5 && pct < 100 - 1e-9)
		snprintf(out, HUMAN_MAX, ">99%%");
	else
		snprintf(out, HUMAN_MAX, "%.*f%%", decimals, pct);
	return out;
}
