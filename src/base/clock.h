/* SPDX-License-Identifier: BSD-2-Clause */
/* Clocks: monotonic for durations, real time for what people read. */
#ifndef GOSPECT_BASE_CLOCK_H
#define GOSPECT_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define NS_PER_S  1000000000ull
#define NS_PER_MS 1000000ull

uint64_t clock_mono_ns(void); /* CLOCK_MONOTONIC, as Go's nanotime */
uint64_t clock_real_ns(void); /* CLOCK_REALTIME, since 1970 */
/*
 * CLOCK_REALTIME less CLOCK_MONOTONIC.  Who is preempted between the two gets less: the
 * most of some tries is taken, which is never too much.
 */
int64_t clock_real_offset_ns(void);
uint64_t clock_mono_to_real_ns(uint64_t mono_ns);
uint64_t clock_boot_to_real_ns(uint64_t boot_ns);
void clock_nap_ms(unsigned int ms); /* sleeps; a signal ends it */
uint64_t clock_self_cpu_ns(void);   /* CPU time of this process */
uint64_t clock_thread_cpu_ns(void); /* and of this thread of it */
/* "2026-11-22T10:00:05Z": RFC 3339, UTC, whole seconds; ms when with_ms. out >= 32 bytes. */
void clock_format_utc(uint64_t real_ns, int with_ms, char *out, size_t size);

#endif
