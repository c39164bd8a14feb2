/* SPDX-License-Identifier: BSD-2-Clause */
#include "observe/detect.h"

#include "observe/parts.h"

static uint32_t covered_sensors(const struct window *w)
{
	uint32_t mask = 0;

	for (int i = 0; i < w->ncoverage; i++)
		if (w->coverage[i].state != OFF && !w->coverage[i].name)
			mask |= SENSOR_BIT(w->coverage[i].sensor);
	return mask;
}

static bool is_skipped(const struct window *w, const struct detector *d)
{
	return (d->of_waits && w->process.paused_lately) || (d->of_rates && window_is_short(w));
}

void detect_all(struct window *w, struct findings *out)
{
	uint32_t covered = covered_sensors(w);

	explain_rows(w);
	join_shutdown(w);
	if (w->window_s > 0 && window_is_short(w))
		window_cover_named(w, "rates", OFF,
				   "not judged: the process ran for less than half a second of "
				   "this window");
	for (int i = 0; subjects[i]; i++) {
		const struct detector *const *d = subjects[i]->detectors;

		for (; d && *d; d++)
			if ((*d)->sensors & covered && !is_skipped(w, *d))
				(*d)->judge(w, out);
	}
	findings_sort(out);
	explain_findings(w, out);
}
