/* SPDX-License-Identifier: BSD-2-Clause */
/* How the process ends: kept by the kernel side as it happens, read when it is gone. */
#include "crash/subject.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash/fill.h"
#include "crash/shutdown.h"
#include "proc/process.h"
#include "trace/death.h"
#include "trace/trace.h"

static int crash_open(void **out, const struct look *l, char *why)
{
	if (!l->trace && !l->death) {
		snprintf(why, WINDOW_MAX_WHY, "%s",
			 l->memory_only ? l->memory_only : "nothing sees it end");
		return -EOPNOTSUPP;
	}
	*out = shutdown_new();
	return *out ? 0 : -ENOMEM;
}

static void crash_close(void *self)
{
	shutdown_free(self);
}

/* Whether or not goroutines are walked: it reads them itself, when it has to. */
static void crash_count(void *self, struct look *l, const struct trace_reading *r)
{
	(void)r;
	shutdown_look(self, l);
}

static int by_time(const void *x, const void *y)
{
	const struct gs_crash *const *a = x, *const *b = y;

	return ((*a)->ns > (*b)->ns) - ((*a)->ns < (*b)->ns);
}

/* Copies of the records that are complete: how many, -ENOMEM. */
static int take_records(const struct look *l, struct gs_crash **copy, struct gs_crash **at)
{
	uint32_t n = 0;
	const volatile struct gs_crash *r = l->trace ? trace_crashes(l->trace, &n) : NULL;
	int got = 0;

	*copy = n ? calloc(n, sizeof(**copy)) : NULL;
	if (n && !*copy)
		return -ENOMEM;
	for (uint32_t i = 0; i < n && i < GS_CRASH_RECORDS; i++) {
		if (!r[i].ready)
			continue;
		memcpy(&(*copy)[got], (const void *)(uintptr_t)&r[i], sizeof(**copy));
		at[got] = &(*copy)[got];
		got++;
	}
	if (got)
		qsort(at, (size_t)got, sizeof(*at), by_time);
	return got;
}

static int crash_fill_window(void *self, struct look *l, struct window *w)
{
	struct gs_crash *at[GS_CRASH_RECORDS];
	struct gs_death d;
	struct gs_crash *copy;
	bool gone = process_check(l->proc) == -ESRCH;
	int n, err = shutdown_fill(self, l, gone, &w->crash->shutdown);

	/* no slice of the budget's in this window: nothing is known of them */
	if (!err && look_armed(l, PROBE_PANIC_RECOVERED) && l->rates.panics > 0)
		err = panics_fill(l, w->crash);
	if (err || !gone)
		return err;
	n = take_records(l, &copy, at);
	if (n < 0)
		return n;
	if (l->death)
		death_read(l->death, &d);
	err = crash_fill(w->crash, l, at, n, l->death ? &d : NULL);
	free(copy);
	if (!err && w->crash->known && w->last)
		w->end_reason = w->crash->ended;
	return err;
}

static void crash_cover(void *self, const struct look *l, struct window *w)
{
	(void)self;
	if (!l->death)
		window_cover_add(w, SENSOR_CRASH, PARTIAL,
				 "the exit status, signals and their senders are not seen: %s",
				 l->death_off ? l->death_off : "no tracepoints");
	else if (!death_sees_oom(l->death))
		window_cover_add(w, SENSOR_CRASH, PARTIAL,
				 "the kernel's OOM killer is a SIGKILL here");
	if (!l->trace)
		window_cover_add(w, SENSOR_CRASH, PARTIAL,
				 "panics and fatal errors are not seen: %s", l->memory_only);
	else
		look_cover_refused(l, SENSOR_CRASH,
				   w); /* of its end, never sliced (GROUP_DEATHS) */
	if (look_armed(l, PROBE_PANIC_RECOVERED) && l->rates.panics_sliced)
		window_cover_add(w, SENSOR_CRASH, SAMPLED,
				 "budget: panics that are recovered are counted in slices")
			->rate = l->rates.panics;
}

static const struct detector *const detectors[] = { &crash_detector, &slow_shutdown_detector,
						    NULL };

const struct subject crash_subject = {
	.name = "crash",
	.sensors = SENSOR_BIT(SENSOR_CRASH),
	.needs = NEEDS_TOTALS,
	.open = crash_open,
	.close = crash_close,
	.count = crash_count,
	.fill = crash_fill_window,
	.cover = crash_cover,
	.detectors = detectors,
};
