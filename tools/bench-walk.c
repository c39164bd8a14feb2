/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench-walk PID: the time to walk all goroutines, median of 15, as JSON.
 * bench-walk PID SECONDS: walks over and over for so long, and prints how often.
 */
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

static int over_and_over(struct session *s, double seconds)
{
	uint64_t end = clock_mono_ns() + (uint64_t)(seconds * 1e9);
	struct gowalk w = { 0 };
	unsigned long n = 0;
	int err = 0;

	for (; clock_mono_ns() < end && !err; n++)
		err = goruntime_walk(&s->rt, &w, NULL);
	printf("{\"walks\":%lu}\n", n);
	gowalk_deinit(&w);
	session_close(s);
	return err != 0;
}

int main(int argc, char **argv)
{
	struct session s;
	struct gowalk w = { 0 };
	struct err err = { 0 };
	double ms[ROUNDS];
	int i;

	if (argc < 2 || session_open(&s, atoi(argv[1]), &err)) {
		fprintf(stderr, "bench-walk: %s\n", argc > 1 ? err.what : "needs a PID");
		return 1;
	}
	if (argc > 2)
		return over_and_over(&s, atof(argv[2]));
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
