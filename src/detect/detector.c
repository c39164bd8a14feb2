/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/detector.h"

#include "detect/connection_churn.h"
#include "detect/connection_leak.h"
#include "detect/deadlock.h"
#include "detect/failing_phase.h"
#include "detect/gc_pressure.h"
#include "detect/goroutine_flood.h"
#include "detect/goroutine_leak.h"
#include "detect/large_allocation.h"
#include "detect/lock_contention.h"
#include "detect/memory_growth.h"
#include "detect/no_timeout.h"
#include "detect/pool_exhausted.h"
#include "detect/rows_open.h"
#include "detect/server_no_timeout.h"
#include "detect/slow_phase.h"
#include "detect/transaction_open.h"

const struct detector *const detectors[] = {
	&deadlock_detector,
	&goroutine_leak_detector,
	&goroutine_flood_detector,
	&large_allocation_detector,
	&gc_pressure_detector,
	&memory_growth_detector,
	&pool_exhausted_detector,
	&no_timeout_detector,
	&transaction_open_detector,
	&slow_phase_detector,
	&failing_phase_detector,	/* looks at those before it */
	&connection_leak_detector,
	&rows_open_detector,
	&connection_churn_detector,
	&server_no_timeout_detector,
	&lock_contention_detector,
	NULL,
};

static uint32_t covered_sensors(const struct window *w)
{
	uint32_t mask = 0;

	for (int i = 0; i < w->ncoverage; i++)
		if (w->coverage[i].state != COVERAGE_OFF && !w->coverage[i].name)
			mask |= SENSOR_BIT(w->coverage[i].sensor);
	return mask;
}

void detect_all(const struct window *w, struct findings *out)
{
	uint32_t covered = covered_sensors(w);

	for (int i = 0; detectors[i]; i++)
		if (detectors[i]->sensors & covered)
			detectors[i]->judge(w, out);
	findings_sort(out);
}
