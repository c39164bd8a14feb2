/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>

#include "base/thread.h"

struct work {
	void (*fn)(void *part);
	void *part;
	pthread_t thread;
	bool started;
};

int parallel_cpus(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);

	return n < 1 ? 1 : n > PARALLEL_MAX ? PARALLEL_MAX : n;
}

static void *run(void *arg)
{
	struct work *w = arg;

	w->fn(w->part);
	return NULL;
}

void parallel_run(void (*fn)(void *part), void *parts, size_t size, int n)
{
	struct work work[PARALLEL_MAX];

	for (int i = 1; i < n; i++) {
		work[i] = (struct work){ .fn = fn, .part = (char *)parts + (size_t)i * size };
		work[i].started = !thread_start(&work[i].thread, run, &work[i]);
	}
	fn(parts);
	for (int i = 1; i < n; i++) {
		if (work[i].started)
			pthread_join(work[i].thread, NULL);
		else
			fn(work[i].part);
	}
}
