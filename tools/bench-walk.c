/* SPDX-License-Identifier: BSD-2-Clause */
/* bench-walk PID: the time to walk all goroutines, median of 15, as JSON. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "cli/watch.h"

#define ROUNDS 15

static int by_value(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;

	return a < b ? -1 : a > b;
}

int main(int argc, char **argv)
{
	struct session s;
	struct gowalk w = { 0 };
	struct err err = { 0 };
	double ms[ROUNDS];
	int i;

	if (argc != 2 || session_open(&s, atoi(argv[1]), &err)) {
		fprintf(stderr, "bench-walk: %s\n", argc == 2 ? err.what : "needs a PID");
		return 1;
	}
	for (i = 0; i < ROUNDS; i++) {
		uint64_t begin = clock_mono_ns();

		if (goruntime_walk(&s.rt, &w, &err) || w.failures) {
			fprintf(stderr, "bench-walk: %s\n", err.what);
			return 1;
		}
		ms[i] = (double)(clock_mono_ns() - begin) / 1e6;
	}
	qsort(ms, ROUNDS, sizeof(*ms), by_value);
	printf("{\"goroutines\":%llu,\"median_ms\":%.3f,\"min_ms\":%.3f,\"max_ms\":%.3f}\n",
	       (unsigned long long)w.user, ms[ROUNDS / 2], ms[0], ms[ROUNDS - 1]);
	gowalk_deinit(&w);
	session_close(&s);
	return 0;
}
