/* SPDX-License-Identifier: BSD-2-Clause */
/* bench-parse FILE: the time to a plan from scratch, median of 7, and peak memory, as JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "gobin/gobin.h"
#include "plan/plan.h"

#define ROUNDS 7

static int by_value(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;

	return a < b ? -1 : a > b;
}

int main(int argc, char **argv)
{
	struct err err = { 0 };
	struct rusage u;
	double ms[ROUNDS];
	int i, functions = 0;

	for (i = 0; i < ROUNDS; i++) {
		uint64_t begin = clock_mono_ns();
		struct gobin *gb = NULL;
		struct plan pl;

		if (argc != 2 || gobin_open(&gb, argv[1], &err) ||
		    plan_make(&pl, gb, SENSOR_ALL, &err)) {
			fprintf(stderr, "bench-parse: %s\n", argc == 2 ? err.what : "needs a FILE");
			return 1;
		}
		functions = pclntab_nfunc(gb->pcln);
		gobin_free(gb);
		ms[i] = (double)(clock_mono_ns() - begin) / 1e6;
	}
	qsort(ms, ROUNDS, sizeof(*ms), by_value);
	getrusage(RUSAGE_SELF, &u);
	printf("{\"functions\":%d,\"median_ms\":%.3f,\"max_ms\":%.3f,\"rss_bytes\":%ld}\n",
	       functions, ms[ROUNDS / 2], ms[ROUNDS - 1], u.ru_maxrss * 1024L);
	return 0;
}
