/* SPDX-License-Identifier: BSD-2-Clause */
#include "observe/detect.h"

#include "net/connection_churn.h"
#include "net/connection_leak.h"
#include "goroutines/deadlock.h"
#include "net/failing_phase.h"
#include "memory/gc_pressure.h"
#include "goroutines/goroutine_flood.h"
#include "goroutines/goroutine_leak.h"
#include "memory/large_allocation.h"
#include "locks/lock_contention.h"
#include "memory/memory_growth.h"
#include "net/no_timeout.h"
#include "sql/pool_exhausted.h"
#include "sql/rows_open.h"
#include "net/server_no_timeout.h"
#include "net/slow_phase.h"
#include "sql/transaction_open.h"
#include "observe/explain.h"

const struct detector *const detectors[] = {
	&deadlock_detector,          &goroutine_leak_detector,  &goroutine_flood_detector,
	&large_allocation_detector,  &gc_pressure_detector,     &memory_growth_detector,
	&pool_exhausted_detector,    &no_timeout_detector,      &transaction_open_detector,
	&slow_phase_detector,        &failing_phase_detector, /* looks at those before it */
	&connection_leak_detector,   &rows_open_detector,       &connection_churn_detector,
	&server_no_timeout_detector, &lock_contention_detector, NULL,
};

static uint32_t covered_sensors(const struct window *w)
{
	uint32_t mask = 0;

	for (int i = 0; i < w->ncoverage; i++)
		if (w->coverage[i].state != COVERAGE_OFF && !w->coverage[i].name)
			mask |= SENSOR_BIT(w->coverage[i].sensor);
	return mask;
}

void detect_all(struct window *w, struct findings *out)
{
	uint32_t covered = covered_sensors(w);

	explain_rows(w);
	for (int i = 0; detectors[i]; i++)
		if (detectors[i]->sensors & covered)
			detectors[i]->judge(w, out);
	findings_sort(out);
}
