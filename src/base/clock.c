/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static uint64_t read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t clock_mono_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_real_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}

#define OFFSET_TRIES 5

static int64_t offset_of(clockid_t id)
{
	int64_t most = INT64_MIN;

	for (int i = 0; i < OFFSET_TRIES; i++) {
		int64_t real = (int64_t)clock_real_ns();
		int64_t offset = real - (int64_t)read_clock(id);

		most = offset > most ? offset : most;
	}
	return most;
}

int64_t clock_real_offset_ns(void)
{
	return offset_of(CLOCK_MONOTONIC);
}

uint64_t clock_mono_to_real_ns(uint64_t mono_ns)
{
	return (uint64_t)((int64_t)mono_ns + offset_of(CLOCK_MONOTONIC));
}

uint64_t clock_boot_to_real_ns(uint64_t boot_ns)
{
	return (uint64_t)((int64_t)boot_ns + offset_of(CLOCK_BOOTTIME));
}

void clock_nap_ms(unsigned int ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000 * NS_PER_MS) };

	nanosleep(&ts, NULL);
}

uint64_t clock_self_cpu_ns(void)
{
	return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t clock_thread_cpu_ns(void)
{
	return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

void clock_format_utc(uint64_t real_ns, int with_ms, char *out, size_t size)
{
	time_t s = (time_t)(real_ns / NS_PER_S);
	struct tm tm;
	size_t n;

	gmtime_r(&s, &tm);
	n = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &tm);
	if (with_ms)
		n += (size_t)snprintf(out + n, size - n, ".%03u",
				      (unsigned int)(real_ns / NS_PER_MS % 1000));
	snprintf(out + n, size - n, "Z");
}
